import { z } from 'zod'
import { NewerRecordError } from '../jobs/record/record-codec.ts'
import { NOTIFICATION_TYPES } from './rules/event-types.ts'
import { attemptSchema, notificationSchema, NOTIFICATION_SHAPES, type Notification } from './rules/notification.ts'
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

const kindSchema = z.object({ v: z.number(), type: z.string(), shape: z.string() })
const isKnown = (words: readonly string[], word: string): boolean => words.includes(word)

function decodeFrozen(doc: string): z.output<typeof frozenSchema> {
  const value: unknown = JSON.parse(doc)
  const { v, type, shape } = kindSchema.parse(value)
  if (v > 1 || !isKnown(NOTIFICATION_TYPES, type) || !isKnown(NOTIFICATION_SHAPES, shape))
    throw new NewerRecordError(`a notification of version ${v}: ${type}, ${shape}`)
  return frozenSchema.parse(value)
}

/** null: there is none. Throws NewerRecordError for one of a type or shape that this release does not know. */
export function decodeNotification(values: readonly (string | null)[]): Notification | null {
  if (values[0] === null || values[0] === undefined) return null
  const [doc, state, rev, tries, next_at, attempts] = storedSchema.parse(values)
  return {
    ...decodeFrozen(doc),
    state,
    rev,
    tries,
    next_at,
    attempts: z.array(attemptSchema).parse(JSON.parse(attempts)),
  }
}
