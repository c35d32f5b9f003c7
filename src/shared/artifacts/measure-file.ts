import { open } from 'node:fs/promises'
import type Sharp from 'sharp'
import { createSemaphore } from '../values/concurrency.ts'
import type { Logger } from '../process/logger.ts'
import { readMp4Facts, readWavFacts, type ContainerFacts, type ReadBytes } from './container-facts.ts'

/** Detected properties of a file other than its type. */
export interface FileFacts extends ContainerFacts {
  /** Thumbnail (WebP) of a large picture. */
  thumbnail: Buffer | null
}

export type MeasureFile = (path: string, mediaType: string) => Promise<FileFacts>

const NOTHING: FileFacts = { width: null, height: null, duration: null, thumbnail: null }

/** Formats with decoders for untrusted files; none that can reference other files. */
const PICTURES = new Set(['image/png', 'image/jpeg', 'image/webp', 'image/gif', 'image/avif'])
const MP4 = /^(?:video|audio)\/(?:mp4|quicktime|x-m4a|x-m4v)$/
const WAV = /^audio\/(?:wav|wave|vnd\.wave|x-wav)$/

/** Longer side of a thumbnail, px; smaller pictures get none. */
const THUMBNAIL_SIDE = 512
/** Limit of pixels for a thumbnail: decoded, they take 200 MB at most. */
const MAX_PIXELS = 50_000_000
const MAX_SIDE = 1_000_000
/** Limit of decoding, s. */
const DECODE_SECONDS = 5
const AT_ONCE = 2
/** Limit of reads per file, because a hostile file can nest parts to waste time. */
const MAX_READS = 2000

/** Measures files where that is cheap. Never fails: a property that cannot be determined is null. */
export function createMeasureFile(log: Logger): MeasureFile {
  /** Decoding takes memory and a core. */
  const decoding = createSemaphore(AT_ONCE)

  async function measure(path: string, mediaType: string): Promise<FileFacts> {
    if (PICTURES.has(mediaType)) return decoding.run(() => measurePicture(path))
    if (MP4.test(mediaType)) return { ...(await readHead(path, readMp4Facts)), thumbnail: null }
    if (WAV.test(mediaType)) return { ...(await readHead(path, readWavFacts)), thumbnail: null }
    return NOTHING
  }

  return async (path, mediaType) => {
    try {
      return sane(await measure(path, mediaType))
    } catch (error) {
      log.debug({ err: error, mediaType }, 'a file could not be measured')
      return NOTHING
    }
  }
}

/** Duration of a file in a container whose header is read without decoding, s; null: another type, or an implausible value. */
export async function readDuration(mediaType: string, bytes: number, read: ReadBytes): Promise<number | null> {
  const look = MP4.test(mediaType) ? readMp4Facts : WAV.test(mediaType) ? readWavFacts : null
  return look === null ? null : sane({ ...(await look(read, bytes)), thumbnail: null }).duration
}

async function measurePicture(path: string): Promise<FileFacts> {
  // Loaded with the first picture, so that a worker without pictures saves the memory.
  const { default: sharp } = await import('sharp')
  // The size of a picture is in its header.
  const { autoOrient, delay = [], pages = 1 } = await sharp(path, { limitInputPixels: false }).metadata()
  const { width, height } = autoOrient
  const milliseconds = delay.reduce((sum, one) => sum + one, 0)
  const facts = { width, height, duration: pages > 1 && milliseconds > 0 ? milliseconds / 1000 : null }
  const isWorthIt = Math.max(width, height) > THUMBNAIL_SIDE && width * height <= MAX_PIXELS
  return { ...facts, thumbnail: isWorthIt ? await makeThumbnail(sharp, path).catch(() => null) : null }
}

const makeThumbnail = (sharp: typeof Sharp, path: string): Promise<Buffer> =>
  sharp(path, { limitInputPixels: MAX_PIXELS, failOn: 'error', sequentialRead: true })
    .timeout({ seconds: DECODE_SECONDS })
    .autoOrient()
    .resize({ width: THUMBNAIL_SIDE, height: THUMBNAIL_SIDE, fit: 'inside' })
    .webp({ quality: 75, effort: 2 })
    .toBuffer()

async function readHead(
  path: string,
  look: (read: (at: number, length: number) => Promise<Buffer>, bytes: number) => Promise<ContainerFacts>,
): Promise<ContainerFacts> {
  const file = await open(path, 'r')
  try {
    const { size } = await file.stat()
    let reads = 0
    const read = async (at: number, length: number): Promise<Buffer> => {
      if (++reads > MAX_READS) return Buffer.alloc(0)
      const { buffer, bytesRead } = await file.read(Buffer.alloc(length), 0, length, at)
      return buffer.subarray(0, bytesRead)
    }
    return await look(read, size)
  } finally {
    await file.close()
  }
}

/** Drops implausible values, because the headers are untrusted. */
function sane({ width, height, duration, thumbnail }: FileFacts): FileFacts {
  const isSide = (side: number | null): side is number => side !== null && side >= 1 && side <= MAX_SIDE
  const isSize = isSide(width) && isSide(height)
  const isTime = duration !== null && duration > 0 && duration < 10_000_000
  return {
    width: isSize ? Math.round(width) : null,
    height: isSize ? Math.round(height) : null,
    duration: isTime ? Math.round(duration * 1000) / 1000 : null,
    thumbnail,
  }
}
