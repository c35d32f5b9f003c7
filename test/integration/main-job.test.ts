import { createHash } from 'node:crypto'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { ListOptions } from '../../src/client/client.ts'
import type { Job } from '../../src/client/types.ts'
import { finished, inPhase, submitMany } from '../support/finished.ts'
import { startService, TEST_KEY, type TestService } from '../support/start-service.ts'
import { waitFor } from '../support/wait-for.ts'

const SCHNELL = 'black-forest-labs/flux-schnell'
const SCHNELL_VERSION = 'c846a69991daf4c0e5d016514849d14ee5b2e6846ce6b9d6f21369e564cfe51e'
const HELLO = '9dcd6d78e7c6560c340d916fe32e9f24aabfa331e5cce95fe31f77fb03121426'

let service: TestService
beforeAll(async () => {
  service = await startService({ timings: { pollWithWebhooks: { first: 300, min: 300, max: 1000 } } })
})
afterAll(() => service.stop())

const post = (path: string, body: unknown, headers: Record<string, string> = {}): Promise<Response> =>
  fetch(new URL(path, service.url), {
    method: 'POST',
    headers: { authorization: `Bearer ${TEST_KEY}`, 'content-type': 'application/json', ...headers },
    body: JSON.stringify(body),
  })

describe('a job', () => {
  test('ends with a stored picture, finished by webhook', async () => {
    const response = await post('/v1/jobs', { model: SCHNELL, input: { prompt: 'a red apple', output_format: 'png' } })
    expect(response.status).toBe(202)
    const accepted = (await response.json()) as Job
    expect(response.headers.get('location')).toBe(`/v1/jobs/${accepted.id}`)
    expect(accepted).toMatchObject({ status: 'queued', phase: 'queued', tenant: 'default', attempt: 0 })

    const job = await finished(service, accepted.id)
    expect(job).toMatchObject({ status: 'succeeded', attempt: 1, error: null, progress: 1 })
    expect(job.metrics.predict_time).toBeGreaterThan(0)
    const [artifact] = job.artifacts
    expect(job.output).toEqual([artifact?.url])

    const file = await fetch(artifact?.url ?? '')
    const bytes = Buffer.from(await file.arrayBuffer())
    expect(file.headers.get('content-type')).toBe('image/png')
    expect(file.headers.get('x-content-type-options')).toBe('nosniff')
    expect(bytes.subarray(1, 4).toString()).toBe('PNG')
    expect(bytes.length).toBe(artifact?.bytes)
    expect(createHash('sha256').update(bytes).digest('hex')).toBe(artifact?.sha256)

    const part = await fetch(artifact?.url ?? '', { headers: { range: 'bytes=1-3' } })
    expect(part.status).toBe(206)
    expect(await part.text()).toBe('PNG')
    const beyond = await fetch(artifact?.url ?? '', { headers: { range: `bytes=${bytes.length}-` } })
    expect([beyond.status, beyond.headers.get('content-range')]).toEqual([416, `bytes */${bytes.length}`])

    // Who has it already need not fetch it again; a range of another file, or one that ends before it begins, is the whole.
    const etag = file.headers.get('etag') ?? ''
    const conditions: [Record<string, string>, number][] = [
      [{ 'if-none-match': etag }, 304],
      [{ 'if-none-match': `"other", W/${etag}`, range: 'bytes=1-3' }, 304],
      [{ 'if-none-match': '"other"' }, 200],
      [{ 'if-range': etag, range: 'bytes=1-3' }, 206],
      [{ 'if-range': '"other"', range: 'bytes=1-3' }, 200],
      [{ range: 'bytes=3-1' }, 200],
    ]
    for (const [headers, status] of conditions) {
      const answer = await fetch(artifact?.url ?? '', { headers: { 'cache-control': 'max-age=0', ...headers } })
      expect([headers, answer.status, answer.headers.get('etag')]).toEqual([headers, status, etag])
      expect(answer.headers.get('cache-control')).toContain('private')
      await answer.arrayBuffer()
    }

    const mine = (await service.simulator.books()).predictions.filter((row) => row.webhook?.includes(job.id))
    expect(mine).toHaveLength(1)
  })

  test('answers within the wait when it is asked to', async () => {
    const response = await post('/v1/jobs', { version: HELLO, input: { text: 'Ada' } }, { prefer: 'wait=20' })
    expect(response.status).toBe(200)
    expect(response.headers.get('preference-applied')).toBe('wait=20')
    expect(await response.json()).toMatchObject({ status: 'succeeded', output: 'hello Ada', artifacts: [] })
  })

  test('joins the tokens of a text', async () => {
    const { id } = await service.client.submit({
      model: 'google/gemini-3-pro',
      input: { prompt: 'An outline about tides' },
      webhook_events: ['output', 'logs'],
    })
    const job = await finished(service, id)
    expect(job.status).toBe('succeeded')
    expect(typeof job.output).toBe('string')
    expect(String(job.output).length).toBeGreaterThan(100)
    expect(job.webhook_events).toEqual(['start', 'output', 'logs', 'completed'])
  })

  test("fails with upstream's words when the input or the model is wrong", async () => {
    // A version alone does not name its model, so upstream validates its input.
    const wrong = await service.client.submit({ version: SCHNELL_VERSION, input: { prompt: 'x', num_outputs: 99 } })
    expect(await finished(service, wrong.id)).toMatchObject({
      status: 'failed',
      error: {
        code: 'input_rejected',
        retryable: false,
        billed: 'no',
        message: expect.stringContaining('num_outputs'),
      },
    })
    // Replicate cannot be asked whether the deployment exists, so the job is accepted.
    await service.simulator.faults({ models: { status: { code: 503 } } })
    const unknown = await service.client.submit({ deployment: 'nobody/nothing', input: {} })
    await service.simulator.faults({ models: null })
    expect(await finished(service, unknown.id)).toMatchObject({
      status: 'failed',
      error: { code: 'model_not_found', billed: 'no' },
    })
  })

  test('fails when the prediction fails, and reports why', async () => {
    await service.simulator.faults({ predictions: { fail: { next: 1, error: 'CUDA out of memory' } } })
    const { id } = await service.client.submit({ model: SCHNELL, input: { prompt: 'x' } })
    expect(await finished(service, id)).toMatchObject({
      status: 'failed',
      error: { code: 'out_of_memory', message: 'CUDA out of memory', billed: 'no', retryable: false },
    })
  })

  test('is accepted once for an idempotency key', async () => {
    const body = { version: HELLO, input: { text: 'once' }, metadata: { b: 1, a: 2 } }
    const key = { 'idempotency-key': 'order-1' }
    const answers = await Promise.all(Array.from({ length: 20 }, () => post('/v1/jobs', body, key)))
    expect(answers.map(({ status }) => status)).toEqual(Array(20).fill(202))
    const ids = new Set(await Promise.all(answers.map(async (answer) => ((await answer.json()) as Job).id)))
    expect(ids.size).toBe(1)
    expect(answers.filter((answer) => answer.headers.get('idempotent-replayed') === 'true')).toHaveLength(19)

    const reordered = await post('/v1/jobs', { metadata: { a: 2, b: 1 }, input: { text: 'once' }, version: HELLO }, key)
    expect(reordered.headers.get('idempotent-replayed')).toBe('true')
    const other = await post('/v1/jobs', { ...body, input: { text: 'twice' } }, key)
    expect(other.status).toBe(422)
    expect(await other.json()).toMatchObject({ code: 'idempotency_key_reused' })
    const bad = await post('/v1/jobs', body, { 'idempotency-key': 'x'.repeat(256) })
    expect(bad.status).toBe(400)
  })

  test('streams its changes and ends with the last', async () => {
    const { id } = await service.client.submit({ model: SCHNELL, input: { prompt: 'streamed' } })
    const response = await fetch(`${service.url}/v1/jobs/${id}/events`, {
      headers: { authorization: `Bearer ${TEST_KEY}` },
    })
    expect(response.headers.get('content-type')).toContain('text/event-stream')
    const events = (await response.text()).split('\n\n').filter((block) => block.includes('event: job'))
    const seen = events.map((block) => JSON.parse(/^data: (.*)$/m.exec(block)?.[1] ?? '{}') as Job)
    const ids = events.map((block) => Number(/^id: (\d+)$/m.exec(block)?.[1]))
    expect(seen.at(-1)?.status).toBe('succeeded')
    expect(seen.map(({ rev }) => rev)).toEqual(ids)
    expect(ids).toEqual([...ids].sort((a, b) => a - b))
    const order = ['queued', 'starting', 'processing', 'succeeded']
    const statuses = seen.map(({ status }) => order.indexOf(status))
    expect(statuses).toEqual([...statuses].sort((a, b) => a - b))
  })

  test('is listed newest first, by pages and by status', async () => {
    const ids = await submitMany(service, 5, (i) => ({ version: HELLO, input: { text: `page ${i}` } }))
    for (const id of ids) await finished(service, id)
    const first = await service.client.list({ limit: 3 })
    const second = await service.client.list({ limit: 3, cursor: first.next_cursor ?? '' })
    const listed = [...first.data, ...second.data].map(({ id }) => id)
    expect(listed).toEqual(listed.toSorted().toReversed())
    expect(new Set(listed)).toEqual(new Set(listed.slice(0, 6)))
    expect(listed.slice(0, 5)).toEqual(ids.toReversed())
    const failed = await service.client.list({ status: 'failed', limit: 100 })
    expect(failed.data.every(({ status }) => status === 'failed')).toBe(true)
  })

  test('has a user and the time of its last change, also as a retry and in a batch', async () => {
    const { id, created_at, updated_at } = await service.client.submit({
      version: HELLO,
      input: { text: 'x' },
      user: 'Zoë 1',
    })
    expect(updated_at).toBe(created_at)
    const job = await finished(service, id)
    expect([job.user, job.updated_at >= (job.completed_at ?? '')]).toEqual(['Zoë 1', true])
    expect((await service.client.history(id)).at(-1)?.at).toBe(job.updated_at)
    const again = await finished(service, (await service.client.retry(id)).id)
    expect([again.user, again.retry_of]).toEqual(['Zoë 1', id])
    const batch = await service.client.batch({
      defaults: { version: HELLO, user: 'of the batch' },
      items: [{ input: { text: 'a' } }, { input: { text: 'b' }, user: 'its own' }],
    })
    const { data } = await service.client.batchJobs(batch.id)
    expect(data.map(({ user }) => user)).toEqual(['of the batch', 'its own'])
    for (const one of data) await finished(service, one.id)

    // As every field, it is part of the body that an idempotency key names.
    const body = { version: HELLO, input: { text: 'once' }, user: 'first' }
    const key = { 'idempotency-key': 'order-of-first' }
    expect((await post('/v1/jobs', body, key)).status).toBe(202)
    expect((await post('/v1/jobs', { ...body, user: 'second' }, key)).status).toBe(422)
  })

  test('is found by its user, its metadata, its prediction and its time', async () => {
    const metadata = (i: number) => ({ shelf: i % 2 === 0 ? 'even' : 'odd', n: i, on: i === 3, deep: { no: 1 } })
    const ids = await submitMany(service, 6, (i) => ({
      version: HELLO,
      input: { text: `shelved ${i}` },
      metadata: metadata(i),
      user: i < 3 ? 'early' : 'late',
    }))
    const jobs: Job[] = []
    for (const id of ids) jobs.push(await finished(service, id))
    const found = async (options: ListOptions): Promise<number[]> => {
      const places: number[] = []
      for await (const { id } of service.client.list(options)) places.push(ids.indexOf(id))
      return places
    }
    expect(await found({ user: 'late' })).toEqual([5, 4, 3])
    expect(await found({ user: 'early', limit: 1 })).toEqual([2, 1, 0])
    expect(await found({ metadata: { shelf: 'odd' }, limit: 2 })).toEqual([5, 3, 1])
    expect(await found({ metadata: { n: 4 } })).toEqual([4])
    expect(await found({ metadata: { on: true, shelf: 'odd' }, user: 'late', status: 'succeeded' })).toEqual([3])
    for (const none of [
      { metadata: { on: true }, status: 'failed' },
      { metadata: { on: true }, user: 'early' },
      { metadata: { shelf: 'none' } },
      { metadata: { user: 'late' } },
      { metadata: { deep: '[object Object]' } },
    ] satisfies ListOptions[])
      expect([none, await found(none)]).toEqual([none, []])
    const prediction = jobs[2]?.prediction_id ?? ''
    expect(await found({ predictionId: prediction })).toEqual([2])
    expect(await found({ predictionId: prediction, user: 'late' })).toEqual([])
    const [from = '', to = ''] = [jobs[1]?.created_at, jobs[4]?.created_at]
    const within = jobs.flatMap(({ created_at }, i) => (created_at >= from && created_at < to ? [i] : []))
    expect(await found({ createdAfter: from, createdBefore: to })).toEqual(within.toReversed())
    expect(await found({ createdAfter: from, createdBefore: to, user: 'late', limit: 1 })).toEqual(
      within.filter((i) => i >= 3).toReversed(),
    )
  })
})

describe('a cancel', () => {
  test('of a running prediction stops it upstream', async () => {
    const { id } = await service.client.submit({ model: 'google/gemini-3-pro', input: { prompt: 'long' } })
    await inPhase(service, id, 'running')
    const asked = await service.client.cancel(id)
    expect(asked.phase).toBe('stopping')
    expect(asked.status).toBe('processing')
    const job = await finished(service, id)
    expect(job).toMatchObject({ status: 'canceled', error: { code: 'canceled', billed: 'yes' } })
    const row = (await service.simulator.books()).predictions.find(({ id }) => id === job.prediction_id)
    expect(row?.status).toBe('canceled')
    expect((await service.client.cancel(id)).status).toBe('canceled')
  })

  test('of a finished job is refused', async () => {
    const { id } = await service.client.submit({ version: HELLO, input: { text: 'done' } })
    await finished(service, id)
    const response = await post(`/v1/jobs/${id}/cancel`, {})
    expect(response.status).toBe(409)
    expect(await response.json()).toMatchObject({ code: 'not_cancelable' })
  })
})

describe('when the answer of a create is lost', () => {
  test('the webhook adopts the prediction; it is never created twice', async () => {
    await service.simulator.faults({ create: { cut_after_accept: { next: 1 } } })
    const { id } = await service.client.submit({ model: SCHNELL, input: { prompt: 'cut' } })
    expect(await finished(service, id)).toMatchObject({ status: 'succeeded', attempt: 1 })
    const rows = (await service.simulator.books()).predictions.filter((row) => row.webhook?.includes(id))
    expect(rows).toHaveLength(1)
  })

  test('and the webhooks too, the job stays open and says so', async () => {
    await service.simulator.faults({ create: { cut_after_accept: { next: 1 } }, webhooks: { drop: 1 } })
    const { id } = await service.client.submit({ version: HELLO, input: { text: 'lost' } })
    const job = await inPhase(service, id, 'unknown')
    expect(job).toMatchObject({ status: 'queued', waiting_for: { reason: 'outcome' } })
    const rows = await waitFor('the prediction to end upstream', async () => {
      const all = (await service.simulator.books()).predictions.filter((row) => row.webhook?.includes(id))
      return all.every(({ status }) => status === 'succeeded') && all
    })
    expect(rows).toHaveLength(1)
    await service.simulator.faults({ webhooks: null })
  })

  test('and nothing was created, the job goes back into the line', async () => {
    await service.simulator.faults({ create: { status: { next: 1, code: 429, retry_after: 1, hint: 'body' } } })
    const { id } = await service.client.submit({ version: HELLO, input: { text: 'limited' } })
    const job = await finished(service, id)
    expect(job).toMatchObject({ status: 'succeeded', attempt: 2 })
    const rows = (await service.simulator.books()).predictions.filter((row) => row.webhook?.includes(id))
    expect(rows).toHaveLength(1)
  })
})

test('with every webhook lost, 50 of 50 jobs finish by polling, each created once', async () => {
  await service.simulator.faults({ webhooks: { drop: 1 } })
  const before = (await service.simulator.books()).counts.created
  const ids = await submitMany(service, 50, (i) => ({
    model: SCHNELL,
    input: { prompt: `silent ${i}`, megapixels: '0.25' },
  }))
  const jobs = await Promise.all(ids.map((id) => finished(service, id)))
  expect(jobs.map(({ status }) => status)).toEqual(Array(50).fill('succeeded'))
  expect((await service.simulator.books()).counts.created - before).toBe(50)
  await service.simulator.faults({ webhooks: null })
})
