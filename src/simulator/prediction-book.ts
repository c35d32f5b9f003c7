import type { Journal } from './journal.ts'
import { newWebhookSecret } from './identifiers.ts'
import { type Prediction, REMOVED_AFTER_MS, type RunEnd } from './prediction.ts'

/** The books: every prediction, what was counted, and the keys. Each change is in the journal before it is answered. */

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

/** Belongs to the data folder: the same as long as the folder lives. */
export interface Identity {
  seed: number
  webhookSecret: string
  /** Proves file addresses and makes message ids; never shown. */
  privateKey: string
}

export interface Ended {
  end: RunEnd
  metrics: Record<string, number>
  billedSeconds: number
  cost: number
}

export interface PredictionBook {
  readonly identity: Identity
  readonly counts: Readonly<Counts>
  readonly webhooks: Readonly<WebhookCounts>
  count(name: Exclude<keyof Counts, 'created'>): void
  countWebhook(name: keyof WebhookCounts): void
  /** How many were ever created, also before a reset: gives every run its own share of the seed. */
  nextSequence(): number
  /** Adds it, and counts it as created in the same step. */
  add(prediction: Prediction): void
  end(prediction: Prediction, ended: Ended): void
  markStartAnnounced(prediction: Prediction): void
  markSettled(prediction: Prediction): void
  find(id: string): Prediction | undefined
  /** Newest first. */
  newestFirst(): Iterable<Prediction>
  all(): Iterable<Prediction>
  /** Makes everything that exists older; moves no timestamps. */
  age(ms: number): void
  /** Takes input and output from what is older than an hour and final. */
  removeExpired(now: number): Prediction[]
  changeSecret(): string
  reset(): void
  close(): void
}

type Entry =
  | { t: 'identity'; identity: Identity }
  | { t: 'totals'; counts: Counts; webhooks: WebhookCounts; sequence: number }
  | { t: 'count'; of: keyof Counts }
  | { t: 'webhook'; of: keyof WebhookCounts }
  | { t: 'prediction'; row: Prediction }
  | { t: 'end'; id: string; ended: Ended }
  | { t: 'start_announced' | 'settled' | 'removed'; id: string }
  | { t: 'aged'; ms: number }

interface State {
  identity: Identity
  counts: Counts
  webhooks: WebhookCounts
  sequence: number
  predictions: Map<string, Prediction>
  /** Those whose input and output are still there. */
  whole: Map<string, Prediction>
}

const noCounts = (): Counts => ({ create_requests: 0, created: 0, gets: 0, lists: 0, cancels: 0, throttled: 0 })
const noWebhooks = (): WebhookCounts => ({ sent: 0, delivered: 0, failed: 0, dropped: 0 })

export function openPredictionBook(journal: Journal, entries: readonly unknown[], seed?: number): PredictionBook {
  const state: State = {
    identity: { seed: seed ?? Math.floor(Math.random() * 2 ** 31), webhookSecret: newWebhookSecret(), privateKey: '' },
    counts: noCounts(),
    webhooks: noWebhooks(),
    sequence: 0,
    predictions: new Map(),
    whole: new Map(),
  }
  state.identity.privateKey = newWebhookSecret()
  for (const entry of entries) if (isEntry(entry)) apply(state, entry)
  if (seed !== undefined) state.identity.seed = seed
  journal.rewrite(entriesOf(state))

  const commit = (entry: Entry) => {
    apply(state, entry)
    journal.append(entry)
    if (journal.isLong()) journal.rewrite(entriesOf(state))
  }
  return {
    identity: state.identity,
    get counts() {
      return state.counts
    },
    get webhooks() {
      return state.webhooks
    },
    count: (of) => commit({ t: 'count', of }),
    countWebhook: (of) => commit({ t: 'webhook', of }),
    nextSequence: () => state.sequence,
    add: (row) => commit({ t: 'prediction', row }),
    end: (prediction, ended) => commit({ t: 'end', id: prediction.id, ended }),
    markStartAnnounced: ({ id }) => commit({ t: 'start_announced', id }),
    markSettled: ({ id }) => commit({ t: 'settled', id }),
    find: (id) => state.predictions.get(id),
    newestFirst: () => [...state.predictions.values()].toReversed(),
    all: () => state.predictions.values(),
    age: (ms) => commit({ t: 'aged', ms }),
    removeExpired(now) {
      const expired = [...state.whole.values()].filter((one) => one.end !== null && ageOf(one, now) >= REMOVED_AFTER_MS)
      for (const { id } of expired) commit({ t: 'removed', id })
      return expired
    },
    changeSecret() {
      const identity = { ...state.identity, webhookSecret: newWebhookSecret() }
      commit({ t: 'identity', identity })
      return identity.webhookSecret
    },
    reset() {
      state.predictions.clear()
      state.whole.clear()
      state.counts = noCounts()
      state.webhooks = noWebhooks()
      journal.rewrite(entriesOf(state))
    },
    close: () => journal.close(),
  }
}

/** The journal is written by this file only: what has a known type has its form. */
const isEntry = (value: unknown): value is Entry =>
  typeof value === 'object' && value !== null && 't' in value && typeof value.t === 'string'

const ageOf = (prediction: Prediction, now: number) => now - prediction.createdAt + prediction.agedMs

/** The only place that changes the state: what is done and what is read back from the journal cannot differ. */
function apply(state: State, entry: Entry): void {
  switch (entry.t) {
    case 'identity':
      Object.assign(state.identity, entry.identity)
      return
    case 'totals':
      state.counts = { ...entry.counts }
      state.webhooks = { ...entry.webhooks }
      state.sequence = entry.sequence
      return
    case 'count':
      state.counts[entry.of] += 1
      return
    case 'webhook':
      state.webhooks[entry.of] += 1
      return
    case 'aged':
      for (const prediction of state.whole.values()) prediction.agedMs += entry.ms
      return
    case 'prediction':
      state.predictions.set(entry.row.id, entry.row)
      if (!entry.row.removed) state.whole.set(entry.row.id, entry.row)
      state.sequence += 1
      state.counts.created += 1
      return
    case 'end':
    case 'start_announced':
    case 'settled':
    case 'removed':
      applyToPrediction(state, entry)
  }
}

function applyToPrediction(state: State, entry: Extract<Entry, { id: string }>): void {
  const prediction = state.predictions.get(entry.id)
  if (prediction === undefined) return
  switch (entry.t) {
    case 'end':
      Object.assign(prediction, entry.ended)
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
      state.whole.delete(prediction.id)
  }
}

function* entriesOf(state: State): Generator<Entry> {
  yield { t: 'identity', identity: state.identity }
  for (const row of state.predictions.values()) yield { t: 'prediction', row }
  yield { t: 'totals', counts: state.counts, webhooks: state.webhooks, sequence: state.sequence }
}
