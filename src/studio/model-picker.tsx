import { useEffect, useId, useRef, useState, type KeyboardEvent } from 'react'
import type { Model } from '../client/types.ts'
import { ChevronDown } from './icons.tsx'

/** `owner/name`, or `owner/name:<version>`. */
const ADDRESS = /^[\w.-]+\/[\w.-]+(:[0-9a-f]{64})?$/

interface Props {
  models: readonly Model[]
  /** null until a model is known. */
  chosen: string | null
  description: string | null
  onChoose: (name: string) => void
}

export function ModelPicker({ models, chosen, description, onChoose }: Props) {
  const [open, setOpen] = useState(false)
  const [search, setSearch] = useState('')
  const box = useRef<HTMLDivElement>(null)
  const button = useRef<HTMLButtonElement>(null)
  const panelId = useId()
  const wanted = search.trim().toLowerCase()
  const found = models.filter((model) => `${model.name} ${model.description ?? ''}`.toLowerCase().includes(wanted))
  const other = ADDRESS.test(search.trim()) && !models.some((model) => model.name === search.trim())

  useEffect(() => {
    if (!open) return undefined
    const outside = (event: Event) => {
      if (event.target instanceof Node && !box.current?.contains(event.target)) setOpen(false)
    }
    document.addEventListener('pointerdown', outside)
    document.addEventListener('focusin', outside)
    return () => {
      document.removeEventListener('pointerdown', outside)
      document.removeEventListener('focusin', outside)
    }
  }, [open])

  function choose(name: string): void {
    setOpen(false)
    setSearch('')
    button.current?.focus()
    onChoose(name)
  }

  function onKey(event: KeyboardEvent): void {
    if (event.key === 'Escape') {
      event.stopPropagation()
      setOpen(false)
      button.current?.focus()
      return
    }
    if (event.key === 'Enter' && event.target instanceof HTMLInputElement) {
      event.preventDefault()
      if (other) choose(search.trim())
      else if (found[0]) choose(found[0].name)
      return
    }
    if (event.key !== 'ArrowDown' && event.key !== 'ArrowUp') return
    event.preventDefault()
    const stops = [...(box.current?.querySelectorAll<HTMLElement>('[data-stop]') ?? [])]
    const at = stops.findIndex((stop) => stop === document.activeElement)
    stops.at((at + (event.key === 'ArrowDown' ? 1 : -1) + stops.length) % stops.length)?.focus()
  }

  return (
    <div className="field picker" ref={box}>
      <span className="label" id={`${panelId}-label`}>
        Model
      </span>
      <button
        type="button"
        ref={button}
        className="picker-button"
        aria-expanded={open}
        aria-controls={panelId}
        aria-labelledby={`${panelId}-label ${panelId}-chosen`}
        onClick={() => setOpen(!open)}
      >
        <span className="picker-words" id={`${panelId}-chosen`}>
          <ModelName name={chosen} />
          {description && <span className="picker-description">{description}</span>}
        </span>
        <ChevronDown />
      </button>
      {open && (
        <div className="picker-panel" id={panelId} onKeyDown={onKey}>
          <input
            data-stop
            autoFocus
            value={search}
            onChange={(event) => setSearch(event.target.value)}
            placeholder="Search, or any owner/name"
            aria-label="Search models, or give any owner/name"
            spellCheck={false}
            autoCapitalize="none"
          />
          <ul>
            {found.map((model) => (
              <li key={model.name}>
                <button
                  type="button"
                  data-stop
                  className="picker-item"
                  aria-current={model.name === chosen}
                  onClick={() => choose(model.name)}
                >
                  <ModelName name={model.name} />
                  {model.description && <span className="picker-description">{model.description}</span>}
                </button>
              </li>
            ))}
            {other && (
              <li>
                <button type="button" data-stop className="picker-item" onClick={() => choose(search.trim())}>
                  <ModelName name={search.trim()} />
                  <span className="picker-description">Look it up on Replicate</span>
                </button>
              </li>
            )}
            {found.length === 0 && !other && (
              <li className="picker-none">None of that name. Any other model: type its owner/name.</li>
            )}
          </ul>
        </div>
      )}
    </div>
  )
}

function ModelName({ name }: { name: string | null }) {
  if (!name) return <span className="muted">Choose a model</span>
  const [owner, rest] = name.split('/')
  return (
    <span className="model-name">
      <span className="muted">{owner}/</span>
      {rest}
    </span>
  )
}
