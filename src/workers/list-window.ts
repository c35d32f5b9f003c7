import type { Budget } from '../shared/limits/rules/budget.ts'
import type { Prediction } from '../shared/replicate/rules/prediction.ts'
import type { PredictionPort, ReadFailure } from '../shared/replicate/prediction-port.ts'

type Sources = { upstream: PredictionPort; reads: Budget }
type Window = { after: number; before: number }

/** Why a listing may be incomplete. `message`: text for the log and for `waiting_for`. */
export interface ListFailure {
  cause: 'account' | 'upstream' | 'rate_limited'
  message: string
  /** Retry-After of upstream, ms; null: none. */
  retryAfterMs: number | null
}

export type Listing = { kind: 'complete'; predictions: Prediction[] } | { kind: 'incomplete'; failure: ListFailure }

/**
 * Passes the predictions of a window of time to `take`, newest first, page by page, so that memory holds one page at a time.
 * A prediction may appear twice. When a page cannot be read, the rest of the window is listed in halves; an unreadable row
 * is read individually. Returns null when the listing was complete, else why something may be missing.
 */
export async function eachPage(
  sources: Sources,
  window: Window,
  signal: AbortSignal,
  take: (predictions: Prediction[]) => Promise<void>,
): Promise<ListFailure | null> {
  const parts = [window]
  let halvings = 0
  for (let part = parts.pop(); part; part = parts.pop()) {
    const broke = await listPart(sources, part, signal, take)
    if (broke === null) continue
    const { failure, left } = broke
    if (left === null || left.before - left.after < NARROWEST_MS || ++halvings > MAX_HALVINGS) return failure
    const middle = Math.floor((left.after + left.before) / 2)
    // The halves overlap, because upstream may treat either bound as exclusive.
    parts.push({ after: left.after, before: middle + 1 }, { after: middle - 1, before: left.before })
  }
  return null
}

/** Lists one part of a window. `left`: the part that may be readable in smaller parts; null: none. */
async function listPart(
  { upstream, reads }: Sources,
  window: Window,
  signal: AbortSignal,
  take: (predictions: Prediction[]) => Promise<void>,
): Promise<{ failure: ListFailure; left: Window | null } | null> {
  let cursor: string | null = null
  let oldest = window.before
  for (let page = 0; page < MAX_PAGES; page++) {
    await reads.take(signal)
    const outcome = await upstream.list({ ...window, cursor })
    if (outcome.kind !== 'page') {
      const isNarrow = outcome.kind === 'failed' && outcome.narrow === true
      return { failure: failureOf(outcome), left: isNarrow ? { after: window.after, before: oldest } : null }
    }
    await take(outcome.predictions)
    const failure = await eachUnread({ upstream, reads }, outcome.unread ?? [], signal, take)
    if (failure !== null) return { failure, left: null }
    if (outcome.cursor === null) return null
    cursor = outcome.cursor
    for (const { created_at } of outcome.predictions) if (created_at !== null) oldest = Math.min(oldest, created_at + 1)
  }
  const message = `the list has more than ${MAX_PAGES} pages`
  return { failure: { cause: 'upstream', message, retryAfterMs: null }, left: null }
}

/** Reads each row individually that was unreadable in the listing. */
async function eachUnread(
  { upstream, reads }: Sources,
  ids: readonly string[],
  signal: AbortSignal,
  take: (predictions: Prediction[]) => Promise<void>,
): Promise<ListFailure | null> {
  for (const id of ids) {
    await reads.take(signal)
    const outcome = await upstream.get(id)
    if (outcome.kind === 'prediction') await take([outcome.prediction])
    else if (outcome.kind !== 'not_found') return failureOf(outcome)
  }
  return null
}

type Failed = ReadFailure | { kind: 'rate_limited'; retryAfterMs: number }

function failureOf(outcome: Failed): ListFailure {
  return outcome.kind === 'rate_limited'
    ? { cause: 'rate_limited', message: 'Replicate limits the rate of requests', retryAfterMs: outcome.retryAfterMs }
    : { cause: outcome.cause, message: outcome.reason, retryAfterMs: null }
}

/** All predictions of a window, or why they could not be listed. */
export async function listAll(sources: Sources, window: Window, signal: AbortSignal): Promise<Listing> {
  const predictions = new Map<string, Prediction>()
  const failure = await eachPage(sources, window, signal, async (page) => {
    for (const prediction of page) predictions.set(prediction.id, prediction)
  })
  return failure === null
    ? { kind: 'complete', predictions: [...predictions.values()] }
    : { kind: 'incomplete', failure }
}

/** Limit of pages, far above an hour of creates at ten a second. */
const MAX_PAGES = 1000
/** A part of a window shorter than this is not halved. */
const NARROWEST_MS = 1000
/** Limit of halvings of one window: enough to get from an hour to a second. */
const MAX_HALVINGS = 24
