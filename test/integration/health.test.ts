import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { finished } from '../support/finished.ts'
import { code, createOperator, type Operator } from '../support/operator.ts'
import { startService, type TestService } from '../support/start-service.ts'
import { waitFor } from '../support/wait-for.ts'

/** What an operator sees of the whole deployment. */

const MODEL = { model: 'black-forest-labs/flux-schnell', input: { prompt: 'how are you' } }

let service: TestService
let operator: Operator

beforeAll(async () => {
  service = await startService()
  operator = createOperator(service)
})
afterAll(() => service.stop())

describe('the health of a deployment', () => {
  test('reports how completions were detected, and how late the webhooks came', async () => {
    expect((await service.client.health()).webhooks.latency).toBeNull()
    const jobs = await Promise.all([1, 2, 3].map(() => service.client.submit(MODEL)))
    for (const { id } of jobs) await finished(service, id)
    const health = await service.client.health()
    expect(health.finished_by).toEqual({ webhook: 3 })
    expect(health.webhooks).toMatchObject({ silent: false, dead_letters: 0 })
    const { count = 0, p50 = -1, p90 = -1, max = -1 } = health.webhooks.latency ?? {}
    expect(count).toBe(3)
    expect([p50 >= 0, p90 >= p50, max >= p90, max < 60]).toEqual([true, true, true, true])
    expect(health.jobs.succeeded).toBe(3)
    expect([health.artifacts_at_risk, health.outcomes_unknown, health.orphan_predictions]).toEqual([0, 0, 0])
    const metrics = await (await fetch(`${service.url}/metrics`)).text()
    expect(metrics).toMatch(/genqueue_webhook_latency_seconds_count 3/)
  })

  test('reports why jobs of all tenants wait, and the rest of the budget', async () => {
    const { key } = await operator.newKey(await operator.newTenant())
    await service.simulator.faults({ create: { status: { next: 1, code: 429 } } })
    await operator.submit(key, MODEL)
    const health = await waitFor('the pause', async () => {
      const now = await service.client.health()
      return now.pause !== null && now.waiting.reasons.some(({ reason }) => reason === 'rate_limited') && now
    })
    expect(health.pause).toMatchObject({ reason: 'rate_limited' })
    expect(health.waiting).toEqual({ looked_at: 1, reasons: [{ reason: 'rate_limited', jobs: 1 }] })
    const { creates, reads } = health.budget
    // The first 429 without a figure lowers the rate by a twentieth.
    expect(creates).toMatchObject({ per_minute: 57_000, ceiling: 60_000, quiet_since: expect.any(String) })
    expect(reads.per_minute).toBe(60_000)
    for (const { burst, free } of [creates, reads]) {
      expect([free <= burst, free >= 0]).toEqual([true, true])
    }
  })

  test('is for operators only', async () => {
    const { key } = await operator.newKey(await operator.newTenant())
    expect(code(await operator.ask('/v1/health', { key }))).toEqual([403, 'forbidden'])
  })
})

test('anybody who is let in learns whose the key is, and its scopes', async () => {
  const tenant = await operator.newTenant()
  const { key, id } = await operator.newKey(tenant, { scopes: ['credits:read'] })
  expect((await operator.ask('/v1/session', { key })).body).toMatchObject({
    tenant: { id: tenant },
    scopes: ['credits:read'],
    key_id: id,
    expires_at: null,
  })
  expect((await operator.ask('/v1/session')).body).toMatchObject({ tenant: { id: 'default' }, key_id: null })
  expect(code(await operator.ask('/v1/session', { key: null }))).toEqual([401, 'unauthenticated'])
})
