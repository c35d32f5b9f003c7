/** The Redis keys of tenants and API keys, under the deployment's hash tag. */
export function createTenantKeys(tag: string) {
  return {
    /** hash: what makes the deployment itself (redis/deployment.ts) */
    deployment: `${tag}:deployment`,
    /** hash: `<tenant>.<field>`. One for all, so that a script that finds the tenant in a key need not name another key. */
    tenants: `${tag}:tenants`,
    /** sorted set, all scores 0: their ids */
    tenantIds: `${tag}:tenant-ids`,
    /** hash: tenant -> theoretical arrival time of its next request, us */
    requests: `${tag}:tenant-requests`,
    /** the same for the tokens of one job or batch; it expires */
    tokenRequests: (subject: string) => `${tag}:token-requests:${subject}`,
    /** hash: an API key without its secret */
    apiKey: (id: string) => `${tag}:api-key:${id}`,
    /** sorted set: ids of a tenant's keys by when they were made, ms */
    apiKeys: (tenant: string) => `${tag}:tenant:${tenant}:api-keys`,
    /** string: a sign-in code that nobody has used, by its SHA-256, hex; it expires */
    loginCode: (digest: string) => `${tag}:login-code:${digest}`,
  }
}

export type TenantKeys = ReturnType<typeof createTenantKeys>
