import { shownWebhook } from '../own-webhook.ts'
import { z } from 'zod'
import { BATCH_STATUSES } from '../../shared/batches/rules/batch.ts'
import { BATCH_STOPS } from '../../shared/jobs/rules/decision.ts'
import { batchId } from '../../shared/jobs/rules/ids.ts'
import { jsonObject, pageOf, time, timeOrNull } from './common.ts'
import { BATCH_EXAMPLE } from './examples.ts'

/** Batches as the API shows them. */

export const batchStatus = z
  .enum(BATCH_STATUSES)
  .meta({ id: 'BatchStatus', description: '`partial`: some jobs have succeeded, others not.' })

const count = z.int().min(0)

export const batch = z
  .object({
    id: batchId,
    status: batchStatus,
    tenant: z.string(),
    sequential: z.boolean().describe('Whether the jobs run one after the other, by position.'),
    counts: z
      .object({
        total: count,
        queued: count,
        starting: count,
        processing: count,
        succeeded: count,
        failed: count,
        canceled: count,
      })
      .describe('Number of jobs by status.'),
    progress: z.number().min(0).max(1).describe('The share of completed jobs.'),
    success_rate: z
      .number()
      .min(0)
      .max(1)
      .nullable()
      .describe('Share of successes among succeeded and failed jobs; null before the first one.'),
    estimated_end_at: timeOrNull.describe(
      'By the pace so far; null before the first job has ended, and when all have.',
    ),
    stop_on_failure_rate: z.number().nullable(),
    max_spend: z.int().nullable(),
    stopped: z.enum(BATCH_STOPS).nullable().describe('Why no further job starts.'),
    cost: z
      .object({
        estimate: z.int(),
        held: z.int().describe('Held for unfinished jobs.'),
        captured: z.int(),
        uncollected: z.int().describe('The part of the cost that the account could not pay.'),
      })
      .nullable()
      .describe('Micro-credits of all jobs; null if they have no price.'),
    metadata: jsonObject,
    webhook: shownWebhook.nullable().describe('null without one.'),
    retry_of: batchId.nullable().describe('The batch whose unsuccessful jobs this batch retries.'),
    created_at: time,
    completed_at: timeOrNull,
  })
  .meta({
    id: 'Batch',
    description: 'Jobs that were submitted together. Amounts are micro-credits.',
    examples: [BATCH_EXAMPLE],
  })
export type Batch = z.output<typeof batch>

export const batchPage = pageOf('BatchPage', batch)
