import type { JsonObject } from '../../values/json.ts'

/**
 * A file that inputs can name: uploaded separately, or extracted from a data URI in an input. It is kept until its own
 * retention is over and the inputs of all jobs that use it are removed.
 */
export interface UploadRecord {
  v: 1
  /** `upl_<ulid>` */
  id: string
  tenant: string
  /** `writing`: its bytes are being received; `removing`: it is being removed and cannot be used. */
  state: 'writing' | 'ready' | 'removing'
  /** Key in the artifact store; '' while it is written. */
  key: string
  media_type: string
  bytes: number
  sha256: string
  /** ms, Redis clock */
  created_at: number
  /** End of its own retention, ms. */
  expires_at: number
  /** What its sender said of it, by Replicate's API only. */
  about: UploadAbout | null
}

/** What the sender of an upload said of it, and its MD5 in hexadecimal digits. */
export interface UploadAbout {
  name: string
  metadata: JsonObject
  md5: string
}

/** Copy at Replicate, readable for predictions of the account until it expires, ms. */
export interface RemoteFile {
  url: string
  expires_at: number
}

/** Folder of an upload's bytes; everything below it belongs to the upload. */
export const uploadFolder = (tenant: string, id: string): string => `${tenant}/inputs/${id}`
