import type { StubbedRun } from './models/model.ts'
import type { Training } from './models/training.ts'

/** The simulator's types. Times are milliseconds since 1970, with a fraction where Replicate shows nanoseconds. */

export const PREDICTION_STATUSES = ['starting', 'processing', 'succeeded', 'failed', 'canceled', 'aborted'] as const
export type PredictionStatus = (typeof PREDICTION_STATUSES)[number]
export type FinalStatus = Exclude<PredictionStatus, 'starting' | 'processing'>

export const WEBHOOK_EVENTS = ['start', 'output', 'logs', 'completed'] as const
export type WebhookEvent = (typeof WEBHOOK_EVENTS)[number]

/** Decisions made at creation. With `createdAt` they determine the run's state at any moment. */
export interface RunPlan {
  /** From creation to the start of the run; null: it never starts. */
  startAfterMs: number | null
  runForMs: number
  /** If set, the run ends `failed` with this text. */
  error: string | null
  /** Bytes of extra logs. */
  extraLogBytes: number
  /** Another shape of the output than the model's own. */
  shape?: OutputShape
  /** An output of this size in place of the model's own. */
  hugeOutput?: HugeOutput
  /** Metrics in the completion; all when absent. */
  metrics?: MetricsKept
  /** What a stub replaces of the model. */
  stub?: StubbedRun
  /** The model named in responses, if not the requested one. */
  shownModel?: string
}

export const OUTPUT_SHAPES = ['single', 'array', 'object', 'data_uri', 'null'] as const
export type OutputShape = (typeof OUTPUT_SHAPES)[number]

export const HUGE_OUTPUTS = ['data_uris', 'text', 'tokens'] as const
/** `bytes`: of each data URI's file, or of the text; `count`: of data URIs. */
export interface HugeOutput {
  as: (typeof HUGE_OUTPUTS)[number]
  count: number
  bytes: number
}

export const METRICS_KEPT = ['times', 'counts', 'none'] as const
export type MetricsKept = (typeof METRICS_KEPT)[number]

/** An input file, fetched before the run starts. */
export interface StoredInput {
  /** The name of its bytes in the blobs. */
  blob: string
  mediaType: string
  /** Length of a sound, if its header states it. */
  seconds: number | null
}

export interface RunEnd {
  status: FinalStatus
  at: number
  startedAt: number | null
}

/** One prediction or training as stored in the journal. */
export interface Prediction {
  id: string
  createdAt: number
  /** `owner/name` of the model in the catalogue. */
  model: string
  /** 64 hex digits, or `hidden` when the model was called by its name. */
  version: string
  /** A training has this, and is none of the predictions. */
  training?: Training
  /** `owner/name`, when it was created through a deployment. */
  deployment: string | null
  /** The account that has it; absent: the shared one. */
  account?: string
  input: Record<string, unknown>
  /** The input files: null until fetched; absent when the model takes none. */
  inputs?: Record<string, StoredInput> | null
  seed: number
  /** Scheme, host and port that the creator used: webhooks carry URLs on it. */
  origin: string
  webhook: string | null
  events: WebhookEvent[]
  /** Whether the create named the events. */
  filtered?: true
  deadlineAt: number | null
  /** Waits for an instance of its deployment; false: had to wait; absent: did not. */
  queued?: boolean
  plan: RunPlan
  end: RunEnd | null
  /** Age added by the movable clock. */
  agedMs: number
  /** Input, output and logs are gone. */
  removed: boolean
  /** Whether the start webhook was announced: survives a restart. */
  startAnnounced: boolean
  /** The last webhook was delivered or given up, or there is none to send. */
  settled: boolean
  /** Kept after input and output are removed. */
  metrics: Record<string, number | string | boolean>
  billedSeconds: number
  /** In US dollars. */
  cost: number
}

/** The part of a new row that says that nothing has happened yet. */
export const notBegun = () => ({
  end: null,
  agedMs: 0,
  removed: false,
  startAnnounced: false,
  settled: false,
  metrics: {},
  billedSeconds: 0,
  cost: 0,
})

/** Replicate removes input, output, logs and files one hour after creation. */
export const REMOVED_AFTER_MS = 3_600_000

export function startedAtOf(prediction: Prediction): number | null {
  if (prediction.end !== null) return prediction.end.startedAt
  const { startAfterMs } = prediction.plan
  return startAfterMs === null || prediction.inputs === null || prediction.queued === true
    ? null
    : prediction.createdAt + startAfterMs
}

export function statusAt(prediction: Prediction, now: number): PredictionStatus {
  if (prediction.end !== null) return prediction.end.status
  const startedAt = startedAtOf(prediction)
  return startedAt !== null && now >= startedAt ? 'processing' : 'starting'
}

/** Progress of the run, from 0 to 1. */
export function progressAt(prediction: Prediction, now: number): number {
  const startedAt = startedAtOf(prediction)
  if (startedAt === null) return 0
  if (prediction.end?.status === 'succeeded') return 1
  const until = prediction.end === null ? now : prediction.end.at
  return Math.min(1, Math.max(0, (until - startedAt) / Math.max(prediction.plan.runForMs, 0.001)))
}

/** The completion that follows from plan and deadline; null when neither ever ends the run. */
export function plannedEnd(prediction: Prediction): RunEnd | null {
  const startedAt = startedAtOf(prediction)
  const { deadlineAt, plan } = prediction
  const doneAt = startedAt === null ? Infinity : startedAt + plan.runForMs
  if (deadlineAt !== null && deadlineAt < doneAt) {
    return startedAt !== null && startedAt < deadlineAt
      ? { status: 'canceled', at: deadlineAt, startedAt }
      : { status: 'aborted', at: deadlineAt, startedAt: null }
  }
  if (startedAt === null) return null
  return { status: plan.error === null ? 'succeeded' : 'failed', at: doneAt, startedAt }
}
