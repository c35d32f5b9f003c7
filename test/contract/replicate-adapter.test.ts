import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import { createServer as createTcpServer, type AddressInfo, type Server, type Socket } from 'node:net'
import { Readable } from 'node:stream'
import { afterAll, afterEach, describe, expect, test } from 'vitest'
import type { CreateOutcome, CreateRequest } from '../../src/shared/replicate/prediction-port.ts'
import { createReplicateAdapter } from '../../src/shared/replicate/replicate-adapter.ts'
import { startSimulator } from '../../src/simulator/start-simulator.ts'
import { freePort } from '../support/free-port.ts'
import { simulatorAdmin } from '../support/simulator-admin.ts'

const TOKEN = 'r8_token-of-the-test'
const ends: (() => unknown)[] = []
afterEach(async () => {
  for (const end of ends.splice(0).toReversed()) await end()
})

/** Longer than a test lasts, ms: what settles has settled for another reason than its timeout. */
const ENDLESS = 3_600_000
/** A timeout that a test waits for, ms; the request has arrived by then. */
const SHORT = 2000

interface Timeouts {
  connectTimeout: number
  createTimeout: number
  readTimeout: number
  uploadTimeout: number
}

const adapterFor = (baseUrl: string, timeouts: Partial<Timeouts> = {}) => {
  const adapter = createReplicateAdapter({
    token: TOKEN,
    baseUrl,
    connectTimeout: ENDLESS,
    createTimeout: ENDLESS,
    uploadTimeout: ENDLESS,
    copyTimeout: ENDLESS,
    readTimeout: ENDLESS,
    ...timeouts,
  })
  ends.push(() => adapter.close())
  return adapter
}

const REQUEST: CreateRequest = {
  model: 'owner/name',
  version: null,
  deployment: null,
  input: { prompt: 'a red apple' },
  webhook: 'https://gq.example/webhooks/replicate?job=job_1&attempt=1&token=t',
  events: ['start', 'completed'],
  cancelAfter: 600,
}

const listen = async (server: Server): Promise<string> => {
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}/v1`
}

interface Seen {
  method: string
  url: string
  headers: IncomingMessage['headers']
  body: string
}

/** An HTTP server that answers every request the same way, and remembers them. */
async function upstream(answer: (request: IncomingMessage, response: ServerResponse) => void) {
  const seen: Seen[] = []
  const server = createServer((request, response) => {
    let body = ''
    request.on('data', (chunk: Buffer) => (body += chunk.toString()))
    request.on('end', () => {
      seen.push({ method: request.method ?? '', url: request.url ?? '', headers: request.headers, body })
      answer(request, response)
    })
  })
  ends.push(() => {
    server.closeAllConnections()
    server.close()
  })
  return { seen, url: await listen(server) }
}

/** A raw TCP server: counts requests by their first line and handles the socket as given. */
async function socketServer(react: (socket: Socket, received: string) => void) {
  let requests = 0
  const sockets = new Set<Socket>()
  const server = createTcpServer((socket) => {
    sockets.add(socket)
    let received = ''
    socket.on('error', () => undefined)
    socket.on('data', (chunk) => {
      requests += (chunk.toString().match(/^(POST|GET) \//gm) ?? []).length
      received += chunk.toString()
      react(socket, received)
    })
  })
  ends.push(() => {
    for (const socket of sockets) socket.destroy()
    server.close()
  })
  return { requests: () => requests, url: await listen(server) }
}

const json =
  (status: number, body: unknown, headers: Record<string, string> = {}) =>
  (_: unknown, response: ServerResponse) => {
    response
      .writeHead(status, { 'content-type': 'application/json', ...headers })
      .end(typeof body === 'string' ? body : JSON.stringify(body))
  }
const problem = (status: number) => ({ type: 'about:blank', title: 'Refused', status, detail: `because of ${status}` })
const PREDICTION = {
  id: 'ype2b3w02xrme0cqadzrms82nm',
  status: 'starting',
  created_at: '2026-11-22T12:00:00.123456789Z',
}
const HTML = '<html><body>Bad gateway</body></html>'

describe('a create', () => {
  test('is one POST with everything that we need to find it again', async () => {
    const { seen, url } = await upstream(json(201, PREDICTION))
    const outcome = await adapterFor(url).create(REQUEST)
    expect(outcome).toMatchObject({
      kind: 'created',
      prediction: { id: PREDICTION.id, status: 'starting', error: null },
    })
    expect(seen).toHaveLength(1)
    expect(seen[0]).toMatchObject({
      method: 'POST',
      url: '/v1/models/owner/name/predictions',
      headers: { authorization: `Bearer ${TOKEN}`, 'cancel-after': '600s', 'content-type': 'application/json' },
    })
    expect(JSON.parse(seen[0]?.body ?? '')).toEqual({
      input: REQUEST.input,
      webhook: REQUEST.webhook,
      webhook_events_filter: ['start', 'completed'],
    })
    expect(seen[0]?.headers.prefer).toBeUndefined()
  })

  test.each([
    [{ model: null, version: 'a'.repeat(64) }, '/v1/predictions', { version: 'a'.repeat(64) }],
    [{ model: null, deployment: 'me/mine' }, '/v1/deployments/me/mine/predictions', {}],
  ])('of %j goes where it belongs', async (change, path, body) => {
    const { seen, url } = await upstream(json(201, PREDICTION))
    await adapterFor(url).create({ ...REQUEST, ...change })
    expect(seen[0]?.url).toBe(path)
    expect(JSON.parse(seen[0]?.body ?? '')).toMatchObject(body)
  })
})

describe('an answer', () => {
  const account = (status: number) => ({
    kind: 'not_created',
    refusal: { class: 'account', status, message: `because of ${status}` },
  })
  const rejected = (status: number) => ({
    kind: 'not_created',
    refusal: { class: 'rejected', status, message: `because of ${status}` },
  })
  const unknown = { kind: 'unknown', reason: expect.any(String) }
  const cases: [what: string, status: number, body: unknown, outcome: object][] = [
    ['200 with a prediction', 200, PREDICTION, { kind: 'created' }],
    ['202 with a prediction', 202, { ...PREDICTION, status: 'processing' }, { kind: 'created' }],
    ['201 with a prediction that has ended', 201, { ...PREDICTION, status: 'failed', error: 'x' }, { kind: 'created' }],
    ['201 with HTML', 201, HTML, unknown],
    ['201 cut short', 201, '{"id":"ype2b3w0', unknown],
    ['201 without an id', 201, { status: 'starting' }, unknown],
    ['201 with an id that is none', 201, { ...PREDICTION, id: '../x' }, unknown],
    ['201 empty', 201, '', unknown],
    ['204', 204, '', unknown],
    ['400', 400, problem(400), rejected(400)],
    ['401', 401, problem(401), account(401)],
    ['402', 402, problem(402), account(402)],
    ['403', 403, problem(403), rejected(403)],
    ['404', 404, problem(404), rejected(404)],
    ['413', 413, problem(413), rejected(413)],
    ['422', 422, problem(422), rejected(422)],
    [
      '422 for the webhook',
      422,
      {
        detail: '- webhook: Must be an HTTPS URL\n',
        invalid_fields: [{ type: 'format', field: 'webhook', description: 'Must be an HTTPS URL' }],
      },
      { kind: 'not_created', refusal: { class: 'webhook', status: 422 } },
    ],
    [
      '422 for the webhook, without fields',
      422,
      { detail: '- input: prompt is required\n- webhook: Must be an HTTPS URL\n' },
      { kind: 'not_created', refusal: { class: 'webhook', status: 422 } },
    ],
    [
      "422 for a model's own webhook",
      422,
      { detail: '- input.webhook: webhook: is wrong\n', invalid_fields: [{ field: 'input.webhook' }] },
      { kind: 'not_created', refusal: { class: 'rejected', status: 422 } },
    ],
    ['403 of a proxy', 403, HTML, unknown],
    ['404 of a proxy', 404, HTML, unknown],
    ['413 of a proxy', 413, HTML, unknown],
    ['400 with an empty object', 400, {}, unknown],
    ['400 with a list', 400, [], unknown],
    ['408', 408, problem(408), unknown],
    ['409', 409, problem(409), unknown],
    ['425', 425, problem(425), unknown],
    ['499', 499, problem(499), unknown],
    ['418', 418, problem(418), unknown],
    ['500', 500, problem(500), unknown],
    ['502 of a proxy', 502, HTML, unknown],
    ['503', 503, problem(503), unknown],
    ['504', 504, HTML, unknown],
    ['304', 304, '', unknown],
    [
      '429 with a body',
      429,
      { detail: 'Your rate limit resets in ~30s.' },
      { kind: 'not_created', refusal: { class: 'rate_limited', retryAfterMs: 30_000 } },
    ],
    ['429 of a proxy', 429, HTML, { kind: 'not_created', refusal: { class: 'rate_limited', retryAfterMs: 10_000 } }],
  ]
  test.each(cases)('%s', async (_what, status, body, outcome) => {
    const { seen, url } = await upstream(json(status, body))
    expect(await adapterFor(url).create(REQUEST)).toMatchObject(outcome)
    expect(seen).toHaveLength(1)
  })

  test('429 carries the time to wait in its header', async () => {
    const { url } = await upstream(json(429, problem(429), { 'retry-after': '7' }))
    expect(await adapterFor(url).create(REQUEST)).toMatchObject({ refusal: { retryAfterMs: 7000 } })
  })

  test.each([301, 302, 303, 307, 308])('%i is not followed, and the token goes nowhere else', async (status) => {
    const other = await upstream(json(201, PREDICTION))
    const { seen, url } = await upstream(json(status, '', { location: `${other.url}/predictions` }))
    const adapter = adapterFor(url)
    expect(await adapter.create(REQUEST)).toMatchObject(unknown)
    expect(await adapter.get('x')).toMatchObject({ kind: 'failed' })
    expect(seen).toHaveLength(2)
    expect(other.seen).toEqual([])
  })

  test('without end is cut', async () => {
    let sent = 0
    const { seen, url } = await upstream((_request, response) => {
      response.writeHead(201, { 'content-type': 'application/json' })
      const chunk = Buffer.alloc(1024 * 1024, 0x20)
      const more = (): void => {
        while (!response.destroyed && sent++ < 500) if (!response.write(chunk)) return void response.once('drain', more)
      }
      more()
    })
    expect(await adapterFor(url).create(REQUEST)).toMatchObject(unknown)
    expect(seen).toHaveLength(1)
    expect(sent).toBeLessThan(100)
  })
})

describe('exactly one request leaves when', () => {
  const expectUnknown = (outcome: CreateOutcome): void => expect(outcome).toMatchObject({ kind: 'unknown' })

  test('the socket is reset once the request has come', async () => {
    const { requests, url } = await socketServer((socket, received) => {
      if (received.includes('\r\n\r\n')) socket.resetAndDestroy()
    })
    expectUnknown(await adapterFor(url).create(REQUEST))
    expect(requests()).toBe(1)
  })

  test('the socket is closed without an answer', async () => {
    const { requests, url } = await socketServer((socket, received) => {
      if (received.includes('a red apple')) socket.end()
    })
    expectUnknown(await adapterFor(url).create(REQUEST))
    expect(requests()).toBe(1)
  })

  test('the answer breaks off', async () => {
    const { requests, url } = await socketServer((socket) => {
      socket.end('HTTP/1.1 201 Created\r\nContent-Type: application/json\r\nContent-Length: 500\r\n\r\n{"id":"ype2')
    })
    expectUnknown(await adapterFor(url).create(REQUEST))
    expect(requests()).toBe(1)
  })

  test('the answer is no HTTP', async () => {
    const { requests, url } = await socketServer((socket) => socket.end('SSH-2.0-OpenSSH_9.6\r\n'))
    expectUnknown(await adapterFor(url).create(REQUEST))
    expect(requests()).toBe(1)
  })

  test('no answer comes', async () => {
    const { requests, url } = await socketServer(() => undefined)
    expectUnknown(await adapterFor(url, { createTimeout: SHORT }).create(REQUEST))
    expect(requests()).toBe(1)
  })

  test('the answer trickles', async () => {
    const { requests, url } = await socketServer((socket) => {
      socket.write('HTTP/1.1 201 Created\r\nContent-Type: application/json\r\nContent-Length: 500\r\n\r\n')
      const timer = setInterval(() => socket.write(' '), 50)
      socket.on('close', () => clearInterval(timer))
    })
    expectUnknown(await adapterFor(url, { createTimeout: SHORT }).create(REQUEST))
    expect(requests()).toBe(1)
  })

  test('the connection of the request before was kept, and is reset now', async () => {
    let count = 0
    const { requests, url } = await socketServer((socket, received) => {
      if (!received.includes('a red apple')) return
      if (++count === 1) {
        const body = JSON.stringify(PREDICTION)
        socket.write(
          `HTTP/1.1 201 Created\r\nContent-Type: application/json\r\nContent-Length: ${body.length}\r\n\r\n${body}`,
        )
      } else socket.resetAndDestroy()
    })
    const adapter = adapterFor(url)
    expect((await adapter.create(REQUEST)).kind).toBe('created')
    expectUnknown(await adapter.create(REQUEST))
    expect(requests()).toBe(2)
  })
})

describe('nothing was sent when', () => {
  const unreachable = { kind: 'not_created', refusal: { class: 'unreachable', message: expect.any(String) } }

  test('the connection is refused', async () => {
    const outcome = await adapterFor(`http://127.0.0.1:${await freePort()}/v1`).create(REQUEST)
    expect(outcome).toMatchObject(unreachable)
    expect(JSON.stringify(outcome)).not.toContain(TOKEN)
  })

  test('the name does not resolve', async () => {
    // The resolver of the machine may take its time.
    const adapter = adapterFor('https://no-such-host.invalid/v1', { connectTimeout: SHORT })
    expect(await adapter.create(REQUEST)).toMatchObject(unreachable)
  })

  test('the other side speaks no TLS', async () => {
    const { requests, url } = await socketServer((socket) => socket.end('HTTP/1.1 400 Bad Request\r\n\r\n'))
    expect(await adapterFor(url.replace('http:', 'https:')).create(REQUEST)).toMatchObject(unreachable)
    expect(requests()).toBe(0)
  })

  test('the handshake hangs', async () => {
    const { requests, url } = await socketServer(() => undefined)
    const adapter = adapterFor(url.replace('http:', 'https:'), { connectTimeout: 100 })
    expect(await adapter.create(REQUEST)).toMatchObject(unreachable)
    expect(requests()).toBe(0)
  })
})

describe('a read', () => {
  test('takes what comes, and is not repeated either', async () => {
    for (const [status, body, outcome] of [
      [200, PREDICTION, { kind: 'prediction' }],
      [404, problem(404), { kind: 'not_found' }],
      [429, problem(429), { kind: 'rate_limited', retryAfterMs: 10_000 }],
      [500, HTML, { kind: 'failed' }],
      [200, HTML, { kind: 'failed' }],
    ] as const) {
      const { seen, url } = await upstream(json(status, body))
      expect(await adapterFor(url).get('abc/../x')).toMatchObject(outcome)
      expect(seen.map(({ url: path }) => path)).toEqual(['/v1/predictions/abc%2F..%2Fx'])
    }
  })

  test.each([
    [401, problem(401), { cause: 'account', reason: 'status 401: because of 401' }],
    [402, problem(402), { cause: 'account', reason: 'status 402: because of 402' }],
    [403, HTML, { cause: 'account', reason: 'status 403' }],
    [500, problem(500), { cause: 'upstream', reason: 'status 500: because of 500' }],
    [502, HTML, { cause: 'upstream', reason: 'status 502' }],
    [200, HTML, { cause: 'upstream', reason: expect.stringMatching(/^the response is not a p/) }],
  ])('that is answered with %i says who is the cause and why', async (status, body, failure) => {
    const { url } = await upstream(json(status, body))
    const adapter = adapterFor(url)
    expect(await adapter.get('x')).toEqual({ kind: 'failed', ...failure })
    // `narrow` is tested in test/unit/list-window.test.ts.
    expect(await adapter.list({ after: 0, before: 1, cursor: null })).toMatchObject({ kind: 'failed', ...failure })
  })

  test('of the signing secret takes a secret only', async () => {
    const right = await upstream(json(200, { key: 'whsec_abc' }))
    expect(await adapterFor(right.url).webhookSecret(ENDLESS)).toBe('whsec_abc')
    for (const answer of [json(200, { key: 'abc' }), json(200, HTML), json(401, problem(401))]) {
      const { url } = await upstream(answer)
      await expect(adapterFor(url).webhookSecret(ENDLESS)).rejects.toThrow()
    }
    const silent = await socketServer(() => undefined)
    await expect(adapterFor(silent.url).webhookSecret(100)).rejects.toThrow()
  })
})

describe('a file that is handed over', () => {
  const never = new AbortController().signal
  const hand = (
    baseUrl: string,
    { bytes = 5, body = [Buffer.from('hello')], signal = never, uploadTimeout = ENDLESS } = {},
  ) =>
    adapterFor(baseUrl, { uploadTimeout }).uploadFile(
      { name: 'upl_1', mediaType: 'image/png', bytes, body: Readable.from(body) },
      signal,
    )
  const file = (urls: object, more: object = {}): string =>
    JSON.stringify({ id: 'f', urls, expires_at: '2026-01-31T12:00:00.000Z', ...more })
  const answering = (status: number, body: string, headers: Record<string, string> = {}) =>
    upstream((_request, response) => response.writeHead(status, headers).end(body))

  test('is one part of a body with a declared length', async () => {
    const { url, seen } = await answering(201, file({ get: 'https://api.replicate.com/v1/files/f' }))
    expect(await hand(url, { body: [Buffer.from('he'), Buffer.from('llo')] })).toEqual({
      kind: 'taken',
      url: 'https://api.replicate.com/v1/files/f',
      expiresAt: Date.parse('2026-01-31T12:00:00.000Z'),
    })
    expect(seen).toHaveLength(1)
    const [request] = seen
    expect([request?.method, request?.url]).toEqual(['POST', '/v1/files'])
    expect(request?.headers).toMatchObject({
      authorization: `Bearer ${TOKEN}`,
      'content-length': String(request?.body.length),
      'content-type': expect.stringMatching(/^multipart\/form-data; boundary=genqueue-[0-9a-f]{32}$/),
    })
    const form = await new Response(request?.body ?? '', {
      headers: { 'content-type': request?.headers['content-type'] ?? '' },
    }).formData()
    const content = form.get('content')
    expect([...form.keys()]).toEqual(['content'])
    expect(content instanceof File && [content.name, content.type, await content.text()]).toEqual([
      'upl_1',
      'image/png',
      'hello',
    ])
  })

  test.each<[what: string, status: number, body: string, outcome: object]>([
    [
      'without an end of its life',
      201,
      file({ get: 'https://a.example/f' }, { expires_at: null }),
      { expiresAt: null },
    ],
    ['answered without an address', 201, file({}), { kind: 'failed' }],
    ['answered with an address of another kind', 201, file({ get: 'file:///etc/passwd' }), { kind: 'failed' }],
    ['answered with a page', 200, '<html>', { kind: 'failed' }],
    ['too large', 413, '{"detail":"Files must be less than 100MB in size"}', { kind: 'refused', status: 413 }],
    ['too large for a proxy', 413, '<html>', { kind: 'refused', status: 413 }],
    ['refused', 422, '{"detail":"no"}', { kind: 'refused', status: 422, message: 'no' }],
    ['refused with its account', 401, '{"title":"Unauthenticated"}', { kind: 'refused', status: 401 }],
    ['not found by a proxy', 404, '<html>', { kind: 'failed' }],
    ['sent too often', 429, '{"retry_after":7}', { kind: 'rate_limited', retryAfterMs: 7000 }],
    ['met by trouble', 503, '', { kind: 'failed', reason: 'status 503' }],
    ['sent elsewhere', 302, '', { kind: 'failed', reason: 'status 302' }],
  ])('%s', async (_what, status, body, outcome) => {
    const { url, seen } = await answering(status, body, { location: 'https://elsewhere.example/' })
    expect(await hand(url)).toMatchObject(outcome)
    expect(seen).toHaveLength(1)
  })

  test('fails with its connection, its time, or its bytes, and leaves nothing open', async () => {
    expect(await hand('http://127.0.0.1:1/v1')).toMatchObject({ kind: 'failed' })
    const silent = await upstream(() => undefined)
    expect(await hand(silent.url, { uploadTimeout: 500 })).toMatchObject({ kind: 'failed' })
    const right = await answering(201, file({ get: 'https://a.example/f' }))
    expect(await hand(right.url, { bytes: 6 })).toMatchObject({ kind: 'failed' })
    expect(await hand(right.url, { bytes: 4 })).toMatchObject({ kind: 'failed' })
    const stop = new AbortController()
    const stopped = hand(silent.url, { signal: stop.signal })
    stop.abort(new Error('the worker stops'))
    await expect(stopped).rejects.toThrow('the worker stops')
  })
})

describe('against the simulator, its books say', () => {
  const started = startSimulator({
    port: 0,
    dataDir: null,
    speed: 50,
    createsPerMinute: 60_000,
    readsPerMinute: 60_000,
  })
  afterAll(async () => (await started).stop())
  const HELLO = '9dcd6d78e7c6560c340d916fe32e9f24aabfa331e5cce95fe31f77fb03121426'
  const hello: CreateRequest = {
    ...REQUEST,
    model: null,
    version: HELLO,
    input: { text: 'x' },
    webhook: 'https://x.invalid/',
  }

  test.each<[string, object, string, number]>([
    ['nothing', {}, 'created', 1],
    ['its answer cut', { cut_after_accept: { next: 1 } }, 'unknown', 1],
    ['the request cut', { cut_before_accept: { next: 1 } }, 'unknown', 0],
    ['a 429', { status: { next: 1, code: 429 } }, 'not_created', 0],
    ['a 500', { status: { next: 1, code: 500 } }, 'unknown', 0],
    ['garbage', { garbage: { next: 1 } }, 'unknown', 1],
  ])('one request with %s', async (_what, create, kind, created) => {
    const simulator = await started
    const admin = simulatorAdmin(simulator.url)
    const before = (await admin.books()).counts
    await admin.faults({ create })
    expect((await adapterFor(simulator.apiUrl).create(hello)).kind).toBe(kind)
    const after = (await admin.books()).counts
    expect([after.create_requests - before.create_requests, after.created - before.created]).toEqual([1, created])
    await admin.faults({ create: null })
  })
})
