import { createHash, randomBytes } from 'node:crypto'
import { constants } from 'node:fs'
import { open, rm, type FileHandle } from 'node:fs/promises'
import { ArtifactRefusedError, type PutOptions, type StoredFile } from './artifact-store.ts'
import { outputTypeOf } from './detect-type.ts'

/** Enough for every signature that file-type knows. */
const SNIFF_BYTES = 4100

/** Bytes per write, while the next ones are received. */
const WRITE_BYTES = 256 * 1024

/** A complete file under a temporary name. */
export interface ReceivedFile extends Omit<StoredFile, 'key'> {
  path: string
}

/**
 * Writes a body to a new file beside `path` and syncs it to disk. An error leaves no file behind. The caller renames or
 * removes the file.
 */
export async function receiveFile(
  path: string,
  body: AsyncIterable<Uint8Array>,
  { maxBytes, mediaType, expectedBytes, examine, signal }: PutOptions,
): Promise<ReceivedFile> {
  const tooLarge = (): ArtifactRefusedError =>
    new ArtifactRefusedError(`the file is larger than ${maxBytes} bytes`, true)
  if ((expectedBytes ?? 0) > maxBytes) {
    // The body will not be read: closes its source without waiting for that.
    void body[Symbol.asyncIterator]()
      .return?.()
      .catch(() => undefined)
    throw tooLarge()
  }
  const part = `${path}.${randomBytes(6).toString('hex')}.part`
  const file = await open(part, constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL, 0o640)
  try {
    const hash = createHash('sha256')
    const write = gatheredWrites(file)
    const head: Uint8Array[] = []
    let bytes = 0
    for await (const chunk of body) {
      signal?.throwIfAborted()
      if (bytes < SNIFF_BYTES) head.push(chunk.subarray(0, SNIFF_BYTES - bytes))
      bytes += chunk.byteLength
      if (bytes > maxBytes) throw tooLarge()
      hash.update(chunk)
      await write.add(chunk)
    }
    if (expectedBytes !== null && expectedBytes !== undefined && bytes !== expectedBytes)
      throw new ArtifactRefusedError(`the file has ${bytes} bytes, but ${expectedBytes} were announced`, false)
    await write.end()
    await file.sync()
    await file.close()
    const found = await outputTypeOf(Buffer.concat(head), mediaType ?? null)
    await examine?.(part, found)
    return { path: part, bytes, sha256: hash.digest('hex'), media_type: found }
  } catch (error) {
    await file.close().catch(() => undefined)
    await rm(part, { force: true })
    throw error
  }
}

/** Double-buffered writer: writes one large buffer while the next one fills. */
function gatheredWrites(file: FileHandle): { add(chunk: Uint8Array): Promise<void>; end(): Promise<void> } {
  let gathered: Uint8Array[] = []
  let bytes = 0
  let writing: Promise<void> = Promise.resolve()

  async function begin(): Promise<void> {
    await writing
    writing = writeWhole(file, gathered)
    // The next `await writing` throws the error.
    writing.catch(() => undefined)
    gathered = []
    bytes = 0
  }

  return {
    async add(chunk) {
      gathered.push(chunk)
      bytes += chunk.byteLength
      if (bytes >= WRITE_BYTES) await begin()
    },
    async end() {
      await begin()
      await writing
    },
  }
}

/** Writes all bytes. After a partial write, as on a full disk, writing the rest reports the cause. */
async function writeWhole(file: FileHandle, chunks: readonly Uint8Array[]): Promise<void> {
  if (chunks.length === 0) return
  const { bytesWritten } = await file.writev(chunks)
  const bytes = chunks.reduce((sum, { byteLength }) => sum + byteLength, 0)
  if (bytesWritten < bytes) await file.writeFile(Buffer.concat(chunks).subarray(bytesWritten))
}
