/**
 * The shapes of the HTTP API (docs/api.md). JSON, snake_case; times are RFC 3339 with milliseconds, durations seconds.
 * Fields are only ever added.
 */

export type JobStatus = 'queued' | 'starting' | 'processing' | 'succeeded' | 'failed' | 'canceled'

export type JobPhase =
  | 'queued'
  | 'submitting'
  | 'unknown'
  | 'created'
  | 'running'
  | 'resubmitting'
  | 'stopping'
  | 'storing'
  | 'succeeded'
  | 'failed'
  | 'canceled'

/** Whether Replicate charges for what happened: as far as we can know. */
export type Billed = 'no' | 'yes' | 'unknown'

export interface JobError {
  /** Stable, snake_case. */
  code: string
  message: string
  /** Whether submitting the same job again can help. */
  retryable: boolean
  billed: Billed
}

/** Why a job that is not final does not move: the account's budget, a pause that upstream asked for, … */
export interface WaitingFor {
  /**
   * `budget` (our creates per minute), `rate_limited` (a 429 of Replicate), `upstream` (Replicate is in trouble),
   * `account` (it refuses the token or the credit), `storage` (outputs cannot be stored), `outcome` (it is not known
   * whether the create arrived).
   */
  reason: 'budget' | 'rate_limited' | 'upstream' | 'account' | 'storage' | 'outcome'
  detail: string
  /** When it is expected to go on. */
  until: string | null
}

export interface Artifact {
  id: string
  /** A path on this service, valid for an hour without credentials; fresh at each GET of the job. */
  url: string
  media_type: string
  bytes: number
  sha256: string
}

/** Any JSON value. */
export type Json = null | boolean | number | string | Json[] | { [key: string]: Json }
export type JsonObject = { [key: string]: Json }

export type WebhookEvent = 'start' | 'output' | 'logs' | 'completed'

export interface Job {
  /** `job_<ulid>` */
  id: string
  status: JobStatus
  phase: JobPhase
  /** The number of the current POST to Replicate; 0 before the first. */
  attempt: number
  tenant: string
  preset: string | null
  /** `owner/name`; null when only a version was given. */
  model: string | null
  version: string | null
  /** `owner/name` of the deployment, when the job was submitted to one. */
  deployment: string | null
  prediction_id: string | null
  /** null after retention removed it */
  input: JsonObject | null
  /** The job that this one tries again. */
  retry_of: string | null
  /** In the model's own shape; files appear as the `url` of their artifact; token arrays are joined to one string. */
  output: Json
  artifacts: Artifact[]
  /** 0..1, read from the model's logs; null when it tells none. */
  progress: number | null
  error: JobError | null
  /** What Replicate measured, e.g. `predict_time` (s); an open map. */
  metrics: JsonObject
  metadata: JsonObject
  webhook_events: WebhookEvent[]
  waiting_for: WaitingFor | null
  /** What to do when it stays undecidable whether a create arrived. */
  on_unknown: 'fail' | 'retry'
  /** With `?include=history`: what happened, oldest first, the newest 100. */
  history?: HistoryEntry[]
  /** seconds */
  timeout: number
  /** seconds */
  start_within: number
  /** Grows with every visible change; the SSE id. */
  rev: number
  created_at: string
  submitted_at: string | null
  started_at: string | null
  completed_at: string | null
}

export interface HistoryEntry {
  at: string
  phase: JobPhase
  status: JobStatus
  /** What brought the change: api, create, webhook, poll, list, cancel, worker or sweep. */
  cause: string
  attempt: number
  prediction: string | null
  /** intended, unknown, open or closed, when that changed. */
  attempt_state?: string
  note?: string
  error?: string
}

export interface Page<T> {
  data: T[]
  next_cursor: string | null
}

/** Exactly one of `model`, `version`, `deployment`. */
export interface JobRequest {
  /** `owner/name` of an official model */
  model?: string
  /** 64 hex digits, or `owner/name:<64 hex>` */
  version?: string
  /** `owner/name` */
  deployment?: string
  input: JsonObject
  /** s from the prediction's creation to its end; 5-1800, default 600 */
  timeout?: number
  /** s from accept to creation; 1-604800, default 86400 */
  start_within?: number
  /** Which of Replicate's events to subscribe; `start` and `completed` always are. `output` and `logs` feed live progress. */
  webhook_events?: WebhookEvent[]
  metadata?: JsonObject
  /** Default `fail`: better one job failed than one prediction paid for twice. */
  on_unknown?: 'fail' | 'retry'
}

/** JSON Schema of a model's input, as Replicate publishes it (`x-order`, enums by `allOf`/`$ref` under `schemas`). */
export interface Model {
  /** `owner/name` */
  name: string
  description: string | null
  /** Official models run by name; any other needs its `version`. */
  official: boolean
  version: string | null
  /** The `Input` schema. `$ref: "#/components/schemas/X"` resolves in `schemas`. */
  input_schema: JsonObject
  /** `components.schemas` of the model version. */
  schemas: JsonObject
}

/** RFC 9457. */
export interface Problem {
  type: string
  title: string
  status: number
  detail: string
  /** Stable, snake_case. */
  code: string
  /** Of a 429: the name of the limit that was reached. */
  limit?: string
  errors?: { pointer: string; code: string; detail: string }[]
}
