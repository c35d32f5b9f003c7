import type { Blobs } from './blobs.ts'
import type { OutputFiles } from './output-files.ts'
import type { PredictionBook } from './prediction-book.ts'

interface Parts {
  book: PredictionBook
  files: OutputFiles
  blobs: Blobs
}

/**
 * Files that this simulator serves, used as input of a prediction: uploads, which only it can read, and outputs.
 * Recognised by path alone: the simulator has several host names, and no other host has such ids.
 * @returns null when the file was removed; undefined when the URL is not this simulator's
 */
export function createOwnFiles({ book, files, blobs }: Parts) {
  return async (url: URL): Promise<Buffer | null | undefined> => {
    const [, upload] = /^\/v1\/files\/([0-9a-hjkmnp-tv-z]{26})$/.exec(url.pathname) ?? []
    if (upload !== undefined) return book.findUpload(upload) === undefined ? null : blobs.get(upload)
    const [, token, name] = /^\/files\/(\w{42})\/([\w.-]+)$/.exec(url.pathname) ?? []
    if (token === undefined || name === undefined) return undefined
    return (await files.find(token, name))?.bytes ?? null
  }
}
