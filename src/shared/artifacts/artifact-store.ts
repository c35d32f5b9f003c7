import type { ReadStream } from 'node:fs'

/** What a stored file is found to be. */
export interface StoredFile {
  bytes: number
  sha256: string
  media_type: string
}

/** Where artifacts live. Keys are made of safe segments only; writing the same key again replaces the file whole. */
export interface ArtifactStore {
  /**
   * Streams `body` to `key`; nothing is visible under it before the last byte is safe. `maxBytes` caps what is taken.
   * `mediaType` is used when the bytes tell no type of their own.
   */
  put(
    key: string,
    body: AsyncIterable<Uint8Array>,
    options: { maxBytes: number; mediaType?: string; expectedBytes?: number | null },
  ): Promise<StoredFile>
  /** Opens a range of a file, bytes inclusive; null when it is not there. */
  open(key: string, range?: { start: number; end: number }): Promise<ReadStream | null>
  /** Removes everything under a prefix of whole segments. */
  removeAll(prefix: string): Promise<void>
}

/** The file is larger than allowed, or not as long as announced. */
export class ArtifactRefusedError extends Error {
  override name = 'ArtifactRefusedError'
}
