import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import type { Job } from '../../src/client/types.ts'
import { auditReport } from '../support/audit.ts'
import { code, createOperator, type Answer, type Operator } from '../support/operator.ts'
import { startService, type TestService } from '../support/start-service.ts'
import { tempDir } from '../support/temp-dir.ts'
import { inPhase } from '../support/finished.ts'
import { waitFor } from '../support/wait-for.ts'
import { createClient } from '../../src/client/client.ts'

const PRESETS = {
  picture: `
model: black-forest-labs/flux-schnell
input: { overrides: [prompt, num_outputs] }
schema:
  required: [prompt]
  properties: { prompt: { type: string }, num_outputs: { type: integer } }
price: { per_output: 3000, expect: { outputs: { input: num_outputs, default: 1 } } }
policies: { in_flight_limit: 1, overrides: [start_within] }`,
  essay: `
model: google/gemini-3-pro
input: { overrides: [prompt] }
schema:
  required: [prompt]
  properties: { prompt: { type: string } }
price: { per_run: 100, per_output_token: 5, expect: { output_tokens: 10 } }
policies: { charge_canceled: true }`,
}

function presets(): string {
  const dir = join(tempDir(), 'presets')
  mkdirSync(dir)
  for (const [name, text] of Object.entries(PRESETS))
    writeFileSync(join(dir, `${name}.yaml`), `name: ${name}\ntitle: ${name}${text}\n`)
  return dir
}

interface Account {
  unlimited: boolean
  granted: number
  balance: number
  held: number
  captured: number
}
interface Entry extends Account {
  id: string
  kind: string
  amount: number
  job: string | null
  reason: string | null
}

let service: TestService
let operator: Operator
beforeAll(async () => {
  service = await startService({
    env: { PRESETS_DIR: presets(), WEBHOOK_ALLOW: '127.0.0.1' },
    simulator: { speed: 50 },
  })
  operator = createOperator(service)
})
afterAll(() => service.stop())

afterEach(() => service.simulator.faults({ predictions: null }))

let tenant: string
let key: string
beforeEach(async () => {
  tenant = await operator.newTenant()
  key = (await operator.newKey(tenant)).key
})

const grant = (amount: number, more: { reason?: unknown; idempotencyKey?: string; kind?: string } = {}) => {
  const { reason = 'bought', idempotencyKey, kind } = more
  return operator.ask<Entry>(`/v1/admin/tenants/${tenant}/credits`, {
    body: { amount, reason, ...(kind === undefined ? {} : { kind }) },
    headers: idempotencyKey === undefined ? {} : { 'idempotency-key': idempotencyKey },
  })
}
const mine = <T>(path: string): Promise<Answer<T>> => operator.ask<T>(path, { key })
const account = async (): Promise<Account> => (await mine<Account>('/v1/credits')).body
const entries = async (): Promise<string[]> => {
  const { body } = await mine<{ data: Entry[] }>('/v1/credits/ledger')
  return body.data.map(({ kind, amount }) => `${kind} ${amount}`).toReversed()
}
const submit = (body: object): Promise<Answer<Job>> => operator.ask<Job>('/v1/jobs', { key, body })
const picture = (num_outputs = 1) => ({ preset: 'picture', input: { prompt: 'a red apple', num_outputs } })

describe('a tenant with a grant', () => {
  test('hears what is missing, is granted it, and pays what its job has made', async () => {
    await grant(5000)
    const refused = await submit(picture(4))
    expect([...code(refused), refused.body.missing]).toEqual([402, 'insufficient_credits', 7000])
    expect(refused.body.detail).toBe('0.007 credits are missing.')
    expect((await mine<{ data: Job[] }>('/v1/jobs')).body.data).toEqual([])
    await grant(7000)
    const accepted = await submit(picture(4))
    expect(accepted).toMatchObject({
      status: 202,
      body: { cost: { estimate: 12_000, held: 12_000, captured: null, uncollected: 0, estimated: false } },
    })
    const job = await operator.finished(key, accepted.body.id)
    expect(job.key_id).toBe(key.split('_')[1])
    expect(job.cost).toEqual({ estimate: 12_000, held: 0, captured: 12_000, uncollected: 0, estimated: false })
    expect(await account()).toEqual({
      tenant,
      unlimited: false,
      granted: 12_000,
      balance: 0,
      held: 0,
      captured: 12_000,
      low_balance: null,
    })
    expect(await entries()).toEqual(['grant 5000', 'grant 7000', 'hold 12000', 'capture 12000'])
  })

  test('may not run what has no price, by a job, a batch or a retry; what it submitted before is answered again', async () => {
    const raw = { model: 'black-forest-labs/flux-schnell', input: { prompt: 'free' } }
    const headers = { 'idempotency-key': 'free-once' }
    const free = await operator.ask<Job>('/v1/jobs', { key, body: raw, headers })
    expect(free.status).toBe(202)
    await operator.finished(key, free.body.id)
    await grant(0)
    expect(code(await submit(raw))).toEqual([403, 'no_price'])
    const batch = { items: [picture(), raw] }
    expect(code(await operator.ask<Job>('/v1/batches', { key, body: batch }))).toEqual([403, 'no_price'])
    expect(code(await operator.ask<Job>(`/v1/jobs/${free.body.id}/retry`, { key, body: {} }))).toEqual([
      403,
      'no_price',
    ])
    const again = await operator.ask<Job>('/v1/jobs', { key, body: raw, headers })
    expect([again.status, again.body.id]).toEqual([202, free.body.id])
  })

  test('gets back what was held for a job that failed, expired, or was canceled before it ran', async () => {
    await grant(10_000)
    await service.simulator.faults({ predictions: { fail: { next: 1, error: 'CUDA out of memory' } } })
    const failed = await operator.finished(key, await operator.submit(key, picture()))
    expect(failed).toMatchObject({ status: 'failed', cost: { held: 0, captured: 0 } })

    await service.simulator.faults({ predictions: { starting_forever: { next: 1 } } })
    const client = createClient({ baseUrl: service.url, key })
    const first = await operator.submit(key, picture())
    await inPhase({ client }, first, 'created')
    // Only one at a time: this one waits in vain.
    const late = await operator.finished(key, await operator.submit(key, { ...picture(), start_within: 1 }))
    expect(late).toMatchObject({ status: 'failed', error: { code: 'start_within_expired' }, cost: { captured: 0 } })
    expect(await account()).toMatchObject({ balance: 7000, held: 3000 })
    await client.cancel(first)
    expect(await operator.finished(key, first)).toMatchObject({ status: 'canceled', cost: { held: 0, captured: 0 } })
    expect(await account()).toMatchObject({ balance: 10_000, held: 0, captured: 0 })
    const [hold, release] = ['hold 3000', 'release 3000']
    expect(await entries()).toEqual(['grant 10000', hold, release, hold, hold, release, release])
  })

  test('pays for what it cancels after the start, when the preset says so', async () => {
    await grant(1000)
    const { id } = (await submit({ preset: 'essay', input: { prompt: 'Tides' } })).body
    const client = createClient({ baseUrl: service.url, key })
    await inPhase({ client }, id, 'running')
    await client.cancel(id)
    const job = await operator.finished(key, id)
    expect(job).toMatchObject({ status: 'canceled', error: { billed: 'yes' } })
    const { captured = 0 } = job.cost ?? {}
    expect(captured).toBeGreaterThan(100)
    expect(await account()).toMatchObject({ held: 0, captured, balance: 1000 - (captured ?? 0) })
  })

  test('pays an overrun as far as it has the means', async () => {
    await grant(160)
    const job = await operator.finished(
      key,
      await operator.submit(key, { preset: 'essay', input: { prompt: 'An outline about tides' } }),
    )
    expect(job).toMatchObject({ status: 'succeeded', cost: { estimate: 150, captured: 160, estimated: false } })
    const tokens = Number(job.metrics['token_output_count'])
    expect(job.cost?.uncollected).toBe(100 + 5 * tokens - 160)
    expect(await account()).toMatchObject({ balance: 0, captured: 160 })
  })
})

describe('a tenant without a grant', () => {
  test('is unlimited and accounted, until it is granted something', async () => {
    expect(await account()).toEqual({
      tenant,
      unlimited: true,
      granted: 0,
      balance: 0,
      held: 0,
      captured: 0,
      low_balance: null,
    })
    await operator.finished(key, await operator.submit(key, picture(2)))
    expect(await account()).toMatchObject({ unlimited: true, balance: -6000, captured: 6000 })
    await grant(1)
    expect(await account()).toMatchObject({ unlimited: false, granted: 6001, balance: 1 })
    expect(await entries()).toEqual(['hold 6000', 'capture 6000', 'opening 6000', 'grant 1'])
    expect(code(await submit(picture()))).toEqual([402, 'insufficient_credits'])
  })
})

test.each(['/v1/jobs', '/v1/batches'])('a refusal of %s owes that the credits are exhausted', async (path) => {
  await grant(5)
  await service.redis.hset(service.keys.subscribed(tenant), 'credits.exhausted', '1')
  const body = path === '/v1/jobs' ? picture() : { preset: 'picture', items: [{ input: { prompt: 'x' } }] }
  expect(code(await operator.ask(path, { key, body }))).toEqual([402, 'insufficient_credits'])
  expect(await service.redis.hget(service.keys.credits(tenant), 'exhausted')).toBe('1')
  // The audit at the end finds no hearer without an endpoint.
  await service.redis.del(service.keys.subscribed(tenant))
  await grant(5)
  expect(await service.redis.hget(service.keys.credits(tenant), 'exhausted')).toBeNull()
})

describe('what an operator enters', () => {
  test('is entered once for an idempotency key', async () => {
    const first = await grant(500, { idempotencyKey: 'invoice 7' })
    expect(first).toMatchObject({ status: 201, body: { kind: 'grant', amount: 500, balance: 500, reason: 'bought' } })
    const again = await grant(500, { idempotencyKey: 'invoice 7' })
    expect(again).toMatchObject({ status: 201, body: first.body })
    expect(again.headers.get('idempotent-replayed')).toBe('true')
    expect(code(await grant(501, { idempotencyKey: 'invoice 7' }))).toEqual([422, 'idempotency_key_reused'])
    expect(code(await grant(500, { idempotencyKey: 'x'.repeat(256) }))).toEqual([400, 'invalid_idempotency_key'])
    expect(await account()).toMatchObject({ granted: 500 })
    // Without a key, two are two.
    await grant(1)
    await grant(1)
    expect(await account()).toMatchObject({ granted: 502 })
  })

  test('takes back no more than there is', async () => {
    await grant(500)
    const refused = await grant(-501)
    expect([...code(refused), refused.body.detail]).toEqual([
      409,
      'balance_too_low',
      'The adjustment exceeds the balance of 500 micro-credits.',
    ])
    expect(await grant(-500)).toMatchObject({ status: 201, body: { kind: 'adjustment', amount: -500, balance: 0 } })
    expect(await grant(20, { kind: 'adjustment' })).toMatchObject({ body: { kind: 'adjustment', balance: 20 } })
  })

  test.each<[unknown, string, string]>([
    [{ amount: 1.5, reason: 'x' }, '/amount', 'invalid_type'],
    [{ amount: '5', reason: 'x' }, '/amount', 'invalid_type'],
    [{ amount: -1, reason: 'x', kind: 'grant' }, '/amount', 'too_small'],
    [{ amount: 0, reason: 'x', kind: 'adjustment' }, '/amount', 'too_small'],
    [{ amount: 5 }, '/reason', 'invalid_type'],
    [{ amount: 5, reason: ' ' }, '/reason', 'too_small'],
    [{ amount: 5, reason: 'x'.repeat(501) }, '/reason', 'too_big'],
    [{ amount: 5, reason: 'a\u001b[31mred' }, '/reason', 'invalid_format'],
    [{ amount: 5, reason: 'x', kind: 'opening' }, '/kind', 'invalid_value'],
    [{ amount: 5, reason: 'x', note: '' }, '/note', 'unknown_field'],
  ])('is not %j', async (body, pointer, wrong) => {
    const answer = await operator.ask<{ errors: unknown }>(`/v1/admin/tenants/${tenant}/credits`, { body })
    expect(answer).toMatchObject({ status: 422, body: { errors: [{ pointer, code: wrong }] } })
    expect(await entries()).toEqual([])
  })

  test('is exact beyond what JavaScript can add, or refused', async () => {
    await grant(Number.MAX_SAFE_INTEGER)
    const answer = await grant(1)
    expect(answer).toMatchObject({ status: 422, body: { errors: [{ pointer: '/amount', code: 'too_big' }] } })
    expect(await account()).toMatchObject({ balance: Number.MAX_SAFE_INTEGER })
  })

  test('sets the balance below which the tenant is notified', async () => {
    const path = `/v1/admin/tenants/${tenant}/credits/low-balance`
    const set = (low_balance: unknown) => operator.ask<Account>(path, { body: { low_balance } })
    expect(await set(500)).toMatchObject({ status: 200, body: { tenant, low_balance: 500 } })
    expect(await account()).toMatchObject({ low_balance: 500 })
    for (const wrong of [0, -1, 1.5, '5', undefined]) expect((await set(wrong)).status).toBe(422)
    expect(await set(null)).toMatchObject({ status: 200, body: { low_balance: null } })
    expect(code(await operator.ask(path, { key, body: { low_balance: 1 } }))).toEqual([403, 'forbidden'])
  })

  test('is for operators only, and for tenants that exist', async () => {
    const path = `/v1/admin/tenants/${tenant}/credits`
    for (const asked of [{}, { body: { amount: 5, reason: 'mine' } }])
      expect(code(await operator.ask(path, { key, ...asked }))).toEqual([403, 'forbidden'])
    for (const id of ['nobody', 'a:b', '..%2f'])
      for (const asked of [{}, { body: { amount: 5, reason: 'x' } }])
        expect(code(await operator.ask(`/v1/admin/tenants/${id}/credits`, asked))).toEqual([404, 'not_found'])
    const blind = (await operator.newKey(tenant, { scopes: ['jobs:read', 'jobs:write'] })).key
    for (const read of ['/v1/credits', '/v1/credits/ledger', '/v1/credits/spending'])
      expect(code(await operator.ask(read, { key: blind }))).toEqual([403, 'forbidden'])
  })
})

describe('what a tenant reads', () => {
  test('is its own ledger, in pages, by kind and by job, as an operator reads it', async () => {
    for (const amount of [1000, 2000, 3000]) await grant(amount)
    const id = await operator.submit(key, picture())
    await operator.finished(key, id)
    const seen: Entry[] = []
    let path: string | null = '/v1/credits/ledger?limit=2'
    while (path !== null) {
      const page: Answer<{ data: Entry[]; next_cursor: string | null }> = await mine(path)
      expect(page.body.data.length).toBeLessThanOrEqual(2)
      seen.push(...page.body.data)
      path = page.body.next_cursor && `/v1/credits/ledger?limit=2&cursor=${page.body.next_cursor}`
    }
    expect(seen.map(({ kind }) => kind)).toEqual(['capture', 'hold', 'grant', 'grant', 'grant'])
    const { body } = await mine<{ data: Entry[] }>(`/v1/credits/ledger?job=${id}&kind=capture`)
    expect(body.data).toEqual([seen[0]])
    const theirs = await operator.ask(`/v1/admin/tenants/${tenant}/credits/ledger`)
    expect(theirs.body).toEqual({ data: seen, next_cursor: null })
    const stranger = (await operator.newKey(await operator.newTenant())).key
    expect((await operator.ask('/v1/credits/ledger', { key: stranger })).body).toMatchObject({ data: [] })
    for (const query of ['limit=0', 'cursor=x', 'kind=gift', 'colour=1'])
      expect(code(await mine(`/v1/credits/ledger?${query}`))).toEqual([422, 'invalid_request'])
  })

  test('is its spending, by day and by preset, estimate beside actual', async () => {
    const ids = [
      await operator.submit(key, picture(2)),
      await operator.submit(key, { preset: 'essay', input: { prompt: 'Tides' } }),
    ]
    const jobs = await Promise.all(ids.map((id) => operator.finished(key, id)))
    const captured = jobs.reduce((sum, { cost }) => sum + (cost?.captured ?? 0), 0)
    const total = { jobs: 2, estimated: 6150, captured, uncollected: 0 }
    const byDay = await mine<{ from: string; to: string; data: object[] }>('/v1/credits/spending')
    expect(byDay.body).toMatchObject({ by: 'day', total })
    const { from, to } = byDay.body
    expect(Date.parse(to) - Date.parse(from)).toBe(29 * 86_400_000)
    expect(byDay.body.data.at(-1)).toMatchObject({ day: to })
    const byPreset = await mine<{ data: object[] }>(`/v1/credits/spending?by=preset&from=${from}&to=${to}`)
    expect(byPreset.body).toMatchObject({
      total,
      data: [
        { preset: 'essay', jobs: 1, estimated: 150 },
        { preset: 'picture', jobs: 1, estimated: 6000, captured: 6000, uncollected: 0 },
      ],
    })
    expect((await operator.ask(`/v1/admin/tenants/${tenant}/credits/spending`)).body).toEqual(byDay.body)
    const byKey = await mine<{ data: object[] }>('/v1/credits/spending?by=key')
    expect(byKey.body).toMatchObject({ total, data: [{ key_id: key.split('_')[1], jobs: 2, captured }] })
    const byTenant = await operator.ask<{ data: object[] }>('/v1/admin/spending')
    expect(byTenant.body.data).toContainEqual({ tenant, ...total })
    const csv = async (path: string, as: string): Promise<[string | null, string]> => {
      const response = await fetch(service.url + path, { headers: { authorization: `Bearer ${as}` } })
      return [response.headers.get('content-type'), await response.text()]
    }
    const lines = `day,preset,jobs,estimated,captured,uncollected\r\n${to},essay,1,150,${captured - 6000},0\r\n${to},picture,1,6000,6000,0\r\n`
    expect(await csv('/v1/credits/spending.csv?by=preset', key)).toEqual(['text/csv; charset=utf-8', lines])
    const none = await mine('/v1/credits/spending?from=2020-02-29&to=2020-02-29')
    expect(none).toMatchObject({ status: 200, body: { data: [], total: { jobs: 0, captured: 0 } } })
    for (const query of [
      'from=2021-02-29',
      'from=2026-02-02&to=2026-02-01',
      'from=2024-01-01&to=2026-01-01',
      'by=week',
    ])
      expect(code(await mine(`/v1/credits/spending?${query}`))).toEqual([422, 'invalid_request'])
  })
})

test('after all of it every ledger leads to its account, and every hold was resolved once', async () => {
  const { findings } = await auditReport({ redis: service.redis, keys: service.keys })
  expect(findings).toEqual([])
})

describe('a budget', () => {
  interface BudgetView {
    id: string
    used: number | null
    remaining: number | null
    users: { user: string; used: number }[] | null
  }
  const create = (body: object, idempotencyKey?: string): Promise<Answer<BudgetView & { code?: string }>> =>
    operator.ask('/v1/admin/budgets', {
      body,
      headers: idempotencyKey === undefined ? {} : { 'idempotency-key': idempotencyKey },
    })

  test('is set by an operator, read by its tenant, and refuses by its name', async () => {
    const asked = {
      scope: 'tenant',
      tenant,
      period: 'month',
      time_zone: 'Europe/Berlin',
      limit: 10_000,
      title: 'trial',
    }
    const made = await create(asked, `budget of ${tenant}`)
    expect(made).toMatchObject({ status: 201, body: { used: 0, remaining: 10_000, hard: true, alert_at: [80, 100] } })
    expect((await create(asked, `budget of ${tenant}`)).body.id).toBe(made.body.id)
    expect(code(await create({ ...asked, limit: 5 }, `budget of ${tenant}`))).toEqual([422, 'idempotency_key_reused'])
    const { id } = made.body
    const accepted = await submit({ ...picture(2), user: 'ada' })
    const refused = await operator.ask<Job & { budget: string; resets_at: string; used: number; allowed: number }>(
      '/v1/jobs',
      { key, body: { ...picture(2), user: 'ada' } },
    )
    expect(code(refused)).toEqual([402, 'budget_exceeded'])
    expect(refused.body).toMatchObject({ budget: id, used: 6000, allowed: 10_000, missing: 2000 })
    expect(Date.parse(refused.body.resets_at)).toBeGreaterThan(Date.now())
    const batch = { preset: 'picture', items: [1, 2].map(() => ({ input: { prompt: 'a fox' } })) }
    expect(code(await operator.ask('/v1/batches', { key, body: batch }))).toEqual([402, 'budget_exceeded'])
    const raw = { version: '9dcd6d78e7c6560c340d916fe32e9f24aabfa331e5cce95fe31f77fb03121426', input: { text: 'a' } }
    expect(code(await submit(raw))).toEqual([403, 'no_price'])
    const changed = await operator.ask<BudgetView>(`/v1/admin/budgets/${id}`, { body: { limit: 12_000 } })
    expect(changed).toMatchObject({ status: 200, body: { used: 6000, remaining: 6000 } })
    await operator.finished(key, accepted.body.id)
    expect((await mine<{ data: BudgetView[] }>('/v1/budgets')).body.data).toMatchObject([{ id, used: 6000 }])
    expect((await mine<BudgetView>(`/v1/budgets/${id}`)).body).toMatchObject({ id, users: null })
    expect((await operator.ask(`/v1/admin/budgets/${id}`, { method: 'DELETE' })).status).toBe(204)
    expect(code(await operator.ask(`/v1/admin/budgets/${id}`))).toEqual([404, 'not_found'])
    expect((await submit(raw)).status).toBe(202)
    expect(await auditReport(service)).toMatchObject({ findings: [] })
  })

  test('sends the level that it has reached to an endpoint of the tenant', async () => {
    const { key: listener } = await operator.newKey(tenant, { scopes: ['webhooks'] })
    // Nobody listens there.
    const url = 'http://127.0.0.1:9/hook'
    const endpoint = await operator.ask('/v1/endpoints', { key: listener, body: { url, events: ['budget.alert'] } })
    expect(endpoint.status).toBe(201)
    const { body: made } = await create({ scope: 'user', tenant, period: 'day', limit: 3000, alert_at: [50, 90] })
    expect((await submit({ ...picture(), user: 'ada' })).status).toBe(202)
    const [notice] = await waitFor('the notification', async () => {
      const { body } = await operator.ask<{ data: { id: string }[] }>('/v1/notifications', { key: listener })
      return body.data.length > 0 && body.data
    })
    const doc = await service.redis.hget(service.keys.notification(notice?.id ?? ''), 'doc')
    const data = { budget: { id: made.id, user: 'ada', used: 3000, remaining: 0, level: 90 } }
    expect(JSON.parse(doc ?? '')).toMatchObject({ type: 'budget.alert', data })
  })

  test('is of one tenant, and of a key or user that exists', async () => {
    const asked = { period: 'day', limit: 3000 }
    for (const [body, status] of [
      [{ ...asked, scope: 'tenant' }, 422],
      [{ ...asked, scope: 'tenant', tenant: 'nobody-here' }, 404],
      [{ ...asked, scope: 'key', tenant, key_id: 'Gq1xZ8mPw2Lk' }, 404],
      [{ ...asked, scope: 'user', tenant, preset: 'picture' }, 422],
      [{ ...asked, scope: 'tenant', tenant, time_zone: 'Mars/Olympus' }, 422],
    ] as const)
      expect((await create(body)).status).toBe(status)
    const { body: made } = await create({ ...asked, scope: 'key', tenant, key_id: key.split('_')[1] })
    const { body: each } = await create({ ...asked, scope: 'user', tenant, hard: false })
    expect((await submit({ ...picture(), user: 'ada' })).status).toBe(202)
    expect(code(await submit({ ...picture(), user: 'bob' }))).toEqual([402, 'budget_exceeded'])
    const other = (await operator.newKey(tenant)).key
    const again = await operator.ask<Job>('/v1/jobs', { key: other, body: { ...picture(), user: 'bob' } })
    expect(again.status).toBe(202)
    expect((await mine<BudgetView>(`/v1/budgets/${made.id}`)).body.used).toBe(3000)
    expect((await mine<BudgetView>(`/v1/budgets/${each.id}`)).body).toMatchObject({ used: null, remaining: null })
    const stranger = (await operator.newKey(await operator.newTenant())).key
    expect((await operator.ask(`/v1/budgets/${made.id}`, { key: stranger })).status).toBe(404)
    expect((await operator.ask<{ data: object[] }>('/v1/budgets', { key: stranger })).body.data).toEqual([])
  })
})
