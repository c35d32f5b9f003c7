import { statfs } from 'node:fs/promises'
import { ServiceError } from '../errors/service-error.ts'
import type { HealthCheck } from '../process/health.ts'
import { makeFolder } from '../process/make-folder.ts'

/** How long a measurement of the disk counts, ms. */
const FRESH_MS = 1_000

export interface DiskReserve {
  /** Throws `storage_full` when less than the reserve is free: files of clients wait, copies of paid outputs go on. */
  require(): Promise<void>
  check: HealthCheck
  /** Free bytes; Infinity when they cannot be measured. */
  free(): Promise<number>
}

/** Free bytes of the disk of a folder for users without privileges. */
async function freeBytes(folder: string): Promise<number> {
  await makeFolder(folder)
  const { bavail, bsize } = await statfs(folder)
  return bavail * bsize
}

/**
 * Keeps `reserve` bytes of the disk of `folder` free of what clients send. A disk that cannot be measured is no reason to
 * refuse anything: whether files can be written is found by the check of the storage.
 */
export function createDiskReserve(folder: string, reserve: number, measure = freeBytes): DiskReserve {
  let last: { at: number; free: Promise<number> } | null = null
  const free = (): Promise<number> => {
    if (last === null || performance.now() - last.at > FRESH_MS)
      last = { at: performance.now(), free: measure(folder).catch(() => Infinity) }
    return last.free
  }
  return {
    free,
    async require() {
      if ((await free()) < reserve)
        throw new ServiceError(
          'storage_full',
          'The disk has reached its reserve. Uploads and jobs with new files are refused; the operator has to free space.',
          { retryAfter: 60 },
        )
    },
    async check() {
      const bytes = await free()
      return {
        ok: bytes >= reserve,
        detail: `${bytes} bytes are free on the disk of DATA_DIR; DISK_RESERVE is ${reserve}`,
      }
    },
  }
}
