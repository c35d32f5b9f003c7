import { keepPreviousData, useQuery } from '@tanstack/react-query'
import { useEffect, useRef, useState } from 'react'
import { isFinal } from '../../client/client.ts'
import type { Job } from '../../client/types.ts'
import { CopyButton } from '../copy-button.tsx'
import { errorText } from '../error-text.ts'
import { every } from '../queries.ts'
import { useStudio } from '../studio-context.ts'

/** Requested from Replicate only while the logs are open, and rarely. */
const AGAIN_EVERY_MS = 4_000

export function Logs({ job }: { job: Job }) {
  // Open by default for a failed run.
  const [open, setOpen] = useState(job.status === 'failed')
  if (job.prediction_id === null) return null
  return (
    <details className="card raw logs" open={open} onToggle={(event) => setOpen(event.currentTarget.open)}>
      <summary>Logs</summary>
      {open && <LogText job={job} />}
    </details>
  )
}

function LogText({ job }: { job: Job }) {
  const { client } = useStudio()
  const { id } = job
  const final = isFinal(job)
  const { data: value, error } = useQuery({
    // Read again at completion, for the last lines.
    queryKey: ['logs', id, final],
    queryFn: () => client.logs(id),
    placeholderData: keepPreviousData,
    ...(final ? {} : every(AGAIN_EVERY_MS)),
  })
  const box = useRef<HTMLPreElement>(null)
  const text = value?.logs ?? ''
  useEffect(() => {
    if (!final && text !== '') box.current?.scrollTo(0, box.current.scrollHeight)
  }, [text, final])

  if (error) return <p className="muted logs-note">{errorText(error)}</p>
  if (!value) return <p className="muted logs-note">Loading from Replicate…</p>
  if (value.logs === null)
    return <p className="muted logs-note">The logs have expired. Replicate keeps them for one hour.</p>
  if (value.logs === '') return <p className="muted logs-note">The model has written nothing{final ? '' : ' yet'}.</p>
  return (
    <>
      {value.truncated && <p className="muted logs-note">Truncated: showing only the end of the log.</p>}
      <pre ref={box} className="code" tabIndex={0} aria-label="Logs of the model">
        {value.logs}
      </pre>
      <CopyButton text={value.logs} what="logs">
        Copy
      </CopyButton>
    </>
  )
}
