import { applyChange, type ChangeEntry, changeEntriesOf, type Changes, noChanges } from './models/changes.ts'
import type { Prediction, RunEnd, StoredInput } from './prediction.ts'
import { type Upload, UPLOAD_KEPT_MS } from './upload.ts'

/** The state of the books, and the journal entries that produce it. */

export interface Counts {
  create_requests: number
  created: number
  gets: number
  lists: number
  cancels: number
  throttled: number
}

export interface WebhookCounts {
  sent: number
  delivered: number
  failed: number
  dropped: number
}

/** Belongs to the data folder and never changes within it. */
export interface Identity {
  seed: number
  webhookSecret: string
  /** Signs file URLs and derives message ids; never exposed. */
  privateKey: string
}

/** The account's money, in US dollars. */
export interface Credit {
  /** The amount it was set to; null: unlimited. */
  granted: number | null
  /** Remaining amount; negative when the last runs cost more than was left. */
  left: number
  paymentMethod: boolean
}

export interface Ended {
  end: RunEnd
  metrics: Prediction['metrics']
  billedSeconds: number
  cost: number
}

/** Result of fetching the inputs; `error` is the reason of a failure. */
export interface InputsReady {
  at: number
  inputs: Record<string, StoredInput>
  error: string | null
}

export type Entry =
  | { t: 'identity'; identity: Identity }
  | { t: 'totals'; counts: Counts; webhooks: WebhookCounts; sequence: number }
  | { t: 'credit'; credit: Credit }
  | { t: 'count'; of: keyof Counts }
  | { t: 'webhook'; of: keyof WebhookCounts }
  | { t: 'prediction'; row: Prediction }
  | { t: 'inputs_ready'; id: string; ready: InputsReady }
  | { t: 'end'; id: string; ended: Ended }
  | { t: 'queued'; id: string }
  | { t: 'dequeued'; id: string; at: number }
  | { t: 'start_announced' | 'settled' | 'removed'; id: string }
  | { t: 'upload'; row: Upload }
  | { t: 'upload_removed'; upload: string }
  | { t: 'aged'; ms: number }
  | ChangeEntry

export interface State {
  identity: Identity
  counts: Counts
  webhooks: WebhookCounts
  credit: Credit
  sequence: number
  predictions: Map<string, Prediction>
  /** Predictions whose input and output have not been removed. */
  whole: Map<string, Prediction>
  /** Files of the files API, oldest first. */
  uploads: Map<string, Upload>
  /** Of models, versions and deployments. */
  changes: Changes
}

export const noCounts = (): Counts => ({
  create_requests: 0,
  created: 0,
  gets: 0,
  lists: 0,
  cancels: 0,
  throttled: 0,
})
export const noWebhooks = (): WebhookCounts => ({ sent: 0, delivered: 0, failed: 0, dropped: 0 })

export const emptyState = (identity: Identity): State => ({
  identity,
  counts: noCounts(),
  webhooks: noWebhooks(),
  credit: { granted: null, left: 0, paymentMethod: true },
  sequence: 0,
  predictions: new Map(),
  whole: new Map(),
  uploads: new Map(),
  changes: noChanges(),
})

/** Only the books write the journal, so an entry with a `t` has the form of its type. */
export const isEntry = (value: unknown): value is Entry =>
  typeof value === 'object' && value !== null && 't' in value && typeof value.t === 'string'

/** The only place that changes the state, so live changes and journal replay cannot differ. */
export function apply(state: State, entry: Entry): void {
  switch (entry.t) {
    case 'identity':
      Object.assign(state.identity, entry.identity)
      return
    case 'totals':
      state.counts = { ...entry.counts }
      state.webhooks = { ...entry.webhooks }
      state.sequence = entry.sequence
      return
    case 'credit':
      state.credit = { ...entry.credit }
      return
    case 'count':
      state.counts[entry.of] += 1
      return
    case 'webhook':
      state.webhooks[entry.of] += 1
      return
    case 'aged':
      for (const one of [...state.whole.values(), ...state.uploads.values()]) one.agedMs += entry.ms
      return
    case 'prediction':
      state.predictions.set(entry.row.id, entry.row)
      if (!entry.row.removed) state.whole.set(entry.row.id, entry.row)
      state.sequence += 1
      if (entry.row.training === undefined) state.counts.created += 1
      return
    case 'upload':
      state.uploads.set(entry.row.id, entry.row)
      return
    case 'upload_removed':
      state.uploads.delete(entry.upload)
      return
    case 'model':
    case 'deployment':
      applyChange(state.changes, entry)
      return
    case 'version':
      applyChange(state.changes, entry)
      if (entry.row === null) removePredictionsOf(state, entry.version)
      return
    case 'inputs_ready':
    case 'end':
    case 'queued':
    case 'dequeued':
    case 'start_announced':
    case 'settled':
    case 'removed':
      applyToPrediction(state, entry)
  }
}

/** With a version its predictions are gone. */
function removePredictionsOf(state: State, version: string): void {
  for (const one of state.predictions.values()) {
    if (one.version !== version) continue
    state.predictions.delete(one.id)
    state.whole.delete(one.id)
  }
}

function applyToPrediction(state: State, entry: Extract<Entry, { id: string }>): void {
  const prediction = state.predictions.get(entry.id)
  if (prediction === undefined) return
  switch (entry.t) {
    case 'inputs_ready':
      startWith(prediction, entry.ready)
      return
    case 'end':
      Object.assign(prediction, entry.ended)
      state.credit.left -= entry.ended.cost
      return
    case 'queued':
      prediction.queued = true
      return
    case 'dequeued':
      prediction.queued = false
      startNotBefore(prediction, entry.at)
      return
    case 'start_announced':
      prediction.startAnnounced = true
      return
    case 'settled':
      prediction.settled = true
      return
    case 'removed':
      prediction.removed = true
      prediction.input = {}
      prediction.inputs = {}
      state.whole.delete(prediction.id)
  }
}

function startNotBefore({ plan, createdAt }: Prediction, at: number): void {
  if (plan.startAfterMs !== null) plan.startAfterMs = Math.max(plan.startAfterMs, at - createdAt)
}

/** Longest run with an unusable input. */
const REFUSED_WITHIN_MS = 100

/** Starts a run once its inputs are fetched; a failed fetch makes it fail at once. */
function startWith(prediction: Prediction, { at, inputs, error }: InputsReady): void {
  const { plan } = prediction
  prediction.inputs = inputs
  startNotBefore(prediction, at)
  if (error === null) return
  plan.error = error
  plan.runForMs = Math.min(plan.runForMs, REFUSED_WITHIN_MS)
}

export const isExpired = (upload: Upload, now: number): boolean =>
  now - upload.createdAt + upload.agedMs >= UPLOAD_KEPT_MS

/** The shortest journal that produces the state. */
export function* entriesOf(state: State): Generator<Entry> {
  yield { t: 'identity', identity: state.identity }
  yield* changeEntriesOf(state.changes)
  for (const row of state.predictions.values()) yield { t: 'prediction', row }
  for (const row of state.uploads.values()) yield { t: 'upload', row }
  yield { t: 'totals', counts: state.counts, webhooks: state.webhooks, sequence: state.sequence }
  yield { t: 'credit', credit: state.credit }
}
