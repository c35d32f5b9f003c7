import { randomBytes } from 'node:crypto'
import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import { createSemaphore } from '../values/concurrency.ts'
import { checkFolder } from './check-folder.ts'
import type { PutOptions, StorageCheck } from './artifact-store.ts'
import { createRemoveLeftovers } from './leftovers.ts'
import { receiveFile, type ReceivedFile } from './receive-file.ts'
import { makeFolder } from '../process/make-folder.ts'

/** Age at which a file counts as left behind by a killed process, ms: no copy takes this long. */
const LEFT_BEHIND_MS = 15 * 60_000

/** Files in transit to a bucket, complete on the local disk; a semaphore limits their total bytes. */
export interface Spool {
  /** Receives a body, passes the file to `forward`, and removes it in any case. */
  pass<T>(body: AsyncIterable<Uint8Array>, options: PutOptions, forward: (file: ReceivedFile) => Promise<T>): Promise<T>
  check(): Promise<StorageCheck>
}

export function createSpool(folder: string, maxBytes: number): Spool {
  const room = createSemaphore(maxBytes)
  const removeLeftovers = createRemoveLeftovers(folder, LEFT_BEHIND_MS)

  return {
    check: () => checkFolder(folder, 'DATA_DIR'),

    async pass(body, options, forward) {
      await makeFolder(folder)
      await removeLeftovers()
      // The largest possible size of the file.
      const release = await room.acquire(
        Math.min(options.expectedBytes ?? options.maxBytes, options.maxBytes),
        options.signal,
      )
      try {
        const file = await receiveFile(join(folder, randomBytes(8).toString('hex')), body, options)
        try {
          return await forward(file)
        } finally {
          await rm(file.path, { force: true })
        }
      } finally {
        release()
      }
    },
  }
}
