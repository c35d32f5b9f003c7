import { randomBytes } from 'node:crypto'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { createAuth } from '../../src/api/auth.ts'
import type { ApiRequest } from '../../src/api/http.ts'
import type { Job } from '../../src/client/types.ts'
import { ServiceError } from '../../src/shared/errors/service-error.ts'
import { makeKey } from '../../src/shared/tenants/rules/api-key.ts'
import { createRedisTenantStore } from '../../src/shared/tenants/redis-tenant-store.ts'
import { createTenantAdmin } from '../../src/shared/tenants/tenant-admin.ts'
import { createTenantKeys } from '../../src/shared/tenants/tenant-keys.ts'
import { oneKey } from '../../src/shared/values/signing-keys.ts'
import { code, createOperator, type Operator } from '../support/operator.ts'
import { freshPrefix, testRedisUrl } from '../support/redis.ts'
import { startService, TEST_KEY, type TestService } from '../support/start-service.ts'
import { tempDir } from '../support/temp-dir.ts'

const HELLO = '9dcd6d78e7c6560c340d916fe32e9f24aabfa331e5cce95fe31f77fb03121426'
const RIGHT = { version: HELLO, input: { text: 'Ada' } }
const PICTURE = { model: 'black-forest-labs/flux-schnell', input: { prompt: 'x', megapixels: '0.25' } }

/** The whole service, and a second api beside it. */
let service: TestService
let second: TestService
let operator: Operator
beforeAll(async () => {
  const here = { KEY_PREFIX: freshPrefix(), DATA_DIR: tempDir() }
  service = await startService({ env: here })
  const env = { ...here, ROLE: 'api', REDIS_URL: testRedisUrl(), REPLICATE_API_TOKEN: 'test' }
  second = await startService({ env })
  operator = createOperator(service)
})
afterAll(async () => {
  await second.stop()
  await service.stop()
})
const ask: Operator['ask'] = (path, asked) => operator.ask(path, asked)

describe('requests per minute', () => {
  test('are a tenant’s, at all apis together: 429 with the name of the limit and when to come back', async () => {
    const tenant = await operator.newTenant({ requests_per_minute: 60 })
    const [one, two] = [await operator.newKey(tenant), await operator.newKey(tenant)]
    const begun = performance.now()
    const answers = await Promise.all(
      Array.from({ length: 40 }, (_, i) =>
        ask('/v1/jobs', { key: (i % 2 ? one : two).key, at: i % 3 ? service : second }),
      ),
    )
    const seconds = (performance.now() - begun) / 1000
    const passed = answers.filter(({ status }) => status === 200).length
    expect(passed).toBeGreaterThanOrEqual(10)
    expect(passed).toBeLessThanOrEqual(11 + Math.ceil(seconds))
    const refused = answers.filter(({ status }) => status !== 200)
    for (const answer of refused) {
      expect(code(answer)).toEqual([429, 'rate_limited'])
      expect(answer.body.limit).toBe('requests_per_minute')
      expect(Number(answer.headers.get('retry-after'))).toBeGreaterThanOrEqual(1)
      expect(answer.headers.get('ratelimit-policy')).toBe('"requests_per_minute";q=60;w=60')
      expect(answer.headers.get('ratelimit')).toMatch(/^"requests_per_minute";r=0;t=(?:9|10|11)$/)
    }
    const other = await operator.newKey(await operator.newTenant())
    expect((await ask('/v1/jobs', { key: other.key })).status).toBe(200)
    for (const path of ['/livez', '/readyz', '/openapi.json']) expect((await ask(path, { key: null })).status).toBe(200)
  })

  test('are shown with each response, by the headers of the IETF draft', async () => {
    const { key } = await operator.newKey(await operator.newTenant({ requests_per_minute: 60 }))
    const first = await ask('/v1/jobs', { key })
    expect(first.headers.get('ratelimit-policy')).toBe('"requests_per_minute";q=60;w=60')
    expect(first.headers.get('ratelimit')).toBe('"requests_per_minute";r=9;t=1')
    const id = await operator.submit(key, RIGHT)
    const { body } = await ask<{ token: string }>(`/v1/jobs/${id}/token`, { key, body: {} })
    const read = await ask(`/v1/jobs/${id}`, { key: body.token })
    expect(read.headers.get('ratelimit-policy')).toMatch(/^"(?:token_)?requests_per_minute";q=\d+;w=60$/)
    // Nothing that is wrong with a request hides how many more may follow.
    const wrong = await ask('/v1/jobs?nothing=1', { key })
    expect([wrong.status, wrong.headers.get('ratelimit')?.startsWith('"requests_per_minute";r=')]).toEqual([422, true])
    expect((await ask('/livez', { key: null })).headers.get('ratelimit')).toBeNull()
  })

  test('of jobs of a batch are the tenant’s own', async () => {
    const { key } = await operator.newKey(await operator.newTenant({ batch_jobs: 2 }))
    const items = [1, 2, 3].map(() => RIGHT)
    const refused = await ask<{ errors: object[] }>('/v1/batches', { key, body: { items } })
    expect(refused.status).toBe(422)
    expect(refused.body.errors).toEqual([
      { pointer: '/items', code: 'too_large', detail: 'A batch of this tenant is limited to 2 jobs (batch_jobs).' },
    ])
    expect((await ask('/v1/batches', { key, body: { items: items.slice(1) } })).status).toBe(202)
  })

  test('hold for sessions and submissions too, and nothing is accepted beyond them', async () => {
    const tenant = await operator.newTenant({ requests_per_minute: 6 })
    const { key } = await operator.newKey(tenant)
    await operator.submit(key, RIGHT)
    expect(code(await ask('/v1/jobs', { key, body: RIGHT }))).toEqual([429, 'rate_limited'])
    expect(code(await ask('/v1/session', { key: null, body: { key }, headers: { origin: service.url } }))).toEqual([
      429,
      'rate_limited',
    ])
    expect(await service.redis.zcard(service.keys.tenantJobs(tenant))).toBe(1)
  })

  test('are changed at once', async () => {
    const tenant = await operator.newTenant({ requests_per_minute: 1 })
    const { key } = await operator.newKey(tenant)
    expect([(await ask('/v1/jobs', { key })).status, (await ask('/v1/jobs', { key })).status]).toEqual([200, 429])
    await ask(`/v1/admin/tenants/${tenant}`, { body: { limits: { requests_per_minute: 100_000 } } })
    await service.redis.hdel(createTenantKeys(service.keys.tag).requests, tenant)
    for (let i = 0; i < 20; i++) expect((await ask('/v1/jobs', { key })).status).toBe(200)
  })
})

describe('queued jobs', () => {
  test('of a tenant are limited, also for concurrent submissions: 429 with the name of the limit', async () => {
    // An api without workers: what is queued stays so.
    const env = { KEY_PREFIX: freshPrefix(), ROLE: 'api', REDIS_URL: testRedisUrl(), REPLICATE_API_TOKEN: 'test' }
    const idle = await startService({ env })
    try {
      const { newTenant, newKey, ask } = createOperator(idle)
      const [narrow, wide] = [await newTenant({ queued_jobs: 5 }), await newTenant()]
      const { key } = await newKey(narrow)
      const answers = await Promise.all(Array.from({ length: 20 }, () => ask<Job>('/v1/jobs', { key, body: RIGHT })))
      const accepted = answers.filter(({ status }) => status === 202)
      expect(accepted).toHaveLength(5)
      for (const refused of answers.filter(({ status }) => status !== 202)) {
        expect(code(refused)).toEqual([429, 'too_many_queued'])
        expect(refused.body.limit).toBe('queued_jobs')
        expect(Number(refused.headers.get('retry-after'))).toBeGreaterThan(0)
      }
      const other = await newKey(wide)
      expect((await ask('/v1/jobs', { key: other.key, body: RIGHT })).status).toBe(202)
      await ask(`/v1/jobs/${accepted[0]?.body.id}/cancel`, { key, method: 'POST' })
      expect((await ask('/v1/jobs', { key, body: RIGHT })).status).toBe(202)
      expect((await ask('/v1/jobs', { key, body: RIGHT })).status).toBe(429)
      await ask(`/v1/admin/tenants/${narrow}`, { body: { limits: { queued_jobs: 6 } } })
      expect((await ask('/v1/jobs', { key, body: RIGHT })).status).toBe(202)
    } finally {
      await idle.stop()
    }
  })
})

describe('a job token', () => {
  test('reads its job, its events and its files, in the header or in the query', async () => {
    const { key } = await operator.newKey(await operator.newTenant())
    const { id, artifacts } = await operator.finished(key, await operator.submit(key, PICTURE))
    const made = await ask<{ token: string; expires_at: string }>(`/v1/jobs/${id}/token`, { key, method: 'POST' })
    expect(made.status).toBe(200)
    const { token, expires_at } = made.body
    expect(token).toMatch(/^gqt_[A-Za-z0-9_-]{1,196}$/)
    expect(Math.abs(Date.parse(expires_at) - Date.now() - 3_600_000)).toBeLessThan(60_000)
    for (const path of [`/v1/jobs/${id}`, `/v1/jobs/${id}/events`, `/v1/artifacts/${artifacts[0]?.id}`])
      for (const [asked, query] of [
        [{ key: token }, ''],
        [{ key: token, at: second }, ''],
        [{ key: null }, `?token=${token}`],
        [{ key: null, at: second }, `?token=${token}`],
      ] as const)
        expect([path, (await ask(path + query, asked)).status]).toEqual([path, 200])
    const waited = await ask<Job>(`/v1/jobs/${id}?wait=5&include=history&token=${token}`, { key: null })
    expect(waited.body).toMatchObject({ id, history: expect.any(Array) })
  })

  test('opens nothing else', async () => {
    const { key } = await operator.newKey(await operator.newTenant())
    const [mine, other] = [await operator.submit(key, PICTURE), await operator.submit(key, PICTURE)]
    const token = await operator.tokenFor(key, mine)
    const { artifacts } = await operator.finished(key, other)
    for (const path of [`/v1/jobs/${other}`, `/v1/jobs/${other}/events`, `/v1/artifacts/${artifacts[0]?.id}`]) {
      expect([path, ...code(await ask(path, { key: token }))]).toEqual([path, 404, 'not_found'])
      expect([path, ...code(await ask(`${path}?token=${token}`, { key: null }))]).toEqual([path, 404, 'not_found'])
    }
    for (const [path, asked] of [
      ['/v1/jobs', {}],
      ['/v1/events', {}],
      ['/v1/models', {}],
      ['/v1/admin/tenants', {}],
      ['/v1/jobs', { body: RIGHT }],
      [`/v1/jobs/${mine}/cancel`, { method: 'POST' }],
      [`/v1/jobs/${mine}/retry`, { method: 'POST' }],
      [`/v1/jobs/${mine}/token`, { method: 'POST' }],
    ] as const) {
      expect([path, ...code(await ask(path, { key: token, ...asked }))]).toEqual([path, 403, 'forbidden'])
      const inQuery = await ask(`${path}?token=${token}`, { key: null, ...asked })
      expect([path, ...code(inQuery)]).toEqual([path, 401, 'unauthenticated'])
    }
    const session = await ask('/v1/session', { key: null, body: { key: token }, headers: { origin: service.url } })
    expect(code(session)).toEqual([401, 'unauthenticated'])
  })

  test('lasts as long as it was asked for, a day at most', async () => {
    const job = await operator.submit(TEST_KEY, RIGHT)
    for (const expires_in of [0, 86_401, 1.5, '60', null])
      expect(code(await ask(`/v1/jobs/${job}/token`, { body: { expires_in } }))).toEqual([422, 'invalid_request'])
    await operator.tokenFor(TEST_KEY, job, { expires_in: 86_400 })
    await service.simulator.faults({ predictions: { starting_forever: { next: 1 } } })
    const open = await operator.submit(TEST_KEY, RIGHT)
    const token = await operator.tokenFor(TEST_KEY, open, { expires_in: 2 })
    const stream = await fetch(`${service.url}/v1/jobs/${open}/events?token=${token}`)
    expect(stream.status).toBe(200)
    // It ends by itself, although the job has not.
    expect(await stream.text()).toContain('event: job')
    expect(code(await ask(`/v1/jobs/${open}`, { key: token }))).toEqual([401, 'unauthenticated'])
    expect((await ask(`/v1/jobs/${open}/cancel`, { method: 'POST' })).status).toBeLessThan(300)
  })

  test('has its own limit in addition to that of its tenant, and its requests count for both', async () => {
    const tenant = await operator.newTenant({ requests_per_minute: 6000 })
    const { key } = await operator.newKey(tenant)
    const job = await operator.submit(key, RIGHT)
    const requests = createTenantKeys(service.keys.tag).requests
    await service.redis.hdel(requests, tenant)
    const token = await operator.tokenFor(key, job)
    const answers = await Promise.all(Array.from({ length: 120 }, () => ask(`/v1/jobs/${job}`, { key: token })))
    const refused = answers.filter(({ status }) => status === 429)
    expect(refused.length).toBeGreaterThan(0)
    expect(refused[0]?.body).toMatchObject({ code: 'rate_limited', limit: 'token_requests_per_minute' })
    expect((await ask('/v1/jobs', { key })).status).toBe(200)
    const limit = { limits: { requests_per_minute: 6 } }
    await ask(`/v1/admin/tenants/${tenant}`, { body: limit })
    await service.redis.del(createTenantKeys(service.keys.tag).tokenRequests(job))
    await service.redis.hdel(requests, tenant)
    expect((await ask(`/v1/jobs/${job}`, { key: token })).status).toBe(200)
    const { status, body } = await ask(`/v1/jobs/${job}`, { key: token })
    expect({ status, ...body }).toMatchObject({ status: 429, code: 'rate_limited', limit: 'requests_per_minute' })
  })
})

describe('a session', () => {
  test('is of the tenant of its key, with its scopes', async () => {
    const { key } = await operator.newKey(await operator.newTenant(), { scopes: ['jobs:read', 'jobs:write'] })
    const headers = await operator.sessionOf(key)
    const job = await operator.submit(key, RIGHT)
    const list = await ask<{ data: Job[] }>('/v1/jobs', { key: null, headers })
    expect(list.body.data.map(({ id }) => id)).toEqual([job])
    expect(code(await ask('/v1/admin/tenants', { key: null, headers }))).toEqual([403, 'forbidden'])
    expect((await ask(`/v1/jobs/${job}/cancel`, { key: null, headers, method: 'POST' })).status).not.toBe(403)
    const owner = await operator.sessionOf(TEST_KEY)
    expect((await ask('/v1/admin/tenants', { key: null, headers: owner })).status).toBe(200)
  })
})

describe('guessing', () => {
  test('a thousand times over HTTP is answered 429, and a right key opens all the while', async () => {
    const { key } = await operator.newKey(await operator.newTenant())
    // On a separate api: failures of an address count for all clients there.
    const env = { KEY_PREFIX: service.keys.tag.slice(1, -1), ROLE: 'api', REDIS_URL: testRedisUrl() }
    const guessed = await startService({ env: { ...env, REPLICATE_API_TOKEN: 'test' } })
    try {
      const statuses: number[] = []
      for (let round = 0; round < 20; round++) {
        const guesses = Array.from({ length: 50 }, (_, i) => (i % 2 ? makeKey().key : `${makeKey().key.slice(0, -1)}-`))
        const answers = await Promise.all(guesses.map((guess) => ask('/v1/jobs', { key: guess, at: guessed })))
        statuses.push(...answers.map(({ status }) => status))
        for (const right of [key, TEST_KEY])
          expect((await ask('/v1/jobs', { key: right, at: guessed })).status).toBe(200)
      }
      expect(statuses.filter((status) => status === 401)).toHaveLength(100)
      expect(statuses.filter((status) => status === 429)).toHaveLength(900)
      const refused = await ask('/v1/jobs', { key: makeKey().key, at: guessed })
      expect(code(refused)).toEqual([429, 'too_many_attempts'])
      expect(Number(refused.headers.get('retry-after'))).toBeGreaterThan(0)
      const signIn = { key: null, body: { key: makeKey().key }, headers: { origin: guessed.url }, at: guessed }
      expect(code(await ask('/v1/session', signIn))).toEqual([429, 'too_many_attempts'])
      const metrics = await (await fetch(`${guessed.url}/metrics`)).text()
      expect(metrics).toContain('genqueue_requests_refused_total{code="unauthenticated"} 100')
      expect(metrics).toContain('genqueue_requests_refused_total{code="too_many_attempts"} 902')
      expect((await ask('/v1/session', { ...signIn, body: { key } })).status).toBe(204)
    } finally {
      await guessed.stop()
    }
  })

  /** The gate itself, for callers from many addresses. */
  async function gate() {
    const keys = createTenantKeys(`{${freshPrefix()}}`)
    const defaults = { requests_per_minute: 1_000_000, queued_jobs: 1 }
    const store = createRedisTenantStore({ redis: service.redis, keys, defaults, deployment: null })
    const auth = createAuth({
      store,
      devApiKey: null,
      adminPassword: null,
      keys: oneKey(randomBytes(32)),
      allowedHosts: null,
      publicOrigin: null,
      loginCodes: null,
    })
    const request = (key: string, ip: string): ApiRequest => ({
      method: 'GET',
      path: '/v1/jobs',
      params: {},
      query: new URLSearchParams(),
      body: undefined,
      host: 'localhost',
      secure: false,
      proxied: false,
      headers: { authorization: `Bearer ${key}` },
      ip,
      gone: () => new AbortController().signal,
      sent: () => Promise.resolve(true),
    })
    return {
      admin: createTenantAdmin(store),
      ask: (key: string, ip: string): Promise<string> =>
        auth.require(request(key, ip), 'jobs:read').then(
          () => 'ok',
          (error: unknown) => (error instanceof ServiceError ? error.code : String(error)),
        ),
    }
  }
  const scopes = ['jobs:read'] as ['jobs:read']

  /** Another secret for the id of a key, with a right checksum. */
  const otherSecret = (id: string): string => makeKey(id).key

  test('at one key from everywhere is stopped too; its owner is not', async () => {
    const { admin, ask } = await gate()
    const { record, key } = await admin.createKey('default', { title: 'x', scopes, expires_at: null }, null)
    const answers: string[] = []
    for (let i = 0; i < 300; i++) answers.push(await ask(otherSecret(record.id), `10.0.${i % 250}.${i}`))
    expect(answers.slice(0, 100)).toEqual(Array(100).fill('unauthenticated'))
    expect(answers.slice(100)).toEqual(Array(200).fill('too_many_attempts'))
    expect(await ask(key, '10.0.0.1')).toBe('ok')
    expect(await ask(makeKey().key, '10.0.9.9')).toBe('unauthenticated')
  })

  test('takes as long for an id that is known as for one that is not', async () => {
    const { admin, ask } = await gate()
    const ids: string[] = []
    for (let i = 0; i < 10; i++)
      ids.push((await admin.createKey('default', { title: 'x', scopes, expires_at: null }, null)).record.id)
    const times = { known: [] as number[], unknown: [] as number[] }
    for (let i = 0; i < 600; i++)
      for (const kind of ['known', 'unknown'] as const) {
        const guess = kind === 'known' ? otherSecret(ids[i % 10] ?? '') : makeKey().key
        const begun = performance.now()
        expect(await ask(guess, `10.${i % 200}.${Math.floor(i / 200)}.1`)).toBe('unauthenticated')
        times[kind].push(performance.now() - begun)
      }
    const median = (values: number[]): number => values.sort((a, b) => a - b)[values.length >> 1] ?? 0
    // They alternate, so a busy machine slows both. A slow hash for one of them only would be far outside of this.
    expect(median(times.known) / median(times.unknown)).toBeGreaterThan(1 / 3)
    expect(median(times.known) / median(times.unknown)).toBeLessThan(3)
  })
})
