import { encodeTime } from 'ulid'
import { z } from 'zod'
import { batchId, jobId } from '../../jobs/rules/ids.ts'
import { crockfordOf } from '../../values/crockford.ts'
import { ANNOUNCED_TYPES, OWED_TYPES } from './event-types.ts'

/**
 * An event that is owed to the receivers of a tenant, before it is known who they are. The commit that makes it true writes
 * it: that of a job's own event into the outbox of the job, every other one into the outbox of the tenant. A worker
 * makes one notification for each receiver from it, then removes it.
 */

const id = z.string().regex(/^[0-9A-HJKMNP-TV-Z]{26}$/)

/**
 * About one job: a row of its outbox. What is sent is the job as it is then, which is at least this revision. Releases without
 * notifications leave a job with a row of version 2 alone.
 */
export const jobNoticeSchema = z.object({
  v: z.literal(2),
  kind: z.literal('notice'),
  id,
  type: z.enum(OWED_TYPES),
})
export type JobNotice = z.output<typeof jobNoticeSchema>

/** About something else: a row of the tenant's outbox, with everything that is sent. Times: ms. Amounts: micro-credits. */
export const tenantNoticeSchema = z.discriminatedUnion('type', [
  z.object({ v: z.literal(1), id, type: z.literal('batch.finished'), batch: batchId }),
  z.object({ v: z.literal(1), id, type: z.literal('credits.low') }),
  z.object({ v: z.literal(1), id, type: z.literal('credits.exhausted'), missing: z.number(), job: jobId.nullable() }),
  z.object({
    v: z.literal(1),
    id,
    type: z.literal('budget.alert'),
    budget: z.string(),
    /** The first day of the period, and the user, where each one has the limit for itself; else ''. */
    period: z.string(),
    subject: z.string(),
  }),
  z.object({
    v: z.literal(1),
    id,
    type: z.literal('endpoint.disabled'),
    endpoint: z.string(),
    reason: z.enum(['gone', 'failing']),
    detail: z.string(),
  }),
])
export type TenantNotice = z.output<typeof tenantNoticeSchema>

/** A notice as programs that follow the events of a tenant get it; it is not kept. `at`: ms. */
export const announcementSchema = z.object({
  id,
  type: z.enum(ANNOUNCED_TYPES),
  at: z.number(),
  data: z.record(z.string(), z.json()),
})
export type Announcement = z.output<typeof announcementSchema>

/** The id of the one notice of an event that happens to a thing at a time, ms: owed again, it is the same. */
export const noticeIdOf = (at: number, thing: string): string => encodeTime(at, 10) + crockfordOf(thing, 16)
