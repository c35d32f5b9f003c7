import type { Redis } from 'ioredis'
import { createRedisCreditStore } from '../../src/shared/credits/redis-credit-store.ts'
import type { JobKeys } from '../../src/shared/jobs/record/job-keys.ts'
import { createRedisTenantStore } from '../../src/shared/tenants/redis-tenant-store.ts'
import { createTenantAdmin } from '../../src/shared/tenants/tenant-admin.ts'
import { createTenantKeys } from '../../src/shared/tenants/tenant-keys.ts'
import { DEFAULT_TENANT, USUAL_SCOPES } from '../../src/shared/tenants/rules/tenant.ts'
import { TEST_KEY } from '../support/start-service.ts'

/** Whose jobs a run has. */
export interface Customer {
  tenant: string
  key: string
}

/** Micro-credits; null: none were ever granted. `default` is refused nothing, `thrifty` soon hears of what is missing. */
const GRANTS: Record<string, number | null> = { [DEFAULT_TENANT]: 1_000_000_000_000, thrifty: 12_000, unlimited: null }

export async function makeCustomers(redis: Redis, keys: JobKeys): Promise<Customer[]> {
  const defaults = { requests_per_minute: 1_000_000, queued_jobs: 10_000 }
  const admin = createTenantAdmin(
    createRedisTenantStore({ redis, keys: createTenantKeys(keys.tag), defaults, deployment: null }),
  )
  const credits = createRedisCreditStore({ redis, keys })
  const customers: Customer[] = []
  for (const [tenant, amount] of Object.entries(GRANTS)) {
    if (amount !== null) {
      const grant = { kind: 'grant' as const, amount, reason: 'to be spent' }
      await credits.enter(tenant, grant, { request: 'first', body: '' })
    }
    if (tenant === DEFAULT_TENANT) {
      customers.push({ tenant, key: TEST_KEY })
      continue
    }
    await admin.createTenant({
      id: tenant,
      title: tenant,
      limits: { requests_per_minute: null, queued_jobs: null },
      keep: {},
    })
    const { key } = await admin.createKey(tenant, { title: 'chaos', scopes: [...USUAL_SCOPES], expires_at: null }, null)
    customers.push({ tenant, key })
  }
  return customers
}
