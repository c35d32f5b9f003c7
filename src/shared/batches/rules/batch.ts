import type { BatchStop } from '../../jobs/rules/decision.ts'
import { FIRST_KEEP } from '../../jobs/rules/keep.ts'
import { FINAL_PHASES, type JobRecord, type Status } from '../../jobs/rules/job.ts'
import type { OwnWebhook } from '../../notifications/rules/own-webhook.ts'
import type { JsonObject } from '../../values/json.ts'

/** Jobs that were submitted together: accepted all or none. The commits of the jobs update the counts. */
export interface BatchRecord {
  v: 1
  /** `bat_<ulid>` */
  id: string
  /** Incremented by commits of the batch, not by commits of its jobs. */
  rev: number
  tenant: string
  /** `draft`: its jobs are being written, and it is not accepted yet. */
  state: 'draft' | 'accepted'
  total: number
  counts: Record<Status, number>
  /** Jobs run one after the other, by position. */
  in_sequence: boolean
  /** Failure rate, 0..1, from which no further job begins. */
  stop_rate: number | null
  /** Limit of the batch's cost, micro-credits. */
  max_spend: number | null
  /** Why no further job begins. */
  stopped: BatchStop | null
  /** Micro-credits: estimate of all jobs; held for jobs that are not final; captured; not covered by the account. */
  estimate: number
  held: number
  captured: number
  uncollected: number
  metadata: JsonObject
  /** The receiver of its notifications, and of those of its jobs; null: none. */
  webhook: OwnWebhook | null
  /** The batch whose failed jobs this batch retries. */
  retry_of: string | null
  /** Retention of the record after completion, s: the longest of its jobs; null: made by the first release. */
  keep: number | null
  /** Name of its idempotency entry. */
  idempotency: string | null
  created_at: number
  completed_at: number | null
}

export const BATCH_STATUSES = ['running', 'succeeded', 'partial', 'failed', 'canceled'] as const
export type BatchStatus = (typeof BATCH_STATUSES)[number]

/** Number of final jobs. */
export const endedIn = ({ counts }: Pick<BatchRecord, 'counts'>): number =>
  FINAL_PHASES.reduce((sum, status) => sum + counts[status], 0)

export function batchStatus({ counts, total, completed_at }: BatchRecord): BatchStatus {
  if (completed_at === null) return 'running'
  if (counts.succeeded === total) return 'succeeded'
  if (counts.succeeded > 0) return 'partial'
  return counts.failed > 0 ? 'failed' : 'canceled'
}

/** Share of successes among succeeded and failed jobs; null while there are none. */
export function successRate({ counts }: Pick<BatchRecord, 'counts'>): number | null {
  const judged = counts.succeeded + counts.failed
  return judged === 0 ? null : counts.succeeded / judged
}

/** Estimated completion at the pace so far, ms since 1970; null before the first job is final, and after the last. */
export function estimatedEnd(batch: BatchRecord, now: number): number | null {
  const ended = endedIn(batch)
  if (ended === 0 || batch.completed_at !== null) return null
  return now + ((now - batch.created_at) / ended) * (batch.total - ended)
}

/** Properties of a batch that the request determines. */
export interface NewBatch {
  tenant: string
  in_sequence: boolean
  stop_rate: number | null
  max_spend: number | null
  metadata: JsonObject
  webhook?: OwnWebhook | null
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
    webhook: request.webhook ?? null,
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
