import { keepPreviousData, useQuery } from '@tanstack/react-query'
import { isFinal } from '../../client/client.ts'
import type { Job } from '../../client/types.ts'
import { serviceNow } from '../clock.ts'
import { between, duration, moment, whenFull } from '../format.ts'
import { useStudio } from '../studio-context.ts'
import { phaseLabels } from '../run-labels.ts'
import { stepsAhead, stepsOf, type Step } from './timeline-labels.ts'
import { sharesOf, type Share } from './shares.ts'

/** The history: events, times, durations and sources. */
export function Timeline({ job }: { job: Job }) {
  const { client } = useStudio()
  const { id, rev } = job
  // Each revision adds an entry.
  const { data: history } = useQuery({
    queryKey: ['history', id, rev],
    queryFn: () => client.history(id),
    placeholderData: keepPreviousData,
  })
  const steps = history && history.length > 0 ? stepsOf(history) : stepsOfTimes(job)
  const shown = steps.length > FOLDED_FROM ? [...steps.slice(0, 2), null, ...steps.slice(-6)] : steps
  return (
    <section className="card" aria-labelledby="timeline-title">
      <h2 className="card-title" id="timeline-title">
        Timeline
      </h2>
      <Shares parts={sharesOf(job, history ?? [])} />
      <ol className="timeline">
        {shown.map((step, at) =>
          step === null ? (
            <li key="folded" className="folded muted">
              {steps.length - 8} more steps
            </li>
          ) : (
            <StepLine key={step.at + step.name} step={step} before={shown[at - 1] ?? null} />
          ),
        )}
        {(isFinal(job) ? [] : stepsAhead(job.phase)).map((name) => (
          <li key={name} className="ahead">
            <span className="timeline-name">{name}</span>
            <span className="timeline-at">–</span>
          </li>
        ))}
      </ol>
    </section>
  )
}

const FOLDED_FROM = 12

function StepLine({ step, before }: { step: Step; before: Step | null }) {
  const took = between(before?.at ?? null, step.at)
  return (
    <li className={step.shape === 'bad' ? 'reached reached-bad' : 'reached'}>
      <span className="timeline-name">
        {step.name}
        {step.note && <span className="timeline-note">{step.note}</span>}
      </span>
      <span className="timeline-took">{took === null ? '' : `+${duration(took)}`}</span>
      <time className="timeline-at" dateTime={step.at} title={whenFull(step.at)}>
        {moment(step.at, serviceNow())}
      </time>
    </li>
  )
}

/** The steps known from the job record, until the history is loaded. */
function stepsOfTimes(job: Job): Step[] {
  const { label } = phaseLabels(job)
  const times: [string, string | null][] = [
    ['Accepted', job.created_at],
    ['Sent to Replicate', job.submitted_at],
    ['Started', job.started_at],
    [isFinal(job) ? label : 'Done', job.completed_at],
  ]
  return times.flatMap(([name, at]) => (at === null ? [] : [{ name, at, note: null, shape: 'plain' }]))
}

/** The shares of the total time as one bar. */
function Shares({ parts }: { parts: readonly Share[] }) {
  if (parts.length < 2) return null
  return (
    <div className="shares" role="img" aria-label={parts.map(({ name, ms }) => `${name} ${duration(ms)}`).join(', ')}>
      {parts.map(({ name, className, ms }) => (
        <span key={name} className={className} style={{ flexGrow: ms }} title={`${name} ${duration(ms)}`} />
      ))}
    </div>
  )
}
