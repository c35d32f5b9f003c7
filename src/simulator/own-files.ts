import { ownerOf } from './accounts.ts'
import type { Blobs } from './blobs.ts'
import type { OutputFiles } from './output-files.ts'
import type { PredictionBook } from './prediction-book.ts'

interface Parts {
  book: PredictionBook
  files: OutputFiles
  blobs: Blobs
}

/**
 * Files that this simulator serves, used as input of a prediction: uploads, which only it can read for their owner, and outputs.
 * Recognised by path alone: the simulator has several host names, and no other host has such ids.
 * @returns null when the file was removed; undefined when the URL is not this simulator's
 */
export function createOwnFiles({ book, files, blobs }: Parts) {
  return async (url: URL, account: string): Promise<Buffer | null | undefined> => {
    const [, upload] = /^\/v1\/files\/([0-9a-hjkmnp-tv-z]{26})$/.exec(url.pathname) ?? []
    if (upload !== undefined) {
      const found = book.findUpload(upload)
      return found !== undefined && ownerOf(found) === account ? blobs.get(upload) : null
    }
    const [, token, name] = /^\/files\/(\w{42})\/([\w.-]+)$/.exec(url.pathname) ?? []
    if (token === undefined || name === undefined) return undefined
    return (await files.find(token, name))?.bytes ?? null
  }
}
