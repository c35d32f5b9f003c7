import { z } from 'zod'
import { DISABLED_REASONS, ENDPOINT_ID, ENDPOINT_KINDS, PAYLOADS } from '../../shared/notifications/rules/endpoint.ts'
import { eventType, CONFIRMATION_TYPE, EVENT_TYPES, TEST_TYPE } from '../../shared/notifications/rules/event-types.ts'
import { NOTIFICATION_ID, notificationState } from '../../shared/notifications/rules/notification.ts'
import { batchId, jobId } from '../../shared/jobs/rules/ids.ts'
import { jsonObject, onlyPageOf, pageOf, time, timeOrNull } from './common.ts'
import { signingKey } from './tenants.ts'

/** Endpoints and notifications as the API shows them. */

export const endpointId = z
  .string()
  .regex(ENDPOINT_ID)
  .meta({ id: 'EndpointId', examples: ['ep_01KGX5QD2R7T3V6X9Z1B4D8F5H'] })
export const notificationId = z
  .string()
  .regex(NOTIFICATION_ID)
  .meta({ id: 'NotificationId', examples: ['ntf_01KGX5QE5S8V2X4Z7B9D1F3H6K_01KGX5QD2R7T3V6X9Z1B4D8F5H'] })

const secret = z.object({
  created_at: time,
  previous: z
    .array(z.object({ created_at: time, expires_at: time }))
    .describe('Replaced secrets that still sign, newest first; at most 3.'),
})

export const endpoint = z
  .object({
    id: endpointId,
    kind: z.enum(ENDPOINT_KINDS),
    url: z.string().describe('Of mail: `mailto:` and the address, or `mailto:{metadata.<key>}`.'),
    description: z.string(),
    events: z.array(eventType),
    presets: z.array(z.string()).nullable().describe('null: events of all jobs.'),
    payload: z.enum(PAYLOADS),
    confirmed_at: timeOrNull.describe(
      'When the address of mail was confirmed: nothing is sent before. null: it is not, or this is a webhook.',
    ),
    state: z.enum(['enabled', 'disabled']).describe('Events of a disabled endpoint are kept.'),
    disabled: z
      .object({
        at: time,
        reason: z
          .enum(DISABLED_REASONS)
          .describe('`owner`: by request. `gone`: it responded with 410. `failing`: it only failed for five days.'),
      })
      .nullable(),
    secret: secret.nullable().describe('null: mail is not signed.'),
    health: z.object({
      failures: z.int().describe('Failed attempts since the last success.'),
      failing_since: timeOrNull,
      paused_until: timeOrNull.describe('Nothing is sent earlier; null: no pause.'),
      succeeded_at: timeOrNull,
    }),
    created_at: time,
  })
  .meta({ id: 'Endpoint', description: 'Where notifications of the tenant are sent.' })
export type Endpoint = z.output<typeof endpoint>

export const newEndpoint = endpoint
  .extend({
    secret: secret
      .extend({ key: signingKey.describe('The secret with which receivers verify. It is shown only here.') })
      .nullable()
      .describe('null: mail is not signed.'),
  })
  .meta({ id: 'NewEndpoint', description: 'An endpoint with its secret, which cannot be shown again.' })
export type NewEndpoint = z.output<typeof newEndpoint>

export const endpointPage = onlyPageOf('EndpointPage', endpoint)
export type EndpointPage = z.output<typeof endpointPage>

export const attempt = z
  .object({
    at: time,
    duration: z.number().describe('Seconds.'),
    status: z.int().nullable().describe('HTTP status of the response; null: there was none.'),
    error: z
      .string()
      .nullable()
      .describe(
        'Why there was no response, such as `timeout`, `dns`, `tls`, `refused` or `forbidden_address`; else null.',
      ),
    detail: z.string().describe('The first kilobyte of the response, or the message of the error.'),
    advice: z.string().nullable().describe('What the owner of the receiver can do; null: it was accepted.'),
  })
  .meta({ id: 'DeliveryAttempt' })
export type DeliveryAttempt = z.output<typeof attempt>

export const notification = z
  .object({
    id: notificationId.describe('Also the `webhook-id`.'),
    type: z.enum([...EVENT_TYPES, TEST_TYPE, CONFIRMATION_TYPE]),
    endpoint: endpointId.nullable().describe('null: the own webhook of the job or batch.'),
    url: z.string().nullable().describe('Where the own webhook is sent; null: where the endpoint says.'),
    job: jobId.nullable(),
    batch: batchId.nullable(),
    state: notificationState.describe(
      '`pending`: it is sent at `next_attempt_at`. `delivered`. `failed`: it is not sent again by itself. `held`: its endpoint is disabled.',
    ),
    created_at: time.describe('When the event happened.'),
    next_attempt_at: timeOrNull,
    attempts: z.array(attempt).describe('The newest 20, oldest first.'),
  })
  .meta({ id: 'Notification', description: 'One event for one receiver.' })
export type Notification = z.output<typeof notification>

export const streamedNotification = z
  .object({
    type: eventType,
    headers: z
      .object({ 'webhook-id': z.string(), 'webhook-timestamp': z.string(), 'webhook-signature': z.string() })
      .describe('As a receiver gets them, signed with the default secret of the tenant.'),
    body: z.string().describe('The exact text that was signed.'),
  })
  .meta({ id: 'StreamedNotification' })
export type StreamedNotification = z.output<typeof streamedNotification>

export const notificationDetail = notification
  .extend({ body: jsonObject.describe('What is sent, or what an attempt would send now where it has the whole job.') })
  .meta({ id: 'NotificationDetail' })
export type NotificationDetail = z.output<typeof notificationDetail>

export const notificationPage = pageOf('NotificationPage', notification)
export type NotificationPage = z.output<typeof notificationPage>

export const enabledEndpoint = endpoint
  .extend({ resumed: z.int().describe('Held notifications that are sent now.') })
  .meta({ id: 'EnabledEndpoint' })
export type EnabledEndpoint = z.output<typeof enabledEndpoint>

export const redelivered = z
  .object({
    redelivered: z.int(),
    more: z.boolean().describe('true: the limit of one request was reached. Repeat it to continue.'),
  })
  .meta({ id: 'Redelivered' })

export const endpointTest = z
  .object({ delivered: z.boolean(), attempt, body: jsonObject.describe('The event; a mail says it in words.') })
  .meta({ id: 'EndpointTest' })
export type EndpointTest = z.output<typeof endpointTest>
