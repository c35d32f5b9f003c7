import { createHash, randomBytes } from 'node:crypto'
import { constants } from 'node:fs'
import { mkdir, open, rename, rm } from 'node:fs/promises'
import { dirname, join, resolve, sep } from 'node:path'
import { fileTypeFromBuffer } from 'file-type'
import { ArtifactRefusedError, type ArtifactStore } from './artifact-store.ts'

const SAFE_SEGMENT = /^[A-Za-z0-9_-][A-Za-z0-9._-]*$/
/** Enough for every signature that file-type knows. */
const SNIFF_BYTES = 4100

/** Artifacts as files below `root`. */
export function createDiskArtifactStore(root: string): ArtifactStore {
  const base = resolve(root)
  const pathOf = (key: string): string => {
    if (!key.split('/').every((segment) => SAFE_SEGMENT.test(segment))) throw new Error(`not an artifact key: ${key}`)
    const path = join(base, key)
    if (!path.startsWith(base + sep)) throw new Error(`not an artifact key: ${key}`)
    return path
  }

  return {
    async put(key, body, { maxBytes, mediaType, expectedBytes }) {
      const path = pathOf(key)
      const folder = dirname(path)
      await mkdir(folder, { recursive: true })
      const part = `${path}.${randomBytes(6).toString('hex')}.part`
      const file = await open(part, constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL, 0o640)
      try {
        const hash = createHash('sha256')
        const head: Uint8Array[] = []
        let bytes = 0
        for await (const chunk of body) {
          if (bytes < SNIFF_BYTES) head.push(chunk.subarray(0, SNIFF_BYTES - bytes))
          bytes += chunk.byteLength
          if (bytes > maxBytes) throw new ArtifactRefusedError(`the file is larger than ${maxBytes} bytes`)
          hash.update(chunk)
          await file.writeFile(chunk)
        }
        if (expectedBytes !== null && expectedBytes !== undefined && bytes !== expectedBytes)
          throw new ArtifactRefusedError(`the file has ${bytes} bytes, ${expectedBytes} were announced`)
        await file.sync()
        await file.close()
        const type = await fileTypeFromBuffer(Buffer.concat(head))
        await rename(part, path)
        await syncFolder(folder)
        return { bytes, sha256: hash.digest('hex'), media_type: type?.mime ?? mediaType ?? 'application/octet-stream' }
      } catch (error) {
        await file.close().catch(() => undefined)
        await rm(part, { force: true })
        throw error
      }
    },

    async open(key, range) {
      try {
        const file = await open(pathOf(key), constants.O_RDONLY | constants.O_NOFOLLOW)
        return file.createReadStream(range)
      } catch (error) {
        if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return null
        throw error
      }
    },

    async removeAll(prefix) {
      await rm(pathOf(prefix), { recursive: true, force: true })
    },
  }
}

/** A rename is only durable when its folder is. */
async function syncFolder(folder: string): Promise<void> {
  const handle = await open(folder, constants.O_RDONLY)
  try {
    await handle.sync()
  } finally {
    await handle.close()
  }
}
