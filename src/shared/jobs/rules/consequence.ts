import type { AttemptChanges, BatchStop, JobChanges, Moment, PauseReason } from './decision.ts'
import type { HistoryLine } from './history.ts'
import type { Cause, Effect, FinalPhase, JobRecord, Phase, Status } from './job.ts'
import type { StatedRate } from '../../replicate/rules/stated-rate.ts'
import type { JobNotice, TenantNotice } from '../../notifications/rules/notice.ts'
import type { SpendingGroups } from '../../credits/rules/spending.ts'
import type { Label } from './job-filter.ts'
import type { Place } from './place.ts'
import type { KeptFiles } from './purge.ts'

/**
 * Everything that changes together with the record of a job, as data. commit-consequences.ts and purge-consequences.ts
 * derive it from a decision, and encode-consequence.ts encodes each one for Redis. Amounts: micro-credits. Times: ms.
 */
export type Consequence =
  | Condition
  | RecordChange
  | IndexChange
  | SharedChange
  | Settlement
  | UpstreamCost
  | BreakerSignal
  | Removal
  | Notice
  /** A line of the job's own history. */
  | { kind: 'history'; rev: number; line: HistoryLine }
  /** An entry of the stream from which every process learns that the job changed. */
  | { kind: 'event'; rev: number; status: Status; phase: Phase }

/** Conditions, without which nothing of the commit is written. */
type Condition =
  /** The attempt owns the prediction; refused when another attempt does. */
  | { kind: 'own_prediction'; attempt: number; prediction: string }
  /** The worker has this lease on the job. */
  | { kind: 'need_lease'; lease: string }
  /** No limit of jobs in flight and no pause of these scopes holds the job up. */
  | { kind: 'need_room'; scopes: readonly string[] }
  /** Every job before it in its batch is final. */
  | { kind: 'need_turn'; batch: string }
  /** The batch is not stopped and may spend `held` more; `isFirst`: the hold is not yet counted as committed. */
  | { kind: 'need_batch_budget'; batch: string; held: number; isFirst: boolean }

/** Changes of the record itself. */
type RecordChange =
  /** The changed fields; `after`: the record with them. */
  | { kind: 'job'; changes: JobChanges; after: JobRecord }
  /** The same of a final job that hardly changes any more: its record becomes one compact value. */
  | { kind: 'job_folded'; changes: JobChanges; after: JobRecord }
  /** The beginning of the text of a running prediction is removed. */
  | { kind: 'partial_removed' }
  /** The input that is kept beside the record is removed. */
  | { kind: 'input_removed' }
  /** The kept logs; '': they are removed. */
  | { kind: 'logs'; text: string }
  /** The changed fields of an attempt, or the fields of a new one. */
  | { kind: 'attempt'; n: number; changes: AttemptChanges }
  /** A row of the outbox, and when its doorbell is rung again. */
  | { kind: 'effect_added'; effect: Effect; due: Moment }
  /** A row of the outbox is done, or given up. */
  | { kind: 'effect_removed'; key: string }

/** Changes of indexes and counters. */
type IndexChange =
  /** The job waits for no worker any more. */
  | { kind: 'line_left'; place: Place }
  /** The job never comes back to its place in line. */
  | { kind: 'place_given_up' }
  /** The number of jobs in each phase. */
  | { kind: 'phase'; from: Phase; to: Phase }
  /** The tenant's list of jobs with a status. */
  | { kind: 'status'; from: Status; to: Status }
  /** When the job must be processed; null: never again. */
  | { kind: 'job_due'; at: Moment | null }
  /** When the attempt must be polled or searched; null: never again. */
  | { kind: 'attempt_due'; n: number; at: Moment | null }
  /** Whether a prediction of the attempt exists and is not final. */
  | { kind: 'attempt_open'; n: number; isOpen: boolean }
  /** When the attempt was sent whose outcome is unknown; null: the outcome is known. */
  | { kind: 'attempt_unknown'; n: number; since: Moment | null }
  /** When Replicate removes the output that must be copied; null: no longer to be copied. */
  | { kind: 'copy_pending'; attempt: number; until: number | null }
  /** The next clean-up of the final job. */
  | { kind: 'clean_up'; at: Moment }
  /** A counter for metrics. */
  | { kind: 'count'; counter: Counter; by: number }

export type Counter = `finished_by:${Cause}` | `jobs:${FinalPhase}` | 'orphan_predictions'

/** Changes of state that jobs share. */
type SharedChange =
  /** A place in the semaphore of the preset's jobs in flight. */
  | { kind: 'in_flight'; scopes: readonly string[]; move: 'take' | 'release' }
  /** The first create of the job begins: its batch has committed the hold. */
  | { kind: 'batch_committed'; batch: string; held: number }
  /** The counts of the batch; `keep`: retention of its record, if this job completes it. */
  | { kind: 'batch_status'; batch: string; from: Status; to: Status; keep: number }
  /** No further job of the batch begins. */
  | { kind: 'batch_stopped'; batch: string; reason: BatchStop }
  /** What the files of the job count for the quota of its tenant from now on. */
  | { kind: 'stored'; bytes: number; files: number }
  /** A webhook arrived, or polling found what a webhook should have reported. */
  | { kind: 'webhook'; was: 'received' | 'missed' }

/** The one settlement of a job's hold. */
export interface Settlement {
  kind: 'settle'
  /** `capture`: the job is charged; `release`: it costs nothing. */
  by: 'capture' | 'release'
  held: number
  /** The price; null: nothing is charged, or the metrics do not determine it and the hold is captured. */
  actual: number | null
  /** Whether the hold is captured because the metrics do not determine the price. */
  isEstimated: boolean
  /** The label under which spending is summed. */
  label: string
  /** Whether a create was begun, so that the batch has committed the hold. */
  hasBegun: boolean
  batch: string | null
  /** Who spent it, and on which model, beside the label. */
  groups: SpendingGroups
  /** The budgets that count the job. */
  budgets: JobRecord['budgets']
  /** The day (UTC) to which the spending counts, as `2026-01-31`. */
  day: string
}

/** What the run costs at Replicate, micro-dollars, beside what was held and captured for it. */
interface UpstreamCost {
  kind: 'upstream_cost'
  model: string
  amount: number
  held: number
  day: string
}

/** Signals to the circuit breaker of the account. */
type BreakerSignal =
  /** Upstream served a request. */
  | { kind: 'breaker_success' }
  /** The breaker trips at the `limit`-th fault in a row; its pause doubles from `first` to `longest`. */
  | { kind: 'breaker_fault'; limit: number; first: number; longest: number; reason: PauseReason }
  /** The breaker trips when `limit` outcomes are unknown at the same time. */
  | { kind: 'breaker_unknown'; limit: number; pause: number }
  /** The create of this claim was not sent: if it was the probe of a half-open account, another one may be. */
  | { kind: 'breaker_unsent'; claim: string }
  /** Creation is paused for ms. */
  | { kind: 'breaker_pause'; for: number; reason: PauseReason }
  /** A create for the target passes its circuit breaker; after `lease` ms another one may, if nothing is heard of it. */
  | { kind: 'model_pass'; target: string; lease: number }
  /** A prediction of the target, whose create was sent at `sent`, failed because of the platform, or ended otherwise. */
  | { kind: 'model_fault'; target: string; sent: number; limit: number; first: number; longest: number }
  | { kind: 'model_works'; target: string; sent: number }
  /** A create that was sent at `sent` was refused with 429: the rate of creates is lowered. */
  | { kind: 'create_throttled'; for: number; sent: number; stated: StatedRate | null }

/** Events that are owed to receivers, if somebody hears of them. `own`: the webhook of the job or batch does. */
type Notice =
  | { kind: 'owed'; notice: JobNotice; own: boolean; due: { in: number } }
  | {
      kind: 'owed_by_tenant'
      notice: TenantNotice
      own: boolean
      when: OwedWhen
      due: { in: number }
      /** The tenant whose receivers hear of it; absent: that of the job. */
      to?: string
    }

/** What only the commit knows: that this completed the batch, took the account below its threshold, or a budget to a level. */
export type OwedWhen = 'batch_done' | 'credits_low' | `budget ${string} ${string}`

/** Removal of a final job, or of parts of it. */
type Removal =
  /** The index from the prediction to its attempt. */
  | { kind: 'prediction_forgotten'; account: string; prediction: string }
  /** A repeated submission makes a new job. */
  | { kind: 'idempotency_forgotten'; entry: string }
  /** The job is no longer found by these labels. */
  | { kind: 'labels_forgotten'; labels: Label[] }
  /** A listing that still shows the prediction does not count it as an orphan. */
  | { kind: 'prediction_foreign'; account: string; prediction: string }
  /** Files that outlive the record; `bytes` and `files`: what they count for the quota of their tenant. */
  | { kind: 'files_kept'; kept: KeptFiles; until: number; bytes: number; files: number }
  /** The record with its outbox, lists and counts. */
  | { kind: 'record_removed' }
