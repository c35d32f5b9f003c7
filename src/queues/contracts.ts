import { z } from 'zod'
import { jobId } from '../shared/jobs/rules/ids.ts'
import type { ReadPurpose } from '../shared/limits/rules/budget.ts'

/**
 * The queues and the payloads of their jobs. Doorbell: a BullMQ job that carries only ids; the records are the truth. A
 * doorbell of the submit queue names no job: it stands for all jobs of the line (docs/adr/0011-one-doorbell-for-the-line.md).
 * The sweep rings again when a doorbell fails or is lost. Finished doorbells are not kept, because BullMQ ignores an add while
 * a job with the same id exists in any state.
 */

/** Version 1, of earlier releases, names one job. */
export const submitPayload = z.discriminatedUnion('v', [
  z.object({ v: z.literal(1), job: jobId }),
  z.object({ v: z.literal(2) }),
])
export const pollPayload = z.object({ v: z.literal(1), job: jobId, attempt: z.number().int().min(1) })
export const cancelPayload = z.object({ v: z.literal(1), job: jobId, effect: z.string().max(300) })
export const adoptPayload = z.object({ v: z.literal(1), account: z.string().max(64) })
/** `after`, `before`: bounds of the predictions' creation times, ms. `due`: open attempts that the listing should show. */
export const windowPayload = z.object({
  v: z.literal(1),
  account: z.string().max(64),
  after: z.number(),
  before: z.number(),
  due: z.array(z.object({ job: jobId, attempt: z.number().int().min(1) })).default([]),
})
/** A row of a job's outbox that is distributed to receivers: `effect` is its key. */
export const jobNoticePayload = z.object({ v: z.literal(1), job: jobId, effect: z.string().max(300) })
/** A row of a tenant's outbox. */
export const tenantNoticePayload = z.object({ v: z.literal(1), tenant: z.string().max(64), id: z.string().max(64) })
/** Since version 2 of the poll queue: a run of the doctor, for which a worker makes its checks. */
export const doctorPayload = z.object({ v: z.literal(2), run: z.string().max(64) })
export const storePayload = z.object({ v: z.literal(1), job: jobId, attempt: z.number().int().min(1) })

/** The progress of a job is sent, once. */
export const progressPayload = z.object({ v: z.literal(1), job: jobId })

/** Jobs of the line that a worker process handles at the same time. */
export const SUBMITS_AT_ONCE = 25

/** `concurrency`: entries that a worker process takes at the same time. `version`: newest payload of this release. */
export const QUEUES = {
  submit: {
    description: 'Creates predictions: an entry here stands for all jobs that wait in line for a worker.',
    concurrency: 1,
    version: 2,
  },
  sweep: {
    description: 'Runs every second: rings doorbells for everything that is due, and cleans up old jobs.',
    concurrency: 1,
    version: 1,
  },
  poll: {
    description: 'Polls Replicate for predictions without a webhook, and cancels predictions.',
    concurrency: 20,
    version: 2,
  },
  store: {
    description: 'Copies output files before Replicate deletes them.',
    concurrency: 8,
    version: 1,
  },
  notify: {
    description: 'Makes notifications of what happened, and sends them.',
    concurrency: 4,
    version: 1,
  },
} as const

export type QueueName = keyof typeof QUEUES

/** One value for each queue. */
export const forEachQueue = <T>(make: (name: QueueName) => T): Record<QueueName, T> => ({
  submit: make('submit'),
  sweep: make('sweep'),
  poll: make('poll'),
  store: make('store'),
  notify: make('notify'),
})

/** Job names within the poll queue. */
export const POLL = 'poll'
export const CANCEL = 'cancel'
export const ADOPT = 'adopt'
export const WINDOW = 'window'
export const DOCTOR = 'doctor'

/** Job names within the notify queue. */
export const JOB_NOTICE = 'job-notice'
export const TENANT_NOTICE = 'tenant-notice'
export const SEND = 'send'
export const PROGRESS = 'progress'

/** Priorities in the poll queue, in the order of the read budget: cancels, outputs that expire soon, adoption, other polls. */
export const PRIORITY = { cancel: 1, expiring: 3, adopt: 5, poll: 10 } as const satisfies Record<
  Exclude<ReadPurpose, 'relay'>,
  number
>

/** Deterministic ids deduplicate doorbells. BullMQ forbids `:` in an id. */
export const doorbellId = {
  /** `claims`: number of doorbells that have claimed so far, so the one of this number has not. */
  line: (claims: number): string => `line-${claims}`,
  poll: (job: string, attempt: number): string => `poll-${job}-${attempt}`,
  cancel: (job: string, effect: string): string => `cancel-${job}-${effect.replaceAll(':', '-')}`,
  adopt: (account: string): string => `adopt-${account}`,
  window: (account: string, after: number, soon: boolean): string => `window-${account}-${after}${soon ? '-soon' : ''}`,
  store: (job: string, attempt: number): string => `store-${job}-${attempt}`,
  jobNotice: (job: string, effect: string): string => `notice-${job}-${effect.replaceAll(':', '-')}`,
  tenantNotice: (tenant: string, id: string): string => `notice-${tenant}-${id}`,
  progress: (job: string): string => `progress-${job}`,
  send: (): string => 'send',
  doctor: (run: string): string => `doctor-${run}`,
}
