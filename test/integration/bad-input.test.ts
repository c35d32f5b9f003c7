import { randomBytes } from 'node:crypto'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { createAuth } from '../../src/api/auth.ts'
import type { ApiRequest } from '../../src/api/http.ts'
import type { Batch, Credits, Job } from '../../src/client/types.ts'
import { ServiceError } from '../../src/shared/errors/service-error.ts'
import { oneKey } from '../../src/shared/values/signing-keys.ts'
import { makeKey } from '../../src/shared/tenants/rules/api-key.ts'
import { createRedisTenantStore } from '../../src/shared/tenants/redis-tenant-store.ts'
import { createTenantAdmin } from '../../src/shared/tenants/tenant-admin.ts'
import { createTenantKeys } from '../../src/shared/tenants/tenant-keys.ts'
import { code, createOperator, type Answer, type Operator } from '../support/operator.ts'
import { rawRequest } from '../support/raw-request.ts'
import { commandsDuring } from '../support/redis-commands.ts'
import { freshPrefix, startOwnRedis, type OwnRedis } from '../support/redis.ts'
import { startService, TEST_KEY, type TestService } from '../support/start-service.ts'
import { waitFor } from '../support/wait-for.ts'

/** Malformed and hostile requests against the whole service. It has a dedicated Redis, whose commands are monitored. */

const HELLO = '9dcd6d78e7c6560c340d916fe32e9f24aabfa331e5cce95fe31f77fb03121426'
const RIGHT = { version: HELLO, input: { text: 'Ada' } }
const PAGE = { preset: 'story-page', input: { prompt: 'x' } }
const AUTHORIZED = { authorization: `Bearer ${TEST_KEY}` }
const NOBODYS = '7'.repeat(26)

let redis: OwnRedis
let service: TestService
let operator: Operator
const lines: string[] = []
beforeAll(async () => {
  redis = await startOwnRedis()
  service = await startService({
    redisUrl: redis.url,
    env: { LOG_LEVEL: 'debug' },
    onLog: (line) => void lines.push(line),
  })
  operator = createOperator(service)
})
afterAll(async () => {
  await service.stop()
  await redis.stop()
})
const ask: Operator['ask'] = (path, asked) => operator.ask(path, asked)
const textOf = async (
  path: string,
  headers: Record<string, string> = AUTHORIZED,
): Promise<Response & { body_: string }> => {
  const response = await fetch(service.url + path, { headers })
  return Object.assign(response, { body_: await response.text() })
}

/** Pointer and code of all that is wrong. */
const wrong = ({ body }: Answer<unknown>): string[] => (body.errors ?? []).map(({ pointer }) => pointer)

/** A finished picture, a batch and an upload of a new tenant, with a key of that tenant. */
async function owner() {
  const { key } = await operator.newKey(await operator.newTenant())
  const picture = await operator.submit(key, PAGE)
  const batch = (await ask<Batch>('/v1/batches', { key, body: { defaults: { version: HELLO }, items: [RIGHT] } })).body
  const form = new FormData()
  form.set('file', new Blob(['words'], { type: 'text/plain' }), 'words.txt')
  const upload = await fetch(`${service.url}/v1/uploads`, {
    method: 'POST',
    headers: { authorization: `Bearer ${key}` },
    body: form,
  })
  const { id } = (await upload.json()) as { id: string }
  const job = await operator.finished(key, picture)
  await waitFor('the end of the batch', async () => {
    const { body } = await ask<Batch>(`/v1/batches/${batch.id}`, { key })
    return body.status !== 'running'
  })
  return { key, job: job.id, artifact: job.artifacts[0]?.id ?? '', batch: batch.id, upload: id }
}

describe('line breaks of a customer', () => {
  const TEXT = 'a\r\nSet-Cookie: forged=1\r\n\r\nevent: forged\ndata: {}\n\n{"level":60,"msg":"forged"}\n'

  test('B8 end no header, no event, no line of a manifest or of the log, and name no file', async () => {
    const from = lines.length
    const item = { ...RIGHT, input: { text: TEXT }, metadata: { [TEXT]: TEXT } }
    const { body: batch } = await ask<Batch>('/v1/batches', { body: { items: [item, item], metadata: { a: TEXT } } })
    const stream = await textOf(`/v1/batches/${batch.id}/events`)
    const [first] = (await ask<{ data: Job[] }>(`/v1/batches/${batch.id}/jobs`)).body.data
    const job = await operator.finished(TEST_KEY, first?.id ?? '')
    expect(job).toMatchObject({ output: `hello ${TEXT}`, metadata: { [TEXT]: TEXT } })
    const streams = [stream.body_, (await textOf(`/v1/jobs/${job.id}/events`)).body_]
    for (const text of streams) {
      expect(text.split('\n').every((line) => /^(?:(?:id|event|data|retry): |:|$)/.test(line))).toBe(true)
      expect(text).not.toMatch(/^event: forged/m)
    }
    const manifest = (await textOf(`/v1/batches/${batch.id}/manifest`)).body_
    expect(manifest.trimEnd().split('\n')).toHaveLength(2)
    expect(manifest.split('\n').every((line) => line === '' || JSON.parse(line))).toBe(true)
    const logged = lines.slice(from)
    expect(logged.length).toBeGreaterThan(2)
    for (const line of logged) {
      expect(line.indexOf('\n')).toBe(line.length - 1)
      expect(JSON.parse(line)).toMatchObject({ level: expect.any(Number), time: expect.any(Number) })
      expect(line).not.toContain('forged')
    }
  })

  test.each([
    ['a path', `/v1/jobs/${encodeURIComponent(TEXT)}`, {}],
    ['a query', `/v1/jobs?cursor=${encodeURIComponent(TEXT)}`, {}],
    ['the name of a preset', '/v1/jobs', { body: { ...PAGE, preset: TEXT } }],
    ['the name of a model', '/v1/jobs', { body: { model: `a/b${TEXT}`, input: {} } }],
    ['the name of a field', '/v1/jobs', { body: { ...RIGHT, [TEXT]: 1 } }],
    ['the id of a tenant', '/v1/admin/tenants', { body: { id: TEXT } }],
    ['the title of a tenant', '/v1/admin/tenants', { body: { id: 'lines', title: TEXT } }],
    ['the title of a key', '/v1/admin/tenants/default/keys', { body: { title: TEXT } }],
    ['a reason in the ledger', '/v1/admin/tenants/default/credits', { body: { amount: 1, reason: TEXT } }],
  ])('B8 in %s are refused, and end no header', async (_where, path, asked) => {
    const answer = await ask(path, asked)
    expect([404, 422]).toContain(answer.status)
    expect(answer.headers.get('set-cookie')).toBeNull()
  })

  test('B8 in the name and type of an uploaded file end no header when it is read', async () => {
    const boundary = 'xxxx'
    const part = (head: string): string => `--${boundary}\r\n${head}\r\n\r\n{}\r\n--${boundary}--\r\n`
    for (const head of [
      `Content-Disposition: form-data; name="file"; filename="a%0d%0aSet-Cookie: forged=1"\r\nContent-Type: application/json`,
      `Content-Disposition: form-data; name="file"; filename*=UTF-8''a%0D%0ASet-Cookie%3A%20forged=1\r\nContent-Type: application/json`,
      `Content-Disposition: form-data; name="file"; filename="a\nSet-Cookie: forged=1"\r\nContent-Type: application/json\n forged`,
    ]) {
      const response = await fetch(`${service.url}/v1/uploads`, {
        method: 'POST',
        headers: { ...AUTHORIZED, 'content-type': `multipart/form-data; boundary=${boundary}` },
        body: part(head),
      })
      expect([201, 400, 415, 422]).toContain(response.status)
      if (response.status !== 201) continue
      const { url, id } = (await response.json()) as { url: string; id: string }
      const read = await textOf(url)
      expect(read.headers.get('content-disposition')).toMatch(new RegExp(`^attachment; filename="${id}\\.[a-z]+"$`))
      expect(read.headers.get('set-cookie')).toBeNull()
    }
  })
})

describe('a batch', () => {
  test.each([
    ['100,001 items', { items: Array.from({ length: 100_001 }, () => ({})) }, ['/items']],
    ['no items', { items: [] }, ['/items']],
    [
      'its own ids, one of them twice',
      {
        items: [
          { ...PAGE, id: 'x' },
          { ...PAGE, id: 'x' },
        ],
      },
      ['/items/0/id', '/items/1/id'],
    ],
    ['one wrong item', { items: [PAGE, { ...PAGE, input: {} }, PAGE] }, ['/items/1/input/prompt']],
  ])('B9 of %s is refused whole: nothing is held, nothing is left', async (_what, body, pointers) => {
    const tenant = await operator.newTenant()
    const { key } = await operator.newKey(tenant)
    await ask(`/v1/admin/tenants/${tenant}/credits`, { body: { amount: 1_000_000, reason: 'try' } })
    const before = (await ask<Credits>('/v1/credits', { key })).body
    const answer = await ask('/v1/batches', { key, body })
    expect(code(answer)).toEqual([422, 'invalid_request'])
    expect(wrong(answer)).toEqual(pointers)
    expect((await ask<Credits>('/v1/credits', { key })).body).toEqual(before)
    expect((await ask<{ data: unknown[] }>('/v1/credits/ledger', { key })).body.data).toHaveLength(1)
    expect(await service.redis.exists(service.keys.tenantJobs(tenant), service.keys.tenantBatches(tenant))).toBe(0)
  })
})

describe('a number', () => {
  const refused = async (field: string, value: unknown): Promise<void> => {
    for (const [path, body, pointer] of [
      ['/v1/jobs', { ...RIGHT, [field]: value }, `/${field}`],
      ['/v1/batches', { items: [{ ...RIGHT, [field]: value }] }, `/items/0/${field}`],
      ['/v1/batches', { defaults: { [field]: value }, items: [RIGHT] }, `/items/0/${field}`],
    ] as const) {
      const answer = await ask(path, { body })
      expect([field, value, ...code(answer)]).toEqual([field, value, 422, 'invalid_request'])
      expect(wrong(answer)).toEqual([pointer])
    }
  }

  test('B10 that is a priority is always refused', async () => {
    for (const value of [-1, 1.5, 2 ** 31, '1', 0, 1, null]) await refused('priority', value)
  })

  test('B11 that is a delay or a deadline is refused when it is negative, endless or no whole second', async () => {
    for (const field of ['timeout', 'start_within'])
      for (const value of [-1, 0, 1e12, 1.5, '60', null]) await refused(field, value)
    for (const field of ['delay', 'deadline']) for (const value of [-1, 1e12]) await refused(field, value)
    const { body: job } = await ask<Job>('/v1/jobs', { body: RIGHT })
    for (const value of [-1, 0, 1e12, 1.5]) {
      expect(code(await ask(`/v1/jobs/${job.id}?wait=${value}`))).toEqual([422, 'invalid_request'])
      expect(code(await ask('/v1/jobs', { body: RIGHT, headers: { prefer: `wait=${value}` } }))[0]).toBeOneOf([
        400, 202,
      ])
      const token = await ask(`/v1/jobs/${job.id}/token`, { body: { expires_in: value } })
      expect(code(token)).toEqual([422, 'invalid_request'])
    }
  })
})

describe('an id', () => {
  const STRANGE = [
    '..%2f..%2fetc%2fpasswd',
    '%2e%2e',
    'a:b',
    '0',
    'bull:x',
    '*',
    'job_*',
    `job_${NOBODYS}%0a`,
    "'%20OR%201=1",
    '")redis.call("FLUSHALL")--',
    'x'.repeat(10_000),
    '%00',
    '%25',
    '%zz',
    '%E0%A4%A',
    '%c0%ae',
  ]
  /** Every place that takes an id; `@`: where. */
  const PLACES: [method: string, path: string, withId?: string][] = [
    ...['', '/events', '/manifest', '/logs'].map((rest): [string, string] => ['GET', `/v1/jobs/@${rest}`]),
    ...['/cancel', '/retry', '/token'].map((rest): [string, string] => ['POST', `/v1/jobs/@${rest}`]),
    ['DELETE', '/v1/jobs/@'],
    ...['', '/jobs', '/events', '/manifest'].map((rest): [string, string] => ['GET', `/v1/batches/@${rest}`]),
    ...['/cancel', '/retry-failed', '/token'].map((rest): [string, string] => ['POST', `/v1/batches/@${rest}`]),
    ['GET', '/v1/artifacts/@'],
    ['GET', '/v1/artifacts/@/thumbnail'],
    ['GET', '/v1/uploads/@'],
    ['DELETE', '/v1/uploads/@'],
  ]
  /** As it is: `fetch` would resolve `..` by itself. */
  const status = async (method: string, path: string): Promise<string> => {
    const head = [
      `${method} ${path} HTTP/1.1`,
      'Host: 127.0.0.1',
      `Authorization: Bearer ${TEST_KEY}`,
      'Connection: close',
    ]
    return (await rawRequest(service.url, `${head.join('\r\n')}\r\n\r\n`)).slice(9, 12)
  }
  test('B12 that is none is not found anywhere, and reaches no key', async () => {
    const commands = await commandsDuring(service.redis, async () => {
      for (const id of STRANGE)
        await Promise.all(
          PLACES.map(async ([method, path]) => {
            const asked = path.replace('@', id)
            expect([method, asked, await status(method, asked)]).toEqual([method, asked, '404'])
          }),
        )
    })
    const names = new Set(commands.map(([name = '']) => name.toLowerCase()))
    for (const name of ['keys', 'scan', 'flushall', 'flushdb', 'randomkey']) expect(names).not.toContain(name)
    const distinct = new Map(commands.map((command) => [JSON.stringify(command.slice(0, 8)), command]))
    for (const command of distinct.values()) {
      const touched = await service.redis.call('COMMAND', 'GETKEYS', ...command).catch(() => [])
      for (const key of [touched].flat()) expect(String(key)).toMatch(new RegExp(`^${service.keys.tag}:`))
    }
    // What was asked for got nowhere near Redis.
    const sent = JSON.stringify(commands)
    for (const id of ['passwd', 'bull:x', 'FLUSHALL', 'OR 1=1', 'job_*', 'x'.repeat(100)])
      expect(sent).not.toContain(id)
  })

  test.each(['cursor=../x', 'cursor=*', 'batch=*', 'preset=a:b', 'batch=bat_', 'limit=-1', 'limit=1e9'])(
    'B12 in the query of a list is refused: %s',
    async (query) => {
      expect(code(await ask(`/v1/jobs?${query}`))).toEqual([422, 'invalid_request'])
    },
  )

  test('B13 of another tenant is as unknown as one that does not exist, with the same Redis calls for both', async () => {
    const [theirs, { key }] = [await owner(), await owner()]
    const made = {
      job: `job_${NOBODYS}`,
      batch: `bat_${NOBODYS}`,
      upload: `upl_${NOBODYS}`,
      artifact: theirs.artifact.replace(theirs.job.slice(4), NOBODYS),
    }
    const idsOf = (path: string): [string, string] => {
      if (path.startsWith('/v1/jobs')) return [theirs.job, made.job]
      if (path.startsWith('/v1/batches')) return [theirs.batch, made.batch]
      return path.startsWith('/v1/uploads') ? [theirs.upload, made.upload] : [theirs.artifact, made.artifact]
    }
    for (const [method, path] of PLACES) {
      const [foreign, nobodys] = idsOf(path)
      const answers: unknown[] = []
      const asked: string[][] = []
      for (const id of [foreign, nobodys]) {
        const commands = await commandsDuring(service.redis, async () => {
          const { status: number, body } = await ask(path.replace('@', id), { key, method })
          answers.push([number, body])
        })
        const ulid = id.split('_')[1] ?? ''
        asked.push(commands.filter((command) => command.some((word) => word.includes(ulid))).map(([name = '']) => name))
      }
      expect([path, answers[0]]).toEqual([path, [404, expect.objectContaining({ code: 'not_found' })]])
      expect([path, answers[1]]).toEqual([path, answers[0]])
      expect([path, asked[1]]).toEqual([path, asked[0]])
    }
    const { key: own } = theirs
    for (const path of [`/v1/jobs/${theirs.job}`, `/v1/batches/${theirs.batch}`, `/v1/artifacts/${theirs.artifact}`])
      expect((await ask(path, { key: own })).status).toBe(200)
  })
})

test('B15 a webhook that an input names stays in the input, and is refused beside it', async () => {
  const evil = { webhook: 'https://evil.example/', webhook_events_filter: ['completed'] }
  for (const [name, value] of Object.entries(evil))
    expect(wrong(await ask('/v1/jobs', { body: { ...RIGHT, [name]: value } }))).toEqual([`/${name}`])
  const id = await operator.submit(TEST_KEY, { ...RIGHT, input: { text: 'x', ...evil } })
  expect((await operator.finished(TEST_KEY, id)).input).toEqual({ text: 'x', ...evil })
  const { predictions } = await service.simulator.books()
  const mine = predictions.filter(({ webhook }) => webhook?.includes(id))
  expect(mine).toHaveLength(1)
  expect(mine[0]?.webhook).toMatch(new RegExp(`^${service.url}/webhooks/replicate\\?`))
})

describe('an API key', () => {
  test('B16 that is missing, mistyped, wrong, revoked, expired or of another scope opens nothing', async () => {
    const tenant = await operator.newTenant()
    const right = await operator.newKey(tenant)
    const revoked = await operator.newKey(tenant)
    await operator.revoke(tenant, revoked.id)
    const reader = await operator.newKey(tenant, { scopes: ['jobs:read'] })
    const ending = await operator.newKey(tenant, { expires_at: new Date(Date.now() + 3000).toISOString() })
    await waitFor('the end of a key', async () => (await ask('/v1/jobs', { key: ending.key })).status === 401)
    const other = right.key.endsWith('A') ? 'B' : 'A'
    const bearer = (key: string): Record<string, string> => ({ authorization: `Bearer ${key}` })
    for (const [what, headers, expected] of [
      ['missing', {}, 401],
      ['empty', { authorization: 'Bearer ' }, 401],
      ['of another scheme', { authorization: `Basic ${right.key}` }, 401],
      ['in another place', { 'x-api-key': right.key }, 401],
      ['long', bearer('x'.repeat(5000)), 401],
      ['with a wrong checksum', bearer(right.key.slice(0, -1) + other), 401],
      ['with a right id and another secret', bearer(makeKey(right.id).key), 401],
      ['nobody’s', bearer(makeKey().key), 401],
      ['revoked', bearer(revoked.key), 401],
      ['expired', bearer(ending.key), 401],
      ['two in one', { authorization: `Bearer ${right.key}, Bearer ${right.key}` }, 401],
      ['of a narrower scope', bearer(reader.key), 403],
    ] as const) {
      for (const [path, asked] of [
        ['/v1/jobs', { body: RIGHT }],
        ['/v1/credits', {}],
      ] as const) {
        const answer = await ask(path, { key: null, headers: { ...headers }, ...asked })
        expect([what, path, ...code(answer)]).toEqual([
          what,
          path,
          expected,
          expected === 401 ? 'unauthenticated' : 'forbidden',
        ])
        expect(answer.headers.get('www-authenticate')).toBe(expected === 401 ? 'Bearer' : null)
      }
    }
    expect(code(await ask(`/v1/jobs?key=${right.key}&token=${right.key}`, { key: null }))).toEqual([
      401,
      'unauthenticated',
    ])
    expect(await service.redis.exists(service.keys.tenantJobs(tenant))).toBe(0)
    expect((await ask('/v1/jobs', { key: right.key })).status).toBe(200)
  })

  test('B16 in two headers is refused as ambiguous; in one of 1 MB by its size', async () => {
    const get = (...headers: string[]): Promise<string> =>
      rawRequest(
        service.url,
        `GET /v1/models HTTP/1.1\r\nHost: 127.0.0.1\r\n${headers.join('\r\n')}\r\nConnection: close\r\n\r\n`,
      )
    const right = `Authorization: Bearer ${TEST_KEY}`
    expect(await get(right)).toMatch(/^HTTP\/1\.1 200 /)
    expect(await get(right, 'Authorization: Bearer wrong')).toMatch(/^HTTP\/1\.1 401 /)
    expect(await get(right, right)).toMatch(/^HTTP\/1\.1 401 /)
    expect(await get(`Authorization: Bearer ${'x'.repeat(1_000_000)}`)).toMatch(/^HTTP\/1\.1 431 /)
  })

  test('B16 guessed a hundred thousand times is not found, and its owner notices nothing', async () => {
    const store = createRedisTenantStore({
      redis: service.redis,
      keys: createTenantKeys(`{${freshPrefix()}}`),
      defaults: { requests_per_minute: 1_000_000, queued_jobs: 1 },
      deployment: null,
    })
    const keys = oneKey(randomBytes(32))
    const open = { allowedHosts: null, publicOrigin: null, loginCodes: null }
    const auth = createAuth({ store, devApiKey: null, adminPassword: null, keys, ...open })
    const { key } = await createTenantAdmin(store).createKey(
      'default',
      { title: 'x', scopes: ['jobs:read'], expires_at: null },
      null,
    )
    const request = (authorization: string, ip: string): ApiRequest => ({
      method: 'GET',
      path: '/v1/jobs',
      params: {},
      query: new URLSearchParams(),
      body: undefined,
      host: 'localhost',
      secure: false,
      proxied: false,
      headers: { authorization },
      ip,
      gone: () => new AbortController().signal,
      sent: () => Promise.resolve(true),
    })
    const answers = new Map<string, number>()
    const guess = async (text: string, ip: string): Promise<void> => {
      const answer = await auth.require(request(`Bearer ${text}`, ip), 'jobs:read').then(
        () => 'opened',
        (error: unknown) => (error instanceof ServiceError ? error.code : String(error)),
      )
      answers.set(answer, (answers.get(answer) ?? 0) + 1)
    }
    // Each key has a new secret; only a wrong checksum is refused without a look at Redis.
    const body = key.slice(0, -6)
    for (let i = 0; i < 98_000; i++) await guess(body + String(i).padStart(6, '0'), '10.0.0.1')
    await Promise.all(Array.from({ length: 2000 }, (_, i) => guess(makeKey().key, `10.0.${i % 20}.9`)))
    expect(Object.fromEntries(answers)).toEqual({ unauthenticated: 100 + 2000, too_many_attempts: 97_900 })
    await expect(auth.require(request(`Bearer ${key}`, '10.0.0.1'), 'jobs:read')).resolves.toMatchObject({
      tenant: 'default',
    })
    auth.stop()
  })
})

describe('an idempotency key', () => {
  const withKey = (name: string, asked: { key?: string; body?: unknown } = {}) =>
    ask<Job>('/v1/jobs', { body: RIGHT, headers: { 'idempotency-key': name }, ...asked })

  test.each([
    ['empty', ''],
    ['of 256 characters', 'x'.repeat(256)],
    ['of 10,000 characters', 'x'.repeat(10_000)],
    ['not ASCII', 'schl\u00fcssel'],
    ['one with a tab', 'a\tb'],
  ])('B17 that is %s is 400, for jobs and batches', async (_what, name) => {
    expect(code(await withKey(name))).toEqual([400, 'invalid_idempotency_key'])
    const batch = await ask('/v1/batches', { body: { items: [RIGHT] }, headers: { 'idempotency-key': name } })
    expect(code(batch)).toEqual([400, 'invalid_idempotency_key'])
  })

  test('B17 of 255 printable characters is one: 422 with another body, another job for another tenant', async () => {
    const name = '~ '.repeat(127) + '!'
    const [first, again] = [await withKey(name), await withKey(name)]
    expect([first.status, again.status, again.body.id]).toEqual([202, 202, first.body.id])
    expect(again.headers.get('idempotent-replayed')).toBe('true')
    expect(code(await withKey(name, { body: { ...RIGHT, timeout: 60 } }))).toEqual([422, 'idempotency_key_reused'])
    const { key } = await operator.newKey(await operator.newTenant())
    const theirs = await withKey(name, { key, body: { ...RIGHT, timeout: 60 } })
    expect(theirs.status).toBe(202)
    expect(theirs.body.id).not.toBe(first.body.id)
  })

  test('B17 of a request that was refused is still free', async () => {
    expect((await withKey('free-again', { body: { ...RIGHT, input: 1 } })).status).toBe(422)
    expect((await withKey('free-again')).status).toBe(202)
  })
})
