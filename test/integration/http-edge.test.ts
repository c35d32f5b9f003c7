import { createHmac } from 'node:crypto'
import { gzipSync } from 'node:zlib'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { z } from 'zod'
import type { Job, Problem } from '../../src/client/types.ts'
import { ERRORS } from '../../src/shared/errors/service-error.ts'
import { finished } from '../support/finished.ts'
import { rawRequest } from '../support/raw-request.ts'
import { startService, TEST_ADMIN_PASSWORD, TEST_KEY, type TestService } from '../support/start-service.ts'

const HELLO = '9dcd6d78e7c6560c340d916fe32e9f24aabfa331e5cce95fe31f77fb03121426'
const RIGHT = { version: HELLO, input: { text: 'Ada' } }
const AUTHORIZED = { authorization: `Bearer ${TEST_KEY}` }

let service: TestService
const lines: string[] = []
beforeAll(async () => {
  service = await startService({
    timings: { bodyIdle: 5000 },
    env: { LOG_LEVEL: 'warn' },
    onLog: (line) => void lines.push(line),
  })
})
afterAll(() => service.stop())

interface Answer {
  status: number
  headers: Headers
  problem: Problem
  text: string
}

async function ask(path: string, init: RequestInit = {}): Promise<Answer> {
  const response = await fetch(service.url + path, { redirect: 'manual', ...init })
  const text = await response.text()
  const problem = (response.headers.get('content-type') ?? '').includes('json')
    ? (JSON.parse(text) as Problem)
    : ({} as Problem)
  return { status: response.status, headers: response.headers, problem, text }
}

const submit = (body: string | Uint8Array<ArrayBuffer>, headers: Record<string, string> = {}): Promise<Answer> =>
  ask('/v1/jobs', { method: 'POST', body, headers: { ...AUTHORIZED, 'content-type': 'application/json', ...headers } })
const submitJson = (body: unknown, headers: Record<string, string> = {}): Promise<Answer> =>
  submit(JSON.stringify(body), headers)

const raw = (bytes: string | string[]): Promise<string> => rawRequest(service.url, bytes)

function expectProblem(answer: Answer, status: number, code: keyof typeof ERRORS): void {
  expect({ status: answer.status, code: answer.problem.code, text: answer.text }).toMatchObject({ status, code })
  expect(answer.headers.get('content-type')).toBe('application/problem+json')
  expect(answer.problem).toEqual({
    type: expect.stringContaining(code),
    title: ERRORS[code].title,
    status,
    detail: expect.any(String),
    code,
    ...(answer.problem.errors ? { errors: expect.any(Array) } : {}),
  })
}

describe('a body', () => {
  test.each([
    ['empty', ''],
    ['cut', '{"version": "'],
    ['with a byte order mark', `\uFEFF${JSON.stringify(RIGHT)}`],
    ['no JSON', 'prompt=secret-prompt'],
    ['no UTF-8', Buffer.from([0x22, 0xff, 0x22])],
  ])('that is %s is 400 and not echoed', async (_what, body) => {
    const answer = await submit(body)
    expectProblem(answer, 400, 'invalid_json')
    expect(answer.text).not.toContain('secret-prompt')
  })

  test.each([
    ['5000 levels', '['.repeat(5000) + ']'.repeat(5000), 400, 'body_too_complex'],
    ['too many values', `[${'1,'.repeat(40_000)}1]`, 400, 'body_too_complex'],
    ['a number of 90,000 digits', `{"timeout": ${'9'.repeat(90_000)}}`, 422, 'invalid_request'],
  ] as const)('of %s is refused', async (_what, body, status, code) => {
    // What that costs is tested in test/unit/json-body.test.ts.
    expectProblem(await submit(body), status, code)
  })

  test('of 100 MB is refused before it was sent', async () => {
    const answer = await raw(
      `POST /v1/jobs HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer ${TEST_KEY}\r\nContent-Type: application/json\r\nContent-Length: 100000000\r\n\r\n{"input":`,
    )
    expect(answer).toMatch(/^HTTP\/1\.1 413 /)
    expect(answer).toContain('body_too_large')
  })

  test('that never ends is refused, and its connection closed', async () => {
    const chunk = `${(1_048_576).toString(16)}\r\n${'x'.repeat(1_048_576)}\r\n`
    const answer = await raw([
      `POST /v1/jobs HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer ${TEST_KEY}\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n`,
      ...Array.from({ length: 8 }, () => chunk),
    ])
    expect(answer).toMatch(/^HTTP\/1\.1 413 /)
  })

  test.each([
    ['gzip', gzipSync(JSON.stringify(RIGHT))],
    ['br', Buffer.from('x')],
    ['deflate', Buffer.from('x')],
  ])('in %s is not unpacked', async (encoding, body) => {
    expectProblem(await submit(body, { 'content-encoding': encoding }), 415, 'unsupported_media_type')
  })

  test.each([
    'text/plain',
    'application/x-www-form-urlencoded',
    'application/json; charset=utf-7',
    'application/jsonx',
    '',
  ])('of type %j is not accepted', async (type) => {
    expectProblem(await submitJson(RIGHT, { 'content-type': type }), 415, 'unsupported_media_type')
  })

  test.each(['application/json; charset=utf-8', 'Application/JSON', 'application/json;charset="UTF-8"'])(
    'of type %j is accepted',
    async (type) => {
      expect((await submitJson(RIGHT, { 'content-type': type })).status).toBe(202)
    },
  )

  test('may not name the prototype, which stays as it is', async () => {
    for (const key of ['__proto__', 'constructor', 'prototype']) {
      const answer = await submit(`{"version":"${HELLO}","input":{"text":"x"},"metadata":{"${key}":{"polluted":1}}}`)
      expectProblem(answer, 422, 'invalid_request')
      expect(answer.problem.errors).toMatchObject([{ pointer: `/metadata/${key}`, code: 'forbidden_key' }])
    }
    expect(({} as Record<string, unknown>).polluted).toBeUndefined()
    expect((await ask('/livez', { headers: { __proto__x: '1' } })).status).toBe(200)
  })

  test('with thousands of mistakes is answered with some of them', async () => {
    const many = await submit(`{"input":{"${'k'.repeat(30_000)}":[${'1e999,'.repeat(9000)}1]}}`)
    expectProblem(many, 422, 'invalid_request')
    expect(many.text.length).toBeLessThan(10_000)
    const unknown = await submitJson(Object.fromEntries(Array.from({ length: 5000 }, (_, i) => [`field${i}`, 1])))
    expectProblem(unknown, 422, 'invalid_request')
    expect(unknown.text.length).toBeLessThan(10_000)
  })
})

describe('a field', () => {
  const wrong: [what: string, change: object, pointer: string][] = [
    ['an unknown one', { webhook: 'https://x.example' }, '/webhook'],
    ['input as text', { input: 'x' }, '/input'],
    ['input as a list', { input: [] }, '/input'],
    ['input null', { input: null }, '/input'],
    ['metadata as a list', { metadata: [] }, '/metadata'],
    ['metadata too large', { metadata: { x: 'x'.repeat(5000) } }, '/metadata'],
    ['input too large', { input: { texts: Array(70).fill('x'.repeat(1000)) } }, '/input'],
    ['a version of 63 digits', { version: HELLO.slice(1) }, '/version'],
    ['a version as a list', { version: [HELLO] }, '/version'],
    ['a timeout of 4', { timeout: 4 }, '/timeout'],
    ['a negative timeout', { timeout: -1 }, '/timeout'],
    ['a timeout without end', { timeout: 1e12 }, '/timeout'],
    ['a timeout of 5.5', { timeout: 5.5 }, '/timeout'],
    ['a timeout as text', { timeout: '60' }, '/timeout'],
    ['start_within 0', { start_within: 0 }, '/start_within'],
    ['start_within of a month', { start_within: 30 * 86_400 }, '/start_within'],
    ['an event that is none', { webhook_events: ['end'] }, '/webhook_events/0'],
    ['events without end', { webhook_events: Array(50).fill('start') }, '/webhook_events'],
  ]
  test.each(wrong)('that is wrong is named: %s', async (_what, change, pointer) => {
    const answer = await submitJson({ ...RIGHT, ...change })
    expectProblem(answer, 422, 'invalid_request')
    expect(answer.problem.errors).toMatchObject([{ pointer, code: expect.stringMatching(/^[a-z_]+$/) }])
  })

  test.each(['../../etc', 'a', 'a/b/c', 'a/b?x=1', 'a/../b', '-a/b', 'a/b\r\nHost: x', 'a%2fb/c', 'ä/b'])(
    'model %j is refused',
    async (model) => {
      const answer = await submitJson({ model, input: {} })
      expectProblem(answer, 422, 'invalid_request')
      expect(answer.problem.errors).toMatchObject([{ pointer: '/model' }])
    },
  )

  test('that says what to run is needed once', async () => {
    expectProblem(await submitJson({ input: {} }), 422, 'invalid_request')
    expectProblem(await submitJson({ ...RIGHT, model: 'a/b' }), 422, 'invalid_request')
  })

  test.each(['null', '1', '"x"', '[]'])('is missing in %s', async (body) => {
    expectProblem(await submit(body), 422, 'invalid_request')
  })
})

describe('a session', () => {
  const origin = (): string => service.url
  async function cookie(): Promise<string> {
    const response = await fetch(`${service.url}/v1/session`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', origin: origin() },
      body: JSON.stringify({ key: TEST_KEY }),
    })
    expect(response.status).toBe(204)
    return (response.headers.get('set-cookie') ?? '').split(';')[0] ?? ''
  }
  const post = (headers: Record<string, string>): Promise<Answer> =>
    ask('/v1/jobs', {
      method: 'POST',
      body: JSON.stringify(RIGHT),
      headers: { 'content-type': 'application/json', ...headers },
    })

  test('works from its own page', async () => {
    expect((await post({ cookie: await cookie(), origin: origin() })).status).toBe(202)
    expect((await ask('/v1/jobs', { headers: { cookie: await cookie() } })).status).toBe(200)
  })

  test.each([
    ['another site', { origin: 'https://evil.example' }],
    ['a page without an origin', { origin: 'null' }],
    ['an unknown origin', {}],
    ['this host on another port', { origin: 'http://127.0.0.1:1' }],
  ])('does not work from %s', async (_where, headers) => {
    const before = await service.redis.zcard(service.keys.tenantJobs('default'))
    expectProblem(await post({ cookie: await cookie(), ...headers }), 403, 'cross_site')
    expect(await service.redis.zcard(service.keys.tenantJobs('default'))).toBe(before)
  })

  test('works under no other host name', async () => {
    const value = await cookie()
    const answer = await raw(
      `GET /v1/jobs HTTP/1.1\r\nHost: evil.example\r\nCookie: ${value}\r\nConnection: close\r\n\r\n`,
    )
    expect(answer).toMatch(/^HTTP\/1\.1 401 /)
  })

  test('that is forged, or of another kind, is none', async () => {
    const value = await cookie()
    const [name = '', ticket = ''] = value.split('=')
    const [text = '', signature = ''] = ticket.split('.')
    const changed = Buffer.from(text, 'base64url').toString().replace('"expires":', '"expires":9')
    const forged = [
      `${name}=${Buffer.from(changed).toString('base64url')}.${signature}`,
      `${name}=${text}.${'A'.repeat(signature.length)}`,
      `${name}=${text}`,
      `${name}=${text}.${signature}.x`,
      `${name}=`,
      `gq_admin=${ticket}`,
    ]
    for (const one of forged) expectProblem(await ask('/v1/jobs', { headers: { cookie: one } }), 401, 'unauthenticated')
  })

  test('that has expired is none', async () => {
    const key = Buffer.from((await service.redis.hget(service.keys.deployment, 'key')) ?? '', 'base64url')
    const [signedIn = ''] = (await cookie()).split('=')[1]?.split('.') ?? []
    const ticket = JSON.parse(Buffer.from(signedIn, 'base64url').toString()) as object
    const make = (expires: number): string => {
      const text = Buffer.from(JSON.stringify({ ...ticket, expires })).toString('base64url')
      return `gq_session=${text}.${createHmac('sha256', key).update(`session:${text}`).digest('base64url')}`
    }
    const now = Math.floor(Date.now() / 1000)
    expect((await ask('/v1/jobs', { headers: { cookie: make(now + 60) } })).status).toBe(200)
    expectProblem(await ask('/v1/jobs', { headers: { cookie: make(now - 1) } }), 401, 'unauthenticated')
  })

  test('is not given for a wrong key, nor to another site', async () => {
    const signIn = (key: string, from: string): Promise<Answer> =>
      ask('/v1/session', {
        method: 'POST',
        headers: { 'content-type': 'application/json', origin: from },
        body: JSON.stringify({ key }),
      })
    const wrong = await signIn('wrong', origin())
    expectProblem(wrong, 401, 'unauthenticated')
    expect(wrong.headers.get('set-cookie')).toBeNull()
    expectProblem(await signIn(TEST_KEY, 'https://evil.example'), 403, 'cross_site')
  })

  test('is not given under another host name, as a page that rebinds its name would ask', async () => {
    const body = JSON.stringify({ key: TEST_KEY })
    const signIn = (host: string): Promise<string> =>
      raw(
        `POST /v1/session HTTP/1.1\r\nHost: ${host}\r\nOrigin: http://${host}\r\nX-Forwarded-Host: 127.0.0.1\r\nContent-Type: application/json\r\nContent-Length: ${body.length}\r\nConnection: close\r\n\r\n${body}`,
      )
    expect(await signIn('evil.example')).toMatch(/^HTTP\/1\.1 403 /)
    expect(await signIn('localhost')).toMatch(/^HTTP\/1\.1 204 /)
  })
})

describe('an artifact', () => {
  test('is opened by its own link only', async () => {
    const { id } = await service.client.submit({
      model: 'black-forest-labs/flux-schnell',
      input: { prompt: 'x', megapixels: '0.25' },
    })
    const job = await finished(service, id)
    const link = job.artifacts[0]?.url ?? ''
    const url = new URL(link, service.url)
    const forge = (change: (target: URL) => void): string => {
      const target = new URL(url)
      change(target)
      return target.pathname + target.search
    }
    expect((await fetch(url)).status).toBe(200)
    const later = String(Number(url.searchParams.get('expires')) + 3600)
    for (const path of [
      forge((target) => target.searchParams.set('expires', later)),
      forge((target) => target.searchParams.set('signature', 'A'.repeat(22))),
      forge((target) => target.searchParams.delete('expires')),
      forge((target) => (target.pathname = target.pathname.replace(/_0$/, '_1'))),
    ])
      expectProblem(await ask(path), 403, 'link_expired')
    expectProblem(await ask(url.pathname), 401, 'unauthenticated')
    expect((await ask(url.pathname, { headers: AUTHORIZED })).status).toBe(200)
    expectProblem(await ask(`/v1/artifacts/art_${'0'.repeat(26)}_1_0`, { headers: AUTHORIZED }), 404, 'not_found')
  })
})

describe('a preference, a position, a query', () => {
  test.each(['wait=0', 'wait=61', 'wait=99999999999999999999'])('Prefer: %s is refused', async (prefer) => {
    expectProblem(await submitJson(RIGHT, { prefer }), 400, 'invalid_header')
  })

  test('that is not ours is ignored', async () => {
    const answer = await submitJson(RIGHT, { prefer: 'respond-async, handling=lenient' })
    expect([answer.status, answer.headers.get('preference-applied')]).toEqual([202, null])
  })

  test.each(['x', '1e3', '-1', '9'.repeat(10_000), '0x1', '1 2'])('Last-Event-ID %s is refused', async (id) => {
    const accepted = await submitJson(RIGHT)
    const { id: job } = JSON.parse(accepted.text) as Job
    const headers = { ...AUTHORIZED, 'last-event-id': id }
    expectProblem(await ask(`/v1/jobs/${job}/events`, { headers }), 400, 'invalid_header')
    expectProblem(await ask('/v1/events', { headers }), 400, 'invalid_header')
  })

  test.each([
    'limit=0',
    'limit=101',
    'limit=x',
    'limit=1&limit=2',
    'cursor=job_',
    'cursor=*',
    'status=done',
    'colour=red',
    'metadata=x',
    'metadata.=x',
    'metadata.a=1&metadata.a=2',
    'metadata.a=1&metadata.b=1&metadata.c=1&metadata.d=1&metadata.e=1&metadata.f=1',
    'user=',
    `user=${'x'.repeat(201)}`,
    'prediction_id=',
    'created_after=today',
    'created_before=2026-01-31',
    'created_before=2026-13-01T00:00:00Z',
  ])('of a list: %s is refused, by its name', async (query) => {
    const refused = await ask(`/v1/jobs?${query}`, { headers: AUTHORIZED })
    expectProblem(refused, 422, 'invalid_request')
    const name = query.split('&').at(-1)?.split('=')[0]
    expect(refused.problem).toMatchObject({ errors: [{ pointer: `/${name}` }] })
  })

  test('of a stream: an event that is none is refused; the header is newer than the query', async () => {
    expectProblem(await ask('/v1/events?since=x', { headers: AUTHORIZED }), 422, 'invalid_request')
    const first = async (path: string, headers: Record<string, string> = {}): Promise<string> => {
      const response = await fetch(service.url + path, { headers: { ...AUTHORIZED, ...headers } })
      const reader = response.body?.pipeThrough(new TextDecoderStream()).getReader()
      let text = ''
      while (!/^event: \w+$/m.test(text)) text += (await reader?.read())?.value ?? ''
      await reader?.cancel()
      return text
    }
    const id = /^id: (\S+)$/m.exec(await first('/v1/events'))?.[1] ?? ''
    const foreign = `other-${id.split('-').slice(1).join('-')}`
    expect(await first(`/v1/events?since=${id}`)).toContain('event: ready')
    expect(await first(`/v1/events?since=${foreign}`)).toContain('event: reset')
    expect(await first(`/v1/events?since=${foreign}`, { 'last-event-id': id })).toContain('event: ready')
  })
})

describe('what is not there', () => {
  test.each([
    '/v1/nothing',
    '/v1',
    '/admin/nothing',
    '/assets/nothing.js',
    '/../package.json',
    '/.env',
    '/%2e%2e/package.json',
  ])('%s is 404', async (path) => {
    expectProblem(await ask(path, { headers: AUTHORIZED }), 404, 'not_found')
  })

  test.each([
    ['PUT', '/v1/jobs', 'POST, GET'],
    ['PATCH', '/v1/jobs/job_x', 'GET, DELETE'],
    ['DELETE', '/v1/jobs', 'POST, GET'],
    ['POST', '/livez', 'GET'],
    ['PUT', '/v1/session', 'GET, POST, DELETE'],
  ])('%s %s is 405 and says what is', async (method, path, allow) => {
    const answer = await ask(path, { method, headers: AUTHORIZED })
    expectProblem(answer, 405, 'method_not_allowed')
    expect(answer.headers.get('allow')?.split(', ').sort()).toEqual(allow.split(', ').sort())
  })
})

describe('every answer', () => {
  test.each(['/', '/v1/jobs', '/livez', '/admin/login', '/nothing'])(
    'of %s carries the headers of a careful server',
    async (path) => {
      const { headers } = await ask(path)
      expect(headers.get('x-powered-by')).toBeNull()
      expect(headers.get('x-content-type-options')).toBe('nosniff')
      expect(headers.get('content-security-policy')).toContain("frame-ancestors 'none'")
      expect(headers.get('access-control-allow-origin')).toBeNull()
    },
  )
})

describe('what would be ignored', () => {
  test.each([
    ['a key that stands twice', `{"version":"${HELLO}","input":{"text":"a","text":"b"}}`],
    ['the same under another spelling', `{"version":"${HELLO}","input":{"text":"a","t\\u0065xt":"b"}}`],
    ['a field of the job that stands twice', `{"version":"${HELLO}","version":"${HELLO}","input":{"text":"a:b"}}`],
  ])('is refused: %s', async (_what, body) => {
    expectProblem(await submit(body), 400, 'invalid_json')
  })

  test('colons in texts, and the same key in two objects, are fine', async () => {
    const input = { text: 'a: "b": c', more: [{ a: 1 }, { a: 1 }] }
    expect((await submitJson({ version: HELLO, input, metadata: { 'a:b': ':' } })).status).toBe(202)
  })

  test.each([
    '/v1/events?tenant=other',
    '/v1/events?job=x',
    '/v1/jobs/job_1/events?wait=5',
    '/v1/credits/ledger?cursor=0-0',
    '/v1/jobs?token=x',
  ])('is refused in the query: %s', async (path) => {
    expectProblem(await ask(path, { headers: AUTHORIZED }), 422, 'invalid_request')
  })

  // Of every route that the description has.
  test('is refused in the query of every route by its name, before anything is done', async () => {
    const { paths } = z
      .object({ paths: z.record(z.string(), z.record(z.string(), z.unknown())) })
      .parse((await ask('/openapi.json')).problem)
    const asked = Object.entries(paths)
      .filter(([path]) => path.startsWith('/v1/'))
      .flatMap(([path, methods]) =>
        Object.keys(methods).flatMap((method) =>
          ['get', 'post', 'delete'].includes(method) ? [{ path, method }] : [],
        ),
      )
    expect(asked.length).toBeGreaterThan(40)
    for (const { path, method } of asked) {
      const url = `${path.replaceAll(/\{\w+\}/g, 'x')}?colour=red`
      const headers = { ...AUTHORIZED, 'content-type': 'application/json', origin: service.url }
      const answer = await ask(url, { method: method.toUpperCase(), headers })
      expect(answer.problem, `${method} ${path}`).toMatchObject({
        status: 422,
        code: 'invalid_request',
        errors: [{ pointer: '/colour', code: 'unknown_field' }],
      })
    }
  })

  test.each(['//', '//livez', '/v1//jobs', '//?a=b'])('is no path: %s', async (path) => {
    expect(await raw(`GET ${path} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n`)).toMatch(/^HTTP\/1.1 404 /)
  })

  test('is refused: a second Host', async () => {
    const answer = await raw(
      'GET /livez HTTP/1.1\r\nHost: 127.0.0.1\r\nhost: other.example\r\nConnection: close\r\n\r\n',
    )
    expect(answer).toMatch(/^HTTP\/1.1 400 [^]*"code":"invalid_header"/)
  })
})

describe('half a body', () => {
  const half = (path: string, headers: string, sent: string): string =>
    `POST ${path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n${headers}\r\n${sent}`
  const webhook = `/webhooks/replicate?job=job_${'0'.repeat(26)}&attempt=1&token=${'A'.repeat(22)}`

  test('of a webhook without our token is answered before the other half comes, and its address is throttled', async () => {
    const body = half(webhook, 'Content-Length: 8000000\r\nConnection: close\r\n', 'x'.repeat(1000))
    const answers = await Promise.all(Array.from({ length: 130 }, () => raw(body)))
    const statuses = answers.map((text) => text.split(' ')[1])
    expect(statuses.filter((status) => status === '401')).toHaveLength(100)
    expect(statuses.filter((status) => status === '429')).toHaveLength(30)
    expect(answers.find((text) => text.includes(' 429 '))).toMatch(/retry-after: \d+/i)
    const logged = lines.filter((line) => line.includes('webhook refused'))
    expect(logged).toHaveLength(1)
    expect(JSON.parse(logged[0] ?? '')).toMatchObject({ reason: 'bad_token', ip: '127.0.0.1', not_logged: 0 })
  })

  test('of those who sign in takes no room from others, and only their own address has to wait', async () => {
    const origin = `Origin: http://127.0.0.1\r\n`
    const begun = Array.from({ length: 300 }, () =>
      rawRequest(service.url, half('/v1/session', `${origin}Content-Length: 4000\r\n`, `{"key":"${'x'.repeat(3900)}`)),
    )
    const answered = await Promise.race(begun)
    expect(answered).toMatch(/^HTTP\/1.1 429 [^]*"code":"too_many_bodies"/)
    expect((await submitJson(RIGHT)).status).toBe(202)
    // The others are ended when no byte comes.
    const answers = await Promise.all(begun)
    const statuses = new Set(answers.map((text) => text.split(' ')[1]))
    expect(statuses).toEqual(new Set(['429', '408']))
  })

  test('of another site is refused before it is read', async () => {
    const answer = await raw(half('/v1/session', 'Origin: https://other.example\r\nContent-Length: 100\r\n', '{"key":'))
    expect(answer).toMatch(/^HTTP\/1.1 403 [^]*"code":"cross_site"/)
  })

  test('of a job, an upload or a login ends when no byte comes any more', async () => {
    const key = `Authorization: Bearer ${TEST_KEY}\r\n`
    const upload = `POST /v1/uploads HTTP/1.1\r\nHost: 127.0.0.1\r\n${key}Content-Type: multipart/form-data; boundary=x\r\nContent-Length: 900\r\n\r\n--x\r\nContent-Disposition: form-data; name="a"; filename="a"\r\n\r\nwords`
    const answers = await Promise.all([
      raw(half('/v1/jobs', `${key}Content-Length: 90\r\n`, '{"version":')),
      raw(upload),
      raw(half('/admin/login', 'Content-Length: 90\r\n', 'pass')),
    ])
    for (const answer of answers) expect(answer).toMatch(/^HTTP\/1.1 408 [^]*"code":"request_timeout"/)
  })
})

describe('guessing the admin password', () => {
  const guess = (password: string, headers: Record<string, string> = {}): Promise<Answer> =>
    ask('/admin/login', {
      method: 'POST',
      headers: { 'content-type': 'application/json', ...headers },
      body: JSON.stringify({ password }),
    })

  test('with a body that is none is refused, not a failure of ours', async () => {
    for (const [body, type] of [
      ['{', 'application/json'],
      ['x'.repeat(3000), 'application/x-www-form-urlencoded'],
      ['{}', 'application/json; charset=utf-7'],
    ] as const) {
      const { status } = await ask('/admin/login', { method: 'POST', headers: { 'content-type': type }, body })
      expect([400, 401, 413, 415]).toContain(status)
    }
  })

  test('in parallel gains nothing: attempts count before their bodies are read', async () => {
    const half = (password: string): string[] => {
      const body = JSON.stringify({ password })
      const head = `POST /admin/login HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n`
      return [`${head}Content-Length: ${body.length}\r\nConnection: close\r\n\r\n`, body]
    }
    const answers = await Promise.all(Array.from({ length: 100 }, (_, i) => raw(half(`wrong ${i}`))))
    const statuses = answers.map((text) => text.split(' ')[1])
    expect(statuses.filter((status) => status !== '429').length).toBeLessThanOrEqual(10)
    expect(new Set(statuses)).toEqual(new Set(['401', '429']))
  })

  test('is slowed down, even with a forged X-Forwarded-For', async () => {
    const statuses: number[] = []
    for (let i = 0; i < 15; i++) statuses.push((await guess(`wrong ${i}`, { 'x-forwarded-for': `10.0.0.${i}` })).status)
    expect(statuses.slice(-2)).toEqual([429, 429])
    const answer = await guess(TEST_ADMIN_PASSWORD, { 'x-forwarded-for': '10.9.9.9' })
    expectProblem(answer, 429, 'too_many_attempts')
    expect(Number(answer.headers.get('retry-after'))).toBeGreaterThan(0)
  })
})
