import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import { request } from 'undici'
import Replicate from 'replicate'
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest'
import { createOperator } from '../support/operator.ts'
import { startService, TEST_KEY, type TestService } from '../support/start-service.ts'

/** Reads that are relayed from Replicate. What the simulator does not have is answered by a server before it. */

const FLUX = 'black-forest-labs/flux-schnell'

let service: TestService
let before: Server
let replicate: Replicate
/** A key without the scope `admin`. */
let key: string

const model = (name: string, visibility: string): object => ({
  url: `https://replicate.com/acme/${name}`,
  owner: 'acme',
  name,
  description: null,
  visibility,
  is_official: false,
  github_url: null,
  paper_url: null,
  license_url: null,
  run_count: 1,
  cover_image_url: null,
  default_example: { urls: { get: 'https://api.replicate.com/v1/predictions/x' } },
  latest_version: null,
})
const MODELS = [model('open', 'public'), model('secret', 'private')]
const page = (path: string, results: object[]) => ({
  next: `https://api.replicate.com/v1${path}?cursor=abc`,
  previous: null,
  results,
})
/** What the server answers, by method and path. */
const ANSWERS: Record<string, [status: number, body: object | string]> = {
  'GET /v1/models': [200, page('/models', MODELS)],
  'QUERY /v1/models': [200, page('/models', MODELS)],
  'GET /v1/models/acme/open': [200, MODELS[0] ?? {}],
  'GET /v1/models/acme/secret': [200, MODELS[1] ?? {}],
  'GET /v1/models/acme/open/versions': [200, page('/models/acme/open/versions', [])],
  'GET /v1/models/acme/open/readme': [200, '# Open'],
  'GET /v1/models/acme/open/examples': [200, page('/models/acme/open/examples', [])],
  'GET /v1/models/acme/secret/readme': [200, '# Secret'],
  'GET /v1/search': [
    200,
    {
      query: 'x',
      models: MODELS.map((one) => ({ model: one, metadata: {} })),
      collections: [],
      pages: [],
    },
  ],
  'GET /v1/collections': [200, page('/collections', [{ name: 'All', slug: 'all', description: '' }])],
  'GET /v1/collections/all': [200, { name: 'All', slug: 'all', description: '', models: MODELS }],
}
/** Requests that reached the server, with their bodies. */
let seen: string[] = []
/** Statuses that it answers instead. */
let status: number | null = null

beforeAll(async () => {
  let simulator = 0
  before = createServer((asked: IncomingMessage, response: ServerResponse) => {
    void answer(asked, response, simulator)
  })
  await new Promise<void>((resolve) => before.listen(0, '127.0.0.1', resolve))
  const address = before.address()
  const port = typeof address === 'object' ? (address?.port ?? 0) : 0
  service = await startService({
    env: { REPLICATE_READS_PER_MINUTE: '600' },
    through: (of) => {
      simulator = of
      return Promise.resolve(port)
    },
  })
  replicate = new Replicate({ auth: TEST_KEY, baseUrl: `${service.url}/replicate/v1` })
  const operator = createOperator(service)
  key = (await operator.newKey(await operator.newTenant())).key
})
afterAll(async () => {
  await service.stop()
  before.close()
})
beforeEach(() => {
  seen = []
  status = null
})

async function answer(asked: IncomingMessage, response: ServerResponse, simulator: number): Promise<void> {
  const chunks: Buffer[] = []
  for await (const chunk of asked) chunks.push(Buffer.from(chunk as Buffer))
  const [path = ''] = (asked.url ?? '').split('?')
  const name = `${asked.method} ${path}`
  const body = Buffer.concat(chunks).toString()
  const found = ANSWERS[name]
  if (found) seen.push(`${asked.method} ${asked.url}${body && ` ${body}`}`)
  if (found && status !== null) {
    response.writeHead(status, { 'retry-after': '7' }).end('<html>')
  } else if (found) {
    const [code, what] = found
    const type = typeof what === 'string' ? 'text/plain' : 'application/json'
    response.writeHead(code, { 'content-type': type }).end(typeof what === 'string' ? what : JSON.stringify(what))
  } else {
    const {
      statusCode,
      headers,
      body: relayed,
    } = await request(`http://127.0.0.1:${simulator}${asked.url}`, {
      method: asked.method === 'POST' ? 'POST' : 'GET',
      headers: { ...asked.headers },
      ...(body === '' ? {} : { body }),
    })
    const text = await relayed.text()
    response.writeHead(statusCode, { 'content-type': String(headers['content-type']) }).end(text)
  }
}

interface Named {
  name: string
}
async function read(path: string, as = TEST_KEY, init: RequestInit = {}) {
  const response = await fetch(`${service.url}/replicate/v1${path}`, {
    ...init,
    headers: { authorization: `Bearer ${as}` },
  })
  const text = await response.text()
  const isJson = (response.headers.get('content-type') ?? '').includes('json')
  const body = (isJson ? JSON.parse(text) : { text }) as Record<string, unknown> & {
    results?: Named[]
    models?: Named[]
  }
  return { status: response.status, headers: response.headers, body }
}
const names = (list: Named[] = []): string[] => list.map(({ name }) => name)

test('models of Replicate, with links that lead to this service', async () => {
  const flux = await replicate.models.get('black-forest-labs', 'flux-schnell')
  expect(flux).toMatchObject({ owner: 'black-forest-labs', name: 'flux-schnell', visibility: 'public' })
  const [first] = (await replicate.models.versions.list('black-forest-labs', 'flux-schnell')).results ?? []
  const id = first?.id ?? flux.latest_version?.id ?? ''
  expect((await replicate.models.versions.get('black-forest-labs', 'flux-schnell', id)).id).toBe(id)
  expect((await replicate.hardware.list()).length).toBeGreaterThan(0)
  const { body } = await read('/models/acme/open')
  expect(body).toMatchObject({
    url: 'https://replicate.com/acme/open',
    default_example: { urls: { get: `${service.url}/replicate/v1/predictions/x` } },
  })
  const list = await read('/models?sort_by=model_created_at&unknown=1')
  expect(list.body['next']).toBe(`${service.url}/replicate/v1/models?cursor=abc`)
  expect(seen).toEqual(['GET /v1/models/acme/open', 'GET /v1/models?sort_by=model_created_at'])
  const readme = await read('/models/acme/open/readme')
  expect([readme.headers.get('content-type'), readme.body['text']]).toEqual(['text/plain; charset=utf-8', '# Open'])
  expect((await read('/models/acme/open/versions')).status).toBe(200)
  expect((await read('/models/acme/open/examples')).status).toBe(200)
})

test('what is private is shown to operators only', async () => {
  const lists: [path: string, init: RequestInit][] = [
    ['/models', {}],
    ['/models', { method: 'QUERY', body: 'open' }],
    ['/collections/all', {}],
  ]
  for (const [path, init] of lists) {
    const [open, all] = [await read(path, key, init), await read(path, TEST_KEY, init)]
    expect(names(open.body.results ?? open.body.models)).toEqual(['open'])
    expect(names(all.body.results ?? all.body.models)).toEqual(['open', 'secret'])
  }
  expect(seen).toContain('QUERY /v1/models open')
  const found = (await replicate.models.search('open')).results
  expect(found.map(({ name }) => name)).toEqual(['open', 'secret'])
  expect((await read('/search?query=x', key)).body.models).toHaveLength(1)
  expect((await read('/search?query=x')).body.models).toHaveLength(2)
  expect((await read('/collections', key)).body.results).toHaveLength(1)
  for (const path of [
    '/models/acme/secret',
    '/models/acme/secret/readme',
    '/deployments',
    '/deployments/acme/writer',
  ]) {
    expect((await read(path, key)).body).toEqual({
      detail: 'The requested resource could not be found.',
      status: 404,
    })
    expect((await read(path)).status).toBe(200)
  }
})

test('are kept for a while, and older ones serve when Replicate is away or the budget is used up', async () => {
  for (let i = 0; i < 3; i++) await read('/collections?cursor=kept', i === 0 ? key : TEST_KEY)
  await Promise.all([1, 2, 3].map(() => read('/collections?cursor=together')))
  expect(seen).toEqual(['GET /v1/collections?cursor=kept', 'GET /v1/collections?cursor=together'])
  for (const [code, detail, expected] of [
    [500, 'Could not read this from Replicate. Try again later.', 503],
    [401, 'Could not read this from Replicate. Try again later.', 503],
    [429, expect.stringContaining('Replicate limits the reads of the service.'), 429],
  ] as const) {
    status = code
    const away = await read(`/collections?cursor=status-${code}`)
    expect([away.status, away.body['detail']]).toEqual([expected, detail])
    if (code === 429) expect(away.headers.get('retry-after')).toBe('7')
    expect((await read('/collections?cursor=kept')).status).toBe(200)
  }
  status = null
  // 600 reads a minute, of which ten may come at once; these leave seven of them to polls.
  const many = await Promise.all(Array.from({ length: 40 }, (_, i) => read(`/collections?cursor=many-${i}`)))
  const limited = many.filter((one) => one.status === 429)
  expect(limited.length).toBeGreaterThan(0)
  expect(limited[0]?.body).toMatchObject({ retry_after: 2 })
})

test('names that do not exist, and writes', async () => {
  for (const path of [
    '/models/acme/nothing',
    '/models/acme/nothing/readme',
    '/models/..%2F/x',
    '/models/preset/nothing',
  ])
    expect((await read(path)).status).toBe(404)
  for (const method of ['POST', 'PATCH', 'DELETE'])
    expect((await read(`/models/${FLUX}`, TEST_KEY, { method })).body).toMatchObject({
      status: 404,
      detail: 'Models and deployments cannot be changed here. Use the API of Replicate itself.',
    })
  expect((await read('/search')).status).toBe(422)
  expect((await read('/models', TEST_KEY, { method: 'QUERY', body: '' })).status).toBe(422)
})

test('presets are models too, and the only ones where raw models are off', async () => {
  const preset = (await read('/models/preset/story-page', key)).body
  expect(preset).toMatchObject({ owner: 'preset', name: 'story-page', visibility: 'public', is_official: true })
  const { id, openapi_schema: schema } = preset['latest_version'] as { id: string; openapi_schema: object }
  expect(schema).toMatchObject({
    components: {
      schemas: { Input: { type: 'object', required: ['prompt'], properties: { prompt: {} } }, Output: {} },
    },
  })
  expect((await read(`/models/preset/story-page/versions/${id}`)).body).toEqual(preset['latest_version'])
  expect((await read('/models/preset/story-page/versions')).body.results).toEqual([preset['latest_version']])
  expect((await read('/models/preset/story-page/readme')).body['text']).toMatch(/^# /)
  expect((await read('/models/preset/story-page/examples')).body.results).toEqual([])

  for (const version of [id, `preset/story-page:${id}`]) {
    const created = await replicate.predictions.create({ version, input: { prompt: 'a fox' } })
    expect((await service.client.get(`job_${created.id.toUpperCase()}`)).preset).toBe('story-page')
  }
  await expect(replicate.predictions.create({ version: `preset/other:${id}`, input: {} })).rejects.toThrow('422')

  const env = { RAW_MODELS: 'deny' }
  const closed = await startService({ env })
  try {
    const at = new Replicate({ auth: TEST_KEY, baseUrl: `${closed.url}/replicate/v1` })
    const listed = (await at.models.list()).results
    expect(new Set(listed.map(({ owner }) => owner))).toEqual(new Set(['preset']))
    expect(names(listed)).toContain('story-page')
    expect(names((await at.models.search('STORY page')).results)).toEqual(['story-page'])
    expect((await at.models.search('no such thing')).results).toEqual([])
    const found = await fetch(`${closed.url}/replicate/v1/search?query=story&limit=1`, {
      headers: { authorization: `Bearer ${TEST_KEY}` },
    })
    expect(await found.json()).toMatchObject({ models: [{ model: { owner: 'preset' } }], collections: [], pages: [] })
    expect((await at.collections.list()).results).toEqual([])
    await expect(at.collections.get('all')).rejects.toThrow('404')
    expect((await at.models.get('black-forest-labs', 'flux-schnell')).name).toBe('flux-schnell')
  } finally {
    await closed.stop()
  }
})
