import type { OutputShape } from '../../artifacts/rules/output-shape.ts'
import { estimatePrice, type PriceRule } from '../../credits/rules/price.ts'
import type { JsonObject } from '../../values/json.ts'
import type { JobRecord, OnUnknown, StorePolicy, WebhookEvent } from './job.ts'

/** A validated request for a job. */
export interface NewJob {
  tenant: string
  account: string
  preset: string | null
  model: string | null
  version: string | null
  deployment: string | null
  input: JsonObject
  metadata: JsonObject
  webhook_events: WebhookEvent[]
  timeout: number
  start_within: number
  on_unknown: OnUnknown
  retry_of: string | null
  /** Limit of resubmissions after failures of the platform. */
  resubmit_limit: number
  store: StorePolicy
  output_shape: OutputShape | null
  key_pattern: string | null
  named_as?: JobRecord['named_as']
  in_flight_limit: number | null
  price: PriceRule | null
  charge_canceled: boolean
  keep: JobRecord['keep']
}

/** The request of a job like this one, without its input, which retention may have removed, and without its retention. */
export const sameAgain = (
  job: JobRecord,
): Omit<NewJob, 'tenant' | 'account' | 'input' | 'retry_of' | 'keep' | 'named_as'> => ({
  preset: job.preset,
  model: job.model,
  version: job.version,
  deployment: job.deployment,
  metadata: job.metadata,
  webhook_events: job.webhook_events,
  timeout: job.timeout,
  start_within: job.start_within,
  on_unknown: job.on_unknown,
  resubmit_limit: job.resubmit_limit,
  store: job.store,
  output_shape: job.output_shape,
  key_pattern: job.key_pattern,
  in_flight_limit: job.in_flight_limit,
  price: job.price,
  charge_canceled: job.charge_canceled,
})

/** The record of a job at acceptance. `place`: its place in a batch. */
export function newRecord(
  request: NewJob,
  id: string,
  idempotency: string | null,
  place: Pick<JobRecord, 'batch' | 'position' | 'in_sequence'> = { batch: null, position: null, in_sequence: false },
): JobRecord {
  return {
    v: 1,
    id,
    rev: 0,
    ...request,
    named_as: request.named_as ?? null,
    ...place,
    estimate: request.price === null ? 0 : estimatePrice(request.price, request.input),
    idempotency,
    phase: 'queued',
    status: 'queued',
    attempt: 0,
    prediction_id: null,
    resolved_version: null,
    seed: null,
    input_sha256: null,
    output: null,
    output_artifact: null,
    artifacts: [],
    progress: null,
    partial: null,
    error: null,
    metrics: {},
    stop: null,
    created_at: 0,
    submitted_at: null,
    prediction_created_at: null,
    started_at: null,
    completed_at: null,
    start_since: 0,
    start_paused: 0,
    resubmissions: 0,
    captured: null,
    uncollected: 0,
    charge_estimated: false,
  }
}
