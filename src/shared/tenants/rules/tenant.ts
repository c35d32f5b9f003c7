import { z } from 'zod'
import type { OwnKeep } from '../../jobs/rules/keep.ts'

/** The vocabulary of tenants and their keys (docs/tenants.md). Times are ms of the Redis clock. */

/** Always exists; the development key belongs to it. */
export const DEFAULT_TENANT = 'default'

export const TENANT_ID = /^[a-z0-9][a-z0-9-]{0,39}$/

/** `admin` covers the whole deployment, independent of the key's tenant; the other scopes cover the key's tenant only. */
export const SCOPES = ['jobs:write', 'jobs:read', 'credits:read', 'webhooks', 'admin'] as const
export type Scope = (typeof SCOPES)[number]
export const scope = z.enum(SCOPES).meta({ id: 'Scope' })

/** Default scopes of a key: those of a back end. `webhooks` and `admin` must be requested. */
export const USUAL_SCOPES: readonly Scope[] = ['jobs:write', 'jobs:read', 'credits:read']

export const LIMIT_NAMES = [
  'requests_per_minute',
  'queued_jobs',
  'stored_bytes',
  'stored_files',
  'mails_per_hour',
  'batch_jobs',
] as const

/** Limits of a tenant: requests per minute, jobs that wait in the line; bytes and files of its uploads and outputs, mails per hour and jobs of one batch, where these are limited. */
export interface Limits {
  requests_per_minute: number
  queued_jobs: number
  stored_bytes?: number
  stored_files?: number
  mails_per_hour?: number
  batch_jobs?: number
}

/** null, or not there: the deployment's default. */
export type OwnLimits = { [Name in keyof Limits]: Limits[Name] | null }

export interface Tenant {
  id: string
  title: string
  created_at: number
  /** Since then its keys are refused; accepted jobs continue. */
  suspended_at: number | null
  limits: OwnLimits
  /** Whether its endpoints may name recipients of mail by the metadata of jobs. */
  mail_to_metadata: boolean
  /** Origins, a subset of CORS_ORIGINS, whose pages may use the API for this tenant; null: all of CORS_ORIGINS. */
  cors_origins: string[] | null
  /** Retention of its jobs; a missing clock has the deployment's default. */
  keep: OwnKeep
}

export interface ApiKey {
  id: string
  tenant: string
  title: string
  scopes: Scope[]
  created_at: number
  expires_at: number | null
  /** End of the grace period of a rotated key. */
  retires_at: number | null
  revoked_at: number | null
  /** With a resolution of one minute. */
  last_used_at: number | null
  /** Id of the key that replaced it by rotation. */
  replaced_by: string | null
}

export const KEY_STATES = ['active', 'expired', 'revoked'] as const
export type KeyState = (typeof KEY_STATES)[number]

/** null: not limited. */
export const effectiveLimits = (own: OwnLimits, defaults: Limits) => ({
  requests_per_minute: own.requests_per_minute ?? defaults.requests_per_minute,
  queued_jobs: own.queued_jobs ?? defaults.queued_jobs,
  stored_bytes: own.stored_bytes ?? defaults.stored_bytes ?? null,
  stored_files: own.stored_files ?? defaults.stored_files ?? null,
  mails_per_hour: own.mails_per_hour ?? defaults.mails_per_hour ?? null,
  batch_jobs: own.batch_jobs ?? defaults.batch_jobs ?? null,
})

/** When a key becomes invalid; null: never. */
export function endOfKey({ expires_at, retires_at }: ApiKey): number | null {
  const ends = [expires_at, retires_at].filter((at) => at !== null)
  return ends.length === 0 ? null : Math.min(...ends)
}

export function keyState(key: ApiKey, now: number): KeyState {
  if (key.revoked_at !== null) return 'revoked'
  const end = endOfKey(key)
  return end !== null && end <= now ? 'expired' : 'active'
}
