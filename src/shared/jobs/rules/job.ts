import type { OutputShape } from '../../artifacts/rules/output-shape.ts'
import type { PriceRule } from '../../credits/rules/price.ts'
import type { Json, JsonObject } from '../../values/json.ts'

/**
 * Records of jobs and attempts (docs/glossary.md): plain values, stored in Redis and read by the rules. Times are
 * milliseconds of the Redis clock; durations that the API shows are seconds.
 */

export const FINAL_PHASES = ['succeeded', 'failed', 'canceled'] as const
export const PHASES = [
  'queued',
  'submitting',
  'unknown',
  'created',
  'running',
  'resubmitting',
  'stopping',
  'storing',
  ...FINAL_PHASES,
] as const
export type Phase = (typeof PHASES)[number]
export type FinalPhase = (typeof FINAL_PHASES)[number]

export const STATUSES = ['queued', 'starting', 'processing', ...FINAL_PHASES] as const
export type Status = (typeof STATUSES)[number]

export const isFinal = (phase: Phase): phase is FinalPhase => (FINAL_PHASES as readonly Phase[]).includes(phase)

export const WEBHOOK_EVENTS = ['start', 'output', 'logs', 'completed'] as const
export type WebhookEvent = (typeof WEBHOOK_EVENTS)[number]

/** Whether Replicate charges for the outcome (its billing rules for public models). */
export type Billed = 'no' | 'yes' | 'unknown'

export interface JobError {
  code: string
  message: string
  retryable: boolean
  billed: Billed
}

/** Why a job is being stopped while a prediction may be running. */
export interface Stop {
  reason: 'canceled' | 'timeout'
  requested_at: number
}

export const ON_UNKNOWN = ['fail', 'retry'] as const
export type OnUnknown = (typeof ON_UNKNOWN)[number]

/** Whether output files are copied into our storage before the job succeeds, or left at Replicate. */
export const STORE_POLICIES = ['copy', 'none'] as const
export type StorePolicy = (typeof STORE_POLICIES)[number]

/** Retention in a job's record: seconds after its completion (files null: forever). Rules: keep.ts. */
export type FrozenKeep = readonly [payload: number, job: number, files: number | null]

/** A copied output file. `key`: its key in the artifact store. */
export interface ArtifactRecord {
  id: string
  key: string
  media_type: string
  bytes: number
  sha256: string
  /** px; null: none, or unknown. */
  width: number | null
  height: number | null
  /** s */
  duration: number | null
  /** Thumbnail of a large image, in the artifact store. */
  thumbnail: { key: string; bytes: number } | null
}

export interface JobRecord {
  v: 1
  id: string
  /** Incremented by each commit. */
  rev: number
  tenant: string
  account: string
  phase: Phase
  status: Status
  /** Number of the newest attempt, 0 before the first. */
  attempt: number
  model: string | null
  version: string | null
  deployment: string | null
  /** The preset of the request. */
  preset: string | null
  /** The batch of the job, and its position there, from 0. */
  batch: string | null
  position: number | null
  /** Whether it begins only after all jobs before it in the batch are final. */
  in_sequence: boolean
  prediction_id: string | null
  input: JsonObject | null
  metadata: JsonObject
  webhook_events: WebhookEvent[]
  /** s */
  timeout: number
  /** s */
  start_within: number
  /** When `start_within` began, ms, and the account's pause clock at that time. */
  start_since: number
  start_paused: number
  /** Policy when it remains undecidable whether a create arrived. */
  on_unknown: OnUnknown
  /** Number of resubmissions: predictions that failed because of the platform and were recreated. */
  resubmissions: number
  /** Limit of resubmissions. */
  resubmit_limit: number
  store: StorePolicy
  /** Meaning of the output, from the model's Output schema or the preset; null: the schema was not available yet. */
  output_shape: OutputShape | null
  /** Key pattern of its files in a bucket, from its preset; null: the deployment's pattern. */
  key_pattern: string | null
  /** The batch and position in the names of its files, when they are those of the job that this one retries. */
  named_as: { batch: string; position: number } | null
  /** Limit of jobs of the preset in flight. */
  in_flight_limit: number | null
  /** null: free. */
  price: PriceRule | null
  /** Whether a job that is canceled after its start is charged. */
  charge_canceled: boolean
  /** Micro-credits: held until the job is final; captured then; owed but not covered by the account. */
  estimate: number
  captured: number | null
  uncollected: number
  /** Whether the hold was captured because the metrics did not determine the price. */
  charge_estimated: boolean
  /** null: accepted by the first release, which did not record it. */
  keep: FrozenKeep | null
  /** The job that this one retries. */
  retry_of: string | null
  /** The version that ran, as reported by upstream at completion: `hidden` for official models. */
  resolved_version: string | null
  /** Seed from the input, or as reported by the model. */
  seed: number | null
  /** SHA-256 of the canonical JSON of the input, once retention has removed the input. */
  input_sha256: string | null
  /** Files are represented by the ids of their artifacts, lost files by null. */
  output: Json
  /** The artifact that holds an output that is too long for the record; `output` is then its id. */
  output_artifact: string | null
  artifacts: ArtifactRecord[]
  progress: number | null
  /** The beginning of a text output of a running prediction; lossy, not written by commits. */
  partial: string | null
  error: JobError | null
  metrics: JsonObject
  stop: Stop | null
  /** Redis key part of the idempotency entry that names this job. */
  idempotency: string | null
  created_at: number
  submitted_at: number | null
  /** When upstream created the current prediction. */
  prediction_created_at: number | null
  started_at: number | null
  completed_at: number | null
}

/**
 * One POST to Replicate. `intended`: the permit is granted; `unknown`: the outcome is unknown; `open`: a prediction exists
 * and is not final; `closed`: the outcome is settled.
 */
export const ATTEMPT_STATES = ['intended', 'unknown', 'open', 'closed'] as const
export type AttemptState = (typeof ATTEMPT_STATES)[number]

export interface AttemptRecord {
  v: 1
  n: number
  account: string
  state: AttemptState
  /** The id of the commit that wrote the intent: only its author may POST. */
  claim: string
  intended_at: number
  prediction_id: string | null
  /** The outcome, or why it is unknown: `not_sent`, `rate_limited`, `succeeded`, `connection_reset`, ... */
  outcome: string | null
  /** The source that reported completion: webhook, poll, cancel or create. */
  finished_by: Cause | null
  /** The newest webhook that changed the attempt. */
  webhook_id: string | null
  /** Further predictions with this attempt's token, besides the owned one. */
  orphans: string[]
  /** Start of the first complete listing without a prediction of this attempt, ms. */
  absent_since: number | null
  /** When upstream first returned 404 for the prediction, ms. */
  missing_since: number | null
  closed_at: number | null
}

/** The claim of an attempt whose intent Redis lost, and which was recovered from upstream. */
export const RECOVERED = 'recovered'

/** An attempt before the fields of its intent are set. */
export const newAttempt = (n: number): AttemptRecord => ({
  v: 1,
  n,
  account: '',
  state: 'intended',
  claim: '',
  intended_at: 0,
  prediction_id: null,
  outcome: null,
  finished_by: null,
  webhook_id: null,
  orphans: [],
  absent_since: null,
  missing_since: null,
  closed_at: null,
})

/** Sources of transitions. */
export const CAUSES = ['api', 'create', 'webhook', 'poll', 'list', 'cancel', 'worker', 'sweep'] as const
export type Cause = (typeof CAUSES)[number]

/**
 * A row of the outbox: external work that a commit requires. The commit writes the row with the change, and the commit that
 * records the result removes it.
 */
export type Effect =
  | {
      v: 1
      kind: 'store'
      attempt: number
      /** The prediction's output; null when it is too large for the record: the store job then reads it from upstream. */
      output: Json
      output_pending: boolean
      /** When Replicate removes the files, ms. */
      expires_at: number
      /** Deadline, ms: the job fails when the output is not stored by then. */
      give_up_at: number
    }
  | { v: 1; kind: 'cancel'; attempt: number; prediction_id: string; requested_at: number }

export const effectKey = (effect: Effect): string =>
  effect.kind === 'store' ? `store:${effect.attempt}` : `cancel:${effect.attempt}:${effect.prediction_id}`

/** The state from which the rules decide. */
export interface JobState {
  job: JobRecord
  attempts: AttemptRecord[]
  effects: Effect[]
}

export const attemptOf = (state: JobState, n: number): AttemptRecord | undefined =>
  state.attempts.find((attempt) => attempt.n === n)
