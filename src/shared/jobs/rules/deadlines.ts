import type { JobRecord } from './job.ts'
import type { Timings } from './timings.ts'

/** Deadlines of a job, a run and a stop. All in ms. */

type Limits = Pick<JobRecord, 'timeout' | 'cancel_after' | 'created_at' | 'submitted_at'>

/**
 * When the job ends although its prediction is not complete: `cancel_after` covers the line and the run, pauses of creation
 * included. An output that is being stored is paid for, and kept. null: the job has no such deadline.
 */
export const deadlineOf = ({
  cancel_after,
  created_at,
}: Pick<JobRecord, 'cancel_after' | 'created_at'>): number | null =>
  cancel_after === null ? null : created_at + cancel_after * 1000

/** Whether `deadlineOf` the job has passed. */
export const isOverdue = (job: Pick<JobRecord, 'cancel_after' | 'created_at'>, now: number): boolean =>
  now >= (deadlineOf(job) ?? Infinity)

/** The least that Replicate accepts as `Cancel-After`. */
const LEAST_CANCEL_AFTER = 5000

/**
 * Longest run of a prediction, in whole seconds: Replicate receives it as `Cancel-After` and cancels the prediction then. It
 * is `timeout`, or the time from the request to the deadline of the job if that is shorter.
 */
export function cancelAfter({ timeout, submitted_at, ...job }: Limits): number {
  const left = (deadlineOf(job) ?? Infinity) - (submitted_at ?? job.created_at)
  return Math.min(timeout * 1000, Math.max(Math.floor(left / 1000) * 1000, LEAST_CANCEL_AFTER))
}

/** Time from the creation of a prediction until genqueue cancels it itself: Replicate should have done it by then. */
export const runLimit = (job: Limits, { timeoutGrace }: Pick<Timings, 'timeoutGrace'>): number =>
  cancelAfter(job) + timeoutGrace

/** When genqueue cancels the job's prediction itself. */
export const runDeadline = (
  job: Limits & Pick<JobRecord, 'prediction_created_at'>,
  timings: Pick<Timings, 'timeoutGrace'>,
): number => (job.prediction_created_at ?? job.submitted_at ?? job.created_at) + runLimit(job, timings)

/** When a stop becomes final without confirmation by Replicate; null: the job is not being stopped. */
export const stopDeadline = (
  { stop }: Pick<JobRecord, 'stop'>,
  { stopBound }: Pick<Timings, 'stopBound'>,
): number | null => stop && stop.requested_at + stopBound

/** Limits the wait of a job to the time left until its deadline. */
export const withinDeadline = (
  job: Pick<JobRecord, 'cancel_after' | 'created_at'>,
  now: number,
  wait: number,
): number => Math.min(wait, Math.max((deadlineOf(job) ?? Infinity) - now, 0))

/** When `start_within` began: not before the job may start. */
export const startsSince = ({ start_since, not_before }: Pick<JobRecord, 'start_since' | 'not_before'>): number =>
  Math.max(start_since, not_before ?? 0)

/** Time until the job may start. */
export const untilReady = ({ not_before }: Pick<JobRecord, 'not_before'>, now: number): number =>
  Math.max((not_before ?? 0) - now, 0)

/** Limits the wait of a queued job to the time left of `start_within`, which pauses may extend, and until its deadline. */
export function withinStart(
  job: Pick<JobRecord, 'start_since' | 'not_before' | 'start_within' | 'cancel_after' | 'created_at'>,
  now: number,
  wait: number,
): number {
  const left = startsSince(job) + job.start_within * 1000 - now
  return withinDeadline(job, now, left > 0 ? Math.min(wait, left) : wait)
}

/** The error message of a job that ran out of time at `at`, with this message when it was the run that took too long. */
export const timeoutMessage = (
  job: Limits,
  at: number,
  ofRun = `The prediction did not complete within ${job.timeout} s.`,
): string =>
  cancelAfter(job) < job.timeout * 1000 || isOverdue(job, at)
    ? `The job did not complete within ${job.cancel_after} s of its acceptance.`
    : ofRun
