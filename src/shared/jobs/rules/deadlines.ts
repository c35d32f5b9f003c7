import type { JobRecord, JobState } from './job.ts'
import { waitsForIntent } from './submit.ts'
import { ageBased, withinStart, type Timings } from './timings.ts'

/** Deadlines of a run and of a stop, and the time at which a tick may change a job. All in ms. */

/** Longest run of a prediction: Replicate receives `timeout` as `Cancel-After` and cancels it then. */
export const cancelAfter = ({ timeout }: Pick<JobRecord, 'timeout'>): number => timeout * 1000

/** Time from the creation of a prediction until genqueue cancels it itself: Replicate should have done it by then. */
export const runLimit = (job: Pick<JobRecord, 'timeout'>, { timeoutGrace }: Pick<Timings, 'timeoutGrace'>): number =>
  cancelAfter(job) + timeoutGrace

/** When genqueue cancels the job's prediction itself. */
export const runDeadline = (
  job: Pick<JobRecord, 'timeout' | 'prediction_created_at' | 'submitted_at' | 'created_at'>,
  timings: Pick<Timings, 'timeoutGrace'>,
): number => (job.prediction_created_at ?? job.submitted_at ?? job.created_at) + runLimit(job, timings)

/** When a stop becomes final without confirmation by Replicate; null: the job is not being stopped. */
export const stopDeadline = (
  { stop }: Pick<JobRecord, 'stop'>,
  { stopBound }: Pick<Timings, 'stopBound'>,
): number | null => stop && stop.requested_at + stopBound

/** Time until a job that waits for the end of others is put in line although none of them rang for it. */
export const untilRungAgain = (job: JobRecord, now: number, { ringAgain }: Pick<Timings, 'ringAgain'>): number =>
  withinStart(job, now, ageBased(now - job.start_since, ringAgain))

/** A tick comes a little after the deadline that it is for. */
const AFTER_DEADLINE = 100

/** Time until a deadline may change the job, or until it should be checked. A waiting job is in line. */
export function untilNextTick(state: JobState, now: number, timings: Timings): number {
  const { job } = state
  const after = (deadline: number): number => Math.max(deadline - now, 0) + AFTER_DEADLINE
  if (waitsForIntent(state)) {
    // Pauses of creation extend `start_within`, so it may be over and the job not.
    const isOver = now >= job.start_since + job.start_within * 1000
    return (isOver ? untilRungAgain(job, now, timings) : withinStart(job, now, timings.lineCheck)) + AFTER_DEADLINE
  }
  switch (job.phase) {
    case 'created':
    case 'running':
      return after(runDeadline(job, timings))
    case 'stopping':
      return after(stopDeadline(job, timings) ?? now + timings.stopBound)
    default:
      return ageBased(now - job.created_at, timings.ringAgain)
  }
}
