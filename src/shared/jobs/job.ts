import type { OutputShape } from '../artifacts/output-shape.ts'
import type { PriceRule } from '../credits/price.ts'

/**
 * The vocabulary of jobs and attempts (docs/glossary.md). Plain values: what Redis keeps, what the rules decide on.
 * Times are milliseconds of the Redis clock; durations are seconds where a customer sees them.
 */

export type Json = null | boolean | number | string | Json[] | { [key: string]: Json }
export type JsonObject = { [key: string]: Json }

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

/** Whether Replicate charges for what happened (its billing rules for public models). */
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

/** Whether output files are copied into our storage before the job is done, or left where they are. */
export const STORE_POLICIES = ['copy', 'none'] as const
export type StorePolicy = (typeof STORE_POLICIES)[number]

/** How long a job is kept, as its record holds it: seconds from its end (files null: forever). keep.ts has the rules. */
export type FrozenKeep = readonly [payload: number, job: number, files: number | null]

/** A copied output file. `key` is its place in the artifact store. */
export interface ArtifactRecord {
  id: string
  key: string
  media_type: string
  bytes: number
  sha256: string
  /** px; null: it has none, or it is not known. */
  width: number | null
  height: number | null
  /** s */
  duration: number | null
  /** A small picture of a large one, in the artifact store. */
  thumbnail: { key: string; bytes: number } | null
}

export interface JobRecord {
  v: 1
  id: string
  /** Grows by one with each commit. */
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
  /** The preset that it was made from. */
  preset: string | null
  /** The batch that it belongs to, and its place there, from 0. */
  batch: string | null
  position: number | null
  /** It begins when all before it in the batch have ended. */
  in_sequence: boolean
  prediction_id: string | null
  input: JsonObject | null
  metadata: JsonObject
  webhook_events: WebhookEvent[]
  /** s */
  timeout: number
  /** s */
  start_within: number
  /** When `start_within` began, ms, and what the account's pause clock read then. */
  start_since: number
  start_paused: number
  /** What to do when it stays undecidable whether a create arrived. */
  on_unknown: OnUnknown
  /** Predictions of this job that failed for reasons of the platform and were made anew. */
  resubmissions: number
  /** How many of those are allowed. */
  resubmit_limit: number
  store: StorePolicy
  /** What its output means, by the model's Output schema or the preset; null: the schema was not to be had yet. */
  output_shape: OutputShape | null
  /** How its files are called in a bucket, by its preset; null: as the deployment calls them. */
  key_pattern: string | null
  /** The batch and place by which its files are called, where these are of the job that it tries again. */
  named_as: { batch: string; position: number } | null
  /** So many jobs of the preset may be in flight at once. */
  in_flight_limit: number | null
  /** null: it costs nothing. */
  price: PriceRule | null
  /** Whether a job that is canceled after its start is charged. */
  charge_canceled: boolean
  /** Micro-credits: held until the end; taken then; owed but beyond what the account had. */
  estimate: number
  captured: number | null
  uncollected: number
  /** The metrics did not tell the price: the hold was taken. */
  charge_estimated: boolean
  /** null: of the first release, which did not say. */
  keep: FrozenKeep | null
  /** The job that this one tries again. */
  retry_of: string | null
  /** The version that ran, as upstream told it at the end: `hidden` for official models. */
  resolved_version: string | null
  /** Asked for, or told by the model. */
  seed: number | null
  /** Of the input, when retention has removed it: SHA-256 of its canonical JSON. */
  input_sha256: string | null
  /** Files stand as their artifact's id, lost ones as null. */
  output: Json
  /** The artifact that holds the whole output, which is too long for the record; `output` then is its id. */
  output_artifact: string | null
  artifacts: ArtifactRecord[]
  progress: number | null
  /** The beginning of a text that is still growing; lossy, written beside the commits. */
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
 * One POST to Replicate. `intended`: the permit is out; `unknown`: its outcome is not known; `open`: a prediction
 * exists and is not final; `closed`: nothing can come of it any more.
 */
export const ATTEMPT_STATES = ['intended', 'unknown', 'open', 'closed'] as const
export type AttemptState = (typeof ATTEMPT_STATES)[number]

export interface AttemptRecord {
  v: 1
  n: number
  account: string
  state: AttemptState
  /** The id of the commit that wrote the intent: its author alone may POST. */
  claim: string
  intended_at: number
  prediction_id: string | null
  /** How it ended, or why nothing is known: `not_sent`, `rate_limited`, `succeeded`, `connection_reset`, … */
  outcome: string | null
  /** Who brought the final news: webhook, poll, cancel or create. */
  finished_by: Cause | null
  /** The newest webhook that changed something. */
  webhook_id: string | null
  /** Predictions beyond the owned one that carried this attempt's token. */
  orphans: string[]
  /** Begin of the first complete listing that did not show a prediction of this attempt, ms. */
  absent_since: number | null
  /** When upstream first answered 404 for the prediction, ms. */
  missing_since: number | null
  closed_at: number | null
}

/** The claim of an attempt whose intent Redis forgot and upstream remembered. */
export const RECOVERED = 'recovered'

/** An attempt before its intent fills it in. */
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

/** What made a transition happen. */
export const CAUSES = ['api', 'create', 'webhook', 'poll', 'list', 'cancel', 'worker', 'sweep'] as const
export type Cause = (typeof CAUSES)[number]

/**
 * Work that a commit owes to the world: a row of the outbox, written with the change and removed by the commit that
 * records its result.
 */
export type Effect =
  | {
      v: 1
      kind: 'store'
      attempt: number
      /** What upstream answered; null when it is too large for the record: then the store job asks again. */
      output: Json
      output_pending: boolean
      /** ms; Replicate removes the files then. */
      expires_at: number
      /** ms; not stored by then: the job fails. */
      give_up_at: number
    }
  | { v: 1; kind: 'cancel'; attempt: number; prediction_id: string; requested_at: number }

export const effectKey = (effect: Effect): string =>
  effect.kind === 'store' ? `store:${effect.attempt}` : `cancel:${effect.attempt}:${effect.prediction_id}`

/** All that a decision may look at. */
export interface JobState {
  job: JobRecord
  attempts: AttemptRecord[]
  effects: Effect[]
}

export const attemptOf = (state: JobState, n: number): AttemptRecord | undefined =>
  state.attempts.find((attempt) => attempt.n === n)
