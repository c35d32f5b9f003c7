import { TEST_KEY } from '../../test/support/start-service.ts'

/** Creates a tenant without tight limits, and returns a key of it with these scopes. `url`: of an api. */
export async function tenantKey(url: string, tenant: string, scopes: string[]): Promise<string> {
  const post = async (path: string, content: object): Promise<{ key: string }> => {
    const response = await fetch(`${url}/v1/admin/tenants${path}`, {
      method: 'POST',
      headers: { authorization: `Bearer ${TEST_KEY}`, 'content-type': 'application/json' },
      body: JSON.stringify(content),
    })
    if (response.status !== 201) throw new Error(`${path} answered ${response.status}: ${await response.text()}`)
    return (await response.json()) as { key: string }
  }
  await post('', { id: tenant, limits: { requests_per_minute: 1_000_000, queued_jobs: 1_000_000 } })
  return (await post(`/${tenant}/keys`, { scopes })).key
}
