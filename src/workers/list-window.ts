import type { Budget } from '../shared/limits/budget.ts'
import type { Prediction } from '../shared/replicate/prediction.ts'
import type { PredictionPort } from '../shared/replicate/prediction-port.ts'

/** Every prediction of a window of time, newest first; null when a page failed, because then something may be missing. */
export async function listAll(
  { upstream, reads }: { upstream: PredictionPort; reads: Budget },
  window: { after: number; before: number },
  signal: AbortSignal,
): Promise<Prediction[] | null> {
  const found: Prediction[] = []
  let cursor: string | null = null
  for (let page = 0; page < MAX_PAGES; page++) {
    await reads.take(signal)
    const outcome = await upstream.list({ ...window, cursor })
    if (outcome.kind !== 'page') return null
    found.push(...outcome.predictions)
    if (outcome.cursor === null) return found
    cursor = outcome.cursor
  }
  return null
}

/** Far more than an hour of creates at ten a second. */
const MAX_PAGES = 1000
