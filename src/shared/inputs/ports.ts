import type { RemoteFile, UploadRecord } from './upload.ts'

export interface UploadStore {
  /** A new record whose bytes are still to come; `leaseMs` later it counts as given up. */
  begin(id: string, tenant: string, leaseMs: number): Promise<void>
  /**
   * The bytes are there. Without a job that uses it, it may go `keepMs` from now. null: it had been given up.
   */
  complete(
    id: string,
    found: Pick<UploadRecord, 'key' | 'media_type' | 'bytes' | 'sha256'>,
    keepMs: number,
  ): Promise<UploadRecord | null>
  read(id: string): Promise<UploadRecord | null>
  /** Which of these there are, in their order. */
  readMany(ids: readonly string[]): Promise<UploadRecord[]>
  /**
   * Jobs, whose records may not be written yet, use the upload: it stays for `holdMs` at least. null: the tenant has no
   * such upload, and nothing was changed.
   */
  use(id: string, tenant: string, jobs: readonly string[], holdMs: number): Promise<UploadRecord | null>
  /**
   * Jobs do not use it any more. True: now nobody needs it and it is `removing`. `early`: its own time need not be over.
   */
  leave(id: string, jobs: readonly string[], early?: boolean): Promise<boolean>
  /** Some of the jobs that use it. */
  users(id: string): Promise<string[]>
  isUsedBy(id: string, job: string): Promise<boolean>
  /** The copy that an account of Replicate has; null: none, or it is about to expire. */
  remote(id: string, account: string): Promise<RemoteFile | null>
  /** Forgotten after `forMs`. */
  rememberRemote(id: string, account: string, remote: RemoteFile, forMs: number): Promise<void>
  /** The record, and all that names it. */
  remove(id: string): Promise<void>
  /** Those whose time may be over, leased for a moment. */
  claimDue(limit: number): Promise<string[]>
  /** Looks at it again in so many ms. */
  rearm(id: string, inMs: number): Promise<void>
}
