import { z } from 'zod'
import { BATCH_STOPS } from '../jobs/rules/decision.ts'
import { NewerRecordError } from '../jobs/record/record-codec.ts'
import { ownWebhookSchema } from '../notifications/rules/own-webhook.ts'
import { jsonObject } from '../jobs/rules/job.ts'
import type { BatchRecord } from './rules/batch.ts'

/** A batch as a Redis hash: one field each, counts under the names of their statuses, no field for what is null. */

const whole = z.coerce.number().int()
const fields = z.object({
  v: z.coerce.number().pipe(z.literal(1)),
  id: z.string(),
  rev: whole,
  tenant: z.string(),
  state: z.enum(['draft', 'accepted']),
  total: whole,
  queued: whole,
  starting: whole,
  processing: whole,
  succeeded: whole,
  failed: whole,
  canceled: whole,
  in_sequence: z.enum(['true', 'false']).transform((text) => text === 'true'),
  stop_rate: z.coerce.number().nullable().default(null),
  max_spend: whole.nullable().default(null),
  stopped: z.enum(BATCH_STOPS).nullable().default(null),
  estimate: whole,
  held: whole,
  captured: whole,
  uncollected: whole,
  metadata: z
    .string()
    .transform((text): unknown => JSON.parse(text))
    .pipe(jsonObject),
  webhook: z
    .string()
    .transform((text): unknown => JSON.parse(text))
    .pipe(ownWebhookSchema)
    .nullable()
    .default(null),
  retry_of: z.string().nullable().default(null),
  keep: whole.nullable().default(null),
  idempotency: z.string().nullable().default(null),
  created_at: whole,
  completed_at: whole.nullable().default(null),
})

export function decodeBatch(hash: Record<string, string>): BatchRecord | null {
  if (Object.keys(hash).length === 0) return null
  if (Number(hash.v) > 1) throw new NewerRecordError(`a batch of version ${hash.v}`)
  const { queued, starting, processing, succeeded, failed, canceled, ...rest } = fields.parse(hash)
  return { ...rest, counts: { queued, starting, processing, succeeded, failed, canceled } }
}

/** Field, value, ...; without the revision and the creation time, which the commit script writes. */
export function encodeBatch(batch: BatchRecord): string[] {
  const { rev: _rev, counts, created_at: _created, metadata, webhook, ...rest } = batch
  const own = webhook === null ? [] : [['webhook', JSON.stringify(webhook)]]
  const plain = Object.entries({ ...rest, ...counts }).filter(([, value]) => value !== null)
  return [...plain.map(([name, value]) => [name, String(value)]), ['metadata', JSON.stringify(metadata)], ...own].flat()
}
