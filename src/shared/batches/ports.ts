import type { CommitResult, Owed } from '../jobs/ports.ts'
import type { JobRecord } from '../jobs/rules/job.ts'
import type { BatchRecord } from './rules/batch.ts'
import type { AcceptTerms } from '../jobs/rules/acceptance.ts'

export type BatchAccepted =
  | { status: 'accepted'; batch: BatchRecord; owed: readonly Owed[] }
  | Extract<CommitResult, { status: 'taken' | 'too_late' | 'full' | 'over_quota' | 'over_budget' | 'short' | 'beyond' }>

export interface BatchStore {
  /**
   * Writes the jobs as drafts, then accepts all of them in one commit, or none. `forget` removes the drafts of a batch that
   * is not accepted, at the latest when the sweep finds them.
   */
  accept(
    batch: BatchRecord,
    jobs: readonly JobRecord[],
    idempotency: { entry: string; body: string } | null,
    limits: AcceptTerms,
  ): Promise<BatchAccepted>
  read(id: string): Promise<BatchRecord | null>
  /** Newest first. `before`: the last id of the previous page. */
  list(tenant: string, options: { limit: number; before?: string }): Promise<BatchRecord[]>
  /** Ids of jobs by position, after the job `after`. */
  jobs(id: string, options: { limit: number; after?: string }): Promise<string[]>
  /** Ids of jobs that are not final, by position. */
  live(id: string): Promise<string[]>
  /** The batch that an idempotency entry names, and the digest of the request's body. */
  idempotent(entry: string): Promise<{ batch: string; body: string } | null>
  /** Prevents further jobs from beginning. Returns whether this changed the batch. */
  stop(batch: BatchRecord): Promise<boolean>
  /** Defers the clean-up to `at`, ms since 1970. */
  keepUntil(id: string, at: number): Promise<void>
  /** Makes the batch due in `inMs`; null: never. */
  rearm(id: string, inMs: number | null): Promise<void>
  /** Removes a completed batch, or a batch that was never accepted, with its drafts. */
  forget(batch: BatchRecord): Promise<void>
}
