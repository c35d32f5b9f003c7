import type { Readable } from 'node:stream'

/** What a stored file is found to be, and where it is. */
export interface StoredFile {
  /** What `open` and `remove` take. */
  key: string
  bytes: number
  sha256: string
  media_type: string
}

export interface PutOptions {
  maxBytes: number
  /** As it is declared: it counts where the bytes do not decide. */
  mediaType?: string
  expectedBytes?: number | null
  /** Looks at the whole file, by its path on this machine, before anybody else can see it. */
  examine?: (path: string, mediaType: string) => Promise<void>
  signal?: AbortSignal
}

export interface ByteRange {
  start: number
  /** inclusive */
  end: number
}

/** How a file is to be shown to whoever follows a link of the store's own. */
export interface LinkOptions {
  seconds: number
  mediaType: string
  disposition: string
}

/** Where artifacts live. Keys are made of safe segments only; writing the same key again replaces the file whole. */
export interface ArtifactStore {
  /**
   * Streams `body` to `key`, which may depend on the type that the file turns out to have; nothing is visible under it
   * before the last byte is safe. The answer's `key` is the one to remember: it may tell more than the one given.
   * Throws ArtifactRefusedError for what the file is to blame for, StorageTroubleError or an error of the file system for
   * trouble of ours.
   */
  put(
    key: string | ((mediaType: string) => string),
    body: AsyncIterable<Uint8Array>,
    options: PutOptions,
  ): Promise<StoredFile>
  /** Opens a file or a range of it; null when it is not there. */
  open(key: string, range?: ByteRange): Promise<Readable | null>
  /** A URL at which anybody may fetch the file for a while; null when files only pass through this service. */
  link(key: string, options: LinkOptions): Promise<string | null>
  /** Removes files; those that are not there are no mistake. */
  remove(keys: readonly string[]): Promise<void>
  /** Removes everything under a prefix of whole segments. */
  removeAll(prefix: string): Promise<void>
  /** Whether files can be stored: a folder is written and read back, a bucket is asked for. */
  check(): Promise<StorageCheck>
}

/** `ok` false: somebody has to change something. What passes by itself is told in `detail` only. */
export interface StorageCheck {
  ok: boolean
  detail: string
}

/** The file is larger than allowed (`lasting`: it will be the next time), or not as long as announced. */
export class ArtifactRefusedError extends Error {
  override name = 'ArtifactRefusedError'
  readonly lasting: boolean
  constructor(message: string, lasting: boolean) {
    super(message)
    this.lasting = lasting
  }
}

/** The place where files are kept fails. `lasting`: it will go on until somebody changes something. */
export class StorageTroubleError extends Error {
  override name = 'StorageTroubleError'
  readonly lasting: boolean
  constructor(message: string, options: { lasting: boolean; cause?: unknown }) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause })
    this.lasting = options.lasting
  }
}

/** Of the file system: full, broken, read-only, or something is in the way. */
const DISK_TROUBLE = new Set(
  'ENOSPC EIO EROFS EDQUOT EFBIG EACCES EPERM ENOTDIR EEXIST EISDIR ENOENT EMFILE ENFILE'.split(' '),
)

/** Our side of a copy failed: the bucket or the disk does not take it. */
export const isStorageTrouble = (error: unknown): boolean =>
  error instanceof StorageTroubleError ||
  (error instanceof Error && 'code' in error && DISK_TROUBLE.has(String(error.code)))

const SAFE_SEGMENT = /^[A-Za-z0-9_-][A-Za-z0-9._-]*$/

/** The key itself; throws when a segment of it is not safe for a file system or a bucket. */
export function safeKey(key: string): string {
  if (!key.split('/').every((segment) => SAFE_SEGMENT.test(segment))) throw new Error(`not an artifact key: ${key}`)
  return key
}

/** Where other machines keep a file is told with the place, so that it is found after a change of the configuration. */
export const S3_KEY = /^s3:\/\/([^/]+)\/(.+)$/
