import type { Readable } from 'node:stream'

/** Detected properties of a stored file, and its key. */
export interface StoredFile {
  /** Key for `open` and `remove`. */
  key: string
  bytes: number
  sha256: string
  media_type: string
}

export interface PutOptions {
  maxBytes: number
  /** Declared type, used where the bytes do not decide. */
  mediaType?: string
  expectedBytes?: number | null
  /** Inspects the complete file, by its local path, before it becomes visible. */
  examine?: (path: string, mediaType: string) => Promise<void>
  signal?: AbortSignal
}

export interface ByteRange {
  start: number
  /** inclusive */
  end: number
}

/** Response headers for a reader of one of the store's own links. */
export interface LinkOptions {
  seconds: number
  mediaType: string
  disposition: string
}

/** Storage of artifacts. Keys consist of safe segments; writing an existing key replaces the file atomically. */
export interface ArtifactStore {
  /**
   * Streams `body` to `key`, which can depend on the detected type; the file becomes visible only when it is stored
   * completely. Returns the `key` to remember, which can contain more than the given one. Throws ArtifactRefusedError for
   * faults of the file, StorageTroubleError or a file system error for faults of the storage.
   */
  put(
    key: string | ((mediaType: string) => string),
    body: AsyncIterable<Uint8Array>,
    options: PutOptions,
  ): Promise<StoredFile>
  /** Opens a file or a range of it; null when it does not exist. */
  open(key: string, range?: ByteRange): Promise<Readable | null>
  /** Temporary public URL of the file; null when files only pass through this service. */
  link(key: string, options: LinkOptions): Promise<string | null>
  /** Removes files; missing ones are no error. */
  remove(keys: readonly string[]): Promise<void>
  /** Removes everything under a prefix of whole segments. */
  removeAll(prefix: string): Promise<void>
  /** Checks whether files can be stored: writes to a folder and reads it back, or requests the bucket. */
  check(): Promise<StorageCheck>
}

/** `ok` false: an operator has to act. Temporary faults are only reported in `detail`. */
export interface StorageCheck {
  ok: boolean
  detail: string
}

/** The file exceeds the limit (`lasting`: a retry will fail too), or its length differs from the announced one. */
export class ArtifactRefusedError extends Error {
  override name = 'ArtifactRefusedError'
  readonly lasting: boolean
  constructor(message: string, lasting: boolean) {
    super(message)
    this.lasting = lasting
  }
}

/** The storage fails. `lasting`: until an operator acts. */
export class StorageTroubleError extends Error {
  override name = 'StorageTroubleError'
  readonly lasting: boolean
  constructor(message: string, options: { lasting: boolean; cause?: unknown }) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause })
    this.lasting = options.lasting
  }
}

/** File system errors: full, broken, read-only, or a path that is blocked. */
const DISK_TROUBLE = new Set(
  'ENOSPC EIO EROFS EDQUOT EFBIG EACCES EPERM ENOTDIR EEXIST EISDIR ENOENT EMFILE ENFILE'.split(' '),
)

/** Whether a copy failed on the storage side, the bucket or the disk. */
export const isStorageTrouble = (error: unknown): boolean =>
  error instanceof StorageTroubleError ||
  (error instanceof Error && 'code' in error && DISK_TROUBLE.has(String(error.code)))

const SAFE_SEGMENT = /^[A-Za-z0-9_-][A-Za-z0-9._-]*$/

/** Returns the key; throws when a segment is not safe for a file system or a bucket. */
export function safeKey(key: string): string {
  if (!key.split('/').every((segment) => SAFE_SEGMENT.test(segment))) throw new Error(`not an artifact key: ${key}`)
  return key
}

/** Key of a file in a bucket. It includes the bucket, so that the file is found after a change of the configuration. */
export const S3_KEY = /^s3:\/\/([^/]+)\/(.+)$/
