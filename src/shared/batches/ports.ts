import type { AcceptLimits, CommitResult } from '../jobs/ports.ts'
import type { JobRecord } from '../jobs/job.ts'
import type { BatchRecord } from './batch.ts'

export type BatchAccepted =
  | { status: 'accepted'; batch: BatchRecord }
  | Extract<CommitResult, { status: 'taken' | 'too_late' | 'full' | 'short' | 'beyond' }>

export interface BatchStore {
  /**
   * Writes the jobs in drafts, then accepts them all in one commit, or none. Drafts of a batch that is not accepted are
   * removed by `forget`, at the latest when the sweep finds them.
   */
  accept(
    batch: BatchRecord,
    jobs: readonly JobRecord[],
    idempotency: { entry: string; body: string } | null,
    limits: AcceptLimits,
  ): Promise<BatchAccepted>
  read(id: string): Promise<BatchRecord | null>
  /** Newest first. `before`: the id that ended the last page. */
  list(tenant: string, options: { limit: number; before?: string }): Promise<BatchRecord[]>
  /** Ids of jobs in the order of their places, after the job `after`. */
  jobs(id: string, options: { limit: number; after?: string }): Promise<string[]>
  /** Those that have not ended, by their places. */
  live(id: string): Promise<string[]>
  /** Which batch an idempotency entry names. */
  idempotent(entry: string): Promise<{ batch: string; body: string } | null>
  /** No further job begins; its queued jobs are to be looked at. Whether this changed anything. */
  stop(batch: BatchRecord): Promise<boolean>
  /** Its clean-up is due later, ms. */
  keepUntil(id: string, at: number): Promise<void>
  /** Looks at the batch again in so many ms; null: not any more. */
  rearm(id: string, inMs: number | null): Promise<void>
  /** Removes a batch that is over, or was never accepted: then its drafts too. */
  forget(batch: BatchRecord): Promise<void>
}
