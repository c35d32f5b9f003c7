import type { Prediction } from '../prediction.ts'
import { type ViewContext, viewOf } from '../prediction-view.ts'
import type { Services } from './services.ts'

export function viewContextOf(
  { book, catalogue, clock, files, habits }: Services,
  prediction: Prediction,
  origin: string,
  now = clock.now(),
): ViewContext {
  return {
    model: catalogue.ofPrediction(prediction),
    now,
    origin,
    privateKey: book.identity.privateKey,
    habits: habits.current,
    dataUri: files.dataUri,
  }
}

/** A prediction at a given moment, with URLs on the client's host. */
export async function showPrediction(services: Services, prediction: Prediction, origin: string, now?: number) {
  await services.files.prepare(prediction)
  return viewOf(prediction, viewContextOf(services, prediction, origin, now))
}
