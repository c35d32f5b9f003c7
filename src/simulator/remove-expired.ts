import type { Blobs } from './blobs.ts'
import type { OutputFiles } from './output-files.ts'
import type { PredictionBook } from './prediction-book.ts'

interface Parts {
  book: PredictionBook
  files: OutputFiles
  blobs: Blobs
}

/** Removes expired data as Replicate does: data of predictions after an hour, uploads after a day. */
export function removeExpired({ book, files, blobs }: Parts): number {
  const removed = book.removeExpired(Date.now())
  files.forget(removed)
  for (const { id } of [...removed, ...book.removeExpiredUploads(Date.now())]) blobs.remove(id)
  return removed.length
}
