/** A file of the files API (`POST /v1/files`). Times are milliseconds since 1970. */
export interface Upload {
  /** 26 characters, as predictions have; also the name of its bytes. */
  id: string
  name: string
  contentType: string
  size: number
  sha256: string
  md5: string
  metadata: Record<string, unknown>
  createdAt: number
  /** Age added by the movable clock. */
  agedMs: number
  /** The account that has it; absent: the shared one. */
  account?: string
}

/** Replicate keeps uploaded files for 24 hours. */
export const UPLOAD_KEPT_MS = 86_400_000
