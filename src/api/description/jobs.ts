import { z } from 'zod'
import { ATTEMPT_STATES, CAUSES, jobPhase, json, jobStatus, shownFields } from '../../shared/jobs/rules/job.ts'
import { keysOf } from '../../shared/values/keys-of.ts'
import { jobKeep, pageOf, sha256, time, timeOrNull } from './common.ts'
import { shownWebhook } from '../own-webhook.ts'
import { JOB_EXAMPLE } from './examples.ts'

/** Jobs as the API shows them. */

const REASONS = {
  budget: 'the rate limit of the account.',
  rate_limited: 'Replicate responded with 429.',
  upstream: 'Replicate is failing or unreachable.',
  account: 'Replicate rejects the token or the credit.',
  webhook: 'Replicate rejects the webhook URL of this service (`PUBLIC_URL`).',
  storage: 'files cannot be stored.',
  outcome: 'it is unknown whether a create request arrived.',
  scheduled: 'it may not start before the time that was submitted.',
  preset_limit: 'the preset is at its concurrency limit.',
  paused: 'an operator has paused creation; `detail` has the reason.',
  concurrency: 'the tenant, model or deployment is at its limit of jobs in flight.',
  sequence: 'earlier jobs of the batch come first.',
  max_spend: 'the spending limit of the batch is held for other jobs.',
  files: 'input files are being uploaded to Replicate.',
  copy: 'outputs are being copied.',
  stop: 'Replicate has not confirmed the cancellation.',
  recovery: 'Redis is being compared with Replicate before creation resumes.',
  redis: 'Redis is unavailable.',
  worker: 'no worker is running.',
} as const

export const waitingReason = z.enum(keysOf(REASONS)).meta({
  id: 'WaitingReason',
  description: Object.entries(REASONS)
    .map(([reason, words]) => `\`${reason}\`: ${words}`)
    .join(' '),
})

export const waitingFor = z
  .object({
    reason: waitingReason,
    detail: z.string(),
    until: timeOrNull.describe(
      'Time at which the wait ends in any case: the end of a pause, the bound of a stop, or the time at which a failing copy is given up. null: not known.',
    ),
  })
  .meta({ id: 'WaitingFor', description: 'Why a job waits.' })
export type WaitingFor = z.output<typeof waitingFor>

const range = z.object({ p50: z.number(), p90: z.number() })

export const forecast = z
  .object({
    position: z
      .int()
      .min(0)
      .nullable()
      .describe(
        'Number of jobs, of all tenants, that start before it as far as is known now. null while its start time has not come, or while earlier jobs of its batch come first.',
      ),
    starts_in: range
      .nullable()
      .describe(
        'Seconds until it starts: in half of the cases, and in nine of ten. Calculated from its position, the present rate of creates and limits of jobs in flight, and corrected by how such forecasts have come true lately. null: not known, for example during a pause without a known end.',
      ),
    run_time: range
      .nullable()
      .describe('Seconds from its start to its end, as with earlier runs of the model; null: too few are known.'),
  })
  .meta({
    id: 'Forecast',
    description: 'When a job that waits for its turn is expected to start, and how long it is expected to run.',
  })
export type Forecast = z.output<typeof forecast>

export const artifact = z
  .object({
    id: z.string(),
    url: z
      .string()
      .describe(
        'A path on this service that needs no credentials. Valid for at least an hour and fresh in each response, or with `?links=lasting` valid as long as the file exists.',
      ),
    name: z
      .string()
      .describe(
        'File name for saving: preset or model, id of the job, number of the output if there are several, extension.',
      ),
    media_type: z
      .string()
      .describe('Detected from the first bytes. The declared type applies only where they do not decide.'),
    bytes: z.int().min(0),
    sha256,
    width: z.int().min(1).nullable().describe('Displayed width of pictures and MP4, in pixels; null if unknown.'),
    height: z.int().min(1).nullable().describe('Displayed height, in pixels; null if unknown.'),
    duration: z.number().nullable().describe('Seconds, for MP4, WAV and animated pictures; null if unknown.'),
    thumbnail_url: z
      .string()
      .nullable()
      .describe('Path of the thumbnail (WebP, at most 512 pixels), like `url`; null without one.'),
    location: z.string().nullable().describe('`s3://<bucket>/<key>` of a file in a bucket; otherwise null.'),
    expires_at: timeOrNull.describe(
      'Time at which retention removes the file; null before the job is final, and always if `keep.files` is `forever`.',
    ),
  })
  .meta({ id: 'Artifact', description: 'A stored output file.' })

export const jobCost = z
  .object({
    estimate: z.int().describe('The amount that is held at acceptance.'),
    held: z.int().describe('The estimate until the job is final, then 0.'),
    captured: z.int().nullable().describe('null until the job is final.'),
    uncollected: z.int().describe('The part of the cost that the account could not pay.'),
    estimated: z.boolean().describe('true if the metrics lacked a quantity of the price, so the hold was captured.'),
  })
  .meta({ id: 'JobCost', description: 'Micro-credits.' })
export type JobCost = z.output<typeof jobCost>

export const historyEntry = z
  .object({
    at: time,
    phase: jobPhase,
    status: jobStatus,
    cause: z
      .enum(CAUSES)
      .describe(
        'Cause of the change: a request to this service (`api`), the response to a create, a webhook, a poll of one prediction, a listing (`list`), the response to a cancel, a worker, or the time (`sweep`).',
      ),
    attempt: z.int().min(0),
    prediction: z.string().nullable(),
    attempt_state: z.enum(ATTEMPT_STATES).exactOptional().describe('Only if it changed.'),
    note: z
      .string()
      .exactOptional()
      .describe(
        'Detail, such as why a request was refused, why its outcome is unknown, or which failure led to a resubmission.',
      ),
    error: z.string().exactOptional().describe('The error code of the job.'),
  })
  .meta({ id: 'HistoryEntry' })
export type HistoryEntry = z.output<typeof historyEntry>

/** First come the fields that a reader looks for. */
const { id, status, phase, ...shown } = shownFields()

export const job = z
  .object({
    id,
    status,
    phase,
    ...shown,
    input_truncated: z
      .boolean()
      .describe(
        'Whether `input` is shortened: of an input of more than 16 KiB, texts of more than 1,024 characters show only their beginning, except in `GET /v1/jobs/{id}` and the manifests.',
      ),
    output: json.describe(
      "The output in the model's own shape. A file is shown as the `url` of its artifact, or as null if it is lost. Tokens are joined to one text if the model's Output schema, or the preset, says so. While a text model runs, the output contains the first 4,000 characters; otherwise it is null until completion. After `output_not_stored` it contains the part that was stored.",
    ),
    artifacts: z.array(artifact),
    webhook: shownWebhook.nullable().describe('null without one.'),
    cost: jobCost.nullable().describe('Micro-credits; null if the job has no price.'),
    waiting_for: waitingFor.nullable(),
    forecast: forecast
      .nullable()
      .exactOptional()
      .describe(
        'Only where one job is submitted, retried or read, not in lists and streams. null for a job that does not wait for its turn.',
      ),
    keep: jobKeep,
    not_before: timeOrNull.describe('Time before which the job does not start; null: none was submitted.'),
    history: z
      .array(historyEntry)
      .exactOptional()
      .describe('Only with `?include=history`: the newest 100 entries, oldest first.'),
    created_at: time,
    updated_at: time.describe('Time of the last change of the phase or of an attempt.'),
    submitted_at: timeOrNull,
    started_at: timeOrNull,
    completed_at: timeOrNull,
    payload_expires_at: timeOrNull.describe(
      'Time at which input and output are removed from the record; null before the job is final.',
    ),
    expires_at: timeOrNull.describe('Time at which the record is removed; null before the job is final.'),
  })
  .meta({ id: 'Job', examples: [JOB_EXAMPLE] })
export type Job = z.output<typeof job>

export const jobPage = pageOf('JobPage', job)
export type JobPage = z.output<typeof jobPage>

export const jobLogs = z
  .object({
    logs: z
      .string()
      .nullable()
      .describe(
        'The end of the log; null before the prediction exists, and from about an hour after its completion unless the logs are kept here.',
      ),
    truncated: z.boolean().describe('true if the beginning is missing.'),
  })
  .meta({ id: 'JobLogs', description: 'Logs of the model.' })
export type JobLogs = z.output<typeof jobLogs>

export const logPiece = z
  .object({
    text: z.string(),
    replace: z.boolean().describe('true: the text replaces what was sent before; false: it continues it.'),
    truncated: z.boolean().describe('true if the beginning of the logs is missing.'),
  })
  .meta({ id: 'LogPiece', description: 'A part of the logs of the model.' })
export type LogPiece = z.output<typeof logPiece>

const { preset, batch, position, retry_of, model, version, deployment, prediction_id, attempt } = shown
const { input, metrics, error, metadata } = shown
const { output, artifacts, cost, created_at, submitted_at, started_at, completed_at } = job.shape

export const jobManifest = z
  .object({
    job: id.describe("The job's id."),
    status,
    preset,
    batch,
    position,
    retry_of,
    requested: z.object({ model, version, deployment }).describe('The target of the submission.'),
    version: z
      .string()
      .nullable()
      .describe(
        'The version that ran, as reported by Replicate; `hidden` for official models, null before completion.',
      ),
    seed: z.int().nullable().describe("Requested, or reported by the model's metrics, output or logs."),
    prediction_id,
    attempt,
    input,
    input_sha256: sha256
      .nullable()
      .describe(
        'SHA-256 of the canonical JSON of the input (sorted keys, no whitespace). It remains after the input has been removed.',
      ),
    artifacts: z
      .array(
        artifact.extend({
          url: artifact.shape.url.exactOptional(),
          thumbnail_url: artifact.shape.thumbnail_url.exactOptional(),
        }),
      )
      .describe('The artifacts of the job, without links unless lasting links are requested.'),
    metrics,
    cost,
    error,
    metadata,
    created_at,
    submitted_at,
    started_at,
    completed_at,
  })
  .meta({ id: 'JobManifest', description: 'Input and results of a job, to be stored with the files.' })
export type JobManifest = z.output<typeof jobManifest>

export const manifestLine = z
  .object({
    position: position.unwrap(),
    job: id.describe("The job's id."),
    status,
    preset,
    model,
    version,
    prediction_id,
    input,
    output,
    output_artifact: shown.output_artifact,
    artifacts,
    error,
    cost,
    metadata,
  })
  .meta({ id: 'ManifestLine', description: 'The result of one job of a batch.' })
export type ManifestLine = z.output<typeof manifestLine>
