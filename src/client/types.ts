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

/** Whether Replicate bills the prediction, where that is known. */
export type Billed = 'no' | 'yes' | 'unknown'

export interface JobError {
  /** Stable, snake_case. */
  code: string
  message: string
  /** Whether submitting the same job again can help. */
  retryable: boolean
  billed: Billed
}

/** Reason why a job waits: the account's budget, a pause that upstream requested, … */
export interface WaitingFor {
  /**
   * `budget` (its turn: our creates per minute), `rate_limited` (a 429 of Replicate), `upstream` (Replicate is failing or
   * cannot be reached), `account` (it refuses the token or the credit), `webhook` (it refuses the webhook URL), `storage` (files cannot be stored), `outcome` (the
   * create has an unknown outcome), `preset_limit` (the preset is at its concurrency limit), `sequence` (jobs
   * before it in its batch), `max_spend` (what its batch may spend is held for others), `files` (files of its input are
   * being handed to Replicate), `copy` (its outputs are being copied), `stop` (Replicate has not confirmed its stop),
   * `recovery` (Redis is being compared with Replicate before creation resumes), `redis` (Redis cannot be used), `worker` (no
   * worker is running).
   */
  reason:
    | 'budget'
    | 'rate_limited'
    | 'upstream'
    | 'account'
    | 'webhook'
    | 'storage'
    | 'outcome'
    | 'preset_limit'
    | 'sequence'
    | 'max_spend'
    | 'files'
    | 'copy'
    | 'stop'
    | 'recovery'
    | 'redis'
    | 'worker'
  detail: string
  /** End of a pause, bound of a stop, or time at which a failing copy is given up; null: not known. */
  until: string | null
}

export interface Artifact {
  id: string
  /**
   * A path on this service that needs no credentials: valid for an hour and fresh at each GET of the job, or with
   * `?links=lasting` as long as the file is kept.
   */
  url: string
  /** The file's name among downloads: `<preset or model>-<id of the job>[-<number>].<ext>`. */
  name: string
  media_type: string
  bytes: number
  sha256: string
  /** px, for pictures and MP4; null if unknown. */
  width: number | null
  height: number | null
  /** s, for MP4, WAV and animated pictures; null if unknown. */
  duration: number | null
  /** Thumbnail (WebP, at most 512 px) of a large picture; a path like `url`; null without one. */
  thumbnail_url: string | null
  /** `s3://<bucket>/<key>` of a file in a bucket. */
  location: string | null
  /** Time at which retention removes the file; null before the job is final, and always if `keep.files` is `forever`. */
  expires_at: string | null
}

/** A file for inputs. */
export interface Upload {
  /** `upl_<ulid>` */
  id: string
  /** Path on this service, by which inputs name the file and its owner reads it. */
  url: string
  media_type: string
  bytes: number
  sha256: string
  created_at: string
  /** Time of its removal if no job uses it. */
  expires_at: string
}

/** Any JSON value. */
export type Json = null | boolean | number | string | Json[] | { [key: string]: Json }
export type JsonObject = { [key: string]: Json }

export type WebhookEvent = 'start' | 'output' | 'logs' | 'completed'

/** Retention of parts of a job after its completion: a whole number with `s`, `m`, `h` or `d`; files also `forever`. */
export interface JobKeep {
  /** Input and output in the record, and files that only this input names. */
  payload: string
  /** The record. */
  job: string
  /** The files of its output: as long as the record, or longer. */
  files: string
}

export interface Job {
  /** `job_<ulid>` */
  id: string
  status: JobStatus
  phase: JobPhase
  /** The number of the current POST to Replicate; 0 before the first. */
  attempt: number
  tenant: string
  /** Preset of the job. */
  preset: string | null
  /** Batch of the job, and its position there, from 0. */
  batch: string | null
  position: number | null
  /** `owner/name`; null when only a version was given. */
  model: string | null
  version: string | null
  /** `owner/name` of the deployment, when the job was submitted to one. */
  deployment: string | null
  prediction_id: string | null
  /** null after retention removed it */
  input: JsonObject | null
  /** The job that this one retries. */
  retry_of: string | null
  /**
   * In the model's own shape; files appear as the `url` of their artifact, and as null when they are lost. The tokens of a
   * text are joined to one string where the model's Output schema, or the preset, says that it is a text.
   */
  output: Json
  /** The id of the artifact that holds the whole output, which is larger than 32 KiB; `output` then is its `url`. Else null. */
  output_artifact: string | null
  artifacts: Artifact[]
  /** 0..1, read from the model's logs; null when they contain none. */
  progress: number | null
  error: JobError | null
  /** What Replicate measured, e.g. `predict_time` (s); an open map. */
  metrics: JsonObject
  /** Micro-credits; null when the job costs nothing. */
  cost: JobCost | null
  metadata: JsonObject
  /** The user of your product, as submitted. */
  user: string | null
  webhook_events: WebhookEvent[]
  waiting_for: WaitingFor | null
  /** Policy for a create whose outcome stays unknown. */
  on_unknown: 'fail' | 'retry'
  /** Whether output files are copied, or left where Replicate has them for an hour. */
  store: 'copy' | 'none'
  keep: JobKeep
  /** With `?include=history`: what happened, oldest first, the newest 100. */
  history?: HistoryEntry[]
  /** seconds */
  timeout: number
  /** seconds */
  start_within: number
  /** Grows with every visible change; the SSE id. */
  rev: number
  created_at: string
  /** When its phase or an attempt last changed. */
  updated_at: string
  submitted_at: string | null
  started_at: string | null
  completed_at: string | null
  /** When input and output are removed from the record; null before the job is final. */
  payload_expires_at: string | null
  /** When the record is removed; null before the job is final. */
  expires_at: string | null
}

/** Micro-credits. */
export interface JobCost {
  /** What was held at the start; still held until the job is final. */
  estimate: number
  held: number
  /** null until the job is final */
  captured: number | null
  /** Amount above the account's balance. */
  uncollected: number
  /** The metrics did not contain the price, so the hold was captured. */
  estimated: boolean
}

export interface HistoryEntry {
  at: string
  phase: JobPhase
  status: JobStatus
  /** Source of the change: api, create, webhook, poll, list, cancel, worker or sweep. */
  cause: string
  attempt: number
  prediction: string | null
  /** intended, unknown, open or closed, when that changed. */
  attempt_state?: string
  note?: string
  error?: string
}

/** Logs of the model. */
export interface JobLogs {
  /** The end of the log; null before there is a prediction, and from about an hour after its completion. */
  logs: string | null
  /** The beginning is missing. */
  truncated: boolean
}

export interface Page<T> {
  data: T[]
  next_cursor: string | null
}

/** Exactly one of `preset`, `model`, `version`, `deployment`. */
export interface JobRequest {
  /** Name of a preset, which sets the model and the fields that a job may set. */
  preset?: string | undefined
  /** `owner/name`. A model that is not official runs by its newest version, which the job then shows as `version`. */
  model?: string | undefined
  /** 64 hex digits, or `owner/name:<64 hex>` */
  version?: string | undefined
  /** `owner/name` */
  deployment?: string | undefined
  input: JsonObject
  /** s from the prediction's creation to its end; 5-1800, default 600 */
  timeout?: number | undefined
  /** s from accept to creation; 1-604800, default 86400 */
  start_within?: number | undefined
  /** Which of Replicate's events to subscribe; `start` and `completed` always are. `output` and `logs` feed live progress. */
  webhook_events?: WebhookEvent[] | undefined
  /** Jobs are listed by its first ten fields with a text, number or boolean. */
  metadata?: JsonObject | undefined
  /** The user of your product for whom the job is made, 1 to 200 characters; jobs are listed by it. */
  user?: string | undefined
  /** Default `fail`: better one job failed than one prediction paid for twice. */
  on_unknown?: 'fail' | 'retry' | undefined
  /** Whether output files are copied before the job is done (default), or left where Replicate has them for an hour. */
  store?: 'copy' | 'none' | undefined
  /** Retention, within the limits of preset, tenant and deployment; theirs by default. */
  keep?: { [Clock in keyof JobKeep]?: string | undefined } | undefined
}

/** Prices per unit in micro-credits; the parts are added and the sum is rounded up. */
export interface PriceRule {
  per_run?: number | undefined
  /** Per second of Replicate's `predict_time`. */
  per_predict_second?: number | undefined
  /** Per file, or for a text. */
  per_output?: number | undefined
  per_input_token?: number | undefined
  per_output_token?: number | undefined
  per_video_second?: number | undefined
  /** Basis of the estimate: quantities, or the input field that contains one. */
  expect: {
    [quantity in 'predict_seconds' | 'outputs' | 'input_tokens' | 'output_tokens' | 'video_seconds']?:
      | number
      | { input: string; default: number }
      | undefined
  }
}

/** A named recipe for jobs. */
export interface Preset {
  name: string
  title: string
  description: string
  model: string | null
  version: string | null
  deployment: string | null
  /** JSON Schema of the input that a job may set, with the preset's defaults; null while the model's schema is unknown. */
  input_schema: JsonObject | null
  /** Of the schema of the whole input. */
  schema_sha256: string | null
  /** Why the model's schema is not used, so that inputs are not checked at submission; null: it is used, or not known yet. */
  schema_problem: SchemaProblem | null
  /** Default values of the input. */
  defaults: JsonObject
  /** Fixed values of the input. */
  fixed: JsonObject
  /** Input fields that a job may set. */
  overrides: string[]
  /** Meaning of the output; null: by the Output schema of the model. */
  output: 'text' | 'files' | 'json' | null
  /** Pattern of the files' keys in a bucket; null: the deployment's. */
  key_pattern: string | null
  /** null: its jobs cost nothing. */
  price: PriceRule | null
  /** Micro-credits, for the defaults. */
  estimate: number | null
  /** s */
  timeout: number
  /** s */
  start_within: number
  webhook_events: WebhookEvent[]
  on_unknown: 'fail' | 'retry'
  store: 'copy' | 'none'
  /** Retention of its jobs, where the preset sets it. */
  keep: Partial<JobKeep>
  /** Number of times that a prediction is recreated after a failure of the platform. */
  resubmit_limit: number
  /** Limit of its jobs that are in flight at once. */
  in_flight_limit: number | null
  /** Whether a job that is canceled after its start is charged. */
  charge_canceled: boolean
  /** Those of `timeout`, `start_within`, `webhook_events`, `on_unknown`, `store` and `keep` that a job may set. */
  policy_overrides: ('timeout' | 'start_within' | 'webhook_events' | 'on_unknown' | 'store' | 'keep')[]
  /** Recent run times of its model, s; null when too few runs are known. */
  run_time: { p50: number; p90: number } | null
}

/** JSON Schema of a model's input, as Replicate publishes it (`x-order`, enums by `allOf`/`$ref` under `schemas`). */
export type SchemaProblem = 'too_large' | 'not_compiled' | 'too_heavy'

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
  /** Why the schema is not used, so that inputs are not checked at submission; null: it is used, or not known yet. */
  schema_problem: SchemaProblem | null
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
  /** Of `too_much_stored`: the value of the limit, and the usage. */
  allowed?: number
  used?: number
  /** Of a 402: micro-credits that are missing. */
  missing?: number
  /** Of `key_already_made`: the id of that key. */
  key_id?: string
  errors?: { pointer: string; code: string; detail: string }[]
}

export type BatchStatus = 'running' | 'succeeded' | 'partial' | 'failed' | 'canceled'

/** Jobs that were submitted together. Amounts are micro-credits. */
export interface Batch {
  /** `bat_<ulid>` */
  id: string
  /** `partial`: some have succeeded, others not. */
  status: BatchStatus
  tenant: string
  /** Jobs run one after the other, by position. */
  sequential: boolean
  counts: { total: number } & Record<JobStatus, number>
  /** The share of jobs that have ended, 0..1. */
  progress: number
  /** Successes among the jobs that succeeded or failed, 0..1; null before the first. */
  success_rate: number | null
  /** By the pace so far; null before the first end, and when all is over. */
  estimated_end_at: string | null
  stop_on_failure_rate: number | null
  max_spend: number | null
  /** Why no further job begins. */
  stopped: 'canceled' | 'failure_rate' | 'max_spend' | null
  cost: { estimate: number; held: number; captured: number; uncollected: number } | null
  metadata: JsonObject
  /** The batch whose failed jobs this one retries. */
  retry_of: string | null
  created_at: string
  completed_at: string | null
}

/** Job of a batch: absent fields come from the defaults, the input field by field. */
export type BatchItem = Partial<JobRequest>

/** All of its jobs are accepted, or none. */
export interface BatchRequest {
  /** The same as in `defaults`. */
  preset?: string | undefined
  defaults?: BatchItem | undefined
  /** One job after the other; side by side by default. */
  sequential?: boolean | undefined
  /** No further job begins above this share of failed jobs, above 0 to 1. */
  stop_on_failure_rate?: number | undefined
  /** No further job begins once it would cost more, micro-credits. */
  max_spend?: number | undefined
  metadata?: JsonObject | undefined
  /** 1 to 1,000 */
  items: BatchItem[]
}

/** Manifest: input and results of a job, to be stored with the files. */
export type JobManifest = {
  /** The job's id. */
  job: string
  requested: Pick<Job, 'model' | 'version' | 'deployment'>
  /** Version that ran, as reported by Replicate: `hidden` for official models; null before completion. */
  version: string | null
  /** From the input, or from the model's metrics, output or logs. */
  seed: number | null
  /** SHA-256 of the input's canonical JSON: keys in order, no blanks. It stays when the input is gone. */
  input_sha256: string | null
  /** With links only where lasting ones are asked for. */
  artifacts: (Omit<Artifact, 'url' | 'thumbnail_url'> & Partial<Pick<Artifact, 'url' | 'thumbnail_url'>>)[]
} & Pick<
  Job,
  | 'status'
  | 'preset'
  | 'batch'
  | 'position'
  | 'retry_of'
  | 'prediction_id'
  | 'attempt'
  | 'input'
  | 'metrics'
  | 'cost'
  | 'error'
  | 'metadata'
  | 'created_at'
  | 'submitted_at'
  | 'started_at'
  | 'completed_at'
>

/** The result of one job of a batch. */
export type ManifestLine = {
  position: number
  /** The job's id. */
  job: string
} & Pick<
  Job,
  | 'status'
  | 'preset'
  | 'model'
  | 'version'
  | 'prediction_id'
  | 'input'
  | 'output'
  | 'artifacts'
  | 'error'
  | 'cost'
  | 'metadata'
>

export type Scope = 'jobs:write' | 'jobs:read' | 'credits:read' | 'admin'

/** The caller. */
export interface Session {
  tenant: { id: string; title: string }
  scopes: Scope[]
  /** null: the development key */
  key_id: string | null
  /** When the session ends; null: with the key. */
  expires_at: string | null
}

/** A budget of requests to Replicate, and how many could be made at once now. */
export interface Allowance {
  per_minute: number
  burst: number
  free: number
}

/** How a whole deployment is doing. */
export interface Health {
  /** Kept jobs. */
  jobs: { [phase in JobPhase]?: number }
  predictions_open: number
  /** Number of completions by how they were detected: webhook, poll, list, create, cancel. Since the deployment began. */
  finished_by: { [source: string]: number }
  webhooks: {
    /** Replicate can reach this service: PUBLIC_URL is set, or upstream is local. Else jobs are completed by polling. */
    expected: boolean
    /** Predictions were found at their end by polling lately, and no webhook came. */
    silent: boolean
    /** s from completion of a prediction to our commit, for the last webhooks of this process; null before the first. */
    latency: { count: number; p50: number; p90: number; max: number } | null
    /** Authentic ones that could not be used. */
    dead_letters: number
  }
  budget: { creates: Allowance; reads: Allowance }
  /** Why nothing is created, and until when that is known. */
  pause: { reason: 'rate_limited' | 'upstream' | 'account' | 'webhook' | 'storage'; until: string | null } | null
  /** Conditions that delay the deployment, the most important first; docs/waiting.md explains each name. */
  conditions: {
    name: string
    /** One sentence. */
    title: string
    /** Details, such as an error's text. */
    detail: string
    since: string
    /** How many processes report it. */
    processes: number
    /** While it lasts, no prediction is created. */
    stops_creation: boolean
  }[]
  /** Waiting reasons of jobs that are not created yet. */
  waiting: {
    /** Size of the sample, over all tenants. */
    looked_at: number
    reasons: { reason: WaitingFor['reason']; jobs: number }[]
  }
  /** Outputs that are not copied yet and that Replicate removes within 15 minutes. */
  artifacts_at_risk: number
  /** Create requests with an unknown outcome. */
  outcomes_unknown: number
  /** Predictions of this service that no job needs; the goal is 0. */
  orphan_predictions: number
  /** What waits for its time, and what has passed it. */
  due: { waiting: number; overdue: number }
}

/** Opens one job or batch for reading, in place of a key: for browsers. */
export interface ReadToken {
  token: string
  expires_at: string
}

/** Micro-credits: a credit has 1,000,000. granted = balance + held + captured. */
export interface Credits {
  tenant: string
  /** Nothing was ever granted: jobs need no balance, and are counted nonetheless. */
  unlimited: boolean
  granted: number
  /** What new jobs may use. */
  balance: number
  /** For jobs that are not over. */
  held: number
  /** Taken for jobs that are. */
  captured: number
}

export type LedgerKind = 'opening' | 'grant' | 'adjustment' | 'hold' | 'capture' | 'release'

/** One movement, with the account as it stood after it. */
export interface LedgerEntry {
  id: string
  kind: LedgerKind
  amount: number
  granted: number
  balance: number
  held: number
  captured: number
  job: string | null
  batch: string | null
  /** Of a capture: what the job cost beyond what the account had. */
  uncollected: number
  /** Of grant and adjustment. */
  reason: string | null
  created_at: string
}

/** Micro-credits of jobs that were charged. */
export interface SpendingSum {
  jobs: number
  /** What had been held for them. */
  estimated: number
  captured: number
  uncollected: number
}

/** Days are of UTC, such as `2026-01-31`. */
export interface Spending {
  from: string
  to: string
  by: 'day' | 'preset'
  data: (SpendingSum & ({ day: string } | { preset: string }))[]
  total: SpendingSum
}
