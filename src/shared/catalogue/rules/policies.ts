import { z } from 'zod'
import { keepSchema } from '../../jobs/rules/keep-schema.ts'
import { ON_UNKNOWN, STORE_POLICIES, webhookEvent, WEBHOOK_EVENTS, type WebhookEvent } from '../../jobs/rules/job.ts'

/** Policies of how a job is run, with the field names that requests and presets share. */

const name = '[A-Za-z0-9][A-Za-z0-9._-]{0,99}'
/** `owner/name` */
export const OWNER_NAME = new RegExp(`^${name}/${name}$`)
/** 64 hexadecimal digits, alone or after `owner/name:`. */
export const VERSION = new RegExp(`^(?:${name}/${name}:)?[0-9a-f]{64}$`)

export const ownerName = z.string().regex(OWNER_NAME, { error: 'Expected owner/name.' })

/** Policies that a request can set. A preset sets them for its jobs and lists the ones that a request may override. */
const policySchemas = {
  /** Limit of the prediction's run, s */
  timeout: z.number().int().min(5).max(1800),
  /** Limit from acceptance to the creation of the prediction, s */
  start_within: z.number().int().min(1).max(604_800),
  webhook_events: z.array(webhookEvent).max(WEBHOOK_EVENTS.length),
  on_unknown: z.enum(ON_UNKNOWN),
  store: z.enum(STORE_POLICIES),
  keep: keepSchema,
} as const

const requestPolicies = z.object(policySchemas)
/** The policies of a request, none of which it has to set, with their descriptions for clients. */
export const requestPolicySchemas = {
  timeout: policySchemas.timeout
    .optional()
    .describe(
      'Maximum seconds from the creation of the prediction to its completion. Default: that of the preset, or 600.',
    ),
  start_within: policySchemas.start_within
    .optional()
    .describe(
      'Maximum seconds from acceptance to the creation of the prediction, without the time in which creation is paused. Default: that of the preset, or 86400.',
    ),
  webhook_events: policySchemas.webhook_events
    .optional()
    .describe(
      'Webhook events of Replicate to subscribe to. `start` and `completed` are always included; `output` and `logs` provide live progress.',
    ),
  on_unknown: policySchemas.on_unknown
    .optional()
    .describe(
      'Reaction if it is still unknown, 50 minutes after a create request, whether Replicate received it: `fail` fails the job (the default); `retry` sends the request again and risks paying for an unused prediction.',
    ),
  store: policySchemas.store
    .optional()
    .describe(
      'Whether output files are copied before the job succeeds (`copy`, the default), or stay only at Replicate, for an hour (`none`).',
    ),
  keep: policySchemas.keep
    .optional()
    .describe(
      'How long the job is kept after completion. Absent clocks have the value of the preset, tenant or deployment. A value above their maximum gets 422 with its field (docs/storage.md).',
    ),
} satisfies Record<keyof typeof policySchemas, z.ZodType>
export const policyName = requestPolicies.keyof()
export const POLICY_NAMES = policyName.options

const inFlight = z.number().int().min(1).max(100_000).nullable().default(null)

/** Policies of a preset's jobs; `overrides`: the ones that a job may set itself. */
export const policiesSchema = z
  .strictObject({
    timeout: policySchemas.timeout.default(600),
    start_within: policySchemas.start_within.default(86_400),
    webhook_events: policySchemas.webhook_events.default(() => []),
    on_unknown: policySchemas.on_unknown.default('fail'),
    store: policySchemas.store.default('copy'),
    /** Retention of a job, its payload and its files; absent: the deployment's. */
    keep: policySchemas.keep.default({}),
    /** Number of times that a prediction is recreated after a failure of the platform. */
    resubmit_limit: z.number().int().min(0).max(5).default(2),
    /** Limits of jobs of the preset that are in flight at once: of all tenants together, and of each tenant. */
    concurrency: inFlight,
    per_tenant: inFlight,
    /** The former name of `per_tenant`. */
    in_flight_limit: inFlight,
    /** Whether a job that is canceled after its prediction started is charged. */
    charge_canceled: z.boolean().default(false),
    overrides: z
      .array(policyName)
      .max(POLICY_NAMES.length)
      .default(() => []),
  })
  .transform(({ in_flight_limit, ...policies }) => ({
    ...policies,
    per_tenant: policies.per_tenant ?? in_flight_limit,
  }))

export type Policies = z.output<typeof policiesSchema>

/** Policies of a job without a preset. */
export const RAW_POLICIES: Policies = policiesSchema.parse({ overrides: POLICY_NAMES })

/** Adds `start` and `completed`, which adoption and completion need. */
export const subscribed = (events: readonly WebhookEvent[]): WebhookEvent[] =>
  WEBHOOK_EVENTS.filter((event) => event === 'start' || event === 'completed' || events.includes(event))
