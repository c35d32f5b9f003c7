import type { Prediction } from '../prediction.ts'
import { plannedEnd, startedAtOf } from '../prediction.ts'
import { fileNames } from '../run-files.ts'
import { FILES_AT } from '../run-stages.ts'
import { tokensOf } from '../run-content.ts'
import type { Services } from './services.ts'
import { showPrediction } from './show-prediction.ts'

const LOOK_EVERY_MS = 200

/**
 * Waits until the run is over or the time has passed. With the habit `first_output` it returns earlier, as recorded in
 * 2024: the prediction still `processing`, with its text and an empty token after it, or with its files as data URIs.
 * @returns null at completion or timeout, without a first output
 */
export async function firstOutput(
  services: Services,
  prediction: Prediction,
  origin: string,
  waitMs: number,
): Promise<object | null> {
  const { clock, lifeCycle, habits, stopping } = services
  const until = clock.now() + waitMs
  if (habits.current.wait_answers === 'finished') {
    await lifeCycle.waitForEnd(prediction, waitMs)
    return null
  }
  for (;;) {
    const at = firstOutputAt(services, prediction)
    if (prediction.end !== null || clock.now() >= until || stopping.aborted) {
      return prediction.end?.status === 'succeeded' && at !== null ? early(services, prediction, origin, at) : null
    }
    if (at !== null && at <= clock.now()) return early(services, prediction, origin, at)
    const next = Math.min(until, at ?? Infinity, clock.now() + LOOK_EVERY_MS)
    await lifeCycle.waitForEnd(prediction, Math.max(1, next - clock.now()))
  }
}

/** Time of the first output; null while unknown or when there is none before completion. */
function firstOutputAt({ catalogue }: Services, prediction: Prediction): number | null {
  const startedAt = startedAtOf(prediction)
  const end = prediction.end ?? plannedEnd(prediction)
  if (startedAt === null || end?.status !== 'succeeded') return null
  const model = catalogue.ofPrediction(prediction)
  const hasEarly = model.output.kind === 'text' || fileNames(prediction, model).length > 0
  return hasEarly ? startedAt + prediction.plan.runForMs * FILES_AT : null
}

async function early(services: Services, prediction: Prediction, origin: string, at: number): Promise<object> {
  const { completed_at: _, ...view } = await showPrediction(services, prediction, origin, at)
  const model = services.catalogue.ofPrediction(prediction)
  const isText = model.output.kind === 'text'
  const output = isText ? [...tokensOf(prediction, model), ''] : await services.files.dataUris(prediction)
  return { ...view, status: 'processing', metrics: {}, output }
}
