import { z } from 'zod'
import { PRESET_NAME } from '../../catalogue/rules/preset.ts'
import { PAYLOADS } from './endpoint.ts'
import { EVENT_TYPES, eventType } from './event-types.ts'

/** Schemas of requests about endpoints. */

const MOST_PRESETS = 50

const url = z
  .string()
  .min(1)
  .max(2048)
  .describe(
    'An https URL; `WEBHOOK_ALLOW` of the deployment can allow http and private addresses of some hosts. Or `mailto:` and an address of mail, which has to be confirmed, or `mailto:{metadata.<key>}`, where the operator allows it.',
  )
const description = z
  .string()
  .max(200)
  .regex(/^\P{C}*$/u, { error: 'Expected a line of text.' })
const events = z
  .array(eventType)
  .min(1)
  .max(EVENT_TYPES.length)
  .transform((types) => [...new Set(types)])
const presets = z
  .array(z.string().regex(PRESET_NAME, { error: 'Expected the name of a preset.' }))
  .min(1)
  .max(MOST_PRESETS)
  .transform((names) => [...new Set(names)])
  .nullable()
const payload = z.enum(PAYLOADS)

export const newEndpointSchema = z
  .strictObject({
    url,
    description: description.default(''),
    events: events
      .optional()
      .describe(
        'Types of events to send. Default: all except `job.started` and `job.progress`; for an address in the metadata the ends of jobs and batches, which are the only ones that it can have besides `job.started`.',
      ),
    presets: presets
      .default(null)
      .describe(
        'Only events of jobs of these presets, and events that concern no job. null, the default: of all jobs.',
      ),
    payload: payload
      .default('thin')
      .describe(
        '`thin`, the default: which job, its status and its metadata. `full`: the whole job as it is at the attempt.',
      ),
  })
  .meta({ id: 'EndpointRequest' })

export const endpointChangeSchema = z
  .strictObject({
    url: url.optional(),
    description: description.optional(),
    events: events.optional().describe('Replaces the list.'),
    presets: presets.optional().describe('Replaces the list; null: of all jobs.'),
    payload: payload.optional(),
  })
  .meta({ id: 'EndpointChange' })

export type NewEndpoint = z.output<typeof newEndpointSchema>
export type EndpointChange = z.output<typeof endpointChangeSchema>
