import type { BatchStop } from '../jobs/decision.ts'
import { FIRST_KEEP } from '../jobs/keep.ts'
import { FINAL_PHASES, type JobRecord, type JsonObject, type Status } from '../jobs/job.ts'

/** Jobs that were submitted together: accepted all or none, counted in the commits that change them. */
export interface BatchRecord {
  v: 1
  /** `bat_<ulid>` */
  id: string
  /** Grows with the batch's own commits, not with those of its jobs. */
  rev: number
  tenant: string
  /** `draft`: its jobs are being written, and nobody was promised anything. */
  state: 'draft' | 'accepted'
  total: number
  counts: Record<Status, number>
  /** One after the other, by their places. */
  in_sequence: boolean
  /** From which share of failures on no further job begins, 0..1. */
  stop_rate: number | null
  /** Micro-credits that the batch may cost. */
  max_spend: number | null
  /** Why no further job begins. */
  stopped: BatchStop | null
  /** Micro-credits: of all jobs together; of those that are not over; taken; beyond what the account had. */
  estimate: number
  held: number
  captured: number
  uncollected: number
  metadata: JsonObject
  /** The batch whose failed jobs this one tries again. */
  retry_of: string | null
  /** How long the record is kept after its end, s: as long as any of its jobs; null: of the first release. */
  keep: number | null
  /** Name of its idempotency entry. */
  idempotency: string | null
  created_at: number
  completed_at: number | null
}

export type BatchStatus = 'running' | 'succeeded' | 'partial' | 'failed' | 'canceled'

/** How many jobs have come to their end. */
export const endedIn = ({ counts }: Pick<BatchRecord, 'counts'>): number =>
  FINAL_PHASES.reduce((sum, status) => sum + counts[status], 0)

export function batchStatus({ counts, total, completed_at }: BatchRecord): BatchStatus {
  if (completed_at === null) return 'running'
  if (counts.succeeded === total) return 'succeeded'
  if (counts.succeeded > 0) return 'partial'
  return counts.failed > 0 ? 'failed' : 'canceled'
}

/** The share of successes among the jobs that ran to an end; null while there is none. */
export function successRate({ counts }: Pick<BatchRecord, 'counts'>): number | null {
  const judged = counts.succeeded + counts.failed
  return judged === 0 ? null : counts.succeeded / judged
}

/** When the rest will have ended at the pace so far, ms; null before the first end, and after the last. */
export function estimatedEnd(batch: BatchRecord, now: number): number | null {
  const ended = endedIn(batch)
  if (ended === 0 || batch.completed_at !== null) return null
  return now + ((now - batch.created_at) / ended) * (batch.total - ended)
}

/** What a batch is made from. */
export interface NewBatch {
  tenant: string
  in_sequence: boolean
  stop_rate: number | null
  max_spend: number | null
  metadata: JsonObject
  retry_of: string | null
}

/** A batch as its first draft is written. */
export const newBatch = (
  request: NewBatch,
  id: string,
  jobs: readonly JobRecord[],
  idempotency: string | null,
): BatchRecord => {
  const estimate = jobs.reduce((sum, job) => sum + job.estimate, 0)
  return {
    v: 1,
    id,
    rev: 0,
    state: 'draft',
    ...request,
    keep: Math.max(...jobs.map(({ keep }) => keep?.[1] ?? FIRST_KEEP.job)),
    idempotency,
    total: jobs.length,
    counts: { queued: jobs.length, starting: 0, processing: 0, succeeded: 0, failed: 0, canceled: 0 },
    stopped: null,
    estimate,
    held: estimate,
    captured: 0,
    uncollected: 0,
    created_at: 0,
    completed_at: null,
  }
}
