import { z } from 'zod'
import type { ReadPurpose } from '../shared/limits/budget.ts'

/**
 * The queues and what their jobs say. A job is a doorbell: "look at this". The records are the truth, so a payload holds
 * ids only, a job that fails or is lost is rung again by the sweep, and finished jobs are not kept: an id that is kept in
 * any state swallows the next add.
 */

const jobId = z.string().regex(/^job_[0-9A-HJKMNP-TV-Z]{26}$/)

export const submitPayload = z.object({ v: z.literal(1), job: jobId })
export const pollPayload = z.object({ v: z.literal(1), job: jobId, attempt: z.number().int().min(1) })
export const cancelPayload = z.object({ v: z.literal(1), job: jobId, effect: z.string().max(300) })
export const adoptPayload = z.object({ v: z.literal(1), account: z.string().max(64) })
/** `after`, `before`: when the predictions were created, ms. `due`: open attempts that the listing should show. */
export const windowPayload = z.object({
  v: z.literal(1),
  account: z.string().max(64),
  after: z.number(),
  before: z.number(),
  due: z.array(z.object({ job: jobId, attempt: z.number().int().min(1) })).default([]),
})
export const storePayload = z.object({ v: z.literal(1), job: jobId, attempt: z.number().int().min(1) })

export const QUEUES = {
  submit: {
    description: 'Creates predictions: one job here is one POST to Replicate, within the account budget.',
    concurrency: 25,
  },
  sweep: {
    description: 'Every second: takes whatever is due and rings for it again; cleans up old jobs.',
    concurrency: 1,
  },
  poll: {
    description: 'Asks Replicate about predictions whose webhook has not come, and cancels the unwanted.',
    concurrency: 20,
  },
  store: {
    description: 'Copies output files before Replicate deletes them.',
    concurrency: 8,
  },
} as const

export type QueueName = keyof typeof QUEUES

/** One value for each queue. */
export const forEachQueue = <T>(make: (name: QueueName) => T): Record<QueueName, T> => ({
  submit: make('submit'),
  sweep: make('sweep'),
  poll: make('poll'),
  store: make('store'),
})

/** Job names within the poll queue. */
export const POLL = 'poll'
export const CANCEL = 'cancel'
export const ADOPT = 'adopt'
export const WINDOW = 'window'

/** In the poll queue as in the read budget: cancels first, then what expires soon, then what is looked for, then the rest. */
export const PRIORITY = { cancel: 1, expiring: 3, adopt: 5, poll: 10 } as const satisfies Record<ReadPurpose, number>

const MAX_PRIORITY = 2_097_151

/**
 * Outputs are copied in the order in which upstream removes them, ms: BullMQ takes small numbers first. They count minutes
 * and begin anew every four years; for an hour then, those of the new round go first.
 */
export const storePriority = (expiresAt: number): number => 1 + (Math.floor(expiresAt / 60_000) % MAX_PRIORITY)

/** Deterministic ids: ringing twice for the same thing is one job. BullMQ forbids `:` in them. */
export const doorbellId = {
  submit: (job: string): string => `submit-${job}`,
  poll: (job: string, attempt: number): string => `poll-${job}-${attempt}`,
  cancel: (job: string, effect: string): string => `cancel-${job}-${effect.replaceAll(':', '-')}`,
  adopt: (account: string): string => `adopt-${account}`,
  window: (account: string, after: number, soon: boolean): string => `window-${account}-${after}${soon ? '-soon' : ''}`,
  store: (job: string, attempt: number): string => `store-${job}-${attempt}`,
}
