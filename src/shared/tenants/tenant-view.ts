import { formatDuration } from '../values/duration.ts'
import type { StoredAmount } from '../limits/rules/stored.ts'
import type { TenantAdmin } from './tenant-admin.ts'
import { effectiveLimits, endOfKey, keyState, type ApiKey, type Limits, type Tenant } from './rules/tenant.ts'

const time = (ms: number): string => new Date(ms).toISOString()
const timeOrNull = (ms: number | null): string | null => (ms === null ? null : time(ms))

const duration = (seconds: number | undefined): string | null =>
  seconds === undefined ? null : formatDuration(seconds)

/** A tenant as the API and the command line show it. */
const tenantView = (
  { id, title, created_at, suspended_at, limits, keep, mail_to_metadata, cors_origins }: Tenant,
  defaults: Limits,
  stored: StoredAmount,
) => ({
  id,
  title,
  created_at: time(created_at),
  suspended_at: timeOrNull(suspended_at),
  limits: effectiveLimits(limits, defaults),
  /** null: the deployment's default */
  own_limits: {
    ...limits,
    stored_bytes: limits.stored_bytes ?? null,
    stored_files: limits.stored_files ?? null,
    mails_per_hour: limits.mails_per_hour ?? null,
    batch_jobs: limits.batch_jobs ?? null,
  },
  /** Counted for `stored_bytes` and `stored_files`. */
  stored,
  mail_to_metadata,
  /** null: all of CORS_ORIGINS */
  cors_origins,
  /** Retention of the tenant's jobs; null: the deployment's default */
  keep: {
    payload: duration(keep.payload),
    job: duration(keep.job),
    files: duration(keep.files),
  },
})

/** Tenants with what they have stored. */
export async function tenantViews(admin: Pick<TenantAdmin, 'stored'>, tenants: readonly Tenant[], defaults: Limits) {
  const stored = await admin.stored(tenants.map(({ id }) => id))
  return tenants.map((tenant, i) => tenantView(tenant, defaults, stored[i] ?? { bytes: 0, files: 0 }))
}

/** A key as the API and the command line show it, without its secret and digest. */
export const keyView = (key: ApiKey, now: number) => ({
  id: key.id,
  tenant: key.tenant,
  title: key.title,
  scopes: key.scopes,
  state: keyState(key, now),
  created_at: time(key.created_at),
  expires_at: timeOrNull(endOfKey(key)),
  revoked_at: timeOrNull(key.revoked_at),
  last_used_at: timeOrNull(key.last_used_at),
  replaced_by: key.replaced_by,
})
