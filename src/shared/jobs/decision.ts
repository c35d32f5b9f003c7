import type { OutputShape } from '../artifacts/output-shape.ts'
import type { Prediction } from '../replicate/prediction.ts'
import type { AttemptRecord, Billed, Cause, Effect, JobError, JobRecord, JobState } from './job.ts'
import type { Timings } from './timings.ts'

/** What the rules of a job say and answer (transitions.ts has the table). */

/** A moment: absolute (ms), or so many ms after the commit, by the clock of Redis. */
export type Moment = number | { in: number }

type WithMoments<T> = { [K in keyof T]?: number extends T[K] ? T[K] | Moment : T[K] }
export type JobChanges = WithMoments<Omit<JobRecord, 'v' | 'id' | 'rev' | 'tenant' | 'account'>>
export type AttemptChanges = WithMoments<Omit<AttemptRecord, 'v' | 'n'>>

export type PauseReason = 'rate_limited' | 'upstream' | 'account' | 'storage'

/** What a commit says about the account's health: upstream served, failed us once more, or refuses the account. */
export type Health = 'healthy' | 'fault' | 'refused'

export interface Commit {
  kind: 'commit'
  job: JobChanges
  attempt?: { n: number; changes: AttemptChanges }
  effects: { add: Effect[]; remove: string[] }
  /** `attempt`: of the attempt that the commit names; null: it needs no look any more. */
  due: { job?: Moment; attempt?: Moment | null }
  /** The commit takes a token of the account's create budget, or is refused. */
  takesBudget?: true
  /** Creation stops for every job of the account, ms from the commit. */
  pause?: { for: number; reason: PauseReason }
  health?: Health
  /** Predictions that nobody owns came to light. */
  orphans?: number
  /** The batch of the job lets no further job begin. */
  stopsBatch?: BatchStop
  /** Shown in the history beside the phase. */
  note?: string
}
export interface Ignored {
  kind: 'ignored'
  reason: 'no_news' | 'final' | 'storing' | 'stopping' | 'unknown_attempt' | 'not_the_claim' | 'not_yet'
}
export type Decision = Commit | Ignored

export type JobEvent =
  /** A worker is about to POST; `claim` is the id of this very commit. `output_shape`: where it was not known at accept. */
  | { type: 'intend'; claim: string; output_shape?: OutputShape }
  /** The input cannot be made ready to be sent: now, or with an `error` never. Nothing was begun. */
  | {
      type: 'not_prepared'
      error: JobError | null
      pause: { for: number; reason: PauseReason } | null
      health: Health | null
    }
  /** The holder of the claim did not send a byte. */
  | { type: 'not_sent'; attempt: number; claim: string }
  /** Upstream surely created nothing. `error` null: the job goes back into the line. */
  | {
      type: 'refused'
      attempt: number
      claim: string
      outcome: string
      error: JobError | null
      pause: { for: number; reason: PauseReason } | null
      health: Health | null
    }
  /** The holder of the claim does not know what became of its POST. */
  | { type: 'lost'; attempt: number; claim: string; reason: string }
  /** The same, of an intent that Redis has forgotten: there is no such attempt. */
  | { type: 'forgotten'; attempt: number; reason: string }
  /** Redis has forgotten how the attempt ended: a prediction of the next one exists. */
  | { type: 'superseded'; attempt: number }
  /** A prediction as upstream tells it: the create's answer, a webhook, a GET, a listing, a cancel's answer. */
  | { type: 'observed'; attempt: number; prediction: Prediction; webhook_id?: string }
  /** A complete listing that began at `began` shows no prediction of the attempt. */
  | { type: 'not_listed'; attempt: number; began: number }
  /** Upstream answers 404 for the attempt's prediction, and knows the account. */
  | { type: 'missing'; attempt: number }
  | ({ type: 'stored'; attempt: number } & StoredOutput)
  /** `kept`: what was stored of it, if anything. */
  | { type: 'not_stored'; attempt: number; message: string; kept?: StoredOutput }
  /** Upstream took the cancel, or has nothing to cancel. */
  | { type: 'cancel_done'; attempt: number; prediction_id: string }
  /** `gives_up_output`: also when the prediction has succeeded and its output is being stored. */
  | { type: 'cancel'; gives_up_output?: true }
  /** The batch lets no further job begin. */
  | { type: 'batch_stopped'; reason: BatchStop }
  /** A due time came: of the job, or of one attempt. */
  | { type: 'tick'; attempt?: number }

/** An output as a record keeps it. */
export type StoredOutput = Pick<JobRecord, 'output' | 'artifacts'> & Partial<Pick<JobRecord, 'output_artifact'>>

export interface TransitionContext {
  /** ms, Redis clock, at most a moment old */
  now: number
  /** How long creation was paused in all so far, ms: this much does not count for `start_within`. */
  paused: number
  cause: Cause
  timings: Timings
  /** Whether webhooks can reach us and do: decides when the first poll is due. */
  webhooks: boolean
  /** How long runs of the job's model take (p90), ms; null when nobody knows yet. */
  expected: number | null
  /** Whether a link leads to output files of upstream. */
  delivers: (link: string) => boolean
}

export type Rule<E extends JobEvent['type']> = (
  state: JobState,
  event: Extract<JobEvent, { type: E }>,
  context: TransitionContext,
) => Decision

/** Why a batch lets no further job begin. */
export const BATCH_STOPS = ['canceled', 'failure_rate', 'max_spend'] as const
export type BatchStop = (typeof BATCH_STOPS)[number]

/** What one phase makes of every event. */
export type Row = { [E in JobEvent['type']]: Rule<E> }

export const ignored = (reason: Ignored['reason']): Ignored => ({ kind: 'ignored', reason })

export const ignore = (reason: Ignored['reason']) => (): Ignored => ignored(reason)

export const commit = (job: JobChanges, rest: Partial<Omit<Commit, 'kind' | 'job'>> = {}): Commit => ({
  kind: 'commit',
  job,
  effects: { add: [], remove: [] },
  due: {},
  ...rest,
})

export const NOW: Moment = { in: 0 }

export const failed = (code: string, message: string, retryable: boolean, billed: Billed): JobChanges => ({
  phase: 'failed',
  status: 'failed',
  error: { code, message, retryable, billed },
  completed_at: NOW,
})

export const canceled = (billed: Billed, message = 'The job was canceled on request.'): JobChanges => ({
  phase: 'canceled',
  status: 'canceled',
  error: { code: 'canceled', message, retryable: true, billed },
  completed_at: NOW,
})

/** What a stop leads to when nothing runs upstream any more. */
export const stopped = (job: JobRecord, billed: Billed): JobChanges =>
  job.stop?.reason === 'timeout'
    ? failed('timeout', `The prediction did not end within ${job.timeout} s.`, true, billed)
    : canceled(billed)

export const closed = (outcome: string, cause: Cause | null): AttemptChanges => ({
  state: 'closed',
  outcome,
  finished_by: cause,
  closed_at: NOW,
})

export const storeKey = (attempt: number): string => `store:${attempt}`
