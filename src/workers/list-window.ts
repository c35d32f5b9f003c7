import type { Budget } from '../shared/limits/budget.ts'
import type { Prediction } from '../shared/replicate/prediction.ts'
import type { PredictionPort } from '../shared/replicate/prediction-port.ts'

type Sources = { upstream: PredictionPort; reads: Budget }
type Window = { after: number; before: number }

/** Why a listing may lack something. `message`: words for a log and for those who wait. */
export interface ListFailure {
  cause: 'account' | 'upstream' | 'rate_limited'
  message: string
  /** How long upstream asks to wait, ms; null: it does not say. */
  retryAfterMs: number | null
}

export type Listing = { kind: 'complete'; predictions: Prediction[] } | { kind: 'incomplete'; failure: ListFailure }

/**
 * Hands over the predictions of a window of time, newest first, page by page: thousands of whole predictions are never in
 * memory together. Returns null when the listing was complete, else why something may be missing.
 */
export async function eachPage(
  { upstream, reads }: Sources,
  window: Window,
  signal: AbortSignal,
  take: (predictions: Prediction[]) => Promise<void>,
): Promise<ListFailure | null> {
  let cursor: string | null = null
  for (let page = 0; page < MAX_PAGES; page++) {
    await reads.take(signal)
    const outcome = await upstream.list({ ...window, cursor })
    if (outcome.kind !== 'page') return failureOf(outcome)
    await take(outcome.predictions)
    if (outcome.cursor === null) return null
    cursor = outcome.cursor
  }
  return { cause: 'upstream', message: `the list has more than ${MAX_PAGES} pages`, retryAfterMs: null }
}

type Failed = Exclude<Awaited<ReturnType<PredictionPort['list']>>, { kind: 'page' }>

function failureOf(outcome: Failed): ListFailure {
  return outcome.kind === 'rate_limited'
    ? { cause: 'rate_limited', message: 'Replicate limits the rate of requests', retryAfterMs: outcome.retryAfterMs }
    : { cause: outcome.cause, message: outcome.reason, retryAfterMs: null }
}

/** All predictions of a window, or why they could not be listed. */
export async function listAll(sources: Sources, window: Window, signal: AbortSignal): Promise<Listing> {
  const predictions: Prediction[] = []
  const failure = await eachPage(sources, window, signal, async (page) => {
    predictions.push(...page)
  })
  return failure === null ? { kind: 'complete', predictions } : { kind: 'incomplete', failure }
}

/** Far more than an hour of creates at ten a second. */
const MAX_PAGES = 1000
