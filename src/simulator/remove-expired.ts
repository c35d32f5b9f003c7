import type { Blobs } from './blobs.ts'
import type { Clock } from './clock.ts'
import type { OutputFiles } from './output-files.ts'
import type { PredictionBook } from './prediction-book.ts'

interface Parts {
  clock: Clock
  book: PredictionBook
  files: OutputFiles
  blobs: Blobs
}

/** Removes expired data as Replicate does: data of predictions after an hour, uploads after a day. */
export function removeExpired({ clock, book, files, blobs }: Parts): number {
  const removed = book.removeExpired(clock.now())
  files.forget(removed)
  for (const { id } of [...removed, ...book.removeExpiredUploads(clock.now())]) blobs.remove(id)
  return removed.length
}
