import { useQuery } from '@tanstack/react-query'
import { useEffect, useRef } from 'react'
import { isFinal, type KnownLogs } from '../../client/client.ts'
import type { Job } from '../../client/types.ts'
import { CopyButton } from '../copy-button.tsx'
import { errorText } from '../error-text.ts'
import { useStudio } from '../studio-context.ts'

/** Read from Replicate only while they are open. `written`: what has come until now, while the run goes on. */
export interface LogsProps {
  job: Job
  open: boolean
  onOpen: (open: boolean) => void
  written: KnownLogs | null
}

export function Logs({ job, open, onOpen, written }: LogsProps) {
  if (job.prediction_id === null) return null
  return (
    <details className="card raw logs" open={open} onToggle={(event) => onOpen(event.currentTarget.open)}>
      <summary>Logs</summary>
      {open && <LogText job={job} written={written} />}
    </details>
  )
}

const NONE: KnownLogs = { text: '', truncated: false }

function LogText({ job, written }: Pick<LogsProps, 'job' | 'written'>) {
  const { client } = useStudio()
  const { id } = job
  const final = isFinal(job)
  // Read at completion, for the last lines.
  const { data: read, error } = useQuery({ queryKey: ['logs', id], queryFn: () => client.logs(id), enabled: final })
  const { text, truncated } = read?.logs ? { text: read.logs, truncated: read.truncated } : (written ?? NONE)
  const box = useRef<HTMLPreElement>(null)
  useEffect(() => {
    if (!final && text !== '') box.current?.scrollTo(0, box.current.scrollHeight)
  }, [text, final])

  if (error && text === '') return <p className="muted logs-note">{errorText(error)}</p>
  if (text === '' && final && !read) return <p className="muted logs-note">Loading from Replicate…</p>
  if (text === '' && read?.logs === null)
    return <p className="muted logs-note">The logs have expired. Replicate keeps them for one hour.</p>
  if (text === '') return <p className="muted logs-note">The model has written nothing{final ? '' : ' yet'}.</p>
  return (
    <>
      {truncated && <p className="muted logs-note">Truncated: showing only the end of the log.</p>}
      <pre ref={box} className="code" tabIndex={0} aria-label="Logs of the model">
        {text}
      </pre>
      <CopyButton text={text} what="logs">
        Copy
      </CopyButton>
    </>
  )
}
