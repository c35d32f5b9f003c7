import { readdir, rm, stat } from 'node:fs/promises'
import { join } from 'node:path'

/**
 * Removes from a folder what processes left behind that were killed while they wrote there: everything that was not
 * written to for so long, ms. Looks no more often than that.
 */
export function createRemoveLeftovers(folder: string, ms: number): () => Promise<void> {
  let lookedAt = Number.NEGATIVE_INFINITY
  return async () => {
    if (performance.now() - lookedAt < ms) return
    lookedAt = performance.now()
    for (const name of await readdir(folder)) {
      const path = join(folder, name)
      // What is gone by now was finished.
      const { mtimeMs } = await stat(path).catch(() => ({ mtimeMs: Date.now() }))
      if (Date.now() - mtimeMs >= ms) await rm(path, { recursive: true, force: true })
    }
  }
}
