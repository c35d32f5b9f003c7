import {
  apply,
  type Counts,
  type Credit,
  emptyState,
  type Ended,
  entriesOf,
  type Entry,
  type Identity,
  type InputsReady,
  isEntry,
  isExpired,
  noCounts,
  noWebhooks,
  type WebhookCounts,
} from './book-state.ts'
import type { ChangeEntry, Changes } from './models/changes.ts'
import type { Journal } from './journal.ts'
import { newWebhookSecret } from './identifiers.ts'
import { type Prediction, REMOVED_AFTER_MS } from './prediction.ts'
import type { Upload } from './upload.ts'

/** The books: predictions, uploads, money, counters and keys. Each change is in the journal before the response is sent. */

export interface PredictionBook {
  readonly identity: Identity
  readonly counts: Readonly<Counts>
  readonly webhooks: Readonly<WebhookCounts>
  count(name: Exclude<keyof Counts, 'created'>): void
  countWebhook(name: keyof WebhookCounts): void
  /** Number of predictions ever created, including before a reset: derives each run's own seed. */
  nextSequence(): number
  readonly credit: Readonly<Credit>
  /** @param usd null: unlimited */
  setCredit(credit: { usd: number | null; paymentMethod: boolean }): void
  /** Adds a prediction and counts it as created in one step. */
  add(prediction: Prediction): void
  markInputsReady(prediction: Prediction, ready: InputsReady): void
  /** Records the completion and subtracts the cost from the credit. */
  end(prediction: Prediction, ended: Ended): void
  /** It waits for an instance of its deployment. */
  markQueued(prediction: Prediction): void
  /** An instance is there since this time. */
  markDequeued(prediction: Prediction, at: number): void
  markStartAnnounced(prediction: Prediction): void
  markSettled(prediction: Prediction): void
  find(id: string): Prediction | undefined
  /** Newest first. */
  newestFirst(): Iterable<Prediction>
  all(): Iterable<Prediction>
  /** Ages everything that exists without changing timestamps. */
  age(ms: number): void
  /** Removes input and output of finished predictions older than an hour. */
  removeExpired(now: number): Prediction[]
  /** Of models, versions and deployments. */
  readonly changes: Readonly<Changes>
  /** Changes a model, version or deployment; null removes it, a version with its predictions. */
  change(entry: ChangeEntry): void
  addUpload(upload: Upload): void
  findUpload(id: string): Upload | undefined
  /** Oldest first. */
  uploads(): Iterable<Upload>
  removeUpload(upload: Upload): void
  /** Removes uploads older than a day. */
  removeExpiredUploads(now: number): Upload[]
  changeSecret(): string
  reset(): void
  close(): void
}

export interface BookOptions {
  seed?: number | undefined
  /** US dollars. Applied unless the journal was begun with the same amount. */
  creditUsd?: number | undefined
}

export function openPredictionBook(
  journal: Journal,
  entries: readonly unknown[],
  { seed, creditUsd }: BookOptions = {},
): PredictionBook {
  const state = emptyState({
    seed: seed ?? Math.floor(Math.random() * 2 ** 31),
    webhookSecret: newWebhookSecret(),
    privateKey: newWebhookSecret(),
  })
  for (const entry of entries) if (isEntry(entry)) apply(state, entry)
  if (seed !== undefined) state.identity.seed = seed
  if (creditUsd !== undefined && creditUsd !== state.credit.granted) {
    state.credit = { ...state.credit, granted: creditUsd, left: creditUsd }
  }
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
    get credit() {
      return state.credit
    },
    setCredit: ({ usd, paymentMethod }) =>
      commit({ t: 'credit', credit: { granted: usd, left: usd ?? 0, paymentMethod } }),
    count: (of) => commit({ t: 'count', of }),
    countWebhook: (of) => commit({ t: 'webhook', of }),
    nextSequence: () => state.sequence,
    add: (row) => commit({ t: 'prediction', row }),
    markInputsReady: ({ id }, ready) => commit({ t: 'inputs_ready', id, ready }),
    end: (prediction, ended) => commit({ t: 'end', id: prediction.id, ended }),
    markQueued: ({ id }) => commit({ t: 'queued', id }),
    markDequeued: ({ id }, at) => commit({ t: 'dequeued', id, at }),
    markStartAnnounced: ({ id }) => commit({ t: 'start_announced', id }),
    markSettled: ({ id }) => commit({ t: 'settled', id }),
    find: (id) => state.predictions.get(id),
    newestFirst: () => [...state.predictions.values()].toReversed(),
    all: () => state.predictions.values(),
    age: (ms) => commit({ t: 'aged', ms }),
    removeExpired(now) {
      const expired = [...state.whole.values()].filter(
        (one) => one.training === undefined && one.end !== null && ageOf(one, now) >= REMOVED_AFTER_MS,
      )
      for (const { id } of expired) commit({ t: 'removed', id })
      return expired
    },
    changes: state.changes,
    change: commit,
    addUpload: (row) => commit({ t: 'upload', row }),
    findUpload: (id) => state.uploads.get(id),
    uploads: () => state.uploads.values(),
    removeUpload: ({ id }) => commit({ t: 'upload_removed', upload: id }),
    removeExpiredUploads(now) {
      const expired = [...state.uploads.values()].filter((one) => isExpired(one, now))
      for (const { id } of expired) commit({ t: 'upload_removed', upload: id })
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
      state.uploads.clear()
      for (const rows of Object.values(state.changes)) rows.clear()
      state.counts = noCounts()
      state.webhooks = noWebhooks()
      state.credit.left = state.credit.granted ?? 0
      journal.rewrite(entriesOf(state))
    },
    close: () => journal.close(),
  }
}

const ageOf = (prediction: Prediction, now: number) => now - prediction.createdAt + prediction.agedMs
