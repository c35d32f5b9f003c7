import type { TenantStore } from '../../shared/tenants/ports.ts'
import type { Route } from '../http.ts'
import { FRONT } from './path.ts'

/** Replicate's account of a token: the tenant of the key. */
export function accountRoutes(tenants: Pick<TenantStore, 'tenant'>): Route[] {
  return [
    {
      method: 'GET',
      path: `${FRONT}/account`,
      scope: 'jobs:read',
      handle: async ({ principal }) => {
        const tenant = await tenants.tenant(principal.tenant)
        return {
          status: 200,
          body: {
            type: 'organization',
            username: principal.tenant,
            name: tenant?.title ?? principal.tenant,
            avatar_url: null,
            github_url: null,
          },
        }
      },
    },
  ]
}
