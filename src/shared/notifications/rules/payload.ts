import type { JobRecord } from '../../jobs/rules/job.ts'
import type { JsonObject } from '../../values/json.ts'
import type { EventType, NotificationType } from './event-types.ts'

/** What receivers read: `{ type, timestamp, data }`, as Standard Webhooks recommends it. */

/** `data` of the event of a job. `rev` decides: an event with a lower one than was seen before is old. */
export const jobData = ({ id, status, rev, batch, metadata, error }: JobRecord): { job: JsonObject } => ({
  job: { id, status, rev, batch, metadata, error: error && { ...error } },
})

/** `at`: when the event happened, ms. */
export const payloadOf = (type: EventType | NotificationType, at: number, data: JsonObject): JsonObject => ({
  type,
  timestamp: new Date(at).toISOString(),
  data,
})

/** The exact text that is signed and sent. */
export const payloadText = (type: EventType | NotificationType, at: number, data: JsonObject): string =>
  JSON.stringify(payloadOf(type, at, data))
