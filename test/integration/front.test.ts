import { cpSync, mkdirSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import Replicate, { type FileOutput } from 'replicate'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { programsOf } from '../support/guide-programs.ts'
import { createOperator } from '../support/operator.ts'
import { spawnNode } from '../support/spawn-process.ts'
import { startService, TEST_KEY, type TestService } from '../support/start-service.ts'
import { tempDir } from '../support/temp-dir.ts'
import { waitFor } from '../support/wait-for.ts'

/** Replicate's own API in front, with Replicate's own client. */

let service: TestService
let replicate: Replicate

beforeAll(async () => {
  const presets = tempDir()
  cpSync(join(import.meta.dirname, '../../presets/story-page.yaml'), join(presets, 'story-page.yaml'))
  writeFileSync(
    join(presets, 'poster.yaml'),
    `name: poster\ntitle: Poster\nmodel: ${SERVED}\nserves: [${SERVED}]\ninput: { overrides: [prompt] }\n` +
      'schema: { required: [prompt], properties: { prompt: { type: string } } }\nprice: { per_output: 3000, expect: { outputs: 1 } }\n',
  )
  service = await startService({ simulator: { speed: 50 }, env: { PRESETS_DIR: presets, TRUST_PROXY: 'loopback' } })
  replicate = new Replicate({ auth: TEST_KEY, baseUrl: `${service.url}/replicate/v1`, useFileOutput: false })
})
afterAll(() => service.stop())

const HELLO = '9dcd6d78e7c6560c340d916fe32e9f24aabfa331e5cce95fe31f77fb03121426'
const SERVED = 'black-forest-labs/flux-dev-lora'
const FLUX = 'black-forest-labs/flux-schnell'
const front = (
  path: string,
  init: { method?: string; headers?: Record<string, string>; body?: string } = {},
): Promise<Response> =>
  fetch(`${service.url}/replicate/v1${path}`, {
    ...init,
    headers: { authorization: `Bearer ${TEST_KEY}`, 'content-type': 'application/json', ...init.headers },
  })

describe('the official client', () => {
  test('runs a model, and gets files that it can read', async () => {
    const output = await replicate.run(FLUX, { input: { prompt: 'a lighthouse', num_outputs: 2 } })
    expect(output).toEqual([expect.any(String), expect.any(String)])
    for (const url of output as string[]) {
      expect(url).toMatch(new RegExp(`^${service.url}/v1/artifacts/`))
      const file = await fetch(url)
      expect(file.status).toBe(200)
      expect(file.headers.get('content-type')).toBe('image/webp')
    }
  })

  test('makes file objects where the service is reached by HTTPS, with links of that origin', async () => {
    // What a proxy with a certificate does.
    const throughProxy: typeof fetch = (input, init) => {
      const url = new URL(input instanceof Request ? input.url : input)
      const headers = new Headers(init?.headers)
      headers.set('x-forwarded-proto', 'https')
      headers.set('x-forwarded-host', url.host)
      return fetch(`${service.url}${url.pathname}${url.search}`, { ...init, headers })
    }
    const client = new Replicate({ auth: TEST_KEY, baseUrl: 'https://queue.example/replicate/v1', fetch: throughProxy })
    const [file] = (await client.run(FLUX, { input: { prompt: 'a cat' } })) as [FileOutput]
    expect(file.url().origin).toBe('https://queue.example')
    expect((await file.blob()).size).toBeGreaterThan(100)
  })

  test('runs a text model: its output is an array of texts', async () => {
    const output = await replicate.run('google/gemini-3-pro', { input: { prompt: 'a haiku' } })
    expect(output).toEqual([expect.stringMatching(/\w/)])
  })

  test('creates, gets, lists and cancels', async () => {
    const created = await replicate.predictions.create({ model: FLUX, input: { prompt: 'a dog' } })
    expect(created).toMatchObject({ status: 'starting', model: FLUX, output: null, input: { prompt: 'a dog' } })
    expect(created.id).toMatch(/^[0-9a-hjkmnp-tv-z]{26}$/)
    expect(created.urls.get).toBe(`${service.url}/replicate/v1/predictions/${created.id}`)
    const ended = await replicate.wait(created, { interval: 50 })
    expect(ended).toMatchObject({ id: created.id, status: 'succeeded', error: null, version: 'hidden' })
    expect(ended.logs).toMatch(/\w/)
    const job = await service.client.get(`job_${created.id.toUpperCase()}`)
    expect(job).toMatchObject({ status: 'succeeded', model: FLUX })

    const slow = await replicate.predictions.create({ model: 'google/gemini-3-pro', input: { prompt: 'long' } })
    const canceled = await replicate.predictions.cancel(slow.id)
    expect(canceled.id).toBe(slow.id)
    expect((await replicate.wait(slow, { interval: 50 })).status).toBe('canceled')
    const page = await replicate.predictions.list()
    expect(page.results.slice(0, 2).map(({ id }) => id)).toEqual([slow.id, created.id])
  })

  test('runs a preset by the name of a model, and drops fields that it does not know', async () => {
    const input = { prompt: 'a preset', unknown_field: 1 }
    const created = await replicate.predictions.create({ model: 'preset/story-page', input })
    expect(await service.client.get(`job_${created.id.toUpperCase()}`)).toMatchObject({ preset: 'story-page' })
  })

  test('four equal runs at once are four predictions', async () => {
    const input = { prompt: 'four times' }
    await Promise.all([1, 2, 3, 4].map(() => replicate.run(FLUX, { input })))
    const jobs = (await service.client.list({ limit: 100 })).data.filter(
      (job) => job.input?.['prompt'] === input.prompt,
    )
    expect(new Set(jobs.map(({ prediction_id }) => prediction_id)).size).toBe(4)
  })
})

test('each section of the README of the official client works', async () => {
  const program = join(import.meta.dirname, '../clients/programs/replicate-js.mjs')
  const ran = spawnNode(program, [], { env: { API: `${service.url}/replicate/v1`, TOKEN: TEST_KEY } })
  const { code } = await ran.exited
  expect(code, `${ran.stdout}${ran.stderr}`).toBe(0)
})

test('the program of the guide moves over by the base URL', async () => {
  const folder = tempDir()
  mkdirSync(join(folder, 'node_modules'))
  symlinkSync(join(import.meta.dirname, '../../node_modules/replicate'), join(folder, 'node_modules/replicate'))
  const file = join(folder, 'run.mjs')
  writeFileSync(file, programsOf('from-replicate').get('run.mjs') ?? '')
  const ran = spawnNode(file, [], { env: { GENQUEUE_URL: service.url, GENQUEUE_API_KEY: TEST_KEY } })
  const { code } = await ran.exited
  expect(code, ran.stderr).toBe(0)
  expect(ran.stdout).toContain(`${service.url}/v1/artifacts/`)
})

describe('programs as products wrote them, with another base URL', () => {
  test('a run that takes longer than the client waits returns its output', async () => {
    const options = { input: { prompt: 'slow' }, wait: { mode: 'block', timeout: 1, interval: 50 } } as const
    expect(await replicate.run('google/gemini-3-pro', options)).toEqual([expect.stringMatching(/\w/)])
  })

  test('create, then GET until it is over', async () => {
    const headers = { authorization: `Token ${TEST_KEY}`, 'content-type': 'application/json' }
    const body = JSON.stringify({ version: HELLO, input: { text: 'you' } })
    const created = (await (
      await fetch(`${service.url}/replicate/v1/predictions`, { method: 'POST', headers, body })
    ).json()) as Body
    const ended = await waitFor('the prediction to be over', async () => {
      const now = (await (await fetch(created.urls.get, { headers })).json()) as Body
      return ['succeeded', 'failed', 'canceled'].includes(now.status) && now
    })
    expect(ended).toMatchObject({ status: 'succeeded', output: 'hello you', model: 'replicate/hello-world' })
  })
})

describe('requests as the clients for other languages send them', () => {
  const SENT = {
    // replicate-python 1.0.7: base URL without /v1, httpx.
    python: { 'user-agent': 'replicate-python/1.0.7', accept: '*/*', 'accept-encoding': 'gzip, deflate' },
    // replicate-go 0.26.
    go: { 'user-agent': 'replicate/go', accept: 'application/json' },
  }
  test.each(Object.entries(SENT))('%s: creates, waits, reads and cancels', async (_client, headers) => {
    const send = (method: string, path: string, body?: object, more: Record<string, string> = {}): Promise<Response> =>
      fetch(`${service.url}/replicate/v1${path}`, {
        method,
        headers: { ...headers, authorization: `Bearer ${TEST_KEY}`, 'content-type': 'application/json', ...more },
        ...(body === undefined ? {} : { body: JSON.stringify(body) }),
      })
    const fields = { version: HELLO, input: { text: 'Alice' }, stream: false }
    const waited = await send('POST', '/predictions', fields, { prefer: 'wait' })
    expect([waited.status, await waited.json()]).toMatchObject([201, { status: 'succeeded', output: 'hello Alice' }])
    const created = (await (await send('POST', `/models/${FLUX}/predictions`, { input: { prompt: 'x' } })).json()) as {
      id: string
    }
    expect((await send('GET', `/predictions/${created.id}`)).status).toBe(200)
    expect((await send('POST', `/predictions/${created.id}/cancel`)).status).toBe(200)
    const page = (await (await send('GET', '/predictions')).json()) as Page
    expect(page.results[0]?.id).toBe(created.id)
  })

  test('both: upload a file with metadata before or after it', async () => {
    const metadata = JSON.stringify({ customer: 'acme' })
    const python = new FormData()
    python.append('metadata', metadata)
    python.append('content', new File(['a file'], 'note.txt', { type: 'text/plain' }))
    const go = new FormData()
    go.append('content', new File(['a file'], 'note.txt', { type: 'text/plain' }))
    go.append('metadata', new Blob([metadata], { type: 'application/json' }), 'metadata')
    for (const body of [python, go]) {
      const response = await fetch(`${service.url}/replicate/v1/files`, {
        method: 'POST',
        headers: { authorization: `Bearer ${TEST_KEY}` },
        body,
      })
      expect([response.status, await response.json()]).toMatchObject([
        201,
        { name: 'note.txt', content_type: 'text/plain', size: 6, metadata: { customer: 'acme' } },
      ])
    }
  })
})

test('a tenant without credit is refused with 402, also by the name of a model that a preset serves', async () => {
  const operator = createOperator(service)
  const tenant = await operator.newTenant()
  const { key } = await operator.newKey(tenant)
  await operator.ask(`/v1/admin/tenants/${tenant}/credits`, {
    body: { kind: 'grant', amount: 0, reason: 'nothing' },
  })
  const refused = await front(`/models/${SERVED}/predictions`, {
    method: 'POST',
    headers: { authorization: `Bearer ${key}` },
    body: JSON.stringify({ input: { prompt: 'x' } }),
  })
  expect(refused.status).toBe(402)
  expect(await refused.json()).toMatchObject({ title: 'Insufficient credit', status: 402 })
  const others = await front('/predictions', { headers: { authorization: `Bearer ${key}` } })
  expect(await others.json()).toEqual({ next: null, previous: null, results: [] })
})

describe('errors have the form of Replicate', () => {
  const problem = async (response: Response): Promise<unknown> => {
    expect(response.headers.get('content-type')).toMatch(/^application\/problem\+json/)
    return response.json()
  }

  test.each([
    [
      'no token',
      () => front('/predictions', { headers: { authorization: '' } }),
      401,
      'You did not pass an authentication token',
    ],
    [
      'a wrong token',
      () => front('/account', { headers: { authorization: 'Token nothing' } }),
      401,
      'You did not pass a valid authentication token',
    ],
    ['an unknown prediction', () => front('/predictions/abc'), 404, 'The requested resource could not be found.'],
    ['an unknown path', () => front('/nothing'), 404, 'The requested resource could not be found.'],
    ['a training', () => front('/trainings'), 404, 'Trainings are not served here. Use the API of Replicate itself.'],
  ])('%s', async (_name, ask, status, detail) => {
    const response = await ask()
    expect(response.status).toBe(status)
    expect(await problem(response)).toMatchObject({ detail, status })
  })

  test('a body that is not valid', async () => {
    const response = await front(`/models/${FLUX}/predictions`, {
      method: 'POST',
      body: JSON.stringify({ input: { num_outputs: 9 }, model: 'x' }),
    })
    expect(response.status).toBe(422)
    expect(await problem(response)).toEqual({
      title: 'Input validation failed',
      status: 422,
      detail: '- Additional property model is not allowed\n',
      invalid_fields: [
        { type: 'additional_property_not_allowed', field: '', description: 'Additional property model is not allowed' },
      ],
    })
  })

  test.each([
    ['a model', `/models/nobody/nothing/predictions`, { input: {} }, 404, 'The requested resource could not be found.'],
    ['a version', '/predictions', { version: 'invalid', input: {} }, 422, /^The specified version does not exist/],
    [
      'a preset',
      '/models/preset/nothing/predictions',
      { input: {} },
      404,
      'The requested resource could not be found.',
    ],
    ['a deployment', '/deployments/a/b/predictions', { input: {} }, 404, 'The requested resource could not be found.'],
  ])('%s that does not exist', async (_what, path, body, status, detail) => {
    const response = await front(path, { method: 'POST', body: JSON.stringify(body) })
    expect(response.status).toBe(status)
    const { detail: found } = (await problem(response)) as { detail: string }
    expect(found).toMatch(detail)
  })

  test('an input that is not valid', async () => {
    const response = await front(`/models/${FLUX}/predictions`, {
      method: 'POST',
      body: JSON.stringify({ input: { num_outputs: 9, output_format: 'gif' } }),
    })
    expect(await problem(response)).toMatchObject({
      title: 'Input validation failed',
      invalid_fields: expect.arrayContaining([
        { type: 'required', field: 'input', description: 'prompt is required' },
        { type: 'number_lte', field: 'input.num_outputs', description: 'Must be less than or equal to 4' },
      ]),
    })
  })

  test.each(['http://example.invalid/', 'https://10.0.0.1/', 'https://u:p@example.invalid/', 'example.invalid'])(
    'the webhook %s',
    async (webhook) => {
      const body = JSON.stringify({ version: FLUX, input: { prompt: 'x' }, webhook })
      const response = await front('/predictions', { method: 'POST', body })
      expect(response.status).toBe(422)
      expect(await problem(response)).toMatchObject({
        invalid_fields: [{ type: 'format', field: 'webhook', description: expect.any(String) }],
      })
    },
  )
})

test('a webhook is kept with its filter, and shown', async () => {
  const create = async (changes: object) => {
    const body = JSON.stringify({
      input: { prompt: 'a webhook' },
      webhook: 'https://example.invalid/hook?a=1',
      ...changes,
    })
    const response = await front(`/models/${FLUX}/predictions`, { method: 'POST', body })
    expect(response.status).toBe(201)
    return (await response.json()) as { id: string; webhook?: string; webhook_events_filter?: string[] }
  }
  const filter = ['start', 'logs', 'completed']
  const first = await create({ webhook_events_filter: filter })
  expect(first).toMatchObject({ webhook: 'https://example.invalid/hook?a=1', webhook_events_filter: filter })
  expect(await (await front(`/predictions/${first.id}`)).json()).toMatchObject({ webhook_events_filter: filter })
  const ends = ['job.succeeded', 'job.failed', 'job.canceled']
  expect(await service.client.get(`job_${first.id.toUpperCase()}`)).toMatchObject({
    webhook: { url: 'https://example.invalid/hook?a=1', events: ['job.started', 'job.progress', ...ends] },
    // Progress arrives by Replicate's own webhooks.
    webhook_events: ['start', 'output', 'logs', 'completed'],
  })
  const second = await create({})
  expect(second.id).not.toBe(first.id)
  expect(second).not.toHaveProperty('webhook_events_filter')
  expect(await service.client.get(`job_${second.id.toUpperCase()}`)).toMatchObject({
    webhook: { events: ['job.progress', ...ends] },
  })
})

test('headers of a create: metadata, a key, a deadline, and a preference', async () => {
  const create = (headers: Record<string, string>, prompt: string): Promise<Response> =>
    front(`/models/${FLUX}/predictions`, { method: 'POST', headers, body: JSON.stringify({ input: { prompt } }) })
  const headers = { 'idempotency-key': 'front-1', 'genqueue-metadata': '{"order":"ü17"}' }
  const first = (await (await create(headers, 'a key')).json()) as { id: string }
  const again = (await (await create(headers, 'a key')).json()) as { id: string }
  expect(again.id).toBe(first.id)
  expect(await service.client.get(`job_${first.id.toUpperCase()}`)).toMatchObject({ metadata: { order: 'ü17' } })
  expect((await create(headers, 'another')).status).toBe(422)
  const waited = await create({ prefer: 'wait=1' }, 'soon')
  expect(waited.headers.get('preference-applied')).toBe('wait=1')
  expect((await create({ 'cancel-after': 'soon' }, 'x')).status).toBe(422)
  for (const text of [
    '{',
    '[]',
    '{"a":1,"a":2}',
    '{"a":"\\ud800"}',
    '{"__proto__":{}}',
    `{"a":${'['.repeat(99)}${']'.repeat(99)}}`,
  ])
    expect((await create({ 'genqueue-metadata': text }, 'x')).headers.get('genqueue-error')).toBe('invalid_header')
  const limited = (await (await create({ 'cancel-after': '1m30s' }, 'x')).json()) as Record<string, string>
  expect(Date.parse(limited['deadline'] ?? '') - Date.parse(limited['created_at'] ?? '')).toBe(90_000)
})

test('a prompt of two megabytes is sent and shown whole', async () => {
  const prompt = 'word '.repeat(400_000)
  const created = await replicate.predictions.create({ model: 'google/gemini-3-pro', input: { prompt } })
  expect((await replicate.predictions.get(created.id)).input).toEqual({ prompt })
  expect((await replicate.wait(created, { interval: 50 })).status).toBe('succeeded')
})

test('a host that cannot be part of a link is refused before there is a job', async () => {
  const prompt = 'a host with a quotation mark'
  const body = JSON.stringify({ input: { prompt } })
  const path = `/models/${FLUX}/predictions`
  const wrong = { 'x-forwarded-host': 'a"b', 'x-forwarded-proto': 'https' }
  for (const response of [
    await front(path, { method: 'POST', headers: wrong, body }),
    await front('/models', { headers: wrong }),
  ])
    expect([response.status, response.headers.get('genqueue-error')]).toEqual([422, 'invalid_header'])
  const { results } = (await (await front('/predictions')).json()) as { results: { input: { prompt?: string } }[] }
  expect(results.map(({ input }) => input.prompt)).not.toContain(prompt)
})

test('a cursor with a time that does not exist is refused', async () => {
  const cursor = Buffer.from('{"before":1e300}').toString('base64url')
  expect((await front(`/predictions?cursor=${cursor}`)).status).toBe(404)
})

test('pages go both ways', async () => {
  for (let i = 0; i < 3; i++) await replicate.predictions.create({ model: FLUX, input: { prompt: `page ${i}` } })
  const first = (await (await front('/predictions')).json()) as Page
  expect(first.previous).toBeNull()
  const [, second] = first.results
  const cursor = Buffer.from(JSON.stringify({ older: `job_${second?.id.toUpperCase()}` })).toString('base64url')
  const later = (await (await front(`/predictions?cursor=${cursor}`)).json()) as Page
  expect(later.results.map(({ id }) => id)).toEqual(first.results.slice(2).map(({ id }) => id))
  const back = (await (await front(new URL(later.previous ?? '').href.split('/v1')[1] ?? '')).json()) as Page
  expect(back.results.map(({ id }) => id)).toEqual(first.results.slice(0, 2).map(({ id }) => id))
  expect(back.previous).toBeNull()
  expect(back.next).not.toBeNull()
})

interface Body {
  status: string
  urls: { get: string }
}

interface Page {
  results: { id: string }[]
  next: string | null
  previous: string | null
}
