import type { Batch } from './description/batches.ts'
import { showWebhook } from './own-webhook.ts'
import { batchStatus, endedIn, estimatedEnd, successRate, type BatchRecord } from '../shared/batches/rules/batch.ts'

const time = (ms: number): string => new Date(ms).toISOString()

/** Representation of a batch in the API. */
export function batchView(batch: BatchRecord): Batch {
  const { id, tenant, total, counts, estimate, held, captured, uncollected } = batch
  const end = estimatedEnd(batch, Date.now())
  return {
    id,
    status: batchStatus(batch),
    tenant,
    sequential: batch.in_sequence,
    counts: { total, ...counts },
    progress: endedIn(batch) / total,
    success_rate: successRate(batch),
    estimated_end_at: end === null ? null : time(end),
    stop_on_failure_rate: batch.stop_rate,
    max_spend: batch.max_spend,
    stopped: batch.stopped,
    cost: estimate === 0 && captured === 0 ? null : { estimate, held, captured, uncollected },
    metadata: batch.metadata,
    webhook: showWebhook(batch.webhook),
    retry_of: batch.retry_of,
    created_at: time(batch.created_at),
    completed_at: batch.completed_at === null ? null : time(batch.completed_at),
  }
}
