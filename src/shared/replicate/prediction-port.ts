import type { WebhookEvent } from '../jobs/rules/job.ts'
import type { JsonObject } from '../values/json.ts'
import type { LongStrings } from '../values/json-extract.ts'
import type { Prediction } from './rules/prediction.ts'
import type { StatedRate } from './rules/stated-rate.ts'

/** Content of a create request. Exactly one of model, version, deployment is not null. */
export interface CreateRequest {
  model: string | null
  version: string | null
  deployment: string | null
  input: JsonObject
  webhook: string
  events: WebhookEvent[]
  /** s; after that Replicate ends the prediction */
  cancelAfter: number
}

/** Reason why upstream certainly created nothing. */
export type Refusal =
  /** DNS, refused, connect timeout, TLS: no byte was sent. */
  | { class: 'unreachable'; message: string }
  | { class: 'rate_limited'; message: string; retryAfterMs: number; stated: StatedRate | null }
  /** 401, 402: the account's fault, not the job's. */
  | { class: 'account'; status: number; message: string }
  /** 400, 422: the webhook URL is refused, which is the operator's fault (`PUBLIC_URL`). */
  | { class: 'webhook'; status: number; message: string }
  /** 400, 403, 404, 413, 422: the job's, the model's or the preset's fault. */
  | { class: 'rejected'; status: number; message: string }

export type CreateOutcome =
  | { kind: 'created'; prediction: Prediction }
  | { kind: 'not_created'; refusal: Refusal }
  /** The permit had expired before the request began. */
  | { kind: 'not_sent' }
  /** A prediction may or may not exist. */
  | { kind: 'unknown'; reason: string }

/**
 * Failed read. `account`: Replicate refuses the token or the account (401, 402, 403); `upstream`: it is unreachable, or
 * its response is unusable. `reason`: a description.
 */
export interface ReadFailure {
  kind: 'failed'
  cause: 'account' | 'upstream'
  reason: string
  /** The cause may be this response, its size or one of its rows: a narrower request may succeed. */
  narrow?: true
}

export type ReadOutcome =
  | { kind: 'prediction'; prediction: Prediction }
  | { kind: 'not_found' }
  | { kind: 'rate_limited'; retryAfterMs: number }
  | ReadFailure

export interface ListedPage {
  predictions: Prediction[]
  /** Ids of rows that could not be parsed as predictions; each may be readable individually. */
  unread?: string[]
  /** null: this is the last page */
  cursor: string | null
}
export type ListOutcome = ({ kind: 'page' } & ListedPage) | { kind: 'rate_limited'; retryAfterMs: number } | ReadFailure

/** Input file for predictions. */
export interface HandedFile {
  name: string
  mediaType: string
  bytes: number
  body: AsyncIterable<Uint8Array>
}

export type HandOverOutcome =
  /** `expiresAt`: ms; null: upstream does not say. */
  | { kind: 'taken'; url: string; expiresAt: number | null }
  | { kind: 'rate_limited'; retryAfterMs: number }
  /** 400, 404, 413, 422: the file's fault; 401, 402, 403: the account's. */
  | { kind: 'refused'; status: number; message: string }
  | { kind: 'failed'; reason: string }

/** `refused`: upstream responds, but refuses this account. */
export type AccountOutcome = 'well' | 'refused' | 'away'

/** Upstream responds to a read, but refuses the account: 401 for its token, 402 or 403. */
export class AccountRefusedError extends Error {
  override name = 'AccountRefusedError'
  readonly status: number

  constructor(status: number) {
    super(`status ${status}`)
    this.status = status
  }
}

export interface UpstreamModel {
  name: string
  official: boolean
  description: string | null
  version: string | null
  input_schema: JsonObject
  schemas: JsonObject
}

/** Output of a prediction, read in a separate request. */
export type OutputOutcome =
  | ReadOutcome
  /** It exceeds the limit, now and later. `reason`: its size. */
  | { kind: 'too_large'; reason: string }

/** Receives the long strings of an output while it is read. */
export interface OutputTaker extends LongStrings {
  /** Awaited before more is read (backpressure). */
  flush(): Promise<void>
}

export interface PredictionPort {
  /** One request, sent once: it creates at most one prediction. `beginBy`: latest begin; `performance.now()`, ms. */
  create(request: CreateRequest, beginBy?: number): Promise<CreateOutcome>
  /** Bounded in memory: long logs are reduced to their two ends, a long output to its size. */
  get(id: string): Promise<ReadOutcome>
  /** Prediction with its whole output, without input and logs; strings of more than 256 kB go to `taker`. */
  output(id: string, taker: OutputTaker, signal: AbortSignal): Promise<OutputOutcome>
  cancel(id: string): Promise<ReadOutcome>
  /**
   * One page of the account's predictions, newest first, read as a stream: rows contain neither input nor long outputs. A
   * row without a readable id fails the page.
   */
  list(window: { after: number; before: number; cursor: string | null }): Promise<ListOutcome>
  account(): Promise<AccountOutcome>
  /** Sends a file once. It costs nothing, so the caller can retry. */
  uploadFile(file: HandedFile, signal: AbortSignal): Promise<HandOverOutcome>
  /** Signing secret of the account's webhooks, `whsec_...`; throws when it cannot be fetched. */
  webhookSecret(timeout: number): Promise<string>
  /**
   * Model, with `version` as of that version. null: there is no such model or version. Throws an `AccountRefusedError`, or
   * another error when there is no usable response.
   */
  model(name: string, version?: string | null): Promise<UpstreamModel | null>
  /** Whether the account can run a deployment of this name. Throws when upstream does not respond. */
  deployment(name: string): Promise<boolean>
}
