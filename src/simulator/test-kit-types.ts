import type { Counts, WebhookCounts } from './book-state.ts'
import type { PredictionStatus } from './prediction.ts'

/** What a test sees of a simulator. Nothing here needs the types of Node. */

/** What clients sent, for a test to look at. */
export interface SeenRequest {
  /** Milliseconds since 1970, by the simulator's time. */
  at: number
  method: string
  path: string
  query: Record<string, string>
  /** By lower-case name. The token is not kept: `authorization` is `Bearer [redacted]`. */
  headers: Record<string, string>
  /**
   * Parsed JSON; the fields of a form, a file as `{ name, type, bytes }`; other text as text; null without a body, and where
   * the simulator did not read it, as in a request without a token.
   */
  body: unknown
  /** Of the response; null while there is none, and when the connection was cut. */
  status: number | null
}

/** A prediction or training. */
export interface BooksRow {
  id: string
  created_at: string
  model: string
  status: PredictionStatus
  webhook: string | null
  billed_seconds: number
}

export interface Books {
  /** Oldest first. */
  predictions: BooksRow[]
  trainings: BooksRow[]
  /** Requests, including refused ones; `created`: predictions. */
  counts: Counts
  /** Attempts; `dropped`: messages that a fault suppressed. */
  webhooks: WebhookCounts
  /** US dollars. */
  spend: number
}

/** What the next create becomes. Everything that is absent is the model's own. */
export interface Stub {
  /**
   * `owner/name`, or `owner/name:version`; absent: any model. A model that the simulator does not know accepts any input.
   */
  model?: string
  /** The final output: any JSON, with `file(…)` for a file. A function gets the input; what it throws is the run's error. */
  output?: unknown
  /** The output of a language model, written piece by piece. */
  chunks?: string[]
  /** The run fails with this text. */
  error?: string
  /** Text, or lines; spread over the run. */
  logs?: string | string[]
  /** How long it runs, at speed 1. */
  seconds?: number
  /** How long it is `starting`, at speed 1. */
  startSeconds?: number
  /** Added to the metrics of the model. */
  metrics?: Record<string, number | string | boolean>
  /** For how many creates: 1 by default. `Infinity` or `always`: until it is removed. */
  times?: number | 'always'
}

export interface StubHandle {
  /** Number of creates that had it. */
  readonly used: number
  remove(): void
}

/** The part of a simulator that belongs to one token, so that parallel tests share a simulator. */
export interface SimulatorScope {
  /** The token with which the code under test must call. */
  token: string
  /** As `Simulator.stub`, for creates with this token. */
  stub(stub: Stub): StubHandle
  /** Requests with this token, oldest first. */
  requests(): SeenRequest[]
  /** Removes its stubs and requests. */
  reset(): void
}

export interface TestKit {
  /** What the next creates become, whatever their token. A stub of a scope wins over it. */
  stub(stub: Stub): StubHandle
  /** Requests to the API and to its files, oldest first; the last 1,000. */
  requests(): SeenRequest[]
  /** Merges into the active faults and returns all of them; null removes all. Throws on unknown faults. */
  faults(changes?: object | null): Record<string, Record<string, unknown>>
  books(): Books
  /** Removes predictions, uploads, counts, faults, stubs and requests. */
  reset(): void
  /** @param token default: one that is made up */
  scope(token?: string): SimulatorScope
}
