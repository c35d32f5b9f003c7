import { randomBytes } from 'node:crypto'
import { mkdir, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { checkFolder } from './check-folder.ts'
import type { PutOptions, StorageCheck } from './artifact-store.ts'
import { createRemoveLeftovers } from './leftovers.ts'
import { receiveFile, type ReceivedFile } from './receive-file.ts'

/** Age at which a file counts as left behind by a killed process, ms: no copy takes this long. */
const LEFT_BEHIND_MS = 15 * 60_000

/** Files in transit to a bucket, complete on the local disk; a semaphore limits their total bytes. */
export interface Spool {
  /** Receives a body, passes the file to `forward`, and removes it in any case. */
  pass<T>(body: AsyncIterable<Uint8Array>, options: PutOptions, forward: (file: ReceivedFile) => Promise<T>): Promise<T>
  check(): Promise<StorageCheck>
}

export function createSpool(folder: string, maxBytes: number): Spool {
  let taken = 0
  const waiting: (() => void)[] = []
  const removeLeftovers = createRemoveLeftovers(folder, LEFT_BEHIND_MS)

  /** Reserves the largest possible size of the file. A file larger than the whole capacity runs alone. */
  async function reserve(bytes: number, signal: AbortSignal | undefined): Promise<() => void> {
    while (taken > 0 && taken + bytes > maxBytes) {
      let wake = (): void => undefined
      const free = new Promise<void>((resolve) => waiting.push((wake = resolve)))
      signal?.addEventListener('abort', wake, { once: true })
      await free
      signal?.removeEventListener('abort', wake)
      signal?.throwIfAborted()
    }
    taken += bytes
    return () => {
      taken -= bytes
      for (const wake of waiting.splice(0)) wake()
    }
  }

  return {
    check: () => checkFolder(folder, 'DATA_DIR'),

    async pass(body, options, forward) {
      await mkdir(folder, { recursive: true })
      await removeLeftovers()
      const release = await reserve(
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
