import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { Batch, Job, Page } from '../../src/client/types.ts'
import { TEST_KEY, startService, type TestService } from '../support/start-service.ts'
import { SHORT_TIMINGS } from '../support/short-timings.ts'
import { PATIENCE_MS, waitFor } from '../support/wait-for.ts'

const HELLO = '9dcd6d78e7c6560c340d916fe32e9f24aabfa331e5cce95fe31f77fb03121426'
const PRICE_PRESET = 'story-page'

let service: TestService
beforeAll(async () => {
  service = await startService({ timings: { ...SHORT_TIMINGS }, simulator: { speed: 100 } })
})
afterAll(() => service.stop())

interface Answer<T> {
  status: number
  headers: Headers
  text: string
  /** Its first line. */
  body: T
}

async function ask<T>(
  method: string,
  path: string,
  body?: unknown,
  headers: Record<string, string> = {},
): Promise<Answer<T>> {
  const response = await fetch(service.url + path, {
    method,
    headers: { authorization: `Bearer ${TEST_KEY}`, 'content-type': 'application/json', ...headers },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  })
  const text = await response.text()
  return { status: response.status, headers: response.headers, text, body: JSON.parse(text.split('\n')[0] ?? '') }
}

interface Refusal {
  code: string
  errors?: { pointer: string; code: string }[]
}

const submit = (body: object, headers: Record<string, string> = {}) => ask<Batch>('POST', '/v1/batches', body, headers)
const read = async (id: string): Promise<Batch> => (await ask<Batch>('GET', `/v1/batches/${id}`)).body
const over = (id: string, timeout = PATIENCE_MS): Promise<Batch> =>
  waitFor(
    `${id} to be over`,
    async () => {
      const batch = await read(id)
      return batch.completed_at === null ? undefined : batch
    },
    { timeout },
  )
const jobsOf = async (id: string): Promise<Job[]> =>
  (await ask<{ data: Job[] }>('GET', `/v1/batches/${id}/jobs?limit=100`)).body.data

const hello = (text: string) => ({ input: { text } })
const hellos = (count: number, name: string) => Array.from({ length: count }, (_, i) => hello(`${name} ${i}`))

/** Every field of the batch that counts equals a recount of its jobs. */
async function expectCounted(id: string): Promise<void> {
  const [batch, jobs] = [await read(id), await jobsOf(id)]
  const recount = (status: Job['status']): number => jobs.filter((job) => job.status === status).length
  const { total, ...counts } = batch.counts
  expect(total).toBe(jobs.length)
  for (const status of ['queued', 'starting', 'processing', 'succeeded', 'failed', 'canceled'] as const)
    expect([status, counts[status]]).toEqual([status, recount(status)])
  expect(jobs.map(({ position }) => position)).toEqual(jobs.map((_job, i) => i))
}

test('a job has the webhook of its request, and of the job that it retries', async () => {
  const url = 'https://example.invalid/hook'
  const create = (webhook: object) => ask<Job & Refusal>('POST', '/v1/jobs', { version: HELLO, ...hello('w'), webhook })
  const { status, body } = await create({ url })
  expect(status).toBe(202)
  const webhook = { url, events: ['job.succeeded', 'job.failed', 'job.canceled'] }
  expect(body).toMatchObject({ webhook, webhook_events: ['start', 'completed'] })
  const { body: followed } = await create({ url, events: ['job.progress', 'job.progress'] })
  expect(followed.webhook?.events).toEqual(['job.progress'])
  expect(followed.webhook_events).toEqual(['start', 'output', 'logs', 'completed'])
  await waitFor(
    `${body.id} to be over`,
    async () => (await ask<Job>('GET', `/v1/jobs/${body.id}`)).body.completed_at ?? undefined,
  )
  expect((await ask<Job>('POST', `/v1/jobs/${body.id}/retry`, {})).body.webhook).toEqual(webhook)
  for (const [changes, error] of [
    [{ url: 'http://example.invalid/' }, '/webhook/url invalid_url'],
    [{ url: 'https://169.254.169.254/' }, '/webhook/url invalid_url'],
    [{ url, events: ['batch.finished'] }, '/webhook/events/0 invalid_value'],
    [{}, '/webhook/url invalid_type'],
  ] as const) {
    const refused = await create(changes)
    expect(refused.status).toBe(422)
    expect(refused.body.errors?.map(({ pointer, code }) => `${pointer} ${code}`)).toEqual([error])
  }
})

describe('a batch', () => {
  test('of many jobs is accepted at once, and ends when the last of them has', async () => {
    const { status, headers, body } = await submit({ defaults: { version: HELLO }, items: hellos(30, 'many') })
    expect(status).toBe(202)
    expect(headers.get('location')).toBe(`/v1/batches/${body.id}`)
    expect(body).toMatchObject({ status: 'running', counts: { total: 30 }, sequential: false, stopped: null })
    const batch = await over(body.id)
    expect(batch).toMatchObject({ status: 'succeeded', progress: 1, success_rate: 1, counts: { succeeded: 30 } })
    await expectCounted(body.id)
    expect((await jobsOf(body.id)).map(({ output }) => output)).toEqual(
      Array.from({ length: 30 }, (_, i) => `hello many ${i}`),
    )
  })

  test('of which one item is wrong is refused whole, with every place that is wrong', async () => {
    const before = (await ask<{ data: Job[] }>('GET', '/v1/jobs?limit=100')).body.data.length
    const items = [hello('fine'), { input: { text: 1 }, timeout: 1 }, hello('fine'), { input: {}, webhook: 'x' }]
    const { status, body } = await ask<Refusal>('POST', '/v1/batches', { defaults: { version: HELLO }, items })
    expect(status).toBe(422)
    expect(body.code).toBe('invalid_request')
    const pointers = body.errors?.map(({ pointer }) => pointer)
    expect(pointers).toEqual(expect.arrayContaining(['/items/1/timeout', '/items/3/webhook']))
    expect((await ask<{ data: Job[] }>('GET', '/v1/jobs?limit=100')).body.data).toHaveLength(before)
  })

  test.each([
    ['no items', { items: [] }, '/items'],
    ['too many items', { items: Array.from({ length: 1001 }, () => ({})) }, '/items'],
    ['an unknown field', { items: [hello('x')], priority: 1 }, '/priority'],
    ['a rate beyond 1', { items: [hello('x')], stop_on_failure_rate: 1.5 }, '/stop_on_failure_rate'],
    ['half a micro-credit', { items: [hello('x')], max_spend: 0.5 }, '/max_spend'],
  ])('B9 with %s is refused whole', async (_name, body, pointer) => {
    const answer = await ask<Refusal>('POST', '/v1/batches', { ...body, defaults: { version: HELLO } })
    expect(answer.status).toBe(422)
    expect(answer.body.errors?.map((error) => error.pointer)).toContain(pointer)
  })

  test('with a key is accepted once, however often it is sent', async () => {
    const body = { defaults: { version: HELLO }, items: hellos(5, 'once') }
    const key = { 'idempotency-key': 'batch-once' }
    const answers = await Promise.all(Array.from({ length: 10 }, () => submit(body, key)))
    expect(new Set(answers.map((answer) => answer.status))).toEqual(new Set([202]))
    expect(new Set(answers.map((answer) => answer.body.id)).size).toBe(1)
    const other = await ask<Refusal>('POST', '/v1/batches', { ...body, items: hellos(4, 'other') }, key)
    expect(other).toMatchObject({ status: 422, body: { code: 'idempotency_key_reused' } })
    await over(answers[0]?.body.id ?? '')
    // Those that lost the race took their drafts with them.
    const drafts = await service.redis.keys(`${service.keys.tag}:batch:bat_*:jobs`)
    const known = (await ask<{ data: Batch[] }>('GET', '/v1/batches?limit=100')).body.data.map(({ id }) => id)
    expect(drafts.map((key_) => key_.split(':').at(-2)).sort()).toEqual([...known].sort())
  })

  test('in sequence makes one prediction after the other, by their places', async () => {
    const { body } = await submit({
      preset: PRICE_PRESET,
      sequential: true,
      items: [1, 2, 3].map((page) => ({ input: { prompt: `page ${page}` } })),
    })
    const reasons = await waitFor('the last one to say what it waits for', async () => {
      const reason = (await jobsOf(body.id)).at(-1)?.waiting_for?.reason
      return reason === 'sequence' && reason
    })
    expect(reasons).toBe('sequence')
    await over(body.id)
    const jobs = await jobsOf(body.id)
    expect(jobs.map(({ status }) => status)).toEqual(['succeeded', 'succeeded', 'succeeded'])
    for (const [i, job] of jobs.entries()) {
      const before = jobs[i - 1]
      if (before)
        expect(Date.parse(job.submitted_at ?? '')).toBeGreaterThanOrEqual(Date.parse(before.completed_at ?? ''))
    }
  })

  test('that is canceled ends every job that has not ended', async () => {
    const items = Array.from({ length: 8 }, (_, i) => ({ input: { prompt: `cancel ${i}` } }))
    await service.simulator.faults({ predictions: { starting_forever: { next: 4 } } })
    const { body } = await submit({ defaults: { model: 'google/gemini-3-pro' }, items })
    await waitFor('some to start', async () => (await read(body.id)).counts.starting > 0)
    expect((await ask('POST', `/v1/batches/${body.id}/cancel`)).status).toBe(202)
    const batch = await over(body.id)
    // What had succeeded before the cancel arrived stays.
    expect(batch).toMatchObject({ stopped: 'canceled', counts: { total: 8, failed: 0 } })
    expect(batch.counts.canceled + batch.counts.succeeded).toBe(8)
    expect(batch.counts.canceled).toBeGreaterThan(0)
    await expectCounted(body.id)
  })

  test('stops when too many of its jobs fail, and the failed ones can be tried again', async () => {
    await service.simulator.faults({ predictions: { fail: { next: 3, error: 'CUDA out of memory' } } })
    const { body } = await submit({
      defaults: { version: HELLO },
      sequential: true,
      stop_on_failure_rate: 0.5,
      items: hellos(10, 'failing'),
    })
    const batch = await over(body.id)
    expect(batch.stopped).toBe('failure_rate')
    expect(batch.counts.failed).toBeGreaterThanOrEqual(3)
    expect(batch.counts.canceled).toBeGreaterThan(0)
    await expectCounted(body.id)
    const again = await ask<Batch>('POST', `/v1/batches/${body.id}/retry-failed`)
    expect(again).toMatchObject({ status: 202, body: { retry_of: body.id } })
    expect(again.body.counts.total).toBe(10 - batch.counts.succeeded)
    expect((await over(again.body.id)).status).toBe('succeeded')
  })

  test('never costs more than it may', async () => {
    const items = Array.from({ length: 6 }, (_, i) => ({ input: { prompt: `spend ${i}` } }))
    const trial = await submit({ preset: PRICE_PRESET, items: items.slice(0, 1) })
    const price = trial.body.cost?.estimate ?? 0
    expect(price).toBeGreaterThan(0)
    const { body } = await submit({ preset: PRICE_PRESET, items, max_spend: 2 * price })
    const batch = await over(body.id)
    expect(batch).toMatchObject({ stopped: 'max_spend', counts: { succeeded: 2, canceled: 4 } })
    expect(batch.cost).toMatchObject({ estimate: 6 * price, held: 0, captured: 2 * price })
    await expectCounted(body.id)
  })

  test('is followed by events until it is over, and printed as lines', async () => {
    const { body } = await submit({ defaults: { version: HELLO }, items: hellos(4, 'followed') })
    const response = await fetch(`${service.url}/v1/batches/${body.id}/events`, {
      headers: { authorization: `Bearer ${TEST_KEY}` },
    })
    const events = (await response.text())
      .split('\n')
      .filter((line) => line.startsWith('data: '))
      .map((line) => JSON.parse(line.slice('data: '.length)) as Batch)
    expect(events.at(-1)).toMatchObject({ id: body.id, status: 'succeeded', progress: 1 })
    const { text, headers } = await ask('GET', `/v1/batches/${body.id}/manifest`)
    expect(headers.get('content-type')).toContain('application/x-ndjson')
    const lines = text
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line) as { position: number; output: string })
    expect(lines.map(({ position, output }) => [position, output])).toEqual(
      [0, 1, 2, 3].map((i) => [i, `hello followed ${i}`]),
    )
  })

  test('has one webhook, which its jobs and its retry share', async () => {
    const url = 'https://example.invalid/hook'
    const webhook = { url, events: ['batch.finished', 'job.failed'] }
    const defaults = { version: HELLO }
    const { status, body } = await submit({ defaults, webhook, items: hellos(2, 'heard') })
    expect(status).toBe(202)
    expect(body.webhook).toEqual(webhook)
    for (const job of await jobsOf(body.id)) expect(job.webhook).toEqual(webhook)
    const usual = await submit({ defaults, webhook: { url }, items: hellos(1, 'heard') })
    expect(usual.body.webhook).toEqual({ url, events: ['batch.finished'] })
    expect((await submit({ defaults, items: hellos(1, 'heard') })).body.webhook).toBeNull()
    await Promise.all([over(body.id), over(usual.body.id)])

    const wrong = async (changes: object): Promise<unknown> => {
      const refused = await ask<Refusal>('POST', '/v1/batches', { defaults, items: hellos(1, 'heard'), ...changes })
      expect(refused.status).toBe(422)
      return refused.body.errors?.map(({ pointer, code }) => `${pointer} ${code}`)
    }
    expect(await wrong({ webhook: { url: 'http://10.0.0.1/' } })).toEqual(['/webhook/url invalid_url'])
    expect(await wrong({ webhook: { url, events: [] } })).toEqual(['/webhook/events too_small'])
    expect(await wrong({ items: [{ ...hello('x'), webhook: { url } }] })).toEqual(['/items/0/webhook not_allowed'])
    expect(await wrong({ defaults: { ...defaults, webhook: { url } } })).toEqual(['/items/0/webhook not_allowed'])
  })

  test('and a preset pick their jobs out of the list, in pages', async () => {
    const batch = (await submit({ defaults: { version: HELLO }, items: hellos(3, 'picked') })).body
    await submit({ preset: PRICE_PRESET, items: [{ input: { prompt: 'not picked' } }] })
    const jobs = await jobsOf(batch.id)
    const listed: string[] = []
    let cursor: string | null = ''
    while (cursor !== null) {
      const page: Answer<Page<Job>> = await ask(
        'GET',
        `/v1/jobs?batch=${batch.id}&limit=2${cursor && `&cursor=${cursor}`}`,
      )
      listed.push(...page.body.data.map(({ id }) => id))
      cursor = page.body.next_cursor
    }
    expect(listed).toEqual(jobs.map(({ id }) => id).toReversed())
    const { body } = await ask<Page<Job>>('GET', `/v1/jobs?preset=${PRICE_PRESET}&limit=100`)
    expect(body.data.length).toBeGreaterThan(0)
    expect(new Set(body.data.map(({ preset }) => preset))).toEqual(new Set([PRICE_PRESET]))
    expect((await ask<Page<Job>>('GET', '/v1/jobs?preset=nobody-made-it')).body).toEqual({
      data: [],
      next_cursor: null,
    })
    expect((await ask<Refusal>('GET', '/v1/jobs?batch=x')).body.code).toBe('invalid_request')
  })

  test('of another tenant, or made up, is unknown', async () => {
    const answer = await ask<Refusal>('GET', '/v1/batches/bat_01ARZ3NDEKTSV4RRFFQ69G5FAV')
    expect(answer).toMatchObject({ status: 404, body: { code: 'not_found' } })
  })
})
