import { useQuery } from '@tanstack/react-query'
import { useEffect, useState } from 'react'
import { ChevronDown, ChevronUp } from 'lucide-react'
import { Link } from 'wouter'
import { ApiError, isFinal } from '../../client/client.ts'
import type { Job } from '../../client/types.ts'
import { batchPath, go, leave, runPath } from '../address.ts'
import { BackBar } from '../back-bar.tsx'
import { CopyButton } from '../copy-button.tsx'
import { errorText } from '../error-text.ts'
import { sourceOf, titleOf } from '../format.ts'
import { useJob, useSheet } from '../runs.ts'
import { phaseLabels } from '../run-labels.ts'
import { useStudio } from '../studio-context.ts'
import { usePageVisible } from '../page-visible.ts'
import { Details, Input } from './facts.tsx'
import { Keep } from './keep.tsx'
import { Logs } from './logs.tsx'
import { Outcome } from './outcome.tsx'
import { Result } from './result.tsx'
import { StatusCard } from './status-card.tsx'
import { Timeline } from './timeline.tsx'
import { useOutput, type Written } from './use-output.ts'

export function RunPage({ id }: { id: string }) {
  const { runs } = useStudio()
  const job = useJob(id)
  const { error, refetch } = useQuery({ queryKey: ['run', id], queryFn: () => runs.read(id) })
  const lasting = error instanceof ApiError && error.status < 500
  // Runs once for each run, as the page has the id as its key. In braces, because newer browsers return a promise.
  useEffect(() => {
    scrollTo(0, 0)
  }, [])

  // A final run does not change, so its own stream would only hold a connection. The stream of all jobs is followed
  // instead, so the page still knows whether it is live.
  const known = job !== undefined
  const final = known && isFinal(job)
  const visible = usePageVisible()
  const alone = known && !final
  const logs = useLogsOpen(job)
  const written = useOutput(visible && alone ? id : null, logs.isOpen)
  useEffect(() => (visible && !alone ? runs.followAll() : undefined), [runs, alone, visible])
  useRunKeys(id)

  useEffect(() => {
    document.title = job ? `${phaseLabels(job).label} · ${titleOf(job).slice(0, 60)}` : 'Run · genqueue'
  }, [job])

  if (!job) {
    return (
      <main className="notice">
        {error ? (
          <>
            <h1>Could not load this run</h1>
            <p>{errorText(error)}</p>
            {!lasting && (
              <button type="button" className="button" onClick={() => void refetch()}>
                Try again
              </button>
            )}
            <p>
              <Link href="/">All runs</Link>
            </p>
          </>
        ) : (
          <p className="muted">Loading the run…</p>
        )}
      </main>
    )
  }
  return <Run job={job} written={written} logs={logs} />
}

interface LogsOpen {
  isOpen: boolean
  setOpen: (isOpen: boolean) => void
}

/** The logs are open by default for a failed run. */
function useLogsOpen(job: Job | undefined): LogsOpen {
  const [chosen, setOpen] = useState<boolean | null>(null)
  return { isOpen: chosen ?? job?.status === 'failed', setOpen }
}

function Run({ job, written, logs }: { job: Job; written: Written; logs: LogsOpen }) {
  return (
    <main className="run">
      <RunBar id={job.id} />
      <header className="run-head">
        <h1 dir="auto">{titleOf(job)}</h1>
        <p className="run-sub muted">
          <span>{job.preset ?? sourceOf(job)}</span>
          {job.batch && <Link href={batchPath(job.batch)}>Number {(job.position ?? 0) + 1} of a batch</Link>}
          {job.retry_of && <Link href={runPath(job.retry_of)}>Retry of an earlier run</Link>}
          <span className="run-id">
            <code>{job.id}</code>
            <CopyButton text={job.id} what="run id" />
          </span>
        </p>
      </header>
      <div className="run-main">
        <Outcome job={job} />
        <Result job={job} written={written.text} />
        <Logs job={job} open={logs.isOpen} onOpen={logs.setOpen} written={written.logs} />
        <Input job={job} />
      </div>
      <aside className="run-side" aria-label="Status and details">
        <StatusCard job={job} />
        <Timeline job={job} />
        <Details job={job} />
        <Keep job={job} />
      </aside>
    </main>
  )
}

function neighbours(ids: readonly string[], id: string): { newer: string | undefined; older: string | undefined } {
  const at = ids.indexOf(id)
  return at === -1 ? { newer: undefined, older: undefined } : { newer: ids[at - 1], older: ids[at + 1] }
}

function RunBar({ id }: { id: string }) {
  const { ids } = useSheet()
  const { newer, older } = neighbours(ids, id)
  return (
    <BackBar to="/" name="Runs">
      <span className="bar-space" />
      <button
        type="button"
        className="icon-button"
        aria-label="Newer run"
        title="Newer run (←)"
        disabled={!newer}
        onClick={() => newer && go(runPath(newer), { replace: true })}
      >
        <ChevronUp />
      </button>
      <button
        type="button"
        className="icon-button"
        aria-label="Older run"
        title="Older run (→)"
        disabled={!older}
        onClick={() => older && go(runPath(older), { replace: true })}
      >
        <ChevronDown />
      </button>
    </BackBar>
  )
}

/** Esc leaves the page; left and right open the newer and the older run. */
function useRunKeys(id: string): void {
  const { runs } = useStudio()
  useEffect(() => {
    const onKey = (event: KeyboardEvent) => {
      if (event.defaultPrevented || event.metaKey || event.ctrlKey || event.altKey || event.shiftKey) return
      if (event.target instanceof Element && event.target.matches('input, textarea, select, video, audio')) return
      if (event.key === 'Escape') {
        leave()
        return
      }
      const { newer, older } = neighbours(runs.sheet().ids, id)
      const next = event.key === 'ArrowLeft' ? newer : event.key === 'ArrowRight' ? older : undefined
      // Replaces the history entry, so Esc and back lead to the sheet and not through every viewed run.
      if (next) go(runPath(next), { replace: true })
    }
    addEventListener('keydown', onKey)
    return () => removeEventListener('keydown', onKey)
  }, [runs, id])
}
