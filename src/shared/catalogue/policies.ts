import { z } from 'zod'
import { keepSchema } from '../jobs/keep-schema.ts'
import { ON_UNKNOWN, STORE_POLICIES, WEBHOOK_EVENTS, type WebhookEvent } from '../jobs/job.ts'

/** What a job may be told about how it is run, in the words that requests and presets share. */

const name = '[A-Za-z0-9][A-Za-z0-9._-]{0,99}'
/** `owner/name` */
export const OWNER_NAME = new RegExp(`^${name}/${name}$`)
/** 64 hexadecimal digits, alone or after `owner/name:`. */
export const VERSION = new RegExp(`^(?:${name}/${name}:)?[0-9a-f]{64}$`)

export const ownerName = z.string().regex(OWNER_NAME, { error: 'Expected owner/name.' })

/** What a request may say; a preset says it for its jobs, and which of these a request may change. */
export const policySchemas = {
  /** s, of the prediction */
  timeout: z.number().int().min(5).max(1800),
  /** s, from accept to the prediction's creation */
  start_within: z.number().int().min(1).max(604_800),
  webhook_events: z.array(z.enum(WEBHOOK_EVENTS)).max(WEBHOOK_EVENTS.length),
  on_unknown: z.enum(ON_UNKNOWN),
  store: z.enum(STORE_POLICIES),
  keep: keepSchema,
} as const

export const POLICY_NAMES = ['timeout', 'start_within', 'webhook_events', 'on_unknown', 'store', 'keep'] as const

/** How the jobs of a preset are run; `overrides`: which of these a job may say itself. */
export const policiesSchema = z.strictObject({
  timeout: policySchemas.timeout.default(600),
  start_within: policySchemas.start_within.default(86_400),
  webhook_events: policySchemas.webhook_events.default(() => []),
  on_unknown: policySchemas.on_unknown.default('fail'),
  store: policySchemas.store.default('copy'),
  /** How long a job, its payload and its files are kept, where the preset says so. */
  keep: policySchemas.keep.default({}),
  /** How often a prediction that failed for reasons of the platform is made anew. */
  resubmit_limit: z.number().int().min(0).max(5).default(2),
  /** So many jobs of the preset may be in flight at once. */
  in_flight_limit: z.number().int().min(1).max(100_000).nullable().default(null),
  /** Whether a job that is canceled after its start is charged. */
  charge_canceled: z.boolean().default(false),
  overrides: z
    .array(z.enum(POLICY_NAMES))
    .max(POLICY_NAMES.length)
    .default(() => []),
})

export type Policies = z.output<typeof policiesSchema>

/** Of a job that no preset describes. */
export const RAW_POLICIES: Policies = policiesSchema.parse({ overrides: POLICY_NAMES })

/** `start` and `completed` always are subscribed: adoption and finishing live on them. */
export const subscribed = (events: readonly WebhookEvent[]): WebhookEvent[] =>
  WEBHOOK_EVENTS.filter((event) => event === 'start' || event === 'completed' || events.includes(event))
