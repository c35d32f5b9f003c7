import { randomBytes } from 'node:crypto'
import { constants } from 'node:fs'
import { open, rename, rm } from 'node:fs/promises'
import { dirname, join, resolve, sep } from 'node:path'
import { checkFolder } from './check-folder.ts'
import { safeKey, type ArtifactStore } from './artifact-store.ts'
import { createRemoveLeftovers } from './leftovers.ts'
import { receiveFile } from './receive-file.ts'
import { makeFolder } from '../process/make-folder.ts'
import { hasCode } from '../values/error-text.ts'

/** Age of an abandoned part file, ms: no copy takes this long. */
const LEFT_BEHIND_MS = 60 * 60_000

/**
 * Artifacts as files below `root`. Incomplete files are in a separate folder whose name no key can have, so that
 * leftovers are found without a scan of all stored files.
 */
export function createDiskArtifactStore(root: string): ArtifactStore {
  const base = resolve(root)
  const parts = join(base, '.parts')
  const removeLeftovers = createRemoveLeftovers(parts, LEFT_BEHIND_MS)
  const pathOf = (key: string): string => {
    const path = join(base, safeKey(key))
    if (!path.startsWith(base + sep)) throw new Error(`not an artifact key: ${key}`)
    return path
  }

  return {
    async put(key, body, options) {
      await makeFolder(parts)
      await removeLeftovers()
      if (typeof key === 'string') pathOf(key)
      const { path: part, ...found } = await receiveFile(join(parts, randomBytes(8).toString('hex')), body, options)
      try {
        // The name can depend on the type, which is known once the file is complete.
        const final = typeof key === 'string' ? key : key(found.media_type)
        const path = pathOf(final)
        const folder = dirname(path)
        await makeFolder(folder)
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
        if (hasCode(error, 'ENOENT')) return null
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

    check: () => checkFolder(parts, 'DATA_DIR'),
  }
}

/** Syncs the folder, without which a rename is not durable. */
async function syncFolder(folder: string): Promise<void> {
  const handle = await open(folder, constants.O_RDONLY)
  try {
    await handle.sync()
  } finally {
    await handle.close()
  }
}
