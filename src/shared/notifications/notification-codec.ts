import { z } from 'zod'
import { attemptSchema, notificationSchema, type Notification } from './rules/notification.ts'
import type { NewNotification } from './ports.ts'

/**
 * A notification in Redis: a hash with `doc`, the JSON of what never changes, and with the fields that scripts write: `state`,
 * `rev`, `tries`, `next_at` (ms, absent unless pending) and `attempts`, JSON.
 */

const frozenSchema = notificationSchema.omit({ state: true, next_at: true, tries: true, rev: true, attempts: true })

/** The fields, in the order in which `decodeNotification` takes them. */
export const NOTIFICATION_FIELDS = ['doc', 'state', 'rev', 'tries', 'next_at', 'attempts'] as const

const storedSchema = z.tuple([
  z.string(),
  notificationSchema.shape.state,
  z.coerce.number(),
  z.coerce.number(),
  z
    .string()
    .nullable()
    .transform((text) => (text === null ? null : Number(text))),
  z.string(),
])

/** Leaves out the state. */
export const encodeFrozen = (notification: NewNotification): string =>
  JSON.stringify(frozenSchema.parse({ v: 1, ...notification }))

/** null: there is none. */
export function decodeNotification(values: readonly (string | null)[]): Notification | null {
  if (values[0] === null || values[0] === undefined) return null
  const [doc, state, rev, tries, next_at, attempts] = storedSchema.parse(values)
  return {
    ...frozenSchema.parse(JSON.parse(doc)),
    state,
    rev,
    tries,
    next_at,
    attempts: z.array(attemptSchema).parse(JSON.parse(attempts)),
  }
}
