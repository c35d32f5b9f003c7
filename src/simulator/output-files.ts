import { createHash } from 'node:crypto'
import { predictionOfToken } from './identifiers.ts'
import type { Catalogue } from './models/catalogue.ts'
import { drawPicture } from './pictures/draw-picture.ts'
import type { PredictionBook } from './prediction-book.ts'
import type { Prediction } from './prediction.ts'
import { pictureFormat, pictureNames, seedOf } from './run-content.ts'

export interface OutputFile {
  bytes: Buffer
  contentType: string
  etag: string
}

/** Output files are drawn when they are first fetched, and a few are kept: the same run always gives the same bytes. */
export interface OutputFiles {
  find(token: string, name: string): Promise<OutputFile | null>
  forget(predictions: readonly Prediction[]): void
  forgetAll(): void
}

const KEPT_BYTES = 48 * 1024 * 1024
const CONTENT_TYPES = { webp: 'image/webp', jpg: 'image/jpeg', png: 'image/png' } as const

export function createOutputFiles(book: PredictionBook, catalogue: Catalogue): OutputFiles {
  const kept = new Map<string, OutputFile>()
  const drawing = new Map<string, Promise<OutputFile>>()
  let keptBytes = 0

  function keep(key: string, file: OutputFile): void {
    kept.set(key, file)
    keptBytes += file.bytes.length
    for (const [oldest, { bytes }] of kept) {
      if (keptBytes <= KEPT_BYTES || oldest === key) return
      kept.delete(oldest)
      keptBytes -= bytes.length
    }
  }

  async function draw(prediction: Prediction, name: string, key: string): Promise<OutputFile> {
    try {
      const file = await drawOutput(prediction, pictureNames(prediction).indexOf(name))
      if (!prediction.removed) keep(key, file)
      return file
    } finally {
      drawing.delete(key)
    }
  }

  return {
    async find(token, name) {
      const prediction = book.find(predictionOfToken(book.identity.privateKey, token) ?? '')
      if (prediction === undefined || prediction.removed || !hasPictures(prediction, catalogue)) return null
      if (!pictureNames(prediction).includes(name)) return null
      const key = `${prediction.id}/${name}`
      const ready = kept.get(key)
      if (ready !== undefined) return ready
      const underWay = drawing.get(key) ?? draw(prediction, name, key)
      drawing.set(key, underWay)
      return underWay
    },
    forget(predictions) {
      for (const prediction of predictions) {
        for (const name of pictureNames(prediction)) {
          const key = `${prediction.id}/${name}`
          keptBytes -= kept.get(key)?.bytes.length ?? 0
          kept.delete(key)
        }
      }
    },
    forgetAll() {
      kept.clear()
      keptBytes = 0
    },
  }
}

const hasPictures = (prediction: Prediction, catalogue: Catalogue) =>
  catalogue.byName(prediction.model)?.output.kind === 'pictures'

async function drawOutput(prediction: Prediction, index: number): Promise<OutputFile> {
  const { input } = prediction
  const format = pictureFormat(input)
  const text = (name: string) => (typeof input[name] === 'string' ? input[name] : undefined)
  const bytes = await drawPicture({
    prompt: text('prompt') ?? '',
    seed: seedOf(prediction) + index,
    aspectRatio: text('aspect_ratio') ?? '1:1',
    megapixels: Number(text('megapixels') ?? 1),
    format,
    quality: typeof input['output_quality'] === 'number' ? input['output_quality'] : 80,
  })
  const etag = createHash('sha256').update(bytes).digest('hex').slice(0, 32)
  return { bytes, contentType: CONTENT_TYPES[format], etag }
}
