import { z } from 'zod'
import { eventType } from './event-types.ts'

/** A job's or batch's own receiver, as the record keeps it. The webhooks are signed by the default secret of the tenant. */
export const ownWebhookSchema = z.object({
  url: z.string(),
  events: z.array(eventType),
  /** `replicate`: in the form of Replicate's API, for jobs that were made there. */
  shape: z.enum(['genqueue', 'replicate']),
  /** `webhook_events_filter` of a job that was made there; null: none was given. `output` and `logs` are `job.progress`. */
  filter: z
    .array(z.enum(['start', 'output', 'logs', 'completed']))
    .nullable()
    .default(null),
})
export type OwnWebhook = z.output<typeof ownWebhookSchema>
