import { z } from 'zod'
import { MAX_ORIGINS, originsProblem } from './cors-origins.ts'
import type { OwnKeep } from '../../jobs/rules/keep.ts'
import { tenantKeepSchema } from '../../jobs/rules/keep-schema.ts'
import { KEY_ID } from './api-key.ts'
import { SCOPES, scope, TENANT_ID, USUAL_SCOPES } from './tenant.ts'
import { pageQuery } from '../../values/page-query.ts'

/** Schemas of requests about tenants, keys and tokens. */

/** One line without control characters, safe to print on a terminal. */
const title = z
  .string()
  .min(1)
  .max(100)
  .regex(/^\P{C}+$/u, { error: 'Expected a line of text.' })

/** null: the deployment's default. */
const limit = z.number().int().min(1).max(1_000_000).nullable()
const stored = z.number().int().min(1).max(Number.MAX_SAFE_INTEGER).nullable()
const limits = z
  .strictObject({
    requests_per_minute: limit.optional(),
    queued_jobs: limit.optional(),
    stored_bytes: stored.optional(),
    stored_files: stored.optional(),
    mails_per_hour: limit.optional(),
    batch_jobs: limit.optional(),
  })
  .meta({ id: 'OwnLimits', description: 'Limits of the tenant itself; null applies the default of the deployment.' })

const cors_origins = z
  .array(z.string().max(300))
  .superRefine((origins, context) => {
    const problem = originsProblem(origins)
    if (problem !== null) context.addIssue({ code: 'custom', message: problem, params: { code: 'invalid_origin' } })
  })
  .meta({ maxItems: MAX_ORIGINS })

const expires_at = z.iso
  .datetime({ offset: true })
  .transform((text) => Date.parse(text))
  .nullable()

/** Removes null values, which mean the deployment's default. */
export const withoutNulls = (keep: { [Clock in keyof OwnKeep]?: number | null | undefined }): OwnKeep =>
  Object.fromEntries(Object.entries(keep).filter(([, value]) => value !== null))

export const newTenantSchema = z
  .strictObject({
    id: z.string().regex(TENANT_ID, { error: 'Expected 1 to 40 characters of a-z 0-9 -, not with - first.' }),
    title: title.optional().describe('Default: the id.'),
    limits: limits.default({}),
    keep: tenantKeepSchema.default({}),
  })
  .meta({ id: 'TenantRequest' })

export const tenantChangeSchema = z
  .strictObject({
    title: title.optional(),
    limits: limits.optional(),
    keep: tenantKeepSchema.optional(),
    suspended: z.boolean().optional(),
    mail_to_metadata: z
      .boolean()
      .optional()
      .describe('Whether endpoints of the tenant may send mail to addresses in the metadata of its jobs.'),
    cors_origins: cors_origins
      .nullable()
      .optional()
      .describe('Origins of `CORS_ORIGINS` whose pages may use the API for this tenant; null: all of them.'),
  })
  .meta({ id: 'TenantChange' })

export const newKeySchema = z
  .strictObject({
    title: title.default('key'),
    scopes: z
      .array(scope)
      .min(1)
      .max(SCOPES.length)
      .default([...USUAL_SCOPES])
      .describe('Default: `jobs:write`, `jobs:read` and `credits:read`.'),
    expires_at: expires_at.default(null),
  })
  .meta({ id: 'KeyRequest' })

export const rotationSchema = z
  .strictObject({
    grace: z
      .number()
      .int()
      .min(0)
      .max(2_592_000)
      .default(86_400)
      .describe('Seconds for which the old key stays valid.'),
    expires_at: expires_at.optional(),
  })
  .meta({ id: 'Rotation' })

export const secretRotationSchema = z
  .strictObject({
    grace: z
      .number()
      .int()
      .min(0)
      .max(604_800)
      .default(86_400)
      .describe('Seconds for which the replaced secret signs too.'),
  })
  .meta({ id: 'WebhookSecretRotation' })

export const tenantPageSchema = pageQuery(TENANT_ID, 'tenants')
export const keyPageSchema = pageQuery(KEY_ID, 'keys')

export const tokenRequestSchema = z
  .strictObject({
    expires_in: z.number().int().min(1).max(86_400).default(3600).describe('Seconds.'),
  })
  .meta({ id: 'TokenRequest' })
