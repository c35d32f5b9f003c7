import type { OwnKeep } from '../jobs/keep.ts'

/** The vocabulary of tenants and their keys (docs/tenants.md). Times are ms of the Redis clock. */

/** Always there; the development key is of it. */
export const DEFAULT_TENANT = 'default'

export const TENANT_ID = /^[a-z0-9][a-z0-9-]{0,39}$/

/** `admin` is about the whole deployment, whichever tenant the key is of; the others are about the tenant's own. */
export const SCOPES = ['jobs:write', 'jobs:read', 'credits:read', 'admin'] as const
export type Scope = (typeof SCOPES)[number]

/** What a key may do when nobody said otherwise. */
export const USUAL_SCOPES: readonly Scope[] = ['jobs:write', 'jobs:read', 'credits:read']

export const LIMIT_NAMES = ['requests_per_minute', 'queued_jobs'] as const

/** What a tenant may do: requests that are answered in a minute, jobs that wait in the line at once. */
export type Limits = Record<(typeof LIMIT_NAMES)[number], number>

/** null: the deployment's default. */
export type OwnLimits = { [Name in keyof Limits]: number | null }

export interface Tenant {
  id: string
  title: string
  created_at: number
  /** Its keys open nothing since then; jobs that were accepted go on. */
  suspended_at: number | null
  limits: OwnLimits
  /** Of those in CORS_ORIGINS, the origins whose pages may use the API for this tenant; null: all of them. */
  cors_origins: string[] | null
  /** How long its jobs are kept; what is not there is as the deployment has it. */
  keep: OwnKeep
}

export interface ApiKey {
  id: string
  tenant: string
  title: string
  scopes: Scope[]
  created_at: number
  expires_at: number | null
  /** The end of the grace of a key that was rotated. */
  retires_at: number | null
  revoked_at: number | null
  /** To the minute. */
  last_used_at: number | null
  /** The key that came after it. */
  replaced_by: string | null
}

export type KeyState = 'active' | 'expired' | 'revoked'

export const effectiveLimits = (own: OwnLimits, defaults: Limits): Limits => ({
  requests_per_minute: own.requests_per_minute ?? defaults.requests_per_minute,
  queued_jobs: own.queued_jobs ?? defaults.queued_jobs,
})

/** When a key stops to open anything; null: never. */
export function endOfKey({ expires_at, retires_at }: ApiKey): number | null {
  const ends = [expires_at, retires_at].filter((at) => at !== null)
  return ends.length === 0 ? null : Math.min(...ends)
}

export function keyState(key: ApiKey, now: number): KeyState {
  if (key.revoked_at !== null) return 'revoked'
  const end = endOfKey(key)
  return end !== null && end <= now ? 'expired' : 'active'
}
