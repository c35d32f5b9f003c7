import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { createClient } from '../../src/client/client.ts'
import type { Job } from '../../src/client/types.ts'
import { makeKey } from '../../src/shared/tenants/rules/api-key.ts'
import { createTenantKeys } from '../../src/shared/tenants/tenant-keys.ts'
import { code, createOperator, type Answer, type KeyBody, type KeyList, type Operator } from '../support/operator.ts'
import { freshPrefix, testRedisUrl } from '../support/redis.ts'
import { startService, type TestService } from '../support/start-service.ts'
import { waitFor } from '../support/wait-for.ts'

const HELLO = '9dcd6d78e7c6560c340d916fe32e9f24aabfa331e5cce95fe31f77fb03121426'
const RIGHT = { version: HELLO, input: { text: 'Ada' } }
const PICTURE = { model: 'black-forest-labs/flux-schnell', input: { prompt: 'x', megapixels: '0.25' } }
const NOBODYS = `job_${'7'.repeat(26)}`

/** The whole service, and a second api beside it. */
let service: TestService
let second: TestService
let operator: Operator
beforeAll(async () => {
  const KEY_PREFIX = freshPrefix()
  service = await startService({ env: { KEY_PREFIX } })
  const env = { KEY_PREFIX, ROLE: 'api', REDIS_URL: testRedisUrl(), REPLICATE_API_TOKEN: 'test' }
  second = await startService({ env })
  operator = createOperator(service)
})

const ask: Operator['ask'] = (path, asked) => operator.ask(path, asked)
afterAll(async () => {
  await second.stop()
  await service.stop()
})

describe('a tenant', () => {
  test('is made once, changed, and shown with the limits that hold', async () => {
    const body = { id: 'acme', title: 'Acme', limits: { queued_jobs: 5 } }
    const created = await ask('/v1/admin/tenants', { body })
    expect(created).toMatchObject({
      status: 201,
      body: {
        id: 'acme',
        title: 'Acme',
        suspended_at: null,
        limits: { requests_per_minute: 1_000_000, queued_jobs: 5 },
        own_limits: { requests_per_minute: null, queued_jobs: 5 },
      },
    })
    expect(created.headers.get('location')).toBe('/v1/admin/tenants/acme')
    expect(await ask('/v1/admin/tenants', { body })).toMatchObject({ status: 200, body: created.body })
    expect(code(await ask('/v1/admin/tenants', { body: { ...body, title: 'Another' } }))).toEqual([
      409,
      'tenant_exists',
    ])
    const changed = await ask('/v1/admin/tenants/acme', {
      body: { limits: { queued_jobs: null, requests_per_minute: 12 } },
    })
    expect(changed.body).toMatchObject({ title: 'Acme', limits: { requests_per_minute: 12, queued_jobs: 10_000 } })
    expect((await ask('/v1/admin/tenants/acme')).body).toEqual(changed.body)
  })

  test('default is always there, and cannot be suspended', async () => {
    expect(await ask('/v1/admin/tenants/default')).toMatchObject({ status: 200, body: { id: 'default' } })
    expect(code(await ask('/v1/admin/tenants/default', { body: { suspended: true } }))).toEqual([
      422,
      'invalid_request',
    ])
    expect((await ask('/v1/jobs')).status).toBe(200)
  })

  test('is listed in pages', async () => {
    const ids = [await operator.newTenant(), await operator.newTenant(), await operator.newTenant()]
    const seen: string[] = []
    for (let cursor: string | null = ''; cursor !== null;) {
      const page: Answer<{ data: { id: string }[]; next_cursor: string | null }> = await ask(
        `/v1/admin/tenants?limit=2${cursor === '' ? '' : `&cursor=${cursor}`}`,
      )
      expect(page.body.data.length).toBeLessThanOrEqual(2)
      seen.push(...page.body.data.map(({ id }) => id))
      cursor = page.body.next_cursor
    }
    expect(seen).toEqual([...new Set(seen)].sort())
    expect(seen).toEqual(expect.arrayContaining(['default', ...ids]))
  })

  test.each(['', 'A', '-a', 'a'.repeat(41), 'a b', 'a:b', 'a.b', '__proto__', 'a\n', 1, null])(
    'cannot be called %j',
    async (id) => {
      expect(code(await ask('/v1/admin/tenants', { body: { id } }))).toEqual([422, 'invalid_request'])
    },
  )

  test.each([
    [{ limits: { requests_per_minute: 0 } }],
    [{ limits: { requests_per_minute: 1.5 } }],
    [{ limits: { queued_jobs: '5' } }],
    [{ limits: { colour: 1 } }],
    [{ title: 'a\nb' }],
    [{ title: '\u001b[31mred' }],
    [{ suspended: 'yes' }],
  ])('is not changed by %j', async (body) => {
    expect(code(await ask('/v1/admin/tenants/default', { body }))).toEqual([422, 'invalid_request'])
  })

  test.each(['nobody', 'a:b', '*', '..%2f', '%00', 'x'.repeat(1000), '__proto__'])(
    'called %s is not found, and touches nothing',
    async (id) => {
      const { tenants, tenantIds } = createTenantKeys(service.keys.tag)
      const kept = async () => [await service.redis.hgetall(tenants), await service.redis.zcard(tenantIds)]
      const before = await kept()
      for (const [path, asked] of [
        [`/v1/admin/tenants/${id}`, {}],
        [`/v1/admin/tenants/${id}`, { body: { suspended: true } }],
        [`/v1/admin/tenants/${id}/keys`, {}],
        [`/v1/admin/tenants/${id}/keys`, { body: {} }],
        [`/v1/admin/tenants/default/keys/${id}`, { method: 'DELETE' }],
        [`/v1/admin/tenants/default/keys/${id}/rotate`, { body: {} }],
      ] as const)
        expect(code(await ask(path, asked))).toEqual([404, 'not_found'])
      expect(await kept()).toEqual(before)
    },
  )

  test('that is suspended has no way in, until it is let in again; its jobs go on', async () => {
    const tenant = await operator.newTenant()
    const { key } = await operator.newKey(tenant)
    const job = await operator.submit(key, RIGHT)
    const token = await operator.tokenFor(key, job)
    const cookie = await operator.sessionOf(key)
    await ask(`/v1/admin/tenants/${tenant}`, { body: { suspended: true } })
    for (const asked of [{ key }, { key, at: second }, { key: token }, { key: null, headers: cookie }])
      expect(code(await ask(`/v1/jobs/${job}`, asked))).toEqual([403, 'tenant_suspended'])
    await ask(`/v1/admin/tenants/${tenant}`, { body: { suspended: false } })
    expect((await operator.finished(key, job)).status).toBe('succeeded')
  })
})

describe('scopes', () => {
  test('open what they name and nothing else', async () => {
    const tenant = await operator.newTenant()
    const reader = (await operator.newKey(tenant, { scopes: ['jobs:read'] })).key
    const writer = (await operator.newKey(tenant, { scopes: ['jobs:write'] })).key
    const usual = await operator.newKey(tenant)
    expect(usual.scopes).toEqual(['jobs:write', 'jobs:read', 'credits:read'])
    const job = await operator.submit(writer, RIGHT)
    for (const path of ['/v1/jobs', `/v1/jobs/${job}`, `/v1/jobs/${job}/events`, '/v1/events', '/v1/models'])
      expect([path, ...code(await ask(path, { key: writer }))]).toEqual([path, 403, 'forbidden'])
    for (const path of ['/v1/jobs', `/v1/jobs/${job}/cancel`, `/v1/jobs/${job}/retry`])
      expect([path, ...code(await ask(path, { key: reader, body: RIGHT }))]).toEqual([path, 403, 'forbidden'])
    expect((await ask(`/v1/jobs/${job}`, { key: reader })).status).toBe(200)
    for (const key of [reader, writer, usual.key]) {
      expect(code(await ask('/v1/admin/tenants', { key }))).toEqual([403, 'forbidden'])
      expect(code(await ask(`/v1/admin/tenants/${tenant}/keys`, { key, body: { scopes: ['admin'] } }))).toEqual([
        403,
        'forbidden',
      ])
    }
  })

  test('admin is about every tenant, whichever tenant the key is of', async () => {
    const [one, other] = [await operator.newTenant(), await operator.newTenant()]
    const { key } = await operator.newKey(one, { scopes: ['admin'] })
    expect((await ask(`/v1/admin/tenants/${other}/keys`, { key, body: {} })).status).toBe(201)
    expect(code(await ask('/v1/jobs', { key }))).toEqual([403, 'forbidden'])
  })

  test.each([[[]], [['root']], [['admin', 'root']], ['admin'], [null]])('%j are none', async (scopes) => {
    expect(code(await ask('/v1/admin/tenants/default/keys', { body: { scopes } }))).toEqual([422, 'invalid_request'])
  })
})

describe('what belongs to another tenant', () => {
  test('is as unknown as what does not exist: jobs, events, files, tokens, keys', async () => {
    const [tenantA, tenantB] = [await operator.newTenant(), await operator.newTenant()]
    const [a, b] = [(await operator.newKey(tenantA)).key, await operator.newKey(tenantB)]
    const { id, artifacts } = await operator.finished(a, await operator.submit(a, PICTURE))
    const file = artifacts[0]?.id ?? ''
    expect((await ask(`/v1/artifacts/${file}`, { key: a })).status).toBe(200)
    const nobodys = file.replace(id.slice(4), NOBODYS.slice(4))
    for (const [path, other, asked] of [
      [`/v1/jobs/${id}`, `/v1/jobs/${NOBODYS}`, {}],
      [`/v1/jobs/${id}?wait=5&include=history`, `/v1/jobs/${NOBODYS}?wait=5&include=history`, {}],
      [`/v1/jobs/${id}/events`, `/v1/jobs/${NOBODYS}/events`, {}],
      [`/v1/artifacts/${file}`, `/v1/artifacts/${nobodys}`, {}],
      [`/v1/jobs/${id}/cancel`, `/v1/jobs/${NOBODYS}/cancel`, { method: 'POST' }],
      [`/v1/jobs/${id}/retry`, `/v1/jobs/${NOBODYS}/retry`, { method: 'POST' }],
      [`/v1/jobs/${id}/token`, `/v1/jobs/${NOBODYS}/token`, { method: 'POST' }],
    ] as const) {
      const foreign = await ask(path, { key: b.key, ...asked })
      expect([path, ...code(foreign)]).toEqual([path, 404, 'not_found'])
      expect(foreign.body).toEqual((await ask(other, { key: b.key, ...asked })).body)
    }
    expect((await ask<{ data: Job[] }>('/v1/jobs', { key: b.key })).body.data).toEqual([])
    expect(code(await ask(`/v1/admin/tenants/${tenantA}/keys/${b.id}`, { method: 'DELETE' }))).toEqual([
      404,
      'not_found',
    ])
    expect((await ask('/v1/jobs', { key: b.key })).status).toBe(200)
  })

  test('appears in no other event stream', async () => {
    const [a, b] = [
      (await operator.newKey(await operator.newTenant())).key,
      (await operator.newKey(await operator.newTenant())).key,
    ]
    const client = createClient({ baseUrl: service.url, key: b })
    const seen: string[] = []
    let connected = false
    const { close } = client.changes({
      onJob: ({ id, completed_at }) => {
        if (completed_at !== null) seen.push(id)
      },
      onState: (state) => (connected ||= state === 'open'),
    })
    await waitFor('the stream', () => connected)
    const foreign = await operator.submit(a, RIGHT)
    await operator.finished(a, foreign)
    const own = await operator.submit(b, RIGHT)
    await waitFor('the end of a job', () => seen.includes(own))
    close()
    expect(new Set(seen)).toEqual(new Set([own]))
  })

  test('with the same idempotency key is another job', async () => {
    const [a, b] = [
      (await operator.newKey(await operator.newTenant())).key,
      (await operator.newKey(await operator.newTenant())).key,
    ]
    const headers = { 'idempotency-key': 'order-1' }
    const first = await ask<Job>('/v1/jobs', { key: a, body: RIGHT, headers })
    const foreign = await ask<Job>('/v1/jobs', { key: b, body: { ...RIGHT, timeout: 60 }, headers })
    expect([first.status, foreign.status]).toEqual([202, 202])
    expect(foreign.body.id).not.toBe(first.body.id)
    const again = await ask<Job>('/v1/jobs', { key: a, body: RIGHT, headers, at: second })
    expect(again.body.id).toBe(first.body.id)
  })
})

describe('a key', () => {
  test('is shown once, listed without its secret, newest first', async () => {
    const tenant = await operator.newTenant()
    const first = await operator.newKey(tenant, { title: 'first' })
    const newer = await operator.newKey(tenant, { title: 'newer', expires_at: '2999-01-01T00:00:00Z' })
    await ask('/v1/jobs', { key: first.key })
    const list = await ask<KeyList>(`/v1/admin/tenants/${tenant}/keys`)
    expect(list.body.data).toMatchObject([
      { id: newer.id, title: 'newer', state: 'active', expires_at: '2999-01-01T00:00:00.000Z', last_used_at: null },
      { id: first.id, title: 'first', state: 'active', expires_at: null, last_used_at: expect.any(String) },
    ])
    const stored = await service.redis.hgetall(createTenantKeys(service.keys.tag).apiKey(first.id))
    for (const text of [JSON.stringify(list.body), JSON.stringify(stored)])
      expect(text).not.toContain(first.key.slice(16, 59))
  })

  test('that is wrong in any way opens nothing, and an unknown id answers as a known one', async () => {
    const tenant = await operator.newTenant()
    const { id, key } = await operator.newKey(tenant)
    const [wrong, unknown] = [
      await ask('/v1/jobs', { key: makeKey(id).key }),
      await ask('/v1/jobs', { key: makeKey().key }),
    ]
    expect(code(wrong)).toEqual([401, 'unauthenticated'])
    expect(unknown.body).toEqual(wrong.body)
    expect([...unknown.headers.keys()].sort()).toEqual([...wrong.headers.keys()].sort())
    for (const text of [key.slice(0, -1), `${key}A`, key.replace(/.$/, key.endsWith('A') ? 'B' : 'A'), key.slice(3)])
      expect(code(await ask('/v1/jobs', { key: text }))).toEqual([401, 'unauthenticated'])
    expect((await ask('/v1/jobs', { key })).status).toBe(200)
  })

  test('ends when its time is over', async () => {
    const tenant = await operator.newTenant()
    expect(
      code(await ask(`/v1/admin/tenants/${tenant}/keys`, { body: { expires_at: '2020-01-01T00:00:00Z' } })),
    ).toEqual([422, 'invalid_request'])
    const { id, key } = await operator.newKey(tenant, { expires_at: new Date(Date.now() + 5000).toISOString() })
    expect((await ask('/v1/jobs', { key })).status).toBe(200)
    const refused = await waitFor('the end of the key', async () => {
      const answer = await ask('/v1/jobs', { key })
      return answer.status === 401 && answer
    })
    expect(refused.body.detail).toContain('expired')
    expect(code(await ask(`/v1/admin/tenants/${tenant}/keys/${id}/rotate`, { body: {} }))).toEqual([
      409,
      'key_not_active',
    ])
  })

  test('is rotated: both work for the grace, with the same rights', async () => {
    const tenant = await operator.newTenant()
    const old = await operator.newKey(tenant, { title: 'back end', scopes: ['jobs:read'] })
    const path = `/v1/admin/tenants/${tenant}/keys/${old.id}/rotate`
    const next = (await ask<KeyBody>(path, { body: { grace: 60 } })).body
    expect(next).toMatchObject({ title: 'back end', scopes: ['jobs:read'], state: 'active', expires_at: null })
    for (const { key } of [old, next]) expect((await ask('/v1/jobs', { key, at: second })).status).toBe(200)
    const [, listed] = (await ask<KeyList>(`/v1/admin/tenants/${tenant}/keys`)).body.data
    expect(listed).toMatchObject({ id: old.id, state: 'active', replaced_by: next.id, expires_at: expect.any(String) })
    const follows = `/v1/admin/tenants/${tenant}/keys/${next.id}/rotate`
    const last = (await ask<KeyBody>(follows, { body: { grace: 0 } })).body
    expect(code(await ask('/v1/jobs', { key: next.key }))).toEqual([401, 'unauthenticated'])
    for (const { key } of [old, last]) expect((await ask('/v1/jobs', { key })).status).toBe(200)
  })

  test('is rotated once: a repeated request names the successor', async () => {
    const tenant = await operator.newTenant()
    const old = await operator.newKey(tenant)
    const path = `/v1/admin/tenants/${tenant}/keys/${old.id}/rotate`
    const answers = await Promise.all([0, 1, 2].map(() => ask<KeyBody>(path, { body: { grace: 0 } })))
    const made = answers.filter(({ status }) => status === 201).map(({ body }) => body.id)
    expect(made).toHaveLength(1)
    // Its grace is over, and still the answer names the successor.
    for (const answer of [...answers, await ask<KeyBody>(path, { body: {} })].filter(({ status }) => status !== 201))
      expect(answer).toMatchObject({ status: 409, body: { code: 'key_already_made', key_id: made[0] } })
    expect((await ask<KeyList>(`/v1/admin/tenants/${tenant}/keys`)).body.data).toHaveLength(2)
  })

  test('is made once for an Idempotency-Key, and its text is shown by the first answer only', async () => {
    const [tenant, other] = [await operator.newTenant(), await operator.newTenant()]
    const headers = { 'idempotency-key': 'back end, January' }
    const create = (of: string, body: object) => ask<KeyBody>(`/v1/admin/tenants/${of}/keys`, { headers, body })
    const answers = await Promise.all([0, 1, 2].map(() => create(tenant, { title: 'back end' })))
    const [first] = answers.filter(({ status }) => status === 201)
    expect((await ask('/v1/jobs', { key: first?.body.key ?? '' })).status).toBe(200)
    const repeated = [...answers.filter((answer) => answer !== first), await create(tenant, { title: 'back end' })]
    for (const { status, body } of repeated) {
      expect({ status, body }).toMatchObject({
        status: 409,
        body: { code: 'key_already_made', key_id: first?.body.id },
      })
      expect(body).not.toHaveProperty('key')
    }
    expect(code(await create(tenant, { title: 'another' }))).toEqual([422, 'idempotency_key_reused'])
    expect((await ask<KeyList>(`/v1/admin/tenants/${tenant}/keys`)).body.data).toHaveLength(1)
    // A key of a tenant means nothing for another one.
    expect((await create(other, { title: 'back end' })).status).toBe(201)
  })

  test('keeps the length of its life when it is rotated', async () => {
    const tenant = await operator.newTenant()
    const day = 86_400_000
    const old = await operator.newKey(tenant, { expires_at: new Date(Date.now() + 90 * day).toISOString() })
    const path = `/v1/admin/tenants/${tenant}/keys/${old.id}/rotate`
    const next = (await ask<KeyBody>(path, { method: 'POST' })).body
    const life = Date.parse(next.expires_at ?? '') - Date.now()
    expect(Math.abs(life - 90 * day)).toBeLessThan(60_000)
    const follows = `/v1/admin/tenants/${tenant}/keys/${next.id}/rotate`
    expect((await ask<KeyBody>(follows, { body: { expires_at: null } })).body.expires_at).toBeNull()
  })

  test('that is revoked ends at once, at every api, with its sessions, tokens and streams', async () => {
    const tenant = await operator.newTenant()
    const [doomed, other] = [await operator.newKey(tenant), await operator.newKey(tenant)]
    const job = await operator.submit(doomed.key, RIGHT)
    const token = await operator.tokenFor(doomed.key, job)
    const session = await operator.sessionOf(doomed.key)
    const ways = [{ key: doomed.key }, { key: doomed.key, at: second }, { key: token }, { key: null, headers: session }]
    for (const way of ways) expect((await ask(`/v1/jobs/${job}`, way)).status).toBe(200)
    const streams = await Promise.all([
      fetch(`${second.url}/v1/events`, { headers: { authorization: `Bearer ${doomed.key}` } }),
      fetch(`${service.url}/v1/events`, { headers: session }),
    ])
    const lasting = new AbortController()
    const others = await fetch(`${service.url}/v1/events`, {
      headers: { authorization: `Bearer ${other.key}` },
      signal: lasting.signal,
    })
    expect([...streams, others].map(({ status }) => status)).toEqual([200, 200, 200])
    const open = others.text().then(
      () => 'ended',
      () => 'left',
    )

    await operator.revoke(tenant, doomed.id)
    for (const way of ways) expect(code(await ask(`/v1/jobs/${job}`, way))).toEqual([401, 'unauthenticated'])
    // They end by themselves.
    for (const text of await Promise.all(streams.map((stream) => stream.text()))) expect(text).toContain('event: ready')
    lasting.abort()
    expect(await open).toBe('left')
    expect((await ask('/v1/jobs', { key: other.key })).status).toBe(200)
    await operator.revoke(tenant, doomed.id)
    const listed = await ask<KeyList>(`/v1/admin/tenants/${tenant}/keys`)
    expect(listed.body.data.map(({ id, state }) => [id, state])).toEqual(
      expect.arrayContaining([
        [doomed.id, 'revoked'],
        [other.id, 'active'],
      ]),
    )
  })
})

describe('the signing secret of a tenant', () => {
  interface Secret {
    key: string
    created_at: string
    previous: { key: string; expires_at: string }[]
  }
  const PATH = '/v1/webhook-secret'

  test('is made once by simultaneous requests to two apis, and is shown by both of its routes', async () => {
    const [one, other] = [await operator.newTenant(), await operator.newTenant()]
    const { key } = await operator.newKey(one)
    const first = await Promise.all(
      Array.from({ length: 10 }, (_, i) => ask<Secret>(PATH, { key, at: i % 2 === 0 ? service : second })),
    )
    const keys = [...new Set(first.map(({ body }) => body.key))]
    expect(keys).toEqual([expect.stringMatching(/^whsec_[A-Za-z0-9+/]{43}=$/)])
    expect((await ask('/replicate/v1/webhooks/default/secret', { key })).body).toEqual({ key: keys[0] })
    const others = await operator.newKey(other)
    expect((await ask<Secret>(PATH, { key: others.key })).body.key).not.toBe(keys[0])
    const reader = await operator.newKey(one, { scopes: ['jobs:read'] })
    for (const asked of [{}, { body: {} }])
      expect(code(await ask(PATH, { key: reader.key, ...asked }))).toEqual([403, 'forbidden'])
    expect((await ask('/replicate/v1/webhooks/default/secret', { key: reader.key })).status).toBe(403)
  })

  test('is rotated: replaced ones stay valid for their grace, and without a grace none does', async () => {
    const { key } = await operator.newKey(await operator.newTenant())
    const rotate = async (body: object): Promise<Secret> => (await ask<Secret>(PATH, { key, body })).body
    const secrets = [(await ask<Secret>(PATH, { key })).body, await rotate({}), await rotate({ grace: 60 })]
    const ofKeys = ({ key: current, previous }: Secret): string[] => [current, ...previous.map((one) => one.key)]
    const [first = '', second_ = '', third = ''] = secrets.map((secret) => secret.key)
    expect(new Set([first, second_, third]).size).toBe(3)
    expect(secrets.map(ofKeys)).toEqual([[first], [second_, first], [third, second_, first]])
    const lasts = secrets.at(-1)?.previous.map(({ expires_at }) => Date.parse(expires_at)) ?? []
    // The earlier ones end at the latest with the replaced one.
    expect(lasts[1]).toBe(lasts[0])
    for (let i = 0; i < 3; i++) await rotate({})
    expect(ofKeys((await ask<Secret>(PATH, { key })).body)).toHaveLength(4)
    const last = await rotate({ grace: 0 })
    expect(last.previous).toEqual([])
    expect((await ask<Secret>(PATH, { key })).body).toEqual(last)
    expect(code(await ask(PATH, { key, body: { grace: -1 } }))).toEqual([422, 'invalid_request'])
  })
})
