import { z } from 'zod'

/** What a recipient that the metadata of a job names can hear of. */
export const CUSTOMER_TYPES = ['job.started', 'job.succeeded', 'job.failed', 'job.canceled', 'batch.finished'] as const
/** What it hears of unless the owner names types. */
export const USUAL_CUSTOMER_TYPES = CUSTOMER_TYPES.filter((type) => type !== 'job.started')

/** What no change of a job shows: programs that follow the events of a tenant get it when it is distributed. */
export const ANNOUNCED_TYPES = [
  'credits.low',
  'credits.exhausted',
  'budget.alert',
  'artifact.at_risk',
  'endpoint.disabled',
] as const

/**
 * What a tenant can hear of. Each of these is owed: it is written with the change that it reports, sent until the receiver
 * has it or the schedule ends, and visible in the log.
 */
export const OWED_TYPES = [...CUSTOMER_TYPES, ...ANNOUNCED_TYPES] as const
export type OwedType = (typeof OWED_TYPES)[number]

/** What is sent once, at most every 500 ms for each job, and not kept. */
export const LOSSY_TYPES = ['job.progress'] as const

/** Sent only by `POST /v1/endpoints/:id/test`. */
export const TEST_TYPE = 'endpoint.test'

/** The mail that asks for the confirmation of an address. */
export const CONFIRMATION_TYPE = 'endpoint.confirmation'

/** What notifications are made of. */
export const NOTIFICATION_TYPES = [...OWED_TYPES, TEST_TYPE, CONFIRMATION_TYPE] as const
export type NotificationType = (typeof NOTIFICATION_TYPES)[number]

export const EVENT_TYPES = [...OWED_TYPES, ...LOSSY_TYPES] as const
export type EventType = (typeof EVENT_TYPES)[number]
export const eventType = z.enum(EVENT_TYPES).meta({ id: 'NotificationType' })

/** What an endpoint hears of unless its owner names types. */
export const USUAL_TYPES = OWED_TYPES.filter((type) => type !== 'job.started')

/** Types of events of a single job. */
export const JOB_TYPES = [
  'job.started',
  'job.succeeded',
  'job.failed',
  'job.canceled',
  'artifact.at_risk',
  'job.progress',
] as const
