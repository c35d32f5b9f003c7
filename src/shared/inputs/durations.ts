import type { ArtifactStore } from '../artifacts/artifact-store.ts'
import { readDuration } from '../artifacts/measure-file.ts'
import type { Logger } from '../process/logger.ts'
import type { UploadRecord } from './rules/upload.ts'

/** Bytes that are read at once, and how often: each read of a bucket is a request. */
const BLOCK_BYTES = 64 * 1024
const MAX_BLOCKS = 32
const MAX_REMEMBERED = 5000

/** Measures files by their headers. A stored file never changes, so its duration is remembered. */
export function createDurations(artifacts: Pick<ArtifactStore, 'open'>, log: Logger) {
  const known = new Map<string, number | null>()

  async function measure({ key, media_type, bytes }: UploadRecord): Promise<number | null> {
    const blocks = new Map<number, Buffer>()
    async function block(number: number): Promise<Buffer> {
      const held = blocks.get(number)
      if (held) return held
      const start = number * BLOCK_BYTES
      if (start >= bytes || blocks.size >= MAX_BLOCKS) return Buffer.alloc(0)
      const stream = await artifacts.open(key, { start, end: Math.min(bytes, start + BLOCK_BYTES) - 1 })
      const read = stream === null ? Buffer.alloc(0) : Buffer.concat(await stream.toArray())
      blocks.set(number, read)
      return read
    }
    return readDuration(media_type, bytes, async (at, length) => {
      const parts: Buffer[] = []
      for (let from = at; from < at + length;) {
        const offset = from % BLOCK_BYTES
        const part = (await block(Math.floor(from / BLOCK_BYTES))).subarray(offset, offset + at + length - from)
        if (part.length === 0) break
        parts.push(part)
        from += part.length
      }
      return Buffer.concat(parts)
    })
  }

  async function orNull(upload: string | null, measured: () => Promise<number | null>): Promise<number | null> {
    try {
      return await measured()
    } catch (error) {
      log.debug({ err: error, upload }, 'an input file could not be measured')
      return null
    }
  }

  return {
    /** s; null: it cannot be determined. Never fails. */
    of: (upload: UploadRecord): Promise<number | null> =>
      orNull(upload.id, async () => {
        const remembered = known.get(upload.id)
        if (remembered !== undefined) return remembered
        const seconds = await measure(upload)
        if (known.size >= MAX_REMEMBERED) known.clear()
        known.set(upload.id, seconds)
        return seconds
      }),

    /** The same of a file that is not stored. */
    ofBytes: ({ media_type, bytes }: { media_type: string; bytes: Buffer }): Promise<number | null> =>
      orNull(null, () =>
        readDuration(media_type, bytes.length, (at, length) => Promise.resolve(bytes.subarray(at, at + length))),
      ),
  }
}
