import { z } from 'zod'
import { jobId } from '../../jobs/rules/ids.ts'
import { pageQuery } from '../../values/page-query.ts'
import { eventType, EVENT_TYPES, USUAL_TYPES } from './event-types.ts'
import { ENDPOINT_ID } from './endpoint.ts'
import { NOTIFICATION_ID, notificationState } from './notification.ts'

/** Schemas of requests about notifications. */

/** ms */
const time = z.iso.datetime({ offset: true }).transform((text) => Date.parse(text))
const endpoint = z.string().regex(ENDPOINT_ID, { error: 'Expected the id of an endpoint.' })
const range = {
  // The store looks for what is newer.
  created_after: time
    .transform((ms) => ms - 1)
    .optional()
    .describe('Only notifications of events of this time or later.'),
  created_before: time.optional().describe('Only notifications of earlier events.'),
}

export const notificationListSchema = pageQuery(NOTIFICATION_ID, 'notifications').extend({
  endpoint: endpoint.optional().describe('Only those for this endpoint.'),
  job: jobId.optional().describe('Only those about this job.'),
  state: notificationState.optional(),
  ...range,
})

export const notificationStreamSchema = z.strictObject({
  events: z
    .string()
    .transform((text) => text.split(','))
    .pipe(z.array(eventType).min(1).max(EVENT_TYPES.length))
    .default(USUAL_TYPES)
    .meta({
      description: 'Types of events, separated by commas. Default: all except `job.started` and `job.progress`.',
    }),
  since: z
    .string()
    .max(200)
    .optional()
    .describe('The id of the last event, for a client that cannot set `Last-Event-ID`.'),
})

export const replaySchema = z.strictObject(range).meta({ id: 'ReplayRequest' })
export const redeliverySchema = z
  .strictObject({ endpoint: endpoint.optional().describe('Only those for this endpoint.'), ...range })
  .meta({ id: 'RedeliveryRequest' })
