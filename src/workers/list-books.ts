import type { Budget } from '../shared/limits/budget.ts'
import type { Prediction } from '../shared/replicate/prediction.ts'
import type { PredictionPort } from '../shared/replicate/prediction-port.ts'
import { listAll } from './list-window.ts'

/**
 * Upstream's predictions of a window, each with its webhook if upstream tells it: a row without one, of which nobody
 * knows whose it is, is asked for by itself. null when upstream could not be listed.
 */
export async function listBooks(
  dependencies: {
    upstream: PredictionPort
    reads: Budget
    unowned: (predictions: string[]) => Promise<string[]>
  },
  window: { after: number; before: number },
  signal: AbortSignal,
): Promise<Prediction[] | null> {
  const { upstream, reads, unowned } = dependencies
  const listed = await listAll({ upstream, reads }, window, signal)
  if (listed.kind === 'incomplete') return null
  const mute = new Set(await unowned(listed.predictions.filter(({ webhook }) => !webhook).map(({ id }) => id)))
  const books: Prediction[] = []
  for (const prediction of listed.predictions) {
    if (mute.has(prediction.id)) await reads.take(signal)
    const outcome = mute.has(prediction.id) ? await upstream.get(prediction.id) : null
    books.push(outcome?.kind === 'prediction' ? outcome.prediction : prediction)
  }
  return books
}
