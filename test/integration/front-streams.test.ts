import Replicate from 'replicate'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { createClient } from '../../src/client/client.ts'
import { startService, TEST_KEY, type TestService } from '../support/start-service.ts'
import { waitFor } from '../support/wait-for.ts'

/** Streams of outputs, in the form of Replicate's and our own. The simulator's time moves only where a test says so. */

const GEMINI = 'google/gemini-3-pro'
const FLUX = 'black-forest-labs/flux-schnell'
const CHUNKS = ['Once', ' upon', ' a\ntime', ', 🦊.']
const TEXT = CHUNKS.join('')

let service: TestService
let replicate: Replicate
beforeAll(async () => {
  service = await startService({ simulator: { clock: 'manual' } })
  replicate = new Replicate({ auth: TEST_KEY, baseUrl: `${service.url}/replicate/v1` })
})
afterAll(() => service.stop())

async function control<T>(path: string, body?: object): Promise<T> {
  const response = await fetch(`${service.simulator.url}/_sim/${path}`, {
    method: body === undefined ? 'GET' : 'POST',
    ...(body === undefined ? {} : { body: JSON.stringify(body), headers: { 'content-type': 'application/json' } }),
  })
  if (!response.ok) throw new Error(`/_sim/${path}: ${response.status} ${await response.text()}`)
  return (await response.json()) as T
}
const advance = (seconds: number): Promise<unknown> => control('clock', { advance_seconds: seconds })
/** Lets the simulator's time pass until this is over. */
async function meanwhile<T>(work: Promise<T>): Promise<T> {
  let isOver = false
  const settled = work.finally(() => (isOver = true))
  void settled.catch(() => undefined)
  await waitFor('the end of the run', async () => {
    if (!isOver) await advance(5)
    return isOver
  })
  return settled
}

interface Event {
  event: string
  id: string
  data: string
}

/** The events of a stream, as they arrive. Without credentials, unless there is a key. */
async function follow(url: string | undefined, lastEventId?: string, key?: string) {
  const response = await fetch(url ?? '', {
    headers: {
      accept: 'text/event-stream',
      ...(lastEventId === undefined ? {} : { 'last-event-id': lastEventId }),
      ...(key === undefined ? {} : { authorization: `Bearer ${key}` }),
    },
  })
  expect(response.headers.get('content-type')).toBe('text/event-stream; charset=utf-8')
  const events: Event[] = []
  const whole = (async () => {
    let rest = ''
    for await (const text of response.body?.pipeThrough(new TextDecoderStream()) ?? []) {
      const blocks = (rest + text).split('\n\n')
      rest = blocks.pop() ?? ''
      for (const block of blocks) {
        const fields = block.split('\n').map((line) => /^(\w+): ?(.*)$/s.exec(line) ?? [])
        const of = (name: string): string[] => fields.filter(([, one]) => one === name).map(([, , value = '']) => value)
        if (of('event').length > 0)
          events.push({ event: of('event')[0] ?? '', id: of('id')[0] ?? '', data: of('data').join('\n') })
      }
    }
    return events
  })()
  return { events, whole, text: () => textOf(events) }
}
/** The stream of a job in our own form. */
const followJob = (id: string, { last, query = '' }: { last?: string; query?: string } = {}) =>
  follow(`${service.url}/v1/jobs/${id}/output${query}`, last, TEST_KEY)
/** The text of our own events: after a reset it begins again. */
const ownTextOf = (events: Event[]): string => {
  let text = ''
  for (const { event, data } of events)
    if (event === 'output') text += (JSON.parse(data) as { text: string }).text
    else if (event === 'reset') text = ''
  return text
}
const textOf = (events: Event[]): string => events.map(({ event, data }) => (event === 'output' ? data : '')).join('')

const write = (stub: object = {}): Promise<unknown> =>
  control('stubs', { model: GEMINI, chunks: CHUNKS, seconds: 40, start_seconds: 5, ...stub })
const create = () => replicate.predictions.create({ model: GEMINI, input: { prompt: 'a tale' } })

test('a text is relayed while it is written, over one connection to Replicate for all readers, late ones too', async () => {
  await write()
  const created = await create()
  expect(created.urls.stream).toMatch(new RegExp(`^${service.url}/v1/streams/${created.id}\\.`))
  const early = await Promise.all([follow(created.urls.stream), follow(created.urls.stream)])
  await waitFor('the first words', async () => {
    if (early[0].text() === '') await advance(2)
    return early.every((reader) => reader.text().startsWith('Once'))
  })
  expect((await replicate.predictions.get(created.id)).status).toBe('processing')
  const late = await follow(created.urls.stream)
  await waitFor('what was written before', () => late.text().startsWith('Once'))
  // It has the first four characters, and the second of them with its id.
  const resumed = await follow(created.urls.stream, '1:4')
  await meanwhile(Promise.all([...early, late, resumed].map(({ whole }) => whole)))
  for (const reader of [...early, late]) expect(reader.text()).toBe(TEXT)
  expect(resumed.text()).toBe(TEXT.slice(4))
  for (const { events } of [...early, resumed])
    expect(events.at(-1)).toEqual({ event: 'done', id: `1:${TEXT.length}`, data: '{}' })
  const requests = await control<{ path: string }[]>('requests')
  expect(requests.filter(({ path }) => path.startsWith('/v1/streams/'))).toHaveLength(1)

  // After completion, from the record.
  expect(textOf(await (await follow(created.urls.stream)).whole)).toBe(TEXT)
  expect(textOf(await (await follow(created.urls.stream, `1:${TEXT.length}`)).whole)).toBe('')
})

test('the official client streams a text, and files that it can read', async () => {
  await write()
  const words = async (): Promise<string> => {
    let text = ''
    for await (const event of replicate.stream(GEMINI, { input: { prompt: 'a tale' } })) text += String(event)
    return text
  }
  expect(await meanwhile(words())).toBe(TEXT)

  const sizes = async (): Promise<number[]> => {
    const found: number[] = []
    for await (const { event, data } of replicate.stream(FLUX, {
      input: { prompt: 'a fox', num_outputs: 2, megapixels: '0.25' },
    }))
      if (event === 'output') found.push((await (data as unknown as { blob: () => Promise<Blob> }).blob()).size)
    return found
  }
  expect(await meanwhile(sizes())).toEqual([expect.any(Number), expect.any(Number)])
  const created = await replicate.predictions.create({
    model: FLUX,
    input: { prompt: 'a fox', num_outputs: 2, megapixels: '0.25' },
  })
  expect(created.urls.stream).toMatch(new RegExp(`^${service.url}/v1/files/`))
  const events = await meanwhile((await follow(created.urls.stream)).whole)
  const { output } = await replicate.predictions.get(created.id)
  expect(events.map(({ event, data }) => [event, data])).toEqual([
    ...(output as string[]).map((url) => ['output', url]),
    ['done', '{}'],
  ])
  // The first is known.
  const rest = await (await follow(created.urls.stream, events[0]?.id)).whole
  expect(rest).toEqual(events.slice(1))
})

test('a relay that breaks is continued, and without a stream the whole output comes at the end', async () => {
  await write()
  await service.simulator.faults({ streams: { cut: { next: 1 } } })
  const cut = await follow((await create()).urls.stream)
  expect(textOf(await meanwhile(cut.whole))).toBe(TEXT)

  await write()
  await service.simulator.faults({ streams: { status: { next: 100, code: 500 } } })
  const whole = await meanwhile((await follow((await create()).urls.stream)).whole)
  expect([textOf(whole), whole.at(-1)?.event]).toEqual([TEXT, 'done'])

  // From the text that webhooks and polls bring.
  await write()
  const { id } = await service.client.submit({
    model: GEMINI,
    input: { prompt: 'a tale' },
    webhook_events: ['start', 'output', 'completed'],
  })
  const growing = await followJob(id)
  await waitFor('the first words', async () => {
    if (growing.events.length === 0) await advance(2)
    return growing.events.length > 0
  })
  expect(growing.events[0]?.event).toBe('output')
  expect((await service.client.get(id)).status).toBe('processing')
  expect(ownTextOf(await meanwhile(growing.whole))).toBe(TEXT)
  await service.simulator.faults({ streams: null })
})

test('a failure and a cancel end a stream', async () => {
  await control('stubs', { model: GEMINI, error: 'CUDA out of memory', seconds: 5 })
  const failed = await meanwhile((await follow((await create()).urls.stream)).whole)
  expect(failed.slice(-2).map(({ event, data }) => [event, JSON.parse(data) as unknown])).toEqual([
    ['error', { detail: 'CUDA out of memory' }],
    ['done', { reason: 'error' }],
  ])
  await write()
  const created = await create()
  const canceled = await follow(created.urls.stream)
  await replicate.predictions.cancel(created.id)
  expect((await meanwhile(canceled.whole)).at(-1)).toMatchObject({ event: 'done', data: '{"reason":"canceled"}' })

  const [path = '', signature = ''] = (created.urls.stream ?? '').split('.').slice(-2)
  const wrong = `${path}.${signature.replace(/^./, (first) => (first === 'A' ? 'B' : 'A'))}`
  for (const url of [`${service.url}/v1/streams/${created.id}`, `${service.url}/v1/streams/${wrong.split('/').at(-1)}`])
    expect((await fetch(url)).status).toBe(404)
})

test('a job streams its text in our own form, over the connection that other readers have', async () => {
  await write({ logs: ['reading', 'writing', 'ready'] })
  const before = (await control<{ path: string }[]>('requests')).filter(({ path }) => path.startsWith('/v1/streams/'))
  const { id } = await service.client.submit({ model: GEMINI, input: { prompt: 'a tale' } })
  const [plain, whole] = await Promise.all([followJob(id), followJob(id, { query: '?include=job,logs' })])
  await waitFor('the first words', async () => {
    if (ownTextOf(plain.events) === '') await advance(2)
    return ownTextOf(plain.events).startsWith('Once')
  })
  const late = await followJob(id)
  const resumed = await followJob(id, { last: '1:4' })
  const { token } = await service.client.jobToken(id)
  const withToken = await follow(`${service.url}/v1/jobs/${id}/output?token=${token}`)
  await meanwhile(Promise.all([plain, whole, late, resumed, withToken].map((reader) => reader.whole)))
  for (const { events } of [plain, whole, late, withToken]) {
    expect(ownTextOf(events)).toBe(TEXT)
    expect(events.at(-1)).toMatchObject({ event: 'done', id: `1:${TEXT.length}` })
    expect(JSON.parse(events.at(-1)?.data ?? '')).toMatchObject({ id, status: 'succeeded', output: TEXT })
  }
  expect(ownTextOf(resumed.events)).toBe(TEXT.slice(4))
  const dataOf = <T>(name: string): T[] =>
    whole.events.flatMap(({ event, data }) => (event === name ? [JSON.parse(data) as T] : []))
  const statuses = dataOf<{ status: string }>('job').map(({ status }) => status)
  expect([...new Set(statuses)]).toEqual(expect.arrayContaining(['queued', 'processing']))
  const logs = dataOf<{ text: string; replace: boolean }>('logs')
  expect(logs[0]?.replace).toBe(true)
  const shown = logs.reduce((known, { text, replace }) => (replace ? text : known + text), '')
  expect(shown).toBe((await service.client.logs(id)).logs)
  const requests = await control<{ path: string }[]>('requests')
  expect(requests.filter(({ path }) => path.startsWith('/v1/streams/'))).toHaveLength(before.length + 1)
})

test('the client gives each character of a text once, although its connections are cut', async () => {
  await write()
  let connections = 0
  const cutting: typeof fetch = async (url, init) => {
    const response = await fetch(url, init)
    if (!response.headers.get('content-type')?.startsWith('text/event-stream') || ++connections > 4) return response
    // Room for one event or two, and a part of the next.
    let left = 90 + connections * 20
    const cut = new TransformStream<Uint8Array, Uint8Array>({
      transform(bytes, controller) {
        controller.enqueue(bytes.subarray(0, left))
        left -= bytes.length
        if (left <= 0) controller.error(new Error('cut'))
      },
    })
    return new Response(response.body?.pipeThrough(cut), { status: response.status, headers: response.headers })
  }
  const client = createClient({ baseUrl: service.url, key: TEST_KEY, fetch: cutting })
  const submitted = await client.submit({ model: GEMINI, input: { prompt: 'a tale' } })
  const read = async (): Promise<{ chunks: string[]; status: string }> => {
    const chunks: string[] = []
    const stream = submitted.stream()
    for (;;) {
      const step = await stream.next()
      if (step.done) return { chunks, status: step.value.status }
      chunks.push(step.value)
    }
  }
  const { chunks, status } = await meanwhile(read())
  expect([chunks.join(''), status]).toEqual([TEXT, 'succeeded'])
  expect(connections).toBeGreaterThan(2)
})

test('a stream of an output is refused for what it is not', async () => {
  const { id } = await service.client.submit({ model: FLUX, input: { prompt: 'a fox', megapixels: '0.25' } })
  const { token } = await service.client.jobToken(id)
  const statusOf = async (path: string, headers: Record<string, string> = {}): Promise<number> => {
    const response = await fetch(service.url + path, { headers })
    await response.body?.cancel()
    return response.status
  }
  const key = { authorization: `Bearer ${TEST_KEY}` }
  expect([
    await statusOf(`/v1/jobs/${id}/output`),
    await statusOf(`/v1/jobs/${id}x/output`, key),
    await statusOf(`/v1/jobs/${id}/output?include=all`, key),
    await statusOf(`/v1/jobs/${id}/output?include=logs`, { authorization: `Bearer ${token}` }),
    await statusOf(`/v1/jobs/${id}/output`, { ...key, 'last-event-id': 'x'.repeat(8_000) }),
  ]).toEqual([401, 404, 422, 403, 400])
  // Files come with the final job.
  const events = await meanwhile((await followJob(id)).whole)
  expect(events.map(({ event }) => event)).toEqual(['done'])
  expect((JSON.parse(events[0]?.data ?? '') as { artifacts: unknown[] }).artifacts).toHaveLength(1)
})
