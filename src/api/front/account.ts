import type { SigningSecretStore, TenantStore } from '../../shared/tenants/ports.ts'
import type { Route } from '../http.ts'
import { FRONT } from './path.ts'

/** Replicate's account of a token, which is the tenant of the key, and the secret that signs its notifications. */
export function accountRoutes(
  tenants: Pick<TenantStore, 'tenant'>,
  secrets: Pick<SigningSecretStore, 'read'>,
): Route[] {
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
          },
        }
      },
    },
    {
      method: 'GET',
      path: `${FRONT}/webhooks/default/secret`,
      scope: 'jobs:write',
      handle: async ({ principal }) => ({
        status: 200,
        body: { key: (await secrets.read(principal.tenant)).current.key },
      }),
    },
  ]
}
