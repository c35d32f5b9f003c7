import type { Budget } from '../shared/limits/rules/budget.ts'
import type { Prediction } from '../shared/replicate/rules/prediction.ts'
import type { PredictionPort } from '../shared/replicate/prediction-port.ts'
import { listAll, type Listing } from './list-window.ts'

/**
 * Lists upstream's predictions of a window, each with its webhook URL where upstream provides one: reads each unowned row
 * without a URL individually.
 */
export async function listWithWebhooks(
  dependencies: {
    upstream: PredictionPort
    reads: Budget
    unowned: (predictions: string[]) => Promise<string[]>
  },
  window: { after: number; before: number },
  signal: AbortSignal,
): Promise<Listing> {
  const { upstream, reads, unowned } = dependencies
  const listed = await listAll({ upstream, reads }, window, signal)
  if (listed.kind === 'incomplete') return listed
  const incomplete = new Set(await unowned(listed.predictions.filter(({ webhook }) => !webhook).map(({ id }) => id)))
  const predictions: Prediction[] = []
  for (const prediction of listed.predictions) {
    if (incomplete.has(prediction.id)) await reads.take(signal)
    const outcome = incomplete.has(prediction.id) ? await upstream.get(prediction.id) : null
    predictions.push(outcome?.kind === 'prediction' ? outcome.prediction : prediction)
  }
  return { kind: 'complete', predictions }
}
