import { readdir, rm, stat } from 'node:fs/promises'
import { join } from 'node:path'

/**
 * Removes leftovers of killed processes from a folder: every file that was not written to for `ms`. Runs at most once
 * per `ms`.
 */
export function createRemoveLeftovers(folder: string, ms: number): () => Promise<void> {
  let lookedAt = Number.NEGATIVE_INFINITY
  return async () => {
    if (performance.now() - lookedAt < ms) return
    lookedAt = performance.now()
    for (const name of await readdir(folder)) {
      const path = join(folder, name)
      // A file that is gone by now was completed.
      const { mtimeMs } = await stat(path).catch(() => ({ mtimeMs: Date.now() }))
      if (Date.now() - mtimeMs >= ms) await rm(path, { recursive: true, force: true })
    }
  }
}
