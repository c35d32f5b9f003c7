import { useState } from 'react'
import { isFinal } from '../../client/client.ts'
import type { Job } from '../../client/types.ts'
import { Bin, Download } from '../icons.tsx'
import { leave } from '../router.tsx'
import { words } from '../runs.ts'
import { useStudio } from '../studio-context.ts'
import { useMay } from '../who.ts'

/** What one does with a run that is over: keep what it was made of, or remove it before its time. */
export function Keep({ job }: { job: Job }) {
  const may = useMay('jobs:write')
  if (!isFinal(job)) return null
  return (
    <div className="buttons keep">
      <a className="button" href={`/v1/jobs/${job.id}/manifest`} download={`${job.id}.manifest.json`}>
        <Download />
        Manifest
      </a>
      {may && <Remove job={job} />}
    </div>
  )
}

/** Asks once more: nothing brings it back. */
function Remove({ job }: { job: Job }) {
  const { client, runs } = useStudio()
  const [state, setState] = useState<'idle' | 'asking' | 'busy'>('idle')
  const [problem, setProblem] = useState<string | null>(null)

  async function remove(): Promise<void> {
    setState('busy')
    setProblem(null)
    try {
      await client.delete(job.id)
      runs.forget(job.id)
      leave()
    } catch (error) {
      setProblem(words(error))
      setState('idle')
    }
  }

  return (
    <>
      {state === 'asking' ? (
        <span className="confirm" role="group" aria-label="Delete the run?">
          <span>Its input, its output and its files are removed for good. The ledger stays.</span>
          <button type="button" className="button" autoFocus onClick={() => void remove()}>
            Delete it
          </button>
          <button type="button" className="quiet" onClick={() => setState('idle')}>
            Keep it
          </button>
        </span>
      ) : (
        <button type="button" className="button" disabled={state === 'busy'} onClick={() => setState('asking')}>
          <Bin />
          {state === 'busy' ? 'Deleting…' : 'Delete'}
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
