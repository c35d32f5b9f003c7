import { fileTypeFromBuffer } from 'file-type'
import sharp from 'sharp'
import { ownerOf } from './accounts.ts'
import type { Blobs } from './blobs.ts'
import type { InputsReady } from './book-state.ts'
import { bytesOfDataUri } from './data-uri.ts'
import { secondsOf } from './film/sound.ts'
import type { Clock } from './clock.ts'
import type { Habits } from './habits.ts'
import { type Download, download } from './input-download.ts'
import type { Model } from './models/model.ts'
import type { Prediction, StoredInput } from './prediction.ts'
import { MAXIMUM_INPUT_PIXELS } from './restoration/restore-picture.ts'
import { inputFields } from './run-files.ts'

/** Fetches a run's input files before it starts: data URIs, URLs, and files that this simulator serves. */
export interface InputFiles {
  /** Never rejects: an unusable input is a result with an `error`. */
  fetch(prediction: Prediction, model: Model): Promise<InputsReady>
}

interface Parts {
  blobs: Blobs
  clock: Clock
  habits: () => Habits
  /** A file that this simulator serves at the URL; null: removed; undefined: another host's URL. */
  own: (url: URL, account: string) => Promise<Buffer | null | undefined>
  stopping: AbortSignal
}

export function createInputFiles({ blobs, clock, habits, own, stopping }: Parts): InputFiles {
  async function bytesOf(address: unknown, account: string): Promise<Download> {
    if (typeof address !== 'string') return { error: 'The input names no file' }
    if (address.startsWith('data:')) return fromDataUri(address)
    const url = URL.parse(address)
    if (url === null || !/^https?:$/.test(url.protocol)) return { error: `Invalid URL '${shortened(address)}'` }
    const bytes = await own(url, account)
    if (bytes === null) return { error: `404 Client Error: Not Found for url: ${address}` }
    if (bytes !== undefined) return { bytes }
    return download(url, { limit: habits().max_file_bytes, stopping })
  }

  return {
    async fetch(prediction, model) {
      const inputs: Record<string, StoredInput> = {}
      for (const { field, what } of inputFields(model)) {
        const got = await bytesOf(prediction.input[field], ownerOf(prediction))
        if ('error' in got) return { at: clock.now(), inputs, error: got.error }
        const about = await examine(got.bytes, what, field)
        if ('error' in about) return { at: clock.now(), inputs, error: about.error }
        const blob = `${prediction.id}.${field}`
        blobs.put(blob, got.bytes)
        inputs[field] = { blob, ...about }
      }
      return { at: clock.now(), inputs, error: null }
    },
  }
}

const shortened = (text: string) => (text.length > 200 ? `${text.slice(0, 200)}…` : text)

function fromDataUri(address: string): Download {
  const bytes = bytesOfDataUri(address)
  return bytes === null ? { error: 'Invalid data URI' } : { bytes }
}

/** Error texts are those of the libraries that models read files with; the real texts vary by model. */
async function examine(
  bytes: Buffer,
  what: 'image' | 'sound',
  field: string,
): Promise<Omit<StoredInput, 'blob'> | { error: string }> {
  const mediaType = (await fileTypeFromBuffer(bytes))?.mime ?? 'application/octet-stream'
  if (what === 'sound') {
    if (/^(audio|video)\//.test(mediaType)) return { mediaType, seconds: secondsOf(bytes) }
    return { error: `Error opening '/tmp/${field}': Format not recognised.` }
  }
  try {
    // Decodes it once at a small size: a valid header does not prove that the rest is there.
    await sharp(bytes, { limitInputPixels: MAXIMUM_INPUT_PIXELS }).resize(16).raw().toBuffer()
    return { mediaType, seconds: null }
  } catch {
    return { error: `cannot identify image file '/tmp/${field}'` }
  }
}
