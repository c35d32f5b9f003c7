/**
 * A file that inputs may name: uploaded by itself, or taken out of an input in which it stood as a data URI. It lives
 * until its time of its own is over and the inputs of all jobs that use it are gone.
 */
export interface UploadRecord {
  v: 1
  /** `upl_<ulid>` */
  id: string
  tenant: string
  /** `writing`: its bytes are on their way; `removing`: it is going, and may not be used any more. */
  state: 'writing' | 'ready' | 'removing'
  /** What the artifact store found it to be called; '' while it is written. */
  key: string
  media_type: string
  bytes: number
  sha256: string
  /** ms, Redis clock */
  created_at: number
  /** When it may go if no job uses it, ms. */
  expires_at: number
}

/** A copy at Replicate, readable for predictions of the account until it expires, ms. */
export interface RemoteFile {
  url: string
  expires_at: number
}

/** Where the bytes of an upload stand while its key is not known yet; everything below it is the upload's. */
export const uploadFolder = (tenant: string, id: string): string => `${tenant}/inputs/${id}`
