import { useState } from 'react'
import { Pencil, Pin, RotateCw, Square } from 'lucide-react'
import { Link } from 'wouter'
import { isFinal } from '../../client/client.ts'
import type { Job, WaitingFor } from '../../client/types.ts'
import { go, runPath } from '../address.ts'
import { useCatalogue } from '../catalogue.ts'
import { serviceNow, useSeconds } from '../clock.ts'
import { errorText } from '../error-text.ts'
import { between, duration, moment } from '../format.ts'
import { costOfCanceling, creditsOfCanceling, sinceWhen, untilLabel, whyItWaits, phaseLabels } from '../run-labels.ts'
import { Progress } from '../sheet/tile.tsx'
import { StatusIcon } from '../status-icon.tsx'
import { useStudio } from '../studio-context.ts'
import { useSubmit } from '../submit.ts'
import { RefusalNote } from '../refusal-note.tsx'
import { Ticking } from '../ticking.tsx'
import { useMay } from '../who.ts'
import { StartForecast } from './forecast.tsx'
import { useTypical } from './typical.ts'

/** Status of the run: its phase and duration, why it waits, and the possible actions. */
export function StatusCard({ job }: { job: Job }) {
  const { label, headline, shape } = phaseLabels(job)
  const final = isFinal(job)
  const total = between(job.created_at, job.completed_at)
  return (
    <section className={`card status-card status-card-${job.status}`} aria-label="Status">
      <div className="status-line">
        <StatusIcon shape={shape} size={20} />
        <h2 aria-live="polite">{final || headline.length < 28 ? headline : label}</h2>
        <span className="elapsed big">{total === null ? <Ticking since={job.created_at} /> : duration(total)}</span>
      </div>
      {!final && <Doing job={job} />}
      <Actions job={job} />
    </section>
  )
}

function Doing({ job }: { job: Job }) {
  const { headline, detail } = phaseLabels(job)
  const since = sinceWhen(job)
  const wait = whyItWaits(job)
  const typical = useTypical(job)
  return (
    <>
      <Progress job={job} />
      <div className="status-text">
        {headline.length >= 28 && <p className="status-strong">{headline}.</p>}
        {wait && <p className="status-strong">{wait}</p>}
        {job.waiting_for?.until && <Until reason={job.waiting_for.reason} at={job.waiting_for.until} />}
        {(job.phase === 'queued' || job.phase === 'resubmitting') && <StartForecast job={job} />}
        {!(job.phase === 'queued' && wait) && <p>{detail}</p>}
        <p className="muted">
          {since.label === 'since' ? 'Since' : 'Accepted at'}{' '}
          <span className="tabular">{moment(since.at, serviceNow())}</span>
          {since.label === 'since' && since.at !== job.created_at && (
            <>
              {' '}
              (<Ticking since={since.at} />)
            </>
          )}
          {job.attempt > 1 && ` · attempt ${job.attempt}`}
        </p>
        {typical && (
          <p className="muted">
            Similar runs take <span className="tabular">{duration(typical.half)}</span>, 90% at most{' '}
            <span className="tabular">{duration(typical.most)}</span>
          </p>
        )}
      </div>
    </>
  )
}

function Until({ reason, at }: { reason: WaitingFor['reason']; at: string }) {
  useSeconds(true)
  return <p className="muted tabular">{untilLabel(reason, Date.parse(at) - serviceNow())}</p>
}

function Actions({ job }: { job: Job }) {
  return isFinal(job) ? job.status === 'succeeded' && <RunAgain job={job} first={null} /> : <Cancel job={job} />
}

function Cancel({ job }: { job: Job }) {
  const { client, runs } = useStudio()
  const [busy, setBusy] = useState(false)
  const [problem, setProblem] = useState<{ phase: string; message: string } | null>(null)
  const may = useMay('jobs:write')
  const cost = costOfCanceling(job)
  const preset = useCatalogue().presets.items.find(({ name }) => name === job.preset)
  const given = creditsOfCanceling(job, preset?.charge_canceled ?? false)

  async function cancel(): Promise<void> {
    setBusy(true)
    setProblem(null)
    try {
      runs.accept(await client.cancel(job.id))
    } catch (error) {
      setProblem({ phase: job.phase, message: errorText(error) })
      // Refused because the run has advanced: show its current state.
      await runs.read(job.id).catch(() => undefined)
    } finally {
      setBusy(false)
    }
  }

  return (
    <div className="actions">
      {may && cost && (
        <button type="button" className="button" disabled={busy} onClick={() => void cancel()} aria-describedby="cost">
          <Square />
          {busy ? 'Canceling…' : 'Cancel'}
        </button>
      )}
      <p className="muted action-note" id="cost">
        {cost && given ? `${cost} ${given}` : cost}
      </p>
      {problem?.phase === job.phase && (
        <p className="field-error" role="alert">
          {problem.message}
        </p>
      )}
    </div>
  )
}

/** The same request as a new job, or its input in the composer. `first` is the recommended one. */
export function RunAgain({ job, first }: { job: Job; first: 'again' | 'edit' | null }) {
  const { retry, sending, refusal } = useSubmit()
  const may = useMay('jobs:write')
  if (!may) return null
  if (job.input === null) return <p className="muted">The input has expired, so this run cannot be repeated.</p>
  const again = async (pinned: boolean) => {
    const next = await retry(job, pinned)
    if (next) go(runPath(next.id))
  }
  return (
    <div className="actions">
      <div className="buttons">
        <button
          type="button"
          className={first === 'again' ? 'button primary' : 'button'}
          disabled={sending}
          onClick={() => void again(false)}
        >
          <RotateCw />
          {sending ? 'Sending…' : job.status === 'failed' ? 'Try again' : 'Run again'}
        </button>
        {(job.preset ?? job.model ?? job.version?.includes(':')) && (
          <Link
            className={first === 'edit' ? 'button primary' : 'button'}
            href={`/new?from=${encodeURIComponent(job.id)}`}
          >
            <Pencil />
            Edit and run
          </Link>
        )}
        {job.status === 'succeeded' && (
          <button
            type="button"
            className="button"
            disabled={sending}
            title="Runs the same version with the same seed. The result is the same if the model is deterministic"
            onClick={() => void again(true)}
          >
            <Pin />
            Repeat exactly
          </button>
        )}
      </div>
      {refusal && <RefusalNote refusal={refusal} />}
    </div>
  )
}
