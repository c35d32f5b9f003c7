import type { Job } from '../../client/types.ts'
import { adviceFor, BILLED, costLabel, phaseLabels } from '../run-labels.ts'
import { RunAgain } from './status-card.tsx'
import { StatusIcon } from '../status-icon.tsx'

/** A failed or canceled run: what happened, whether it was billed, and what to do, with the button for it. */
export function Outcome({ job }: { job: Job }) {
  if (job.status !== 'failed' && job.status !== 'canceled') return null
  const advice = adviceFor(job)
  const { shape } = phaseLabels(job)
  const cost = costLabel(job)
  return (
    <section className={`outcome outcome-${job.status}`} aria-label="What happened">
      <StatusIcon shape={shape} size={20} />
      <div className="outcome-text">
        <h2>{advice.headline}</h2>
        {job.error && (
          <>
            {job.status === 'failed' && (
              <p className="outcome-message" dir="auto">
                {job.error.message}
              </p>
            )}
            <dl className="outcome-facts">
              <div>
                <dt>Code</dt>
                <dd>
                  <code>{job.error.code}</code>
                </dd>
              </div>
              <div>
                <dt>Cost</dt>
                <dd>
                  {BILLED[job.error.billed]}
                  {cost && ` ${cost}.`}
                </dd>
              </div>
              <div>
                <dt>What to do</dt>
                <dd>{advice.what}</dd>
              </div>
            </dl>
          </>
        )}
        <RunAgain job={job} first={job.status === 'failed' ? advice.first : null} />
      </div>
    </section>
  )
}
