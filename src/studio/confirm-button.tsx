import { useState, type KeyboardEvent, type ReactNode } from 'react'
import { errorText } from './error-text.ts'

interface Props {
  icon: ReactNode
  label: string
  busy: string
  /** The consequence, in one or two sentences. */
  question: string
  yes: string
  no: string
  act: () => Promise<void>
}

/** For irreversible actions: asks for confirmation in place. Escape means no. */
export function ConfirmButton({ icon, label, busy, question, yes, no, act }: Props) {
  const [state, setState] = useState<'idle' | 'asking' | 'refused' | 'busy'>('idle')
  const [problem, setProblem] = useState<string | null>(null)

  async function confirm(): Promise<void> {
    setState('busy')
    setProblem(null)
    try {
      await act()
    } catch (error) {
      setProblem(errorText(error))
    }
    setState('idle')
  }

  function onKey(event: KeyboardEvent): void {
    if (event.key !== 'Escape') return
    // Otherwise Escape would leave the page.
    event.preventDefault()
    setState('refused')
  }

  return (
    <>
      {state === 'asking' ? (
        <span className="confirm" role="group" aria-label={label} onKeyDown={onKey}>
          <span>{question}</span>
          <button type="button" className="button" autoFocus onClick={() => void confirm()}>
            {yes}
          </button>
          <button type="button" className="quiet" onClick={() => setState('refused')}>
            {no}
          </button>
        </span>
      ) : (
        <button
          type="button"
          className="button"
          // Returns the focus after a no.
          autoFocus={state === 'refused'}
          disabled={state === 'busy'}
          onClick={() => setState('asking')}
        >
          {icon}
          {state === 'busy' ? busy : label}
        </button>
      )}
      {problem && (
        <span className="field-error" role="alert">
          {problem}
        </span>
      )}
    </>
  )
}
