/** The Redis keys of tenants and API keys, under the deployment's hash tag. */
export function createTenantKeys(tag: string) {
  return {
    /** hash: the deployment (redis/deployment.ts) */
    deployment: `${tag}:deployment`,
    /** hash: `<tenant>.<field>`. One for all tenants: a script that reads the tenant from an API key cannot name another key. */
    tenants: `${tag}:tenants`,
    /** hash: what tenants have stored (limits/stored.lua) */
    stored: `${tag}:stored`,
    /** hash: tenant -> JSON, the secrets that sign its notifications (signing-secrets.lua) */
    signingSecrets: `${tag}:signing-secrets`,
    /** sorted set, all scores 0: ids of tenants */
    tenantIds: `${tag}:tenant-ids`,
    /** hash: tenant -> theoretical arrival time of its next request, us */
    requests: `${tag}:tenant-requests`,
    /** hash: the same for the tokens of one job or batch; expires */
    tokenRequests: (subject: string) => `${tag}:token-requests:${subject}`,
    /** hash: an API key without its secret */
    apiKey: (id: string) => `${tag}:api-key:${id}`,
    /** sorted set: ids of a tenant's keys by creation time, ms */
    apiKeys: (tenant: string) => `${tag}:tenant:${tenant}:api-keys`,
    /** string: an unused sign-in code, by its SHA-256, hex; expires */
    loginCode: (digest: string) => `${tag}:login-code:${digest}`,
  }
}

export type TenantKeys = ReturnType<typeof createTenantKeys>
