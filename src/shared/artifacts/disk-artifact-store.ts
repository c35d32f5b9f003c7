import { randomBytes } from 'node:crypto'
import { constants } from 'node:fs'
import { mkdir, open, rename, rm } from 'node:fs/promises'
import { dirname, join, resolve, sep } from 'node:path'
import { safeKey, type ArtifactStore } from './artifact-store.ts'
import { receiveFile } from './receive-file.ts'

/** Artifacts as files below `root`. */
export function createDiskArtifactStore(root: string): ArtifactStore {
  const base = resolve(root)
  const pathOf = (key: string): string => {
    const path = join(base, safeKey(key))
    if (!path.startsWith(base + sep)) throw new Error(`not an artifact key: ${key}`)
    return path
  }

  return {
    async put(key, body, options) {
      const named = typeof key === 'string' ? key : null
      // A name that the type decides on is known when the file is whole.
      const place = named === null ? join(base, `unnamed-${randomBytes(6).toString('hex')}`) : pathOf(named)
      await mkdir(dirname(place), { recursive: true })
      const { path: part, ...found } = await receiveFile(place, body, options)
      try {
        const final = typeof key === 'string' ? key : key(found.media_type)
        const path = pathOf(final)
        const folder = dirname(path)
        if (named === null) await mkdir(folder, { recursive: true })
        await rename(part, path)
        await syncFolder(folder)
        return { key: final, ...found }
      } catch (error) {
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

    link: () => Promise.resolve(null),

    async remove(keys) {
      for (const key of keys) await rm(pathOf(key), { force: true })
    },

    async removeAll(prefix) {
      await rm(pathOf(prefix), { recursive: true, force: true })
    },

    // A full disk passes; what was accepted goes on when it does.
    check: () => Promise.resolve({ ok: true, detail: 'a folder' }),
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
