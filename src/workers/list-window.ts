import type { Budget } from '../shared/limits/budget.ts'
import type { Prediction } from '../shared/replicate/prediction.ts'
import type { PredictionPort } from '../shared/replicate/prediction-port.ts'

type Sources = { upstream: PredictionPort; reads: Budget }
type Window = { after: number; before: number }

/**
 * Hands over the predictions of a window of time, newest first, page by page: thousands of whole predictions are never in
 * memory together. False when a page failed, because then something may be missing.
 */
export async function eachPage(
  { upstream, reads }: Sources,
  window: Window,
  signal: AbortSignal,
  take: (predictions: Prediction[]) => Promise<void>,
): Promise<boolean> {
  let cursor: string | null = null
  for (let page = 0; page < MAX_PAGES; page++) {
    await reads.take(signal)
    const outcome = await upstream.list({ ...window, cursor })
    if (outcome.kind !== 'page') return false
    await take(outcome.predictions)
    if (outcome.cursor === null) return true
    cursor = outcome.cursor
  }
  return false
}

/** All of them together; null when a page failed. */
export async function listAll(sources: Sources, window: Window, signal: AbortSignal): Promise<Prediction[] | null> {
  const found: Prediction[] = []
  const isComplete = await eachPage(sources, window, signal, async (predictions) => {
    found.push(...predictions)
  })
  return isComplete ? found : null
}

/** Far more than an hour of creates at ten a second. */
const MAX_PAGES = 1000
