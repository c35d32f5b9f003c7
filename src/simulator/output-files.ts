import { createHash } from 'node:crypto'
import type { Blobs } from './blobs.ts'
import type { Examples } from './examples.ts'
import { makeFilm } from './film/make-film.ts'
import { predictionOfToken } from './identifiers.ts'
import type { Catalogue } from './models/catalogue.ts'
import { bytesOfFile, contentTypeOfFile } from './models/file-output.ts'
import { type Model, ownFilesOf } from './models/model.ts'
import { drawPicture } from './pictures/draw-picture.ts'
import type { PredictionBook } from './prediction-book.ts'
import type { Prediction } from './prediction.ts'
import { restorePicture } from './restoration/restore-picture.ts'
import {
  contentTypeOf,
  fileNames,
  FRAMES_PER_SECOND,
  frameCount,
  pictureFormat,
  restoredFormat,
  seedOf,
} from './run-files.ts'

export interface OutputFile {
  bytes: Buffer
  contentType: string
  etag: string
}

/** Creates output files on first use and caches a few: the same run always gives the same bytes. */
export interface OutputFiles {
  find(token: string, name: string): Promise<OutputFile | null>
  /** Prepares the files of a run that returns data URIs. */
  prepare(prediction: Prediction): Promise<void> | null
  /** A prepared file as a data URI. */
  dataUri(prediction: Prediction, name: string): string | undefined
  /** All of the run's files as data URIs, even if the run returns URLs. */
  dataUris(prediction: Prediction): Promise<string[]>
  forget(predictions: readonly Prediction[]): void
  forgetAll(): void
}

const KEPT_BYTES = 48 * 1024 * 1024

interface Parts {
  book: PredictionBook
  catalogue: Catalogue
  blobs: Blobs
  examples: Examples
}

export function createOutputFiles({ book, catalogue, blobs, examples }: Parts): OutputFiles {
  const kept = new Map<string, OutputFile>()
  const underWay = new Map<string, Promise<OutputFile | null>>()
  const uris = new Map<string, Map<string, string>>()
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

  async function make(prediction: Prediction, model: Model, name: string, key: string): Promise<OutputFile | null> {
    try {
      const made = await makeOutput(prediction, model, fileNames(prediction, model).indexOf(name), blobs)
      if (made === null) return null
      const etag = createHash('sha256').update(made.bytes).digest('hex').slice(0, 32)
      const file = { bytes: made.bytes, contentType: made.contentType, etag }
      if (!prediction.removed) keep(key, file)
      return file
    } finally {
      underWay.delete(key)
    }
  }

  function ofPrediction(prediction: Prediction, model: Model, name: string): Promise<OutputFile | null> {
    const key = `${prediction.id}/${name}`
    const ready = kept.get(key)
    if (ready !== undefined) return Promise.resolve(ready)
    const making = underWay.get(key) ?? make(prediction, model, name, key)
    underWay.set(key, making)
    return making
  }

  async function urisOf(prediction: Prediction): Promise<Map<string, string>> {
    const model = catalogue.ofPrediction(prediction)
    const made = new Map<string, string>()
    for (const name of fileNames(prediction, model)) {
      const file = await ofPrediction(prediction, model, name)
      if (file !== null) made.set(name, `data:${file.contentType};base64,${file.bytes.toString('base64')}`)
    }
    return made
  }

  return {
    async find(token, name) {
      const id = predictionOfToken(book.identity.privateKey, 'file', token)
      if (id === null) return null
      const prediction = book.find(id) ?? examples.find(id)
      if (prediction === undefined || prediction.removed) return null
      const model = catalogue.ofPrediction(prediction)
      return fileNames(prediction, model).includes(name) ? ofPrediction(prediction, model, name) : null
    },
    prepare(prediction) {
      if (prediction.plan.shape !== 'data_uri' || prediction.removed || prediction.inputs === null) return null
      if (uris.has(prediction.id)) return null
      return urisOf(prediction).then((made) => void (prediction.removed || uris.set(prediction.id, made)))
    },
    dataUri: (prediction, name) => uris.get(prediction.id)?.get(name),
    dataUris: async (prediction) => [...(await urisOf(prediction)).values()],
    forget(predictions) {
      const ids = new Set(predictions.map(({ id }) => id))
      for (const id of ids) uris.delete(id)
      for (const [key, { bytes }] of kept) {
        if (!ids.has(key.split('/')[0] ?? key)) continue
        kept.delete(key)
        keptBytes -= bytes.length
      }
    },
    forgetAll() {
      kept.clear()
      uris.clear()
      keptBytes = 0
    },
  }
}

/** Null when its inputs have been removed. */
async function makeOutput(
  prediction: Prediction,
  model: Model,
  index: number,
  blobs: Blobs,
): Promise<Omit<OutputFile, 'etag'> | null> {
  const { output } = model
  const own = ownFilesOf(output)[index]
  if (own !== undefined) return { bytes: await bytesOfFile(own), contentType: contentTypeOfFile(own) }
  const seed = seedOf(prediction)
  // An example has no stored inputs.
  const stored = (field: string) =>
    prediction.inputs === undefined ? drawSample(seed) : blobs.get(prediction.inputs?.[field]?.blob ?? '')
  if (output.kind === 'restoration') {
    const picture = await stored(output.image)
    const format = restoredFormat(prediction.input)
    return picture === null
      ? null
      : { bytes: await restorePicture({ picture, seed, format }), contentType: contentTypeOf(format) }
  }
  if (output.kind === 'film') {
    const [picture, sound] = [await stored(output.image), await stored(output.audio)]
    if (picture === null || sound === null) return null
    const frames = frameCount(prediction, model)
    const bytes = await makeFilm({ picture, sound, seed, frames, framesPerSecond: FRAMES_PER_SECOND })
    return { bytes, contentType: contentTypeOf('mp4') }
  }
  return drawOutput(prediction, index)
}

const drawSample = (seed: number): Promise<Buffer> =>
  drawPicture({ prompt: 'a mountain lake', seed, aspectRatio: '4:3', megapixels: 0.25, format: 'png', quality: 80 })

async function drawOutput(prediction: Prediction, index: number): Promise<Omit<OutputFile, 'etag'>> {
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
  return { bytes, contentType: contentTypeOf(format) }
}
