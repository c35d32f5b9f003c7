import { fileToken } from '../identifiers.ts'
import type { Prediction } from '../prediction.ts'
import { viewOf } from '../prediction-view.ts'
import type { Services } from './services.ts'

/** A prediction as it is at a moment, with URLs for the client that asked. */
export function showPrediction(
  { book, catalogue }: Services,
  prediction: Prediction,
  origin: string,
  now = Date.now(),
) {
  const token = fileToken(book.identity.privateKey, prediction.id)
  return viewOf(prediction, { model: catalogue.ofPrediction(prediction), now, origin, fileToken: token })
}
