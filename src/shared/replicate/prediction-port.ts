import type { JsonObject, WebhookEvent } from '../jobs/job.ts'
import type { LongStrings } from './json-extract.ts'
import type { Prediction } from './prediction.ts'

/** What a create sends. Exactly one of model, version, deployment is not null. */
export interface CreateRequest {
  model: string | null
  version: string | null
  deployment: string | null
  input: JsonObject
  webhook: string
  events: WebhookEvent[]
  /** s; Replicate ends the prediction itself after that */
  cancelAfter: number
}

/** Why upstream surely created nothing. */
export type Refusal =
  /** DNS, refused, connect timeout, TLS: no byte was sent. */
  | { class: 'unreachable'; message: string }
  | { class: 'rate_limited'; message: string; retryAfterMs: number }
  /** 401, 402: the account's fault, not the job's. */
  | { class: 'account'; status: number; message: string }
  /** 400, 403, 404, 413, 422: the job's, the model's or the preset's fault. */
  | { class: 'rejected'; status: number; message: string }

export type CreateOutcome =
  | { kind: 'created'; prediction: Prediction }
  | { kind: 'not_created'; refusal: Refusal }
  /** It was too late to begin. */
  | { kind: 'not_sent' }
  /** Perhaps a prediction exists, perhaps not. */
  | { kind: 'unknown'; reason: string }

/**
 * A read that brought nothing. `account`: Replicate refuses the token or the account (401, 402, 403); `upstream`: it
 * cannot be reached, or its answer is of no use. `reason`: what happened, in words.
 */
export interface ReadFailure {
  kind: 'failed'
  cause: 'account' | 'upstream'
  reason: string
  /** The failure may be one of this answer, its size or a row of it: a smaller part of it may be readable. */
  narrow?: true
}

export type ReadOutcome =
  | { kind: 'prediction'; prediction: Prediction }
  | { kind: 'not_found' }
  | { kind: 'rate_limited'; retryAfterMs: number }
  | ReadFailure

export interface ListedPage {
  predictions: Prediction[]
  /** Ids of rows that cannot be read as predictions: each may be readable by itself. */
  unread?: string[]
  /** null: that was the last page */
  cursor: string | null
}
export type ListOutcome = ({ kind: 'page' } & ListedPage) | { kind: 'rate_limited'; retryAfterMs: number } | ReadFailure

/** A file for the inputs of predictions. */
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

/** `refused`: upstream answers, but not to this account. */
export type AccountOutcome = 'well' | 'refused' | 'away'

export interface UpstreamModel {
  name: string
  official: boolean
  description: string | null
  version: string | null
  input_schema: JsonObject
  schemas: JsonObject
}

/** The output of a prediction, read for its own sake. */
export type OutputOutcome =
  | ReadOutcome
  /** It cannot be kept, now or later. `reason`: how large it is. */
  | { kind: 'too_large'; reason: string }

/** Where the long strings of an output go while it is read. */
export interface OutputTaker extends LongStrings {
  /** Waited for before more is read. */
  flush(): Promise<void>
}

export interface PredictionPort {
  /** One request, sent once: at most one prediction comes of it. `beginBy`: not begun later; `performance.now()`, ms. */
  create(request: CreateRequest, beginBy?: number): Promise<CreateOutcome>
  /** Bounded in memory however long the prediction is: of long logs the ends, of a long output only its size. */
  get(id: string): Promise<ReadOutcome>
  /** The prediction with its whole output, and without input and logs; strings of more than 256 kB go to `taker`. */
  output(id: string, taker: OutputTaker, signal: AbortSignal): Promise<OutputOutcome>
  cancel(id: string): Promise<ReadOutcome>
  /**
   * One page of the account's predictions, newest first, read as a stream: rows carry neither input nor long outputs. A
   * row without a readable id makes the page fail.
   */
  list(window: { after: number; before: number; cursor: string | null }): Promise<ListOutcome>
  account(): Promise<AccountOutcome>
  /** Sends a file once. Nothing is created that would be paid for: it may be sent again. */
  uploadFile(file: HandedFile, signal: AbortSignal): Promise<HandOverOutcome>
  /** The signing secret of the account's webhooks, `whsec_...`; throws when it cannot be had. */
  webhookSecret(timeout: number): Promise<string>
  /** With a version: as of that version. null: there is no such model or version. Throws when upstream does not answer. */
  model(name: string, version?: string | null): Promise<UpstreamModel | null>
}
