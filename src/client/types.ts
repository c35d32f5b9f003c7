// Made from docs/openapi.yaml by "npm run build:api". Do not edit.

/**
 * The shapes of the HTTP API (docs/api.md). JSON, snake_case; times are RFC 3339 with milliseconds, durations seconds.
 * Fields and members of unions are only ever added.
 */

/** Any JSON value. */
export type Json = null | boolean | number | string | Json[] | { [key: string]: Json }
export type JsonObject = { [key: string]: Json }

/** A page of a list. */
export interface Page<T> {
  data: T[]
  /** null on the last page. */
  next_cursor: string | null
}

/**
 * Exactly one of `preset`, `model`, `version` and `deployment` is required. With a preset, only the fields that
 * it allows. Unlisted fields are refused.
 */
export interface JobRequest {
  /** The name of a preset, which sets the model and the fields that a job may set. */
  preset?: string | undefined
  /**
   * `owner/name`. A model that is not official runs in its newest version, which the job shows as `version`.
   */
  model?: string | undefined
  /** 64 hexadecimal digits, alone or after `owner/name:`. */
  version?: string | undefined
  /** `owner/name` of a deployment. One that Replicate does not know is refused with `unknown_deployment`. */
  deployment?: string | undefined
  /**
   * Input of the model; with a preset, the fields that the preset leaves open. Limited to 2 MiB of JSON, and to
   * 64 KiB without texts of more than 1,024 characters. A file is given as a link, as the `url` of an upload, or
   * as a data URI, which is stored and shown as a path. A field that a preset does not know is refused; one that
   * the schema of a model lacks is passed on, unless that schema says `additionalProperties: false`.
   */
  input: JsonObject
  /**
   * Your own data, returned with the job and never sent to Replicate. Limited to 4 KiB of JSON. Jobs are listed
   * by its first ten fields with a text, number or boolean.
   */
  metadata?: JsonObject | undefined
  /** The user of your product for whom the job is made. Never sent to Replicate; jobs are listed by it. */
  user?: string | undefined
  /**
   * Where notifications of this job are sent, signed with the secret of the tenant. Not for jobs of a batch,
   * which have the webhook of their batch.
   */
  webhook?: JobWebhook | undefined
  /**
   * Class in the queue: `interactive`, or `batch`, the default for jobs of a batch. Each tenth job is a `batch`
   * job while both wait.
   */
  priority?: Priority | undefined
  /** The job does not start before this time, at most 30 days ahead. `start_within` begins then. */
  not_before?: string | undefined
  /**
   * Maximum seconds from the creation of the prediction to its completion. Default: that of the preset, or 600.
   * From 5 to 1800.
   */
  timeout?: number | undefined
  /**
   * Maximum seconds from acceptance to the creation of the prediction, without the time in which creation is
   * paused. Default: that of the preset, or 86400. From 1 to 604800.
   */
  start_within?: number | undefined
  /**
   * Webhook events of Replicate to subscribe to. `start` and `completed` are always included; `output` and `logs`
   * provide live progress.
   */
  webhook_events?: WebhookEvent[] | undefined
  /**
   * Reaction if it is still unknown, 50 minutes after a create request, whether Replicate received it: `fail`
   * fails the job (the default); `retry` sends the request again and risks paying for an unused prediction.
   */
  on_unknown?: 'fail' | 'retry' | undefined
  /**
   * Whether output files are copied before the job succeeds (`copy`, the default), or stay only at Replicate, for
   * an hour (`none`).
   */
  store?: 'copy' | 'none' | undefined
  /**
   * How long the job is kept after completion. Absent clocks have the value of the preset, tenant or deployment.
   * A value above their maximum gets 422 with its field (docs/storage.md).
   */
  keep?: OwnKeep | undefined
}

export interface JobWebhook {
  /**
   * A public https URL without credentials. The operator can allow others with WEBHOOK_ALLOW. Keys that may read
   * the job see it; job tokens do not.
   */
  url: string
  /** What is sent. Default: `job.succeeded`, `job.failed` and `job.canceled`. */
  events?:
    | ('job.started' | 'job.succeeded' | 'job.failed' | 'job.canceled' | 'artifact.at_risk' | 'job.progress')[]
    | undefined
}

/** Class in the queue: `interactive` jobs come first, but each tenth job is a `batch` job while both wait. */
export type Priority = 'interactive' | 'batch'

export type WebhookEvent = 'start' | 'output' | 'logs' | 'completed'

/** Absent clocks have the value of the level above. */
export interface OwnKeep {
  /** From 1m to 365d. */
  payload?: string | undefined
  /** From 1m to 365d. */
  job?: string | undefined
  /** From 1m to 3650d, or `forever`. */
  files?: string | undefined
}

export interface Job {
  id: string
  status: JobStatus
  phase: JobPhase
  /** Increases with each change except progress; the id of the events of the job. */
  rev: number
  tenant: string
  /** Number of the current request to Replicate; 0 before the first. */
  attempt: number
  /** `owner/name`; null when only a version was given. */
  model: string | null
  version: string | null
  /** `owner/name` of the deployment, when the job was submitted to one. */
  deployment: string | null
  /** The preset of the job. */
  preset: string | null
  /** The batch of the job. */
  batch: string | null
  /** Position in the batch, from 0. */
  position: number | null
  /** Replicate's id of the prediction; null before it exists. */
  prediction_id: string | null
  /** null after retention has removed it. */
  input: JsonObject | null
  metadata: JsonObject
  /** The user of your product, as submitted. */
  user: string | null
  /**
   * The id of the API key that submitted the job; null for the development key, and after retention has removed
   * the payload.
   */
  key_id: string | null
  webhook_events: WebhookEvent[]
  /** Seconds. */
  timeout: number
  /** Seconds. */
  start_within: number
  priority: Priority
  /** Reaction if it remains unknown whether a create request arrived. */
  on_unknown: 'fail' | 'retry'
  /** Whether output files are copied, or stay only at Replicate, for an hour. */
  store: 'copy' | 'none'
  /** The job of which this job is a retry. */
  retry_of: string | null
  /**
   * The id of the artifact that contains the complete output, if it is larger than 32 KiB; `output` is then the
   * `url` of this artifact. Null if `output` is the output itself.
   */
  output_artifact: string | null
  /** Parsed from the model's logs, or null. From 0 to 1. */
  progress: number | null
  error: JobError | null
  /** Measurements of Replicate, such as `predict_time` in seconds. */
  metrics: JsonObject
  /**
   * Whether `input` is shortened: of an input of more than 16 KiB, texts of more than 1,024 characters show only
   * their beginning, except in `GET /v1/jobs/{id}` and the manifests.
   */
  input_truncated: boolean
  /**
   * The output in the model's own shape. A file is shown as the `url` of its artifact, or as null if it is lost.
   * Tokens are joined to one text if the model's Output schema, or the preset, says so. While a text model runs,
   * the output contains the first 4,000 characters; otherwise it is null until completion. After
   * `output_not_stored` it contains the part that was stored.
   */
  output: Json
  artifacts: Artifact[]
  /** null without one. */
  webhook: OwnWebhook | null
  /** Micro-credits; null if the job has no price. */
  cost: JobCost | null
  waiting_for: WaitingFor | null
  /**
   * Only where one job is submitted, retried or read, not in lists and streams. null for a job that does not wait
   * for its turn.
   */
  forecast?: Forecast | null
  keep: JobKeep
  /** Time before which the job does not start; null: none was submitted. */
  not_before: string | null
  /** Only with `?include=history`: the newest 100 entries, oldest first. */
  history?: HistoryEntry[]
  created_at: string
  /** Time of the last change of the phase or of an attempt. */
  updated_at: string
  submitted_at: string | null
  started_at: string | null
  completed_at: string | null
  /** Time at which input and output are removed from the record; null before the job is final. */
  payload_expires_at: string | null
  /** Time at which the record is removed; null before the job is final. */
  expires_at: string | null
}

/** A status never changes to an earlier one. The last three are final. */
export type JobStatus = 'queued' | 'starting' | 'processing' | 'succeeded' | 'failed' | 'canceled'

/** The detailed state of the job (docs/design.md). */
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

export interface JobError {
  /** Stable; docs/errors.md lists all codes. */
  code: string
  message: string
  /** Whether the same job may succeed when it is submitted again. */
  retryable: boolean
  billed: Billed
}

/** Whether Replicate charges for the prediction, according to its published rules for public models. */
export type Billed = 'no' | 'yes' | 'unknown'

/** A stored output file. */
export interface Artifact {
  id: string
  /**
   * A path on this service that needs no credentials. Valid for at least an hour and fresh in each response, or
   * with `?links=lasting` valid as long as the file exists.
   */
  url: string
  /**
   * File name for saving: preset or model, id of the job, number of the output if there are several, extension.
   */
  name: string
  /** Detected from the first bytes. The declared type applies only where they do not decide. */
  media_type: string
  bytes: number
  sha256: string
  /** Displayed width of pictures and MP4, in pixels; null if unknown. */
  width: number | null
  /** Displayed height, in pixels; null if unknown. */
  height: number | null
  /** Seconds, for MP4, WAV and animated pictures; null if unknown. */
  duration: number | null
  /** Path of the thumbnail (WebP, at most 512 pixels), like `url`; null without one. */
  thumbnail_url: string | null
  /** `s3://<bucket>/<key>` of a file in a bucket; otherwise null. */
  location: string | null
  /**
   * Time at which retention removes the file; null before the job is final, and always if `keep.files` is
   * `forever`.
   */
  expires_at: string | null
}

/** Where notifications of a job or batch go, besides the endpoints. */
export interface OwnWebhook {
  url: string
  events: NotificationType[]
}

export type NotificationType =
  | 'job.started'
  | 'job.succeeded'
  | 'job.failed'
  | 'job.canceled'
  | 'batch.finished'
  | 'credits.low'
  | 'credits.exhausted'
  | 'budget.alert'
  | 'artifact.at_risk'
  | 'endpoint.disabled'
  | 'job.progress'

/** Micro-credits. */
export interface JobCost {
  /** The amount that is held at acceptance. */
  estimate: number
  /** The estimate until the job is final, then 0. */
  held: number
  /** null until the job is final. */
  captured: number | null
  /** The part of the cost that the account could not pay. */
  uncollected: number
  /** true if the metrics lacked a quantity of the price, so the hold was captured. */
  estimated: boolean
}

/** Why a job waits. */
export interface WaitingFor {
  reason: WaitingReason
  detail: string
  /**
   * Time at which the wait ends in any case: the end of a pause, the bound of a stop, or the time at which a
   * failing copy is given up. null: not known.
   */
  until: string | null
}

/**
 * `budget`: the rate limit of the account. `rate_limited`: Replicate responded with 429. `upstream`: Replicate is
 * failing or unreachable. `account`: Replicate rejects the token or the credit. `webhook`: Replicate rejects the
 * webhook URL of this service (`PUBLIC_URL`). `storage`: files cannot be stored. `outcome`: it is unknown whether
 * a create request arrived. `scheduled`: it may not start before the time that was submitted. `preset_limit`: the
 * preset is at its concurrency limit. `paused`: an operator has paused creation; `detail` has the reason.
 * `concurrency`: the tenant, model or deployment is at its limit of jobs in flight. `sequence`: earlier jobs of
 * the batch come first. `max_spend`: the spending limit of the batch is held for other jobs. `files`: input files
 * are being uploaded to Replicate. `copy`: outputs are being copied. `stop`: Replicate has not confirmed the
 * cancellation. `recovery`: Redis is being compared with Replicate before creation resumes. `redis`: Redis is
 * unavailable. `worker`: no worker is running.
 */
export type WaitingReason =
  | 'budget'
  | 'rate_limited'
  | 'upstream'
  | 'account'
  | 'webhook'
  | 'storage'
  | 'outcome'
  | 'scheduled'
  | 'preset_limit'
  | 'paused'
  | 'concurrency'
  | 'sequence'
  | 'max_spend'
  | 'files'
  | 'copy'
  | 'stop'
  | 'recovery'
  | 'redis'
  | 'worker'

/** When a job that waits for its turn is expected to start, and how long it is expected to run. */
export interface Forecast {
  /**
   * Number of jobs, of all tenants, that start before it as far as is known now. null while its start time has
   * not come, or while earlier jobs of its batch come first.
   */
  position: number | null
  /**
   * Seconds until it starts: in half of the cases, and in nine of ten. Calculated from its position, the present
   * rate of creates and limits of jobs in flight, and corrected by how such forecasts have come true lately.
   * null: not known, for example during a pause without a known end.
   */
  starts_in: {
    p50: number
    p90: number
  } | null
  /** Seconds from its start to its end, as with earlier runs of the model; null: too few are known. */
  run_time: {
    p50: number
    p90: number
  } | null
}

/**
 * How long parts of a job are kept after its completion: a whole number with `s`, `m`, `h` or `d`. Always payload
 * <= job <= files.
 */
export interface JobKeep {
  /** Input and output in the record, and files that only this input names. */
  payload: string
  /** The record. */
  job: string
  /** The output files: as long as the record, or longer. */
  files: string
}

export interface HistoryEntry {
  at: string
  phase: JobPhase
  status: JobStatus
  /**
   * Cause of the change: a request to this service (`api`), the response to a create, a webhook, a poll of one
   * prediction, a listing (`list`), the response to a cancel, a worker, or the time (`sweep`).
   */
  cause: 'api' | 'create' | 'webhook' | 'poll' | 'list' | 'cancel' | 'worker' | 'sweep'
  attempt: number
  prediction: string | null
  /** Only if it changed. */
  attempt_state?: 'intended' | 'unknown' | 'open' | 'closed'
  /**
   * Detail, such as why a request was refused, why its outcome is unknown, or which failure led to a
   * resubmission.
   */
  note?: string
  /** The error code of the job. */
  error?: string
}

/** What a submission would do now. Nothing was submitted. */
export interface Explanation {
  jobs: number
  /** The kinds of jobs, with what they run: the target that the request was resolved to. */
  runs: {
    /** The preset of the job. */
    preset: string | null
    /** `owner/name`; null when only a version was given. */
    model: string | null
    version: string | null
    /** `owner/name` of the deployment, when the job was submitted to one. */
    deployment: string | null
    priority: Priority
    jobs: number
  }[]
  /** Micro-credits. */
  cost: {
    /** The amount that would be held. */
    hold: number
    /** Number of jobs without a price. */
    unpriced: number
    /** null if the credit is not limited, or the key lacks the scope `credits:read`. */
    balance: number | null
    /** The balance after the hold; null as above. */
    balance_after: number | null
  }
  /** The budgets of the tenant that would count the jobs; empty without the scope `credits:read`. */
  budgets: {
    id: string
    title: string
    limit: number
    hard: boolean
    used: number
    used_after: number
    resets_at: string
  }[]
  /** The limits of waiting jobs and of jobs in flight that apply, with their present use. */
  limits: {
    name: 'queued_jobs' | 'concurrency'
    /** What the limit concerns, such as `tenant:acme` or `preset:portrait`. */
    scope: string
    limit: number
    used: number
  }[]
  /** Names of the Replicate accounts that may run the jobs. */
  accounts: string[]
  /** What the first job would wait for. */
  waiting_for: WaitingFor | null
  /** Of the first job. */
  forecast: Forecast | null
  /** Of the last job; null for a batch whose jobs run one after another. */
  last_forecast: Forecast | null
}

export type JobPage = Page<Job>

/** Input and results of a job, to be stored with the files. */
export interface JobManifest {
  /** The job's id. */
  job: string
  status: JobStatus
  /** The preset of the job. */
  preset: string | null
  /** The batch of the job. */
  batch: string | null
  /** Position in the batch, from 0. */
  position: number | null
  /** The job of which this job is a retry. */
  retry_of: string | null
  /** The target of the submission. */
  requested: {
    /** `owner/name`; null when only a version was given. */
    model: string | null
    version: string | null
    /** `owner/name` of the deployment, when the job was submitted to one. */
    deployment: string | null
  }
  /** The version that ran, as reported by Replicate; `hidden` for official models, null before completion. */
  version: string | null
  /** Requested, or reported by the model's metrics, output or logs. */
  seed: number | null
  /** Replicate's id of the prediction; null before it exists. */
  prediction_id: string | null
  /** Number of the current request to Replicate; 0 before the first. */
  attempt: number
  /** null after retention has removed it. */
  input: JsonObject | null
  /**
   * SHA-256 of the canonical JSON of the input (sorted keys, no whitespace). It remains after the input has been
   * removed.
   */
  input_sha256: string | null
  /** The artifacts of the job, without links unless lasting links are requested. */
  artifacts: {
    id: string
    /**
     * A path on this service that needs no credentials. Valid for at least an hour and fresh in each response, or
     * with `?links=lasting` valid as long as the file exists.
     */
    url?: string
    /**
     * File name for saving: preset or model, id of the job, number of the output if there are several, extension.
     */
    name: string
    /** Detected from the first bytes. The declared type applies only where they do not decide. */
    media_type: string
    bytes: number
    sha256: string
    /** Displayed width of pictures and MP4, in pixels; null if unknown. */
    width: number | null
    /** Displayed height, in pixels; null if unknown. */
    height: number | null
    /** Seconds, for MP4, WAV and animated pictures; null if unknown. */
    duration: number | null
    /** Path of the thumbnail (WebP, at most 512 pixels), like `url`; null without one. */
    thumbnail_url?: string | null
    /** `s3://<bucket>/<key>` of a file in a bucket; otherwise null. */
    location: string | null
    /**
     * Time at which retention removes the file; null before the job is final, and always if `keep.files` is
     * `forever`.
     */
    expires_at: string | null
  }[]
  /** Measurements of Replicate, such as `predict_time` in seconds. */
  metrics: JsonObject
  /** Micro-credits; null if the job has no price. */
  cost: JobCost | null
  error: JobError | null
  metadata: JsonObject
  created_at: string
  submitted_at: string | null
  started_at: string | null
  completed_at: string | null
}

export interface RetryRequest {
  /**
   * Use the version that ran and its seed. 409 `not_retryable` if neither is known; Replicate does not report the
   * version of official models.
   */
  pinned?: boolean | undefined
}

/** A part of the logs of the model. */
export interface LogPiece {
  text: string
  /** true: the text replaces what was sent before; false: it continues it. */
  replace: boolean
  /** true if the beginning of the logs is missing. */
  truncated: boolean
}

/** Logs of the model. */
export interface JobLogs {
  /**
   * The end of the log; null before the prediction exists, and from about an hour after its completion unless the
   * logs are kept here.
   */
  logs: string | null
  /** true if the beginning is missing. */
  truncated: boolean
}

export interface TokenRequest {
  /** Seconds. From 1 to 86400. Default: 3600. */
  expires_in?: number | undefined
}

/** Opens one job or batch for reading, in place of a key: for browsers. */
export interface ReadToken {
  token: string
  expires_at: string
}

/** A file for inputs. */
export interface Upload {
  id: string
  /** Path of the file, for reading it and for referring to it in an input. */
  url: string
  media_type: string
  bytes: number
  sha256: string
  created_at: string
  /** Time at which the upload is removed if no job uses it. */
  expires_at: string
}

export interface UploadList {
  data: Upload[]
}

/** All of its jobs are accepted, or none. */
export interface BatchRequest {
  /** Shorthand for `defaults.preset`. */
  preset?: string | undefined
  /** Default values of the items: any field of a job request. */
  defaults?: BatchItem | undefined
  /** Run the jobs one after the other, by position. Default: false. */
  sequential?: boolean | undefined
  /**
   * No further job starts once the share of failures among succeeded and failed jobs reaches this value. It is
   * checked from the fifth of them on, in a small batch from half of its jobs on.
   */
  stop_on_failure_rate?: number | undefined
  /** Maximum cost of the batch, in micro-credits. No further job starts that would exceed it. */
  max_spend?: number | undefined
  /** Your own data. Limited to 4 KiB. */
  metadata?: JsonObject | undefined
  /** Where notifications of the batch and its jobs are sent, signed with the secret of the tenant. */
  webhook?: BatchWebhook | undefined
  /** The jobs, by position. */
  items: BatchItem[]
}

/** A job request; absent fields have the values of `defaults`, the input field by field. */
export interface BatchItem {
  /** The name of a preset, which sets the model and the fields that a job may set. */
  preset?: string | undefined
  /**
   * `owner/name`. A model that is not official runs in its newest version, which the job shows as `version`.
   */
  model?: string | undefined
  /** 64 hexadecimal digits, alone or after `owner/name:`. */
  version?: string | undefined
  /** `owner/name` of a deployment. One that Replicate does not know is refused with `unknown_deployment`. */
  deployment?: string | undefined
  /**
   * Input of the model; with a preset, the fields that the preset leaves open. Limited to 2 MiB of JSON, and to
   * 64 KiB without texts of more than 1,024 characters. A file is given as a link, as the `url` of an upload, or
   * as a data URI, which is stored and shown as a path. A field that a preset does not know is refused; one that
   * the schema of a model lacks is passed on, unless that schema says `additionalProperties: false`.
   */
  input?: JsonObject | undefined
  /**
   * Your own data, returned with the job and never sent to Replicate. Limited to 4 KiB of JSON. Jobs are listed
   * by its first ten fields with a text, number or boolean.
   */
  metadata?: JsonObject | undefined
  /** The user of your product for whom the job is made. Never sent to Replicate; jobs are listed by it. */
  user?: string | undefined
  /**
   * Where notifications of this job are sent, signed with the secret of the tenant. Not for jobs of a batch,
   * which have the webhook of their batch.
   */
  webhook?: JobWebhook | undefined
  /**
   * Class in the queue: `interactive`, or `batch`, the default for jobs of a batch. Each tenth job is a `batch`
   * job while both wait.
   */
  priority?: Priority | undefined
  /** The job does not start before this time, at most 30 days ahead. `start_within` begins then. */
  not_before?: string | undefined
  /**
   * Maximum seconds from the creation of the prediction to its completion. Default: that of the preset, or 600.
   * From 5 to 1800.
   */
  timeout?: number | undefined
  /**
   * Maximum seconds from acceptance to the creation of the prediction, without the time in which creation is
   * paused. Default: that of the preset, or 86400. From 1 to 604800.
   */
  start_within?: number | undefined
  /**
   * Webhook events of Replicate to subscribe to. `start` and `completed` are always included; `output` and `logs`
   * provide live progress.
   */
  webhook_events?: WebhookEvent[] | undefined
  /**
   * Reaction if it is still unknown, 50 minutes after a create request, whether Replicate received it: `fail`
   * fails the job (the default); `retry` sends the request again and risks paying for an unused prediction.
   */
  on_unknown?: 'fail' | 'retry' | undefined
  /**
   * Whether output files are copied before the job succeeds (`copy`, the default), or stay only at Replicate, for
   * an hour (`none`).
   */
  store?: 'copy' | 'none' | undefined
  /**
   * How long the job is kept after completion. Absent clocks have the value of the preset, tenant or deployment.
   * A value above their maximum gets 422 with its field (docs/storage.md).
   */
  keep?: OwnKeep | undefined
}

export interface BatchWebhook {
  /**
   * A public https URL without credentials. The operator can allow others with WEBHOOK_ALLOW. Keys that may read
   * the job see it; job tokens do not.
   */
  url: string
  /** What is sent. Default: only `batch.finished`. Events of jobs are sent for each job of the batch. */
  events?:
    | (
        | 'batch.finished'
        | 'job.started'
        | 'job.succeeded'
        | 'job.failed'
        | 'job.canceled'
        | 'artifact.at_risk'
        | 'job.progress'
      )[]
    | undefined
}

/** Jobs that were submitted together. Amounts are micro-credits. */
export interface Batch {
  id: string
  status: BatchStatus
  tenant: string
  /** Whether the jobs run one after the other, by position. */
  sequential: boolean
  /** Number of jobs by status. */
  counts: {
    total: number
    queued: number
    starting: number
    processing: number
    succeeded: number
    failed: number
    canceled: number
  }
  /** The share of completed jobs. From 0 to 1. */
  progress: number
  /** Share of successes among succeeded and failed jobs; null before the first one. From 0 to 1. */
  success_rate: number | null
  /** By the pace so far; null before the first job has ended, and when all have. */
  estimated_end_at: string | null
  stop_on_failure_rate: number | null
  max_spend: number | null
  /** Why no further job starts. */
  stopped: 'canceled' | 'failure_rate' | 'max_spend' | null
  /** Micro-credits of all jobs; null if they have no price. */
  cost: {
    estimate: number
    /** Held for unfinished jobs. */
    held: number
    captured: number
    /** The part of the cost that the account could not pay. */
    uncollected: number
  } | null
  metadata: JsonObject
  /** null without one. */
  webhook: OwnWebhook | null
  /** The batch whose unsuccessful jobs this batch retries. */
  retry_of: string | null
  created_at: string
  completed_at: string | null
}

/** `partial`: some jobs have succeeded, others not. */
export type BatchStatus = 'running' | 'succeeded' | 'partial' | 'failed' | 'canceled'

export type BatchPage = Page<Batch>

/** The result of one job of a batch. */
export interface ManifestLine {
  position: number
  /** The job's id. */
  job: string
  status: JobStatus
  /** The preset of the job. */
  preset: string | null
  /** `owner/name`; null when only a version was given. */
  model: string | null
  version: string | null
  /** Replicate's id of the prediction; null before it exists. */
  prediction_id: string | null
  /** null after retention has removed it. */
  input: JsonObject | null
  /**
   * The output in the model's own shape. A file is shown as the `url` of its artifact, or as null if it is lost.
   * Tokens are joined to one text if the model's Output schema, or the preset, says so. While a text model runs,
   * the output contains the first 4,000 characters; otherwise it is null until completion. After
   * `output_not_stored` it contains the part that was stored.
   */
  output: Json
  /**
   * The id of the artifact that contains the complete output, if it is larger than 32 KiB; `output` is then the
   * `url` of this artifact. Null if `output` is the output itself.
   */
  output_artifact: string | null
  artifacts: Artifact[]
  error: JobError | null
  /** Micro-credits; null if the job has no price. */
  cost: JobCost | null
  metadata: JsonObject
}

export type PresetPage = Page<Preset>

/** A named recipe for jobs. */
export interface Preset {
  name: string
  title: string
  description: string
  /** `owner/name`; null for a preset with a deployment. */
  model: string | null
  /** Version of the model; null: the official one. */
  version: string | null
  deployment: string | null
  /**
   * Models, `owner/name`, whose creates at Replicate's own API run under this preset; so do jobs of them here
   * where `RAW_MODELS` is `presets`.
   */
  serves: string[]
  /**
   * JSON Schema of the `input` that a job may contain, with the defaults of the preset. Null while the schema of
   * the model is unavailable.
   */
  input_schema: JsonObject | null
  /** SHA-256 of the schema of the complete input, without titles and descriptions. */
  schema_sha256: string | null
  /**
   * Why the model's schema is not used and inputs are not validated at submission. Null if the schema is used, or
   * not known yet.
   */
  schema_problem: SchemaProblem | null
  /** Default values of the input. */
  defaults: JsonObject
  /** Input fields that are set in every job. */
  fixed: JsonObject
  /** The input fields that a job may set. */
  overrides: string[]
  /** Meaning of the output; null applies the Output schema of the model. */
  output: 'text' | 'files' | 'json' | null
  /** Pattern of file names in a bucket; null applies the pattern of the deployment. */
  key_pattern: string | null
  /** null: jobs of the preset have no price. */
  price: PriceRule | null
  /** Micro-credits that are held for a job with the default input. */
  estimate: number | null
  /** Seconds. */
  timeout: number
  /** Seconds. */
  start_within: number
  webhook_events: WebhookEvent[]
  on_unknown: 'fail' | 'retry'
  store: 'copy' | 'none'
  /** Retention of its jobs. Absent clocks have the value of the level above. */
  keep: {
    /** Input and output in the record, and files that only this input names. */
    payload?: string
    /** The record. */
    job?: string
    /** The output files: as long as the record, or longer. */
    files?: string
  }
  /** Maximum number of resubmissions after failures of Replicate's platform. */
  resubmit_limit: number
  /** Maximum number of its jobs in flight, of all tenants together; null: none. */
  concurrency: number | null
  /** Maximum number of its jobs in flight, of each tenant; null: none. */
  per_tenant: number | null
  /** Whether a job that is canceled after its start is charged. */
  charge_canceled: boolean
  /** The policies that a job may set. */
  policy_overrides: ('timeout' | 'start_within' | 'webhook_events' | 'on_unknown' | 'store' | 'keep')[]
  /** Recent run times of the model, in seconds; null if fewer than five runs are known. */
  run_time: {
    /** The median run time. */
    p50: number
    /** The 90th percentile of the run times. */
    p90: number
  } | null
}

/** Why the model's schema is not used, so that inputs are not checked at submission. */
export type SchemaProblem = 'too_large' | 'not_compiled' | 'too_heavy'

/** Micro-credits per unit. The parts are added, and the sum is rounded up. */
export interface PriceRule {
  /** From 0 to 1000000000000. */
  per_run?: number
  /** Per second of `predict_time` in Replicate's metrics. From 0 to 1000000000000. */
  per_predict_second?: number
  /** Per file, or per text. From 0 to 1000000000000. */
  per_output?: number
  /** From 0 to 1000000000000. */
  per_input_token?: number
  /** From 0 to 1000000000000. */
  per_output_token?: number
  /** From 0 to 1000000000000. */
  per_video_second?: number
  /** Expected quantities for the estimate, from which the hold is computed. */
  expect: {
    predict_seconds?:
      | number
      | {
          /** The field of the input that contains the quantity. */
          input: string
          /** From 0 to 1000000000. */
          default: number
        }
      | {
          /** The field of the input that names a file (MP4 or WAV): the quantity is its duration in seconds. */
          duration_of: string
          /** For a file whose duration is not known, such as one behind a link. From 0 to 1000000000. */
          default: number
        }
    outputs?:
      | number
      | {
          /** The field of the input that contains the quantity. */
          input: string
          /** From 0 to 1000000000. */
          default: number
        }
      | {
          /** The field of the input that names a file (MP4 or WAV): the quantity is its duration in seconds. */
          duration_of: string
          /** For a file whose duration is not known, such as one behind a link. From 0 to 1000000000. */
          default: number
        }
    input_tokens?:
      | number
      | {
          /** The field of the input that contains the quantity. */
          input: string
          /** From 0 to 1000000000. */
          default: number
        }
      | {
          /** The field of the input that names a file (MP4 or WAV): the quantity is its duration in seconds. */
          duration_of: string
          /** For a file whose duration is not known, such as one behind a link. From 0 to 1000000000. */
          default: number
        }
    output_tokens?:
      | number
      | {
          /** The field of the input that contains the quantity. */
          input: string
          /** From 0 to 1000000000. */
          default: number
        }
      | {
          /** The field of the input that names a file (MP4 or WAV): the quantity is its duration in seconds. */
          duration_of: string
          /** For a file whose duration is not known, such as one behind a link. From 0 to 1000000000. */
          default: number
        }
    video_seconds?:
      | number
      | {
          /** The field of the input that contains the quantity. */
          input: string
          /** From 0 to 1000000000. */
          default: number
        }
      | {
          /** The field of the input that names a file (MP4 or WAV): the quantity is its duration in seconds. */
          duration_of: string
          /** For a file whose duration is not known, such as one behind a link. From 0 to 1000000000. */
          default: number
        }
  }
}

export type ModelPage = Page<Model>

export interface Model {
  /** `owner/name` */
  name: string
  description: string | null
  /** Official models are submitted by name, other models by `version`. */
  official: boolean
  version: string | null
  /**
   * JSON Schema of `input`, as Replicate publishes it (`x-order`, enums by `allOf`); its references resolve in
   * `schemas`.
   */
  input_schema: JsonObject
  /** `components.schemas` of the version. */
  schemas: JsonObject
  /**
   * Why the model's schema is not used and inputs are not validated at submission. Null if the schema is used, or
   * not known yet.
   */
  schema_problem: SchemaProblem | null
}

/** Whole micro-credits. Always granted = balance + held + captured. */
export interface Credits {
  tenant: string
  /** true without a grant: no job is refused, and the balance may be negative. */
  unlimited: boolean
  /** Sum of all grants and adjustments. */
  granted: number
  /** Available for new jobs. */
  balance: number
  /** Held for jobs that are not final. */
  held: number
  /** Charged for final jobs. */
  captured: number
  /** The event `credits.low` happens when the balance falls below this; null: never. */
  low_balance: number | null
}

export type LedgerKind = 'opening' | 'grant' | 'adjustment' | 'hold' | 'capture' | 'release'

export type LedgerPage = Page<LedgerEntry>

/** Whole micro-credits. `granted`, `balance`, `held` and `captured` are the account after this entry. */
export interface LedgerEntry {
  id: string
  kind: LedgerKind
  /** The amount; negative only in adjustments. */
  amount: number
  granted: number
  balance: number
  held: number
  captured: number
  /** The job of a hold, capture or release. */
  job: string | null
  /** The batch of that job. */
  batch: string | null
  /** Capture: the part of the cost that the account could not pay. */
  uncollected: number
  /** The reason of a grant or adjustment. */
  reason: string | null
  created_at: string
}

/** Days are of UTC, such as `2026-01-31`. */
export interface Spending {
  from: string
  to: string
  by: 'day' | 'preset' | 'model' | 'user' | 'key' | 'tenant'
  data: (
    | {
        /** Number of charged jobs. */
        jobs: number
        /** Amounts that were held for the jobs. */
        estimated: number
        captured: number
        /** The part of the costs that the account could not pay. */
        uncollected: number
        day: string
      }
    | {
        /** Number of charged jobs. */
        jobs: number
        /** Amounts that were held for the jobs. */
        estimated: number
        captured: number
        /** The part of the costs that the account could not pay. */
        uncollected: number
        /** The preset, or the model of jobs without one. */
        preset: string
      }
    | {
        /** Number of charged jobs. */
        jobs: number
        /** Amounts that were held for the jobs. */
        estimated: number
        captured: number
        /** The part of the costs that the account could not pay. */
        uncollected: number
        model: string
      }
    | {
        /** Number of charged jobs. */
        jobs: number
        /** Amounts that were held for the jobs. */
        estimated: number
        captured: number
        /** The part of the costs that the account could not pay. */
        uncollected: number
        user: string
      }
    | {
        /** Number of charged jobs. */
        jobs: number
        /** Amounts that were held for the jobs. */
        estimated: number
        captured: number
        /** The part of the costs that the account could not pay. */
        uncollected: number
        key_id: string
      }
    | {
        /** Number of charged jobs. */
        jobs: number
        /** Amounts that were held for the jobs. */
        estimated: number
        captured: number
        /** The part of the costs that the account could not pay. */
        uncollected: number
        tenant: string
      }
  )[]
  total: SpendingSum
}

/** Whole micro-credits of jobs that were charged. */
export interface SpendingSum {
  /** Number of charged jobs. */
  jobs: number
  /** Amounts that were held for the jobs. */
  estimated: number
  captured: number
  /** The part of the costs that the account could not pay. */
  uncollected: number
}

export type BudgetPage = Page<Budget>

/** A limit of what jobs may cost in a calendar period. Whole micro-credits. */
export interface Budget {
  id: string
  title: string
  /** What the budget counts the jobs of. */
  scope: 'tenant' | 'key' | 'preset' | 'user'
  /** null: of all tenants; only with a preset. */
  tenant: string | null
  key_id: string | null
  preset: string | null
  /** With `scope: user`, null means each user for itself. */
  user: string | null
  period: 'day' | 'week' | 'month'
  time_zone: string
  /** For each period. */
  limit: number
  /** Whether jobs beyond the limit are refused. */
  hard: boolean
  /** Percents of the limit at which `budget.alert` happens. */
  alert_at: number[]
  /** In this period; null if each user has the limit for itself. */
  used: number | null
  /** Until the limit, at least 0; null as above. */
  remaining: number | null
  /** The hundred users who have used most in this period; null if the budget has one limit. */
  users:
    | {
        user: string
        used: number
      }[]
    | null
  period_started_at: string
  /** When the next period begins. */
  resets_at: string
  created_at: string
}

/** Exactly one of the two fields. */
export interface SignIn {
  /** An API key. */
  key?: string | undefined
  /** The code of a sign-in link. */
  code?: string | undefined
}

/** The caller. */
export interface Session {
  tenant: {
    id: string
    title: string
  }
  scopes: Scope[]
  /** null: the development key */
  key_id: string | null
  /** End of the session; null: that of the key. */
  expires_at: string | null
}

export type Scope = 'jobs:write' | 'jobs:read' | 'credits:read' | 'webhooks' | 'admin'

/** The secret that signs the notifications of a tenant. */
export interface WebhookSecret {
  /** `whsec_` and 32 bytes in base64, as Standard Webhooks defines it. */
  key: string
  created_at: string
  /** Replaced secrets that still sign, newest first; at most 3. */
  previous: {
    key: string
    expires_at: string
  }[]
}

export interface WebhookSecretRotation {
  /** Seconds for which the replaced secret signs too. From 0 to 604800. Default: 86400. */
  grace?: number | undefined
}

export interface EndpointRequest {
  /**
   * An https URL; `WEBHOOK_ALLOW` of the deployment can allow http and private addresses of some hosts. Or
   * `mailto:` and an address of mail, which has to be confirmed, or `mailto:{metadata.<key>}`, where the operator
   * allows it.
   */
  url: string
  /** Default: "". */
  description?: string | undefined
  /**
   * Types of events to send. Default: all except `job.started` and `job.progress`; for an address in the metadata
   * the ends of jobs and batches, which are the only ones that it can have besides `job.started`.
   */
  events?: NotificationType[] | undefined
  /** Only events of jobs of these presets, and events that concern no job. null, the default: of all jobs. */
  presets?: string[] | null | undefined
  /**
   * `thin`, the default: which job, its status and its metadata. `full`: the whole job as it is at the attempt.
   * Default: "thin".
   */
  payload?: 'thin' | 'full' | undefined
}

/** An endpoint with its secret, which cannot be shown again. */
export interface NewEndpoint {
  id: string
  kind: 'webhook' | 'email'
  /** Of mail: `mailto:` and the address, or `mailto:{metadata.<key>}`. */
  url: string
  description: string
  events: NotificationType[]
  /** null: events of all jobs. */
  presets: string[] | null
  payload: 'thin' | 'full'
  /**
   * When the address of mail was confirmed: nothing is sent before. null: it is not, or this is a webhook.
   */
  confirmed_at: string | null
  /** Events of a disabled endpoint are kept. */
  state: 'enabled' | 'disabled'
  disabled: {
    at: string
    /** `owner`: by request. `gone`: it responded with 410. `failing`: it only failed for five days. */
    reason: 'owner' | 'gone' | 'failing'
  } | null
  /** null: mail is not signed. */
  secret: {
    created_at: string
    /** Replaced secrets that still sign, newest first; at most 3. */
    previous: {
      created_at: string
      expires_at: string
    }[]
    /** The secret with which receivers verify. It is shown only here. */
    key: string
  } | null
  health: {
    /** Failed attempts since the last success. */
    failures: number
    failing_since: string | null
    /** Nothing is sent earlier; null: no pause. */
    paused_until: string | null
    succeeded_at: string | null
  }
  created_at: string
}

export type EndpointPage = Page<Endpoint>

/** Where notifications of the tenant are sent. */
export interface Endpoint {
  id: string
  kind: 'webhook' | 'email'
  /** Of mail: `mailto:` and the address, or `mailto:{metadata.<key>}`. */
  url: string
  description: string
  events: NotificationType[]
  /** null: events of all jobs. */
  presets: string[] | null
  payload: 'thin' | 'full'
  /**
   * When the address of mail was confirmed: nothing is sent before. null: it is not, or this is a webhook.
   */
  confirmed_at: string | null
  /** Events of a disabled endpoint are kept. */
  state: 'enabled' | 'disabled'
  disabled: {
    at: string
    /** `owner`: by request. `gone`: it responded with 410. `failing`: it only failed for five days. */
    reason: 'owner' | 'gone' | 'failing'
  } | null
  /** null: mail is not signed. */
  secret: {
    created_at: string
    /** Replaced secrets that still sign, newest first; at most 3. */
    previous: {
      created_at: string
      expires_at: string
    }[]
  } | null
  health: {
    /** Failed attempts since the last success. */
    failures: number
    failing_since: string | null
    /** Nothing is sent earlier; null: no pause. */
    paused_until: string | null
    succeeded_at: string | null
  }
  created_at: string
}

export interface EndpointChange {
  /**
   * An https URL; `WEBHOOK_ALLOW` of the deployment can allow http and private addresses of some hosts. Or
   * `mailto:` and an address of mail, which has to be confirmed, or `mailto:{metadata.<key>}`, where the operator
   * allows it.
   */
  url?: string | undefined
  description?: string | undefined
  /** Replaces the list. */
  events?: NotificationType[] | undefined
  /** Replaces the list; null: of all jobs. */
  presets?: string[] | null | undefined
  payload?: 'thin' | 'full' | undefined
}

export interface EnabledEndpoint {
  id: string
  kind: 'webhook' | 'email'
  /** Of mail: `mailto:` and the address, or `mailto:{metadata.<key>}`. */
  url: string
  description: string
  events: NotificationType[]
  /** null: events of all jobs. */
  presets: string[] | null
  payload: 'thin' | 'full'
  /**
   * When the address of mail was confirmed: nothing is sent before. null: it is not, or this is a webhook.
   */
  confirmed_at: string | null
  /** Events of a disabled endpoint are kept. */
  state: 'enabled' | 'disabled'
  disabled: {
    at: string
    /** `owner`: by request. `gone`: it responded with 410. `failing`: it only failed for five days. */
    reason: 'owner' | 'gone' | 'failing'
  } | null
  /** null: mail is not signed. */
  secret: {
    created_at: string
    /** Replaced secrets that still sign, newest first; at most 3. */
    previous: {
      created_at: string
      expires_at: string
    }[]
  } | null
  health: {
    /** Failed attempts since the last success. */
    failures: number
    failing_since: string | null
    /** Nothing is sent earlier; null: no pause. */
    paused_until: string | null
    succeeded_at: string | null
  }
  created_at: string
  /** Held notifications that are sent now. */
  resumed: number
}

export interface EndpointTest {
  delivered: boolean
  attempt: DeliveryAttempt
  /** The event; a mail says it in words. */
  body: JsonObject
}

export interface DeliveryAttempt {
  at: string
  /** Seconds. */
  duration: number
  /** HTTP status of the response; null: there was none. */
  status: number | null
  /**
   * Why there was no response, such as `timeout`, `dns`, `tls`, `refused` or `forbidden_address`; else null.
   */
  error: string | null
  /** The first kilobyte of the response, or the message of the error. */
  detail: string
  /** What the owner of the receiver can do; null: it was accepted. */
  advice: string | null
}

export interface ReplayRequest {
  /** Only notifications of events of this time or later. */
  created_after?: string | undefined
  /** Only notifications of earlier events. */
  created_before?: string | undefined
}

export interface Redelivered {
  redelivered: number
  /** true: the limit of one request was reached. Repeat it to continue. */
  more: boolean
}

export type NotificationState = 'pending' | 'delivered' | 'failed' | 'held'

export type NotificationPage = Page<Notification>

/** One event for one receiver. */
export interface Notification {
  /** Also the `webhook-id`. */
  id: string
  type:
    | 'job.started'
    | 'job.succeeded'
    | 'job.failed'
    | 'job.canceled'
    | 'batch.finished'
    | 'credits.low'
    | 'credits.exhausted'
    | 'budget.alert'
    | 'artifact.at_risk'
    | 'endpoint.disabled'
    | 'job.progress'
    | 'endpoint.test'
    | 'endpoint.confirmation'
  /** null: the own webhook of the job or batch. */
  endpoint: string | null
  /** Where the own webhook is sent; null: where the endpoint says. */
  url: string | null
  job: string | null
  batch: string | null
  /**
   * `pending`: it is sent at `next_attempt_at`. `delivered`. `failed`: it is not sent again by itself. `held`:
   * its endpoint is disabled.
   */
  state: NotificationState
  /** When the event happened. */
  created_at: string
  next_attempt_at: string | null
  /** The newest 20, oldest first. */
  attempts: DeliveryAttempt[]
}

export interface StreamedNotification {
  type: NotificationType
  /** As a receiver gets them, signed with the default secret of the tenant. */
  headers: {
    'webhook-id': string
    'webhook-timestamp': string
    'webhook-signature': string
  }
  /** The exact text that was signed. */
  body: string
}

export interface RedeliveryRequest {
  /** Only those for this endpoint. */
  endpoint?: string | undefined
  /** Only notifications of events of this time or later. */
  created_after?: string | undefined
  /** Only notifications of earlier events. */
  created_before?: string | undefined
}

export interface NotificationDetail {
  /** Also the `webhook-id`. */
  id: string
  type:
    | 'job.started'
    | 'job.succeeded'
    | 'job.failed'
    | 'job.canceled'
    | 'batch.finished'
    | 'credits.low'
    | 'credits.exhausted'
    | 'budget.alert'
    | 'artifact.at_risk'
    | 'endpoint.disabled'
    | 'job.progress'
    | 'endpoint.test'
    | 'endpoint.confirmation'
  /** null: the own webhook of the job or batch. */
  endpoint: string | null
  /** Where the own webhook is sent; null: where the endpoint says. */
  url: string | null
  job: string | null
  batch: string | null
  /**
   * `pending`: it is sent at `next_attempt_at`. `delivered`. `failed`: it is not sent again by itself. `held`:
   * its endpoint is disabled.
   */
  state: NotificationState
  /** When the event happened. */
  created_at: string
  next_attempt_at: string | null
  /** The newest 20, oldest first. */
  attempts: DeliveryAttempt[]
  /** What is sent, or what an attempt would send now where it has the whole job. */
  body: JsonObject
}

export interface TenantRequest {
  id: string
  /** Default: the id. */
  title?: string | undefined
  limits?: OwnLimits | undefined
  keep?: TenantKeep | undefined
}

/** Limits of the tenant itself; null applies the default of the deployment. */
export interface OwnLimits {
  /** From 1 to 1000000. */
  requests_per_minute?: number | null | undefined
  /** From 1 to 1000000. */
  queued_jobs?: number | null | undefined
  stored_bytes?: number | null | undefined
  stored_files?: number | null | undefined
  /** From 1 to 1000000. */
  mails_per_hour?: number | null | undefined
  /** From 1 to 1000000. */
  batch_jobs?: number | null | undefined
}

/** How long the jobs of a tenant are kept; null applies the value of the deployment. */
export interface TenantKeep {
  /** From 1m to 365d. */
  payload?: string | null | undefined
  /** From 1m to 365d. */
  job?: string | null | undefined
  /** From 1m to 3650d, or `forever`. */
  files?: string | null | undefined
}

export interface Tenant {
  id: string
  title: string
  created_at: string
  suspended_at: string | null
  limits: Limits
  /** Limits of the tenant itself; null applies the default of the deployment. */
  own_limits: {
    requests_per_minute: number | null
    queued_jobs: number | null
    stored_bytes: number | null
    stored_files: number | null
    mails_per_hour: number | null
    batch_jobs: number | null
  }
  /** Files of inputs and outputs that are stored, as counted for `stored_bytes` and `stored_files`. */
  stored: {
    bytes: number
    files: number
  }
  /** Whether endpoints of the tenant may send mail to addresses in the metadata of its jobs. */
  mail_to_metadata: boolean
  /** Origins of `CORS_ORIGINS` whose pages may use the API for this tenant; null: all of them. */
  cors_origins: string[] | null
  /** How long the jobs of the tenant are kept; null applies the value of the deployment. */
  keep: {
    payload: string | null
    job: string | null
    files: string | null
  }
}

export interface Limits {
  requests_per_minute: number
  /** Maximum number of queued jobs. */
  queued_jobs: number
  /** Maximum size of stored uploads and outputs, in bytes; null: unlimited. */
  stored_bytes: number | null
  /** Maximum number of stored uploads and output files; null: unlimited. */
  stored_files: number | null
  /** Mails that are sent within an hour; null: unlimited. */
  mails_per_hour: number | null
  /** Jobs of one batch; null: only the limit of every batch. */
  batch_jobs: number | null
}

export type TenantPage = Page<Tenant>

export interface TenantChange {
  title?: string | undefined
  limits?: OwnLimits | undefined
  keep?: TenantKeep | undefined
  suspended?: boolean | undefined
  /** Whether endpoints of the tenant may send mail to addresses in the metadata of its jobs. */
  mail_to_metadata?: boolean | undefined
  /** Origins of `CORS_ORIGINS` whose pages may use the API for this tenant; null: all of them. */
  cors_origins?: string[] | null | undefined
}

export interface KeyRequest {
  /** Default: "key". */
  title?: string | undefined
  /** Default: `jobs:write`, `jobs:read` and `credits:read`. */
  scopes?: Scope[] | undefined
  expires_at?: string | null | undefined
}

/** A key with its text, which cannot be shown again. */
export interface NewKey {
  id: string
  tenant: string
  title: string
  scopes: Scope[]
  state: 'active' | 'expired' | 'revoked'
  created_at: string
  expires_at: string | null
  revoked_at: string | null
  last_used_at: string | null
  /** The successor after a rotation. */
  replaced_by: string | null
  /** The text of the key. */
  key: string
}

export type KeyPage = Page<Key>

/** An API key, without its text. */
export interface Key {
  id: string
  tenant: string
  title: string
  scopes: Scope[]
  state: 'active' | 'expired' | 'revoked'
  created_at: string
  expires_at: string | null
  revoked_at: string | null
  last_used_at: string | null
  /** The successor after a rotation. */
  replaced_by: string | null
}

export interface Rotation {
  /** Seconds for which the old key stays valid. From 0 to 2592000. Default: 86400. */
  grace?: number | undefined
  expires_at?: string | null | undefined
}

export interface CreditEntryRequest {
  /** Whole micro-credits. A grant of 0 makes a tenant limited without adding credits. */
  amount: number
  /** A single line of text, stored in the ledger. */
  reason: string
  /**
   * By default a negative amount is an adjustment, any other a grant. A grant is at least 0; an adjustment leaves
   * an unlimited tenant unlimited.
   */
  kind?: 'grant' | 'adjustment' | undefined
}

export interface LowBalance {
  /**
   * The event `credits.low` happens when the balance of a limited tenant falls below this: once until a grant
   * lifts it again, or this value is set again. null: never.
   */
  low_balance: number | null
}

/** Days are of UTC. */
export interface Costs {
  from: string
  to: string
  data: {
    day: string
    model: string
    /** Number of runs whose cost is known. */
    jobs: number
    /** Micro-credits that were held for them. */
    estimated: number
    /** Micro-credits that were charged for them. */
    captured: number
    /** Micro-dollars of Replicate, by its metrics and the price of the model. */
    upstream: number
    /** Micro-credits held for each micro-dollar. */
    estimated_ratio: number | null
    /** Micro-credits charged for each micro-dollar. */
    captured_ratio: number | null
    /** The day of the price of the model. */
    price_as_of: string | null
    /** The page that states it. */
    price_source: string | null
  }[]
}

export interface BudgetRequest {
  /** Default: "". */
  title?: string | undefined
  /** What the budget counts the jobs of. */
  scope: 'tenant' | 'key' | 'preset' | 'user'
  /** Required, except for a preset: null is then all tenants together. */
  tenant?: string | null | undefined
  /** The API key, with `scope: key`. */
  key_id?: string | null | undefined
  /** The preset, with `scope: preset`. */
  preset?: string | null | undefined
  /** The user of the tenant, with `scope: user`; null: each user has the limit for itself. */
  user?: string | null | undefined
  /** A calendar day, a week from Monday on, or a calendar month. */
  period: 'day' | 'week' | 'month'
  /** The IANA time zone of the calendar. Default: "UTC". */
  time_zone?: string | undefined
  /** Micro-credits for each period. From 1 to 4503599627370496. */
  limit: number
  /**
   * Whether jobs beyond the limit are refused with 402 `budget_exceeded`. false: they are only counted. Default:
   * true.
   */
  hard?: boolean | undefined
  /** Percents of the limit. The event `budget.alert` happens once in a period when one of them is reached. */
  alert_at?: number[] | undefined
}

/** Absent fields are unchanged. */
export interface BudgetChange {
  title?: string | undefined
  /** Micro-credits for each period. From 1 to 4503599627370496. */
  limit?: number | undefined
  /** Whether jobs beyond the limit are refused with 402 `budget_exceeded`. false: they are only counted. */
  hard?: boolean | undefined
  /** Percents of the limit. The event `budget.alert` happens once in a period when one of them is reached. */
  alert_at?: number[] | undefined
}

export interface LimitList {
  data: ScopeLimits[]
}

/** The limits of one scope. */
export interface ScopeLimits {
  /** What the limits concern, such as `preset:portrait`. */
  scope: string
  /** Jobs in flight at once; null: not limited. */
  concurrency: number | null
  /** Presets: jobs in flight of each tenant; null: not limited. */
  per_tenant: number | null
  /** Tenants: share beside other tenants; null: 1. */
  weight: number | null
  /** Accounts: the most predictions per minute; null otherwise. */
  creates_per_minute: number | null
  /**
   * The limits that an operator set; the others are those of the file of the preset or of the configuration.
   */
  set: ('concurrency' | 'per_tenant' | 'weight' | 'creates_per_minute')[]
  /** Jobs in flight now. */
  in_flight: number
}

/**
 * Limits of one scope. Absent fields stay; null removes what an operator set, so that the file of the preset or
 * the configuration applies again.
 */
export interface LimitChange {
  scope: string
  /** Jobs in flight at once. `unlimited` also lifts the limit that the file of a preset states. */
  concurrency?: number | 'unlimited' | null | undefined
  /** Presets only: jobs in flight of each tenant. */
  per_tenant?: number | 'unlimited' | null | undefined
  /** Tenants only: share beside other tenants, 1 by default. From 0.01 to 1000. */
  weight?: number | null | undefined
  /** Accounts only: the most predictions per minute, instead of the configured budget. From 0.1 to 100000. */
  creates_per_minute?: number | null | undefined
}

export interface PauseList {
  data: ManualPause[]
}

/** A pause by an operator. */
export interface ManualPause {
  scope: string
  /** What owners of waiting jobs see. */
  reason: string
  since: string
  /** The id of a key, or the user of a command line. */
  by: string
}

export interface PauseRequest {
  scope: string
  /** A line of text, which owners of waiting jobs see. */
  reason: string
}

export interface OperatorChangeList {
  data: OperatorChange[]
}

/** A change of limits or pauses by an operator. */
export interface OperatorChange {
  id: string
  at: string
  /** The id of a key, or the user of a command line. */
  by: string
  action: 'limits' | 'pause' | 'resume'
  scope: string
  /** The limits as they were set, or the reason of the pause. */
  detail: JsonObject
}

/** A prediction, as Replicate's webhooks contain it. */
export interface ReplicatePrediction {
  id: string
  status: 'starting' | 'processing' | 'succeeded' | 'failed' | 'canceled' | 'aborted'
  model?: string | null | undefined
  version?: string | null | undefined
  output?: Json | undefined
  error?: Json | undefined
  logs?: string | null | undefined
  metrics?: JsonObject | null | undefined
  created_at?: string | null | undefined
  started_at?: string | null | undefined
  completed_at?: string | null | undefined
}

export interface ArrivedProbe {
  probe: string
  /** By the clock of the receiver. */
  at: string
  bytes: number
  sha256: string
  /** `old`: right, but made more than five minutes ago, or ahead. */
  signature: 'valid' | 'old' | 'wrong' | 'missing' | 'no_secret'
  /** Generation of Redis's data that the receiver knows. */
  generation: string
}

export interface Liveness {
  status: 'ok'
  version: string
}

export interface Readiness {
  status: 'ready' | 'not_ready'
  version: string
  checks: {
    [name: string]: {
      ok: boolean
      detail: string
      /** true if the process is ready even when this check fails. */
      optional?: true
    }
  }
}

/** How the whole deployment is doing. */
export interface Health {
  /** Kept jobs, by phase. */
  jobs: { [name in JobPhase]?: number }
  /** Predictions in flight. */
  predictions_open: number
  /**
   * Number of completions by the way in which they were detected (`webhook`, `poll`, `list`, `create`, `cancel`),
   * since the creation of the deployment.
   */
  finished_by: { [name: string]: number }
  webhooks: {
    /** Replicate can reach this service. If not, jobs are completed by polling. */
    expected: boolean
    /** Recent completions were found by polling, and no webhook arrived. */
    silent: boolean
    /**
     * Seconds from the completion of a prediction to our commit, for the last 500 webhooks of the process that
     * responds; null before the first.
     */
    latency: {
      count: number
      p50: number
      p90: number
      max: number
    } | null
    /** Authentic webhooks that could not be used. */
    dead_letters: number
  }
  budget: {
    creates: CreateAllowance
    reads: Allowance
  }
  /** Why creation is paused in every account, and until when that is known; null if it is not. */
  pause: {
    reason: 'rate_limited' | 'upstream' | 'account' | 'webhook' | 'storage'
    until: string | null
  } | null
  /** The Replicate accounts, `default` first; the figures above are of all of them. */
  accounts: {
    name: string
    /** Predictions in flight. */
    predictions_open: number
    /** Recent completions were found by polling, and no webhook arrived. */
    webhooks_silent: boolean
    budget: {
      creates: CreateAllowance
      reads: Allowance
    }
    pause: {
      reason: 'rate_limited' | 'upstream' | 'account' | 'webhook' | 'storage'
      until: string | null
    } | null
    /** Create requests with an unknown outcome. */
    outcomes_unknown: number
  }[]
  /** Problems that delay the deployment, the most important first. */
  conditions: {
    /** docs/waiting.md explains each name. */
    name: string
    /** One sentence. */
    title: string
    /** Detail, such as the text of an error. */
    detail: string
    since: string
    /** Number of processes that report it. */
    processes: number
    /** true if no prediction is created while it lasts. */
    stops_creation: boolean
  }[]
  /** Reasons why jobs without a prediction wait. */
  waiting: {
    /** Number of jobs that were examined, of all tenants. */
    looked_at: number
    reasons: {
      reason: WaitingReason
      jobs: number
    }[]
  }
  /** Uncopied outputs that Replicate removes within 15 minutes. */
  artifacts_at_risk: number
  /** Create requests with an unknown outcome. */
  outcomes_unknown: number
  /** Predictions of this service that belonged to no attempt; the goal is 0. */
  orphan_predictions: number
  /** What waits for its time, and what has passed it. */
  due: {
    waiting: number
    overdue: number
  }
}

/** The rate of creates, which 429s lower for a time. */
export interface CreateAllowance {
  /** Lower than `ceiling` after Replicate responded to creates with 429. */
  per_minute: number
  /** Maximum number of requests in a burst. */
  burst: number
  /** Number of requests available now. */
  free: number
  /** The configured budget, or the limit that an operator set instead. */
  ceiling: number
  /**
   * Since when no 429 has come; in the future while creation is paused for one. null: the rate is not lowered.
   */
  quiet_since: string | null
  /** Creates that Replicate refused with 429, since the creation of the deployment. */
  throttled: number
  /** Those of them that were refused while a higher rate was tried. */
  throttled_probing: number
}

/** A rate limit of requests to Replicate. */
export interface Allowance {
  per_minute: number
  /** Maximum number of requests in a burst. */
  burst: number
  /** Number of requests available now. */
  free: number
}

/** What is right and wrong with the set-up of the deployment. */
export interface DoctorReport {
  /** The worst of the checks. */
  state: 'failed' | 'warning' | 'ok'
  at: string
  checks: DoctorCheck[]
}

/** Result of one check of the set-up. */
export interface DoctorCheck {
  /** docs/troubleshooting.md explains each name. */
  name:
    | 'redis'
    | 'redis_persistence'
    | 'redis_memory'
    | 'redis_latency'
    | 'clocks'
    | 'workers'
    | 'conditions'
    | 'replicate'
    | 'credit'
    | 'presets'
    | 'storage'
    | 'storage_space'
    | 'mail'
    | 'webhook_secret'
    | 'webhook_address'
    | 'webhook_probe'
    | 'webhook_body'
    | 'proxy_buffering'
    | 'prediction'
  /** The subject, in a few words. */
  title: string
  /**
   * `warning`: it works, but not as well as it could. `skipped`: it could not be checked, or does not apply.
   */
  state: 'failed' | 'warning' | 'ok' | 'skipped'
  /** What was found, in one or two sentences. */
  seen: string
  /** What to do; null: nothing. */
  todo: string | null
  /** Measured values. */
  details: { [name: string]: string | number | boolean | null }
  duration_ms: number
}

/** RFC 9457. */
export interface Problem {
  /** `urn:genqueue:error:<code>` */
  type: string
  title: string
  status: number
  detail: string
  code: ErrorCode
  /** In a 429: the name of the exceeded limit. */
  limit?: string
  /** In `too_much_stored` and `budget_exceeded`: the value of the exceeded limit. */
  allowed?: number
  /** In `too_much_stored` and `budget_exceeded`: the usage. */
  used?: number
  /** In a 402: the missing micro-credits. */
  missing?: number
  /** In `budget_exceeded`: the id of the budget. */
  budget?: string
  /** In `budget_exceeded`: the end of its period. */
  resets_at?: string
  /** In `key_already_made`: the id of the existing key. */
  key_id?: string
  /** In `invalid_request`: the first twenty invalid fields. */
  errors?: FieldError[]
}

/** Stable. docs/errors.md says of each code whether the same request may succeed later. */
export type ErrorCode =
  /**
   * 400. The body is missing, is not JSON, is not UTF-8, has a byte order mark, has a duplicate key in an object,
   * or ended early. `detail` gives line and column of a syntax error, and the pointer of a duplicate key.
   */
  | 'invalid_json'
  /** 400. The body has more than 32 levels or more than 10,000 values. */
  | 'body_too_complex'
  /** 400. The parts of an upload cannot be separated, or the upload ended early. */
  | 'invalid_multipart'
  /** 400. Send 1 to 255 printable ASCII characters. */
  | 'invalid_idempotency_key'
  /**
   * 400. `Prefer: wait=n` is outside 1 to 60, `Last-Event-ID` is not an id of this stream, or there is a second
   * `Host`.
   */
  | 'invalid_header'
  /**
   * 401. Send `Authorization: Bearer <key>`. A wrong key and an unknown one get the same response. A revoked or
   * expired key is reported as such, because its sender knows the secret.
   */
  | 'unauthenticated'
  /** 402. The estimate exceeds the balance; `missing` is the difference in micro-credits. */
  | 'insufficient_credits'
  /**
   * 402. The estimate does not fit into a budget of the tenant, the key, the preset or the user. `budget` names
   * it, and `resets_at` is the end of its period. `allowed`, `used` and `missing` are micro-credits; a budget of
   * all tenants shows only `missing`.
   */
  | 'budget_exceeded'
  /**
   * 403. The credentials are valid but do not permit this request: the key lacks the scope, or a job token was
   * sent where a key is required.
   */
  | 'forbidden'
  /** 403. An operator has suspended the tenant of the key. Its accepted jobs continue. */
  | 'tenant_suspended'
  /**
   * 403. The tenant's credit is limited and the job has no price: a `model`, `version` or `deployment`, or a
   * preset without one. Submit by a preset with a price, or set `UNPRICED_MODELS=allow`.
   */
  | 'no_price'
  /**
   * 403. `RAW_MODELS` is `deny`: submit by a `preset`. Or it is `presets`: submit by a `preset`, or by the name
   * of a model that a preset serves.
   */
  | 'raw_models_disabled'
  /** 403. The origin of the page is in `CORS_ORIGINS` but not in the tenant's own `cors_origins`. */
  | 'origin_not_allowed'
  /**
   * 403. A cookie was sent by a page of another origin, or the request used a host name that the service does not
   * accept.
   */
  | 'cross_site'
  /** 401. Webhooks only: the signature, or the token in the URL, is wrong. */
  | 'invalid_signature'
  /**
   * 403. An artifact link has expired or was modified, or the key of a lasting link was rotated. Read the job for
   * a new link.
   */
  | 'link_expired'
  /** 404. The path or the object does not exist, or it belongs to another tenant. */
  | 'not_found'
  /** 404. `/v1/models/...` only: Replicate does not know the model. */
  | 'model_not_found'
  /** 404. `/v1/presets/...` only; a submission that names an unknown preset gets `invalid_request`. */
  | 'preset_not_found'
  /** 405. `Allow` lists the methods. */
  | 'method_not_allowed'
  /** 408. No byte of the body arrived for 30 seconds. */
  | 'request_timeout'
  /** 409. The job is final. */
  | 'not_cancelable'
  /** 409. The job is not final, or its prediction is still being stopped at Replicate. */
  | 'not_deletable'
  /** 409. The job is not final, or retention has removed its input or a file of its input. */
  | 'not_retryable'
  /** 409. A job uses the upload in its input; it is removed with the last of these jobs. */
  | 'upload_in_use'
  /** 409. `/v1/admin/tenants` only: a tenant with this id and another title or other limits exists. */
  | 'tenant_exists'
  /** 409. Adjustments only: the balance must not fall below 0. `detail` gives the balance. */
  | 'balance_too_low'
  /**
   * 409. The hold would raise the tenant's account beyond 2^52 micro-credits (4.5 billion credits), the limit of
   * exact sums: lower the price or the expected quantities of the preset. On a route of credits: the account is
   * already damaged or beyond 2^53; `genqueue ledger verify` shows the cause.
   */
  | 'credits_not_countable'
  /** 409. A tenant, key, preset or user has at most 10 budgets. Remove one first. */
  | 'too_many_budgets'
  /** 409. A tenant has at most 50 endpoints. Delete one first. */
  | 'too_many_endpoints'
  /**
   * 409. Nothing is sent to an endpoint that is disabled or was deleted. Enable it first; that also sends what
   * was kept for it.
   */
  | 'endpoint_disabled'
  /**
   * 409. An endpoint with an address of mail needs a mail server. The operator sets `SMTP_URL` and `MAIL_FROM`.
   */
  | 'mail_not_configured'
  /**
   * 409. Mail is not signed, so it has no secret to rotate; only an address of mail is confirmed, and only once;
   * where metadata names the recipients, a test has none.
   */
  | 'wrong_endpoint_kind'
  /**
   * 409. Keys only: a key was already created with this `Idempotency-Key`, or the key was already rotated.
   * `key_id` names the resulting key. Its text is shown only once; if it was lost, rotate the key `key_id` with a
   * grace of 0, or revoke it.
   */
  | 'key_already_made'
  /** 409. Rotation only: the key was revoked or has expired. */
  | 'key_not_active'
  /**
   * 413. The limits are 96 KiB for a request, 4 MiB for a job and 8 MiB for a batch without the files in them, 64
   * MiB with these, 4 MiB for a message of MCP, 8 MiB for a webhook, and the configured size of an upload.
   */
  | 'body_too_large'
  /**
   * 415. Send `application/json` in UTF-8, uncompressed; for an upload `multipart/form-data`, with files of an
   * accepted type.
   */
  | 'unsupported_media_type'
  /** 416. The range begins after the end of the file. */
  | 'range_not_satisfiable'
  /**
   * 422. `errors` lists the first twenty invalid fields with their JSON pointers; `detail` repeats the first of
   * them.
   */
  | 'invalid_request'
  /** 422. Use a new key for a new job, and the same body for the same key. */
  | 'idempotency_key_reused'
  /**
   * 429. The tenant has reached its limit of queued jobs (`limit` is `queued_jobs`); retry after some have
   * started.
   */
  | 'too_many_queued'
  /**
   * 429. The tenant has reached its request limit; `limit` is `requests_per_minute`, or
   * `token_requests_per_minute` for a job token. A test by mail counts against `mails_per_hour` too.
   */
  | 'rate_limited'
  /**
   * 429. At most three confirmation mails at once, and six a day, are requested for one address. Wait, or look at
   * the log.
   */
  | 'confirmation_limited'
  /**
   * 429. One tenant (or one address before authentication) is limited to 24 MiB of simultaneous bodies up to 128
   * KiB, and 96 MiB of larger ones. Wait for responses; `limit` is `body_bytes`.
   */
  | 'too_many_bodies'
  /** 429. Close event streams, or wait. */
  | 'too_many_streams'
  /**
   * 429. Within a minute there were a hundred wrong keys or tokens from one address or for one key id, or ten
   * wrong admin passwords or a hundred refused webhooks from one address. A valid key or webhook is never refused
   * for this reason.
   */
  | 'too_many_attempts'
  /**
   * 429. The tenant has reached its limit of stored bytes or files, of inputs and outputs; `limit` is
   * `stored_bytes` or `stored_files`, `allowed` its value and `used` the usage. Delete jobs or uploads, or wait
   * until they expire.
   */
  | 'too_much_stored'
  /** 500. A bug in genqueue; the log has the details. */
  | 'internal'
  /**
   * 503. The response needs Replicate, which is unavailable or refuses the account: for a model, for logs, or for
   * the signing secret. `detail` says what could not be read, and whether the token is refused.
   */
  | 'upstream_unavailable'
  /**
   * 503. The disk or bucket for files is full, read-only, unreachable or not configured; `/readyz` and the log
   * give the reason.
   */
  | 'storage_unavailable'
  /**
   * 503. Redis responds, but was emptied or holds another deployment: credentials cannot be checked, and nothing
   * was changed. Keep the job and retry; the operator restores the data or corrects `REDIS_URL`.
   */
  | 'deployment_lost'
  /**
   * 503. Redis does not respond. `detail` says whether nothing was changed (the command was never sent) or
   * whether that is unknown: then check before you repeat a change, or repeat it with the same `Idempotency-Key`.
   */
  | 'unavailable'
  /**
   * 503. It is unknown whether the job was accepted; `detail` names its id. Repeat with the same
   * `Idempotency-Key`, or read the job.
   */
  | 'accept_unknown'
  /**
   * 507. Less than `DISK_RESERVE` is free on the disk: uploads and jobs with new files in them are refused. Jobs
   * without files are accepted, and outputs are stored until the disk is full.
   */
  | 'storage_full'
  /**
   * 503. Redis uses 75 % of its memory, or the request bodies of all tenants together have reached their limit of
   * memory. Accepted jobs continue.
   */
  | 'capacity'
  /** Of a newer service. */
  | (string & {})

/** An error of one field of a request. */
export interface FieldError {
  /** JSON pointer into the body, or a slash and the name of a query parameter. */
  pointer: string
  /** Stable, snake_case. */
  code: string
  detail: string
}
