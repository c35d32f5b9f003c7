import type { SigningSecretStore } from '../../shared/tenants/ports.ts'
import type { SigningSecrets } from '../../shared/tenants/rules/signing-secret.ts'
import { secretRotationSchema } from '../../shared/tenants/rules/tenant-requests.ts'
import type { WebhookSecret } from '../description/tenants.ts'
import type { Route } from '../http.ts'
import { parseWith } from '../schemas.ts'

/** The secret that signs the notifications of the caller's tenant. Reading it permits to forge them, so it needs `jobs:write`. */
export function webhookSecretRoutes(secrets: SigningSecretStore): Route[] {
  return [
    {
      method: 'GET',
      path: '/v1/webhook-secret',
      scope: 'jobs:write',
      handle: async ({ principal }) => ({ status: 200, body: view(await secrets.read(principal.tenant)) }),
    },
    {
      method: 'POST',
      path: '/v1/webhook-secret',
      scope: 'jobs:write',
      async handle({ principal, body }) {
        const { grace } = parseWith(secretRotationSchema, body ?? {})
        return { status: 200, body: view(await secrets.rotate(principal.tenant, grace * 1000)) }
      },
    },
  ]
}

const time = (ms: number): string => new Date(ms).toISOString()

const view = ({ current: { key, created_at }, previous }: SigningSecrets): WebhookSecret => ({
  key,
  created_at: time(created_at),
  previous: previous.map((secret) => ({ key: secret.key, expires_at: time(secret.expires_at) })),
})
