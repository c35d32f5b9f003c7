import type { RemoteFile, UploadAbout, UploadRecord } from './rules/upload.ts'

/** Older uploads than one, or newer ones than one; without either, the newest. */
export interface UploadPage {
  older?: string | undefined
  newer?: string | undefined
  limit: number
}

export interface UploadStore {
  /**
   * Creates a record before its bytes arrive; after `leaseMs` it counts as abandoned. Throws `too_much_stored` when the
   * tenant may not store anything more.
   */
  begin(id: string, tenant: string, leaseMs: number): Promise<void>
  /**
   * Completes the record after its bytes, which count for the tenant until `remove`. Its own retention is `keepMs` from now.
   * null: it had been abandoned. Throws `too_much_stored`.
   */
  complete(
    id: string,
    tenant: string,
    found: Pick<UploadRecord, 'key' | 'media_type' | 'bytes' | 'sha256'>,
    keepMs: number,
  ): Promise<UploadRecord | null>
  /** Adds what its sender said of it. null: it is not ready. */
  describe(id: string, about: UploadAbout): Promise<UploadRecord | null>
  /** A page of the uploads of a tenant that a client made, newest first; `more`: there are others behind the page. */
  list(tenant: string, page: UploadPage): Promise<{ uploads: UploadRecord[]; more: boolean }>
  /** Ends its own retention and takes it from the list; it is kept as long as jobs use it. */
  expire(id: string): Promise<void>
  read(id: string): Promise<UploadRecord | null>
  /** The existing ones of these ids, in their order. */
  readMany(ids: readonly string[]): Promise<UploadRecord[]>
  /**
   * Assigns the upload to jobs, whose records may not be written yet: it is kept for `holdMs` at least. null: the tenant
   * has no such upload, and nothing was changed.
   */
  use(id: string, tenant: string, jobs: readonly string[], holdMs: number): Promise<UploadRecord | null>
  /**
   * Releases it from jobs. True: no job is left and it is `removing`. `early`: ignores its own retention.
   */
  leave(id: string, jobs: readonly string[], early?: boolean): Promise<boolean>
  /** Some of the jobs that use it. */
  users(id: string): Promise<string[]>
  isUsedBy(id: string, job: string): Promise<boolean>
  /** Copy in an account of Replicate; null: none, or it is about to expire. */
  remote(id: string, account: string): Promise<RemoteFile | null>
  /** Records the copy for `forMs`. */
  rememberRemote(id: string, account: string, remote: RemoteFile, forMs: number): Promise<void>
  /** Removes the record and all references to it. */
  remove(id: string): Promise<void>
  /** Ids of uploads that are due for a check, under a short lease. */
  claimDue(limit: number): Promise<string[]>
  /** Schedules the next check in this many ms. */
  rearm(id: string, inMs: number): Promise<void>
}
