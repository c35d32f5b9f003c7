import { z } from 'zod'
import { KEY_ID, KEY } from '../../shared/tenants/rules/api-key.ts'
import { KEY_STATES, scope } from '../../shared/tenants/rules/tenant.ts'
import { duration, durationOrForever, pageOf, tenantName, time, timeOrNull } from './common.ts'

/** Tenants, keys, sessions and tokens as the API shows them. */

const positive = z.int().min(1)

export const tenant = z
  .object({
    id: tenantName,
    title: z.string(),
    created_at: time,
    suspended_at: timeOrNull,
    limits: z
      .object({
        requests_per_minute: positive,
        queued_jobs: positive.describe('Maximum number of queued jobs.'),
        stored_bytes: positive
          .nullable()
          .describe('Maximum size of stored uploads and outputs, in bytes; null: unlimited.'),
        stored_files: positive
          .nullable()
          .describe('Maximum number of stored uploads and output files; null: unlimited.'),
        mails_per_hour: positive.nullable().describe('Mails that are sent within an hour; null: unlimited.'),
        batch_jobs: positive.nullable().describe('Jobs of one batch; null: only the limit of every batch.'),
      })
      .meta({ id: 'Limits' }),
    own_limits: z
      .object({
        requests_per_minute: positive.nullable(),
        queued_jobs: positive.nullable(),
        stored_bytes: positive.nullable(),
        stored_files: positive.nullable(),
        mails_per_hour: positive.nullable(),
        batch_jobs: positive.nullable(),
      })
      .describe('Limits of the tenant itself; null applies the default of the deployment.'),
    stored: z
      .object({ bytes: z.int(), files: z.int() })
      .describe('Files of inputs and outputs that are stored, as counted for `stored_bytes` and `stored_files`.'),
    mail_to_metadata: z
      .boolean()
      .describe('Whether endpoints of the tenant may send mail to addresses in the metadata of its jobs.'),
    cors_origins: z
      .array(z.string())
      .nullable()
      .describe('Origins of `CORS_ORIGINS` whose pages may use the API for this tenant; null: all of them.'),
    keep: z
      .object({
        payload: duration.nullable(),
        job: duration.nullable(),
        files: durationOrForever.nullable(),
      })
      .describe('How long the jobs of the tenant are kept; null applies the value of the deployment.'),
  })
  .meta({ id: 'Tenant' })
export type Tenant = z.output<typeof tenant>

export const tenantPage = pageOf('TenantPage', tenant)

export const keyId = z
  .string()
  .regex(KEY_ID)
  .meta({ id: 'KeyId', examples: ['4fXb9QzL2mVk'] })

export const key = z
  .object({
    id: keyId,
    tenant: tenantName,
    title: z.string(),
    scopes: z.array(scope),
    state: z.enum(KEY_STATES),
    created_at: time,
    expires_at: timeOrNull,
    revoked_at: timeOrNull,
    last_used_at: timeOrNull,
    replaced_by: keyId.nullable().describe('The successor after a rotation.'),
  })
  .meta({ id: 'Key', description: 'An API key, without its text.' })
export type Key = z.output<typeof key>

export const newKey = key
  .extend({ key: z.string().regex(KEY).describe('The text of the key.') })
  .meta({ id: 'NewKey', description: 'A key with its text, which cannot be shown again.' })
export type NewKey = z.output<typeof newKey>

export const keyPage = pageOf('KeyPage', key)

export const session = z
  .object({
    tenant: z.object({ id: tenantName, title: z.string() }),
    scopes: z.array(scope),
    key_id: keyId.nullable().describe('null: the development key'),
    expires_at: timeOrNull.describe('End of the session; null: that of the key.'),
  })
  .meta({ id: 'Session', description: 'The caller.' })
export type Session = z.output<typeof session>

export const signingKey = z
  .string()
  .regex(/^whsec_[A-Za-z0-9+/]{43}=$/)
  .meta({ examples: ['whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSwMfKQ9r8GKYq='] })

export const webhookSecret = z
  .object({
    key: signingKey.describe('`whsec_` and 32 bytes in base64, as Standard Webhooks defines it.'),
    created_at: time,
    previous: z
      .array(z.object({ key: signingKey, expires_at: time }))
      .describe('Replaced secrets that still sign, newest first; at most 3.'),
  })
  .meta({ id: 'WebhookSecret', description: 'The secret that signs the notifications of a tenant.' })
export type WebhookSecret = z.output<typeof webhookSecret>

export const readToken = z
  .object({ token: z.string(), expires_at: time })
  .meta({ id: 'ReadToken', description: 'Opens one job or batch for reading, in place of a key: for browsers.' })
export type ReadToken = z.output<typeof readToken>
