import type { OutputShape } from '../../artifacts/rules/output-shape.ts'
import type { StatedRate } from '../../replicate/rules/stated-rate.ts'
import { timeoutMessage } from './deadlines.ts'
import type { Prediction } from '../../replicate/rules/prediction.ts'
import type { AttemptRecord, Billed, Cause, JobError, JobRecord, JobState, Work } from './job.ts'
import type { Timings } from './timings.ts'

/** Events and decisions of the rules of a job (table: transitions.ts). */

/** A moment of the Redis clock: absolute (ms since 1970), or `in` ms after the commit. */
export type Moment = number | { in: number }

export const isMoment = (value: unknown): value is { in: number } =>
  typeof value === 'object' && value !== null && 'in' in value && Object.keys(value).length === 1

type WithMoments<T> = { [K in keyof T]?: number extends T[K] ? T[K] | Moment : T[K] }
export type JobChanges = WithMoments<Omit<JobRecord, 'v' | 'id' | 'rev' | 'tenant' | 'updated_at'>>
export type AttemptChanges = WithMoments<Omit<AttemptRecord, 'v' | 'n'>>

export const PAUSE_REASONS = ['rate_limited', 'upstream', 'account', 'webhook', 'storage'] as const
export type PauseReason = (typeof PAUSE_REASONS)[number]

/** Effect of a commit on the circuit breaker: upstream served a request, failed once more, or refuses the account. */
export type Health = 'healthy' | 'fault' | 'refused' | 'webhook_refused'

export interface Commit {
  kind: 'commit'
  job: JobChanges
  attempt?: { n: number; changes: AttemptChanges }
  /** The account that the commit concerns; absent: that of its attempt, or else that of the job. */
  account?: string
  effects: { add: Work[]; remove: string[] }
  /** `attempt`: due time of the attempt that the commit names; null: none any more. */
  due: { job?: Moment; attempt?: Moment | null }
  /** The commit takes a token of the account's create budget, or is refused. */
  takesBudget?: true
  /** Further accounts whose lists must have been compared before this create, unless the job is newer than Redis's memory. */
  compared?: readonly string[]
  /** The lease on the job that it requires. */
  lease?: string
  /** Pauses creation for every job of the account, for ms from the commit. */
  pause?: { for: number; reason: PauseReason }
  /** Upstream refused a create with 429; `stated`: the limit that it names. */
  throttled?: { stated: StatedRate | null }
  health?: Health
  /** Whether the prediction failed because of the platform, or ended otherwise. */
  model?: 'fails' | 'works'
  /** Number of newly found predictions that no attempt owns. */
  orphans?: number
  /** The batch of the job lets no further job begin. */
  stopsBatch?: BatchStop
  /** The last logs of the prediction that ended, to be kept with the job; '': it has none. */
  logs?: string
  /** Shown in the history next to the phase. */
  note?: string
}
export interface Ignored {
  kind: 'ignored'
  reason: 'no_news' | 'final' | 'storing' | 'stopping' | 'unknown_attempt' | 'not_the_claim' | 'not_yet' | 'overdue'
}
export type Decision = Commit | Ignored

export type JobEvent =
  /**
   * A worker is about to POST; `claim` is the id of this commit. `account`: where, absent in that of the job; `compared` and `lease`:
   * as in the commit. `output_shape`: when it was unknown at acceptance.
   */
  | {
      type: 'intend'
      claim: string
      account?: string
      compared?: readonly string[]
      output_shape?: OutputShape
      lease?: string
    }
  /** The input could not be prepared: not now, or never if there is an `error`. No attempt was begun. */
  | {
      type: 'not_prepared'
      error: JobError | null
      pause: { for: number; reason: PauseReason } | null
      health: Health | null
      /** The account for which it was prepared; absent: that of the job. */
      account?: string
    }
  /** The holder of the claim did not send a byte. */
  | { type: 'not_sent'; attempt: number; claim: string }
  /** Upstream certainly created nothing. `error` null: the job returns to the queue. */
  | {
      type: 'refused'
      attempt: number
      claim: string
      outcome: string
      error: JobError | null
      pause: { for: number; reason: PauseReason } | null
      throttled?: { stated: StatedRate | null }
      health: Health | null
    }
  /** The holder of the claim does not know the outcome of its POST. */
  | { type: 'lost'; attempt: number; claim: string; reason: string }
  /** The same, for an intent that Redis has lost: the attempt does not exist. */
  | { type: 'forgotten'; attempt: number; reason: string; account?: string }
  /** Redis has lost the outcome of the attempt: a prediction of the next attempt exists. */
  | { type: 'superseded'; attempt: number }
  /** A prediction from upstream: response of a create or cancel, webhook, GET, listing. `account`: where; absent: that of the attempt. */
  | { type: 'observed'; attempt: number; prediction: Prediction; webhook_id?: string; account?: string }
  /** A complete listing that began at `began` shows no prediction of the attempt. */
  | { type: 'not_listed'; attempt: number; began: number }
  /** Upstream returns 404 for the attempt's prediction, and accepts the account. */
  | { type: 'missing'; attempt: number }
  | ({ type: 'stored'; attempt: number } & StoredOutput)
  /** `kept`: the part of the output that was stored, if any. */
  | { type: 'not_stored'; attempt: number; message: string; kept?: StoredOutput }
  /** Upstream accepted the cancel, or has nothing to cancel. */
  | { type: 'cancel_done'; attempt: number; prediction_id: string }
  /** `gives_up_output`: cancel also while the output of a succeeded prediction is being stored. */
  | { type: 'cancel'; gives_up_output?: true }
  /** The batch lets no further job begin. */
  | { type: 'batch_stopped'; reason: BatchStop }
  /** The due time of the job, or of one attempt, was reached. */
  | { type: 'tick'; attempt?: number }

/** The output fields of a record. */
export type StoredOutput = Pick<JobRecord, 'output' | 'artifacts'> & Partial<Pick<JobRecord, 'output_artifact'>>

export interface TransitionContext {
  /** ms, Redis clock, read when the job was loaded */
  now: number
  /** The pause clock of the job's account: total ms of pauses so far, which do not count towards `start_within`. */
  paused: number
  /** The pause clocks of the accounts to which the job may move, ms. */
  clocks?: Readonly<Record<string, number>>
  cause: Cause
  timings: Timings
  /** Whether webhooks are configured and arrive: determines the time of the first poll. */
  webhooks: boolean
  /** Duration of the model's runs (p90), ms; null while unknown. */
  expected: number | null
  /** Whether a link points to an output file of upstream. */
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

/** The rule of one phase for every event. */
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

/** The job is in this account from now on. Each account has its own clock of pauses. */
export const inAccount = (job: JobRecord, account: string, { paused, clocks }: TransitionContext): JobChanges =>
  account === job.account ? {} : { account, start_paused: job.start_paused + (clocks?.[account] ?? paused) - paused }

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

/** The final state of a stop, once nothing runs upstream. */
export const stopped = (job: JobRecord, billed: Billed): JobChanges =>
  job.stop?.reason === 'timeout'
    ? failed('timeout', timeoutMessage(job, job.stop.requested_at), true, billed)
    : canceled(billed)

export const closed = (outcome: string, cause: Cause | null): AttemptChanges => ({
  state: 'closed',
  outcome,
  finished_by: cause,
  closed_at: NOW,
})

const STORE = 'store:'
export const storeKey = (attempt: number): string => `${STORE}${attempt}`
/** The attempt whose output the effect of this key stores; null for another effect. */
export const storedAttempt = (key: string): number | null =>
  key.startsWith(STORE) ? Number(key.slice(STORE.length)) : null
