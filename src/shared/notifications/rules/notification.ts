import { z } from 'zod'
import { NOTIFICATION_TYPES } from './event-types.ts'

/** One event for one receiver: what the log shows, and what is sent until the receiver has it. */

/** Also the `webhook-id`: the same at each attempt, redelivery and replay. `ntf_<id of the notice>_<receiver>`. */
export const NOTIFICATION_ID = /^ntf_[0-9A-HJKMNP-TV-Z]{26}_[0-9a-zA-Z-]{1,40}$/

/**
 * `pending`: it is sent at `next_at`; `delivered`; `failed`: the schedule has ended, the receiver answered 410, or the
 * address is forbidden; `held`: its endpoint is disabled.
 */
export const NOTIFICATION_STATES = ['pending', 'delivered', 'failed', 'held'] as const
export type NotificationState = (typeof NOTIFICATION_STATES)[number]
export const notificationState = z.enum(NOTIFICATION_STATES).meta({ id: 'NotificationState' })

/** What is sent: which job, the whole job, or its prediction as Replicate's API has it. */
export const NOTIFICATION_SHAPES = ['thin', 'full', 'replicate'] as const

/** One try. Times: ms of the Redis clock. */
export const attemptSchema = z.object({
  at: z.number(),
  /** ms */
  duration: z.number(),
  /** The HTTP status of the response; null: there was none. */
  status: z.number().nullable(),
  /** Why there was no response, as a stable code such as `timeout`, `dns`, `tls`, `refused`, `forbidden_address`; null. */
  error: z.string().nullable(),
  /** The first kilobyte of the response, or the message of the error; printable text. */
  detail: z.string(),
})
export type DeliveryAttempt = z.output<typeof attemptSchema>

export const notificationSchema = z.object({
  v: z.literal(1),
  id: z.string(),
  tenant: z.string(),
  type: z.enum(NOTIFICATION_TYPES),
  /** The endpoint; null: the job's or batch's own webhook. */
  endpoint: z.string().nullable(),
  /** Whose concurrency and back-off count: the endpoint, or the tenant and origin of an own webhook. */
  destination: z.string(),
  /** Where an own webhook goes; null: where the endpoint says at the attempt. */
  url: z.string().nullable(),
  shape: z.enum(NOTIFICATION_SHAPES),
  job: z.string().nullable(),
  batch: z.string().nullable(),
  /** `data` of the payload; of `full` and `replicate` what is sent once the job's record is gone. */
  data: z.record(z.string(), z.json()),
  /** When the event happened. */
  created_at: z.number(),
  state: z.enum(NOTIFICATION_STATES),
  /** When it is sent; null unless pending. */
  next_at: z.number().nullable(),
  /** Tries of the schedule; a redelivery begins it again. */
  tries: z.number(),
  /** Incremented by each write: a result is recorded once. */
  rev: z.number(),
  /** The newest ones, oldest first. */
  attempts: z.array(attemptSchema),
})
export type Notification = z.output<typeof notificationSchema>

/** Attempts that are kept. */
export const MOST_ATTEMPTS = 20
/** The log keeps notifications for this long, and at most this many of a tenant; those that are not over are kept. */
export const KEEP_NOTIFICATIONS_MS = 30 * 86_400_000
export const MOST_NOTIFICATIONS = 10_000
