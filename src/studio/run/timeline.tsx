import { isFinal } from '../../client/client.ts'
import type { Job } from '../../client/types.ts'
import { between, clockTime, duration, whenFull } from '../format.ts'
import { wordsFor } from '../run-words.ts'

interface Step {
  name: string
  at: string | null
}

/** Accepted, submitted, started, completed: when, and how long lay between. */
export function Timeline({ job }: { job: Job }) {
  const all: Step[] = [
    { name: 'Accepted', at: job.created_at },
    { name: 'Submitted to Replicate', at: job.submitted_at },
    { name: 'Started', at: job.started_at },
    { name: isFinal(job) ? wordsFor(job).word : 'Completed', at: job.completed_at },
  ]
  // What a run that ended early never reached is not a step that is still to come.
  const steps = isFinal(job) ? all.filter((step) => step.at !== null) : all
  return (
    <section className="card" aria-labelledby="timeline-title">
      <h2 className="card-title" id="timeline-title">
        Timeline
      </h2>
      <Shares job={job} />
      <ol className="timeline">
        {steps.map((step, at) => {
          const before = steps.slice(0, at).findLast((each) => each.at !== null)
          const took = between(before?.at ?? null, step.at)
          return (
            <li key={step.name} className={step.at ? 'reached' : 'ahead'}>
              <span className="timeline-name">{step.name}</span>
              {step.at ? (
                <>
                  <span className="timeline-took">{took === null ? '' : `+${duration(took)}`}</span>
                  <time className="timeline-at" dateTime={step.at} title={whenFull(step.at)}>
                    {clockTime(step.at)}
                  </time>
                </>
              ) : (
                <span className="timeline-at">–</span>
              )}
            </li>
          )
        })}
      </ol>
    </section>
  )
}

/** Where the time went, as one bar. */
function Shares({ job }: { job: Job }) {
  const parts = [
    { name: 'In the queue', className: 'share-queue', ms: between(job.created_at, job.submitted_at) },
    { name: 'Starting up', className: 'share-start', ms: between(job.submitted_at, job.started_at) },
    { name: 'Running and saving', className: 'share-run', ms: between(job.started_at, job.completed_at) },
  ].flatMap(({ ms, ...rest }) => (ms === null || ms <= 0 ? [] : [{ ...rest, ms }]))
  if (!job.completed_at || parts.length < 2) return null
  return (
    <div className="shares" role="img" aria-label={parts.map(({ name, ms }) => `${name} ${duration(ms)}`).join(', ')}>
      {parts.map(({ name, className, ms }) => (
        <span key={name} className={className} style={{ flexGrow: ms }} title={`${name} ${duration(ms)}`} />
      ))}
    </div>
  )
}
