import { createServer } from 'node:http'
import express from 'express'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { createClient, type Client, type ClientOptions } from '../../src/client/client.ts'
import { createProxy, expressProxy, nextProxy, type Grant } from '../../src/client/proxy.ts'
import { damagedPhoto } from '../simulator/support/media.ts'
import { startService, TEST_KEY, type TestService } from '../support/start-service.ts'

/** A product's proxy in front of the real service, as a Fetch handler and in Express. */

const SCHNELL = 'black-forest-labs/flux-schnell'
const GRANTS: Record<string, Grant> = {
  zoe: { user: 'Zoë 1', presets: ['story-page', 'restore-image'], fields: ['timeout'] },
  ada: { user: 'ada', models: [SCHNELL] },
}

let service: TestService
let photo: Uint8Array
/** What the proxy was asked, and answered. */
let seen: { url: string; authorization: string | null; headers: Headers; text: string }[] = []
let proxy: (request: Request) => Promise<Response>
beforeAll(async () => {
  service = await startService({ simulator: { speed: 50 } })
  photo = new Uint8Array(await damagedPhoto())
  proxy = createProxy({
    baseUrl: `${service.url}/`,
    key: TEST_KEY,
    maxUploadBytes: 500_000,
    authorize: ({ headers }) => {
      const name = headers.get('x-user')
      if (name === 'broken') throw new Error('the sessions cannot be read')
      if (name === 'moved') return new Response('moved', { status: 418 })
      return GRANTS[name ?? ''] ?? null
    },
  })
})
afterAll(() => service.stop())

/** A page's client of this user. */
const clientOf = (user: string | null, options: Partial<ClientOptions> = {}): Client =>
  createClient({
    baseUrl: 'https://product.example/api/genqueue',
    attempts: 1,
    fetch: async (url, init) => {
      const request = new Request(url instanceof Request ? url : String(url), init)
      if (user !== null) request.headers.set('x-user', user)
      const response = await proxy(request)
      const { headers } = response
      const isText = headers.get('content-type')?.includes('json') === true
      const text = isText ? await response.clone().text() : ''
      seen.push({ url: request.url, authorization: request.headers.get('authorization'), headers, text })
      return response
    },
    ...options,
  })
const zoe = clientOf('zoe')
const ada = clientOf('ada')

const picture = { preset: 'story-page', input: { prompt: 'a fox' } }
const refused = (promise: Promise<unknown>) => promise.then(() => null).catch(({ status, code }) => [status, code])

describe('the user of a page', () => {
  test('submits with a file, follows, reads the file, and lists only its jobs', async () => {
    seen = []
    const file = new File([photo], 'photo.png', { type: 'image/png' })
    const job = await zoe.run({ preset: 'restore-image', input: { input_image: file }, metadata: { order: 7 } })
    expect(job).toMatchObject({ user: 'Zoë 1', metadata: { order: 7 }, status: 'succeeded' })
    const [artifact] = job.artifacts
    expect(artifact?.url).toMatch(/^https:\/\/product\.example\/api\/genqueue\/v1\/artifacts\//)
    expect((await zoe.download(artifact ?? '')).byteLength).toBe(artifact?.bytes)
    const states: string[] = []
    for await (const { status } of zoe.stream(job.id)) states.push(status)
    expect(states).toEqual(['succeeded'])
    expect((await zoe.logs(job.id)).truncated).toBe(false)
    const own = await service.client.submit({ ...picture, user: 'ada' })
    const ids = async (client: Client) => (await client.list({ user: 'Zoë 1' })).data.map(({ id }) => id)
    expect([await ids(zoe), await ids(ada)]).toEqual([[job.id], [own.id]])
    // The key stays on the server.
    expect(seen.length).toBeGreaterThan(5)
    for (const { authorization, headers, text } of seen) {
      expect(authorization).toBeNull()
      expect(JSON.stringify([...headers]) + text).not.toContain(TEST_KEY)
    }
    // Files are served from the origin of the page.
    const served = seen.find(({ url }) => url.includes('/artifacts/'))?.headers
    expect([served?.get('x-content-type-options'), served?.get('content-security-policy')]).toEqual([
      'nosniff',
      expect.stringContaining('sandbox'),
    ])
  })

  test('cancels and retries its own jobs, and does not find those of others', async () => {
    await service.simulator.faults({ predictions: { starting_forever: { next: 1 } } })
    const { id } = await zoe.submit(picture)
    const all = (client: Client) => [
      refused(client.get(id)),
      refused(client.wait(id)),
      refused(client.stream(id).next()),
      refused(client.manifest(id)),
      refused(client.cancel(id)),
      refused(client.retry(id)),
    ]
    expect(new Set(await Promise.all(all(ada)).then((codes) => codes.map(String)))).toEqual(new Set(['404,not_found']))
    await zoe.cancel(id)
    expect((await zoe.wait(id)).status).toBe('canceled')
    const again = await zoe.retry(id)
    expect(again).toMatchObject({ retry_of: id, user: 'Zoë 1' })
    await service.client.wait(again.id)
  })

  test('has its own idempotency keys, and gets the same job for the same one', async () => {
    const key = { idempotencyKey: 'order-1' }
    const raw = { model: SCHNELL, input: { prompt: 'x' } }
    const [one, same, other] = [
      await zoe.submit(picture, key),
      await zoe.submit(picture, key),
      await ada.submit(raw, key),
    ]
    expect([same.id === one.id, other.id === one.id]).toEqual([true, false])
  })
})

describe('the proxy refuses', () => {
  test.each<[string, () => Promise<unknown>, number, string]>([
    ['who is not signed in', () => clientOf(null).submit(picture), 401, 'unauthenticated'],
    [
      'a preset that is not open to the user',
      () => zoe.submit({ ...picture, preset: 'video-outline' }),
      422,
      'invalid_request',
    ],
    ['a model without a preset', () => zoe.submit({ model: SCHNELL, input: {} }), 422, 'invalid_request'],
    ['a model beside a preset', () => ada.submit({ version: 'f'.repeat(64), input: {} }), 422, 'invalid_request'],
    ['another user’s name', () => zoe.submit({ ...picture, user: 'ada' }), 422, 'invalid_request'],
    ['a field that is not open', () => zoe.submit({ ...picture, keep: { files: 'forever' } }), 422, 'invalid_request'],
    ['a large body', () => zoe.submit({ ...picture, metadata: { x: 'y'.repeat(100_000) } }), 413, 'body_too_large'],
    ['what the service refuses', () => zoe.submit({ ...picture, input: {} }), 422, 'invalid_request'],
    ['batches', () => zoe.batch({ items: [picture] }), 404, 'not_found'],
    ['deletions', () => zoe.delete('job_00000000000000000000000000'), 404, 'not_found'],
    ['tokens', () => zoe.jobToken('job_00000000000000000000000000'), 404, 'not_found'],
    ['credits', () => zoe.credits(), 404, 'not_found'],
    ['paths that leave', () => zoe.get('../credits'), 404, 'not_found'],
    ['uploads of anybody', () => zoe.download('/v1/uploads/upl_00000000000000000000000000'), 404, 'not_found'],
    [
      'artifacts without a signature',
      () => zoe.download('/v1/artifacts/art_00000000000000000000000000_1_0'),
      404,
      'not_found',
    ],
    [
      'a forged signature',
      () => zoe.download('/v1/artifacts/art_00000000000000000000000000_1_0?expires=1&signature=x'),
      403,
      'link_expired',
    ],
  ])('%s', async (_what, call, status, code) => {
    expect(await refused(call())).toEqual([status, code])
  })

  test('a chunked body above the limit, while it arrives', async () => {
    const body = new ReadableStream<Uint8Array>({ pull: (stream) => stream.enqueue(new Uint8Array(100_000)) })
    const headers = { 'x-user': 'zoe', 'content-type': 'multipart/form-data; boundary=x' }
    const init = { method: 'POST', headers, body, duplex: 'half' as const }
    const response = await proxy(new Request('https://product.example/v1/uploads', init))
    expect([response.status, await response.json()]).toEqual([413, expect.objectContaining({ code: 'body_too_large' })])
  })

  test('changes by pages of other sites', async () => {
    const headers = { 'x-user': 'zoe', 'sec-fetch-site': 'cross-site', 'content-type': 'application/json' }
    const response = await proxy(
      new Request('https://product.example/v1/jobs', { method: 'POST', headers, body: JSON.stringify(picture) }),
    )
    expect([response.status, await response.json()]).toEqual([403, expect.objectContaining({ code: 'cross_site' })])
  })
})

test('an answer of the check is sent, and its error is for the framework', async () => {
  expect(await refused(clientOf('moved').list())).toEqual([418, 'unexpected_answer'])
  await expect(
    proxy(new Request('https://product.example/v1/jobs', { headers: { 'x-user': 'broken' } })),
  ).rejects.toThrow('the sessions cannot be read')
})

test('a wrong key and a missing service are no errors of the page', async () => {
  const authorize = () => ({ user: 'zoe' })
  const request = () => new Request('https://product.example/v1/jobs')
  for (const options of [
    { baseUrl: service.url, key: 'wrong' },
    { baseUrl: 'http://127.0.0.1:9', key: TEST_KEY },
  ]) {
    const response = await createProxy({ ...options, authorize })(request())
    expect([response.status, await response.json()]).toEqual([502, expect.objectContaining({ code: 'unavailable' })])
  }
  expect((await nextProxy({ baseUrl: service.url, key: TEST_KEY, authorize }).GET(request())).status).toBe(200)
})

test('in Express a parsed body is used, errors reach next(), and leaving closes the stream', async () => {
  const app = express()
  app.use(express.json())
  app.use(
    '/api/genqueue',
    expressProxy({
      baseUrl: service.url,
      key: TEST_KEY,
      maxUploadBytes: 500_000,
      authorize: ({ headers }) => {
        if (headers['x-user'] === undefined) throw new Error('nobody')
        return { user: String(headers['x-user']) }
      },
    }),
  )
  app.use(
    ((_error, _request, response, _next) => void response.status(555).json({})) satisfies express.ErrorRequestHandler,
  )
  const server = createServer(app)
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const address = server.address()
  const port = typeof address === 'object' ? address?.port : 0
  const page = (headers: Record<string, string>): Client =>
    createClient({
      baseUrl: `http://127.0.0.1:${port}/api/genqueue`,
      fetch: (url, init) =>
        fetch(url, { ...init, headers: { ...Object.fromEntries(new Headers(init?.headers)), ...headers } }),
    })
  try {
    const user = page({ 'x-user': 'zoe' })
    await service.simulator.faults({ predictions: { starting_forever: { next: 1 } } })
    const { id } = await user.submit(picture)
    for await (const { status } of user.stream(id)) if (status === 'starting') break
    await user.cancel(id)
    expect(await user.wait(id)).toMatchObject({ status: 'canceled', user: 'zoe' })
    expect(await refused(user.upload(new Uint8Array(600_000)))).toEqual([413, 'body_too_large'])
    expect((await user.upload(photo)).bytes).toBe(photo.length)
    expect(await refused(page({}).list())).toEqual([555, 'unexpected_answer'])
  } finally {
    // Ends only when no stream is left open.
    server.closeIdleConnections()
    await new Promise((resolve) => server.close(resolve))
  }
})
