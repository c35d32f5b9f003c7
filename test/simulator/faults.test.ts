import { describe, expect, test } from 'vitest'
import { finished, simulatorFor } from './support/simulator.ts'

describe('creates', () => {
  test('cut_before_accept: nothing is created', async () => {
    const simulator = await simulatorFor()
    await simulator.faults({ create: { cut_before_accept: { next: 1 } } })
    await expect(simulator.create()).rejects.toThrow('fetch failed')
    expect((await simulator.books()).counts).toMatchObject({ create_requests: 1, created: 0 })
    expect((await simulator.create()).status).toBe(201)
  })

  test('cut_after_accept: exactly n are created and run, without a response', async () => {
    const simulator = await simulatorFor()
    await simulator.faults({ create: { cut_after_accept: { next: 10 } } })
    const outcomes = await Promise.allSettled(Array.from({ length: 25 }, () => simulator.create()))
    expect(outcomes.filter(({ status }) => status === 'rejected')).toHaveLength(10)
    const { predictions, counts } = await simulator.books()
    expect(counts).toMatchObject({ create_requests: 25, created: 25 })
    for (const { id } of predictions) expect(await finished(simulator, id)).toMatchObject({ status: 'succeeded' })
  })

  test('delay', async () => {
    const simulator = await simulatorFor()
    await simulator.faults({ create: { delay: { next: 1, seconds: 0.3 } } })
    const started = performance.now()
    await simulator.create()
    expect(performance.now() - started).toBeGreaterThan(290)
  })

  test.each([400, 401, 402, 403, 404, 409, 500, 502, 503, 504])('status %i', async (code) => {
    const simulator = await simulatorFor()
    await simulator.faults({ create: { status: { code, next: 1 } } })
    const { status, headers, body } = await simulator.create()
    expect(status).toBe(code)
    if (code >= 502) expect(body).toContain('<html>')
    else expect([headers.get('content-type'), body.status]).toEqual(['application/problem+json', code])
    expect((await simulator.books()).counts.created).toBe(0)
  })

  test.each([
    ['header', '9', undefined, 'Request was throttled.'],
    ['body', null, 9, 'Request was throttled. Your rate limit resets in ~9s.'],
    ['text', null, undefined, 'Request was throttled. Your rate limit resets in ~9s.'],
    ['none', null, undefined, 'Request was throttled.'],
  ])('status 429 with the hint in %s', async (hint, header, inBody, detail) => {
    const simulator = await simulatorFor()
    await simulator.faults({ create: { status: { code: 429, retry_after: 9, hint, next: 1 } } })
    const { status, headers, body } = await simulator.create()
    expect([status, headers.get('retry-after'), body.retry_after, body.detail]).toEqual([429, header, inBody, detail])
  })

  test('garbage: an unreadable 201; hide_webhook: no webhook in the response, but in the books', async () => {
    const simulator = await simulatorFor()
    await simulator.faults({ create: { garbage: { next: 1 } } })
    const garbage = await simulator.create()
    expect([garbage.status, typeof garbage.body]).toEqual([201, 'string'])
    await simulator.faults({ create: { hide_webhook: 1 }, get: { hide_webhook: 1 }, list: { hide_webhook: 1 } })
    const { body } = await simulator.create({ prompt: 'x' }, { webhook: 'https://a.invalid/?job=1' })
    const { body: got } = await simulator.get(`predictions/${body.id}`)
    const { body: list } = await simulator.get('predictions')
    expect([body.webhook, got.webhook, list.results[0].webhook]).toEqual([undefined, undefined, undefined])
    expect((await simulator.books()).predictions[1].webhook).toBe('https://a.invalid/?job=1')
  })
})

describe('reads', () => {
  test('not_found, status, cut, delay and garbage for gets', async () => {
    const simulator = await simulatorFor()
    const { body } = await simulator.create()
    const path = `predictions/${body.id}`
    await simulator.faults({ get: { not_found: { next: 1 } } })
    expect((await simulator.get(path)).status).toBe(404)
    await simulator.faults({ get: { status: { code: 503, html: false, next: 1 } } })
    expect((await simulator.get(path)).body).toMatchObject({ status: 503 })
    await simulator.faults({ get: { cut: { next: 1 } } })
    await expect(simulator.get(path)).rejects.toThrow('fetch failed')
    await simulator.faults({ get: { garbage: { next: 1 } } })
    expect(typeof (await simulator.get(path)).body).toBe('string')
    await simulator.faults({ get: { delay: { next: 1, seconds: 0.2 } } })
    const started = performance.now()
    expect((await simulator.get(path)).status).toBe(200)
    expect(performance.now() - started).toBeGreaterThan(190)
  })

  test.each([
    ['list', 'predictions'],
    ['account', 'account'],
    ['secret', 'webhooks/default/secret'],
    ['models', 'models/google/gemini-3-pro'],
  ])('%s', async (group, path) => {
    const simulator = await simulatorFor()
    await simulator.faults({ [group]: { status: { next: 1 } } })
    expect((await simulator.get(path)).status).toBe(500)
    await simulator.faults({ [group]: { cut: { next: 1 } } })
    await expect(simulator.get(path)).rejects.toThrow('fetch failed')
    expect((await simulator.get(path)).status).toBe(200)
  })

  test('odd_status: an unknown word in place of each status, while the run continues', async () => {
    const simulator = await simulatorFor()
    await simulator.faults({ get: { odd_status: 1 }, list: { odd_status: { word: 'queued2' } } })
    const { body } = await simulator.create()
    expect((await finished(simulator, body.id)).status).toBe('paused')
    expect((await simulator.get('predictions')).body.results[0].status).toBe('queued2')
    expect((await simulator.books()).predictions[0].status).toBe('succeeded')
  })

  test('cancel', async () => {
    const simulator = await simulatorFor({ speed: 0.1 })
    const { body } = await simulator.create()
    await simulator.faults({ cancel: { status: { code: 502, next: 1 } } })
    expect((await simulator.post(`predictions/${body.id}/cancel`)).status).toBe(502)
    expect((await simulator.get(`predictions/${body.id}`)).body.status).toBe('starting')
  })

  test('files: status, and cut in the middle', async () => {
    const simulator = await simulatorFor()
    const { body } = await simulator.create({ prompt: 'x', megapixels: '0.25' }, {}, { prefer: 'wait' })
    await simulator.faults({ files: { status: { code: 503, next: 1 } } })
    expect((await fetch(body.output[0])).status).toBe(503)
    await simulator.faults({ files: { cut: { next: 1 } } })
    const cut = await fetch(body.output[0])
    expect(cut.status).toBe(200)
    await expect(cut.arrayBuffer()).rejects.toThrow()
    expect((await (await fetch(body.output[0])).arrayBuffer()).byteLength).toBeGreaterThan(1000)
  })
})

describe('runs', () => {
  test('fail with a given text: free on a public model, billed through a deployment', async () => {
    const simulator = await simulatorFor()
    const error = 'Director: unexpected error handling prediction (E9828)'
    await simulator.faults({ predictions: { fail: { next: 2, error } } })
    const { body } = await simulator.create()
    const paid = await simulator.post('deployments/acme/flux-fast/predictions', { input: { prompt: 'x' } })
    expect(await finished(simulator, body.id)).toMatchObject({ status: 'failed', output: null, error })
    await finished(simulator, paid.body.id)
    const [free, billed] = (await simulator.books()).predictions
    expect(free.billed_seconds).toBe(0)
    expect(billed.billed_seconds).toBeGreaterThan(0)
    await simulator.faults({ predictions: { fail: 1 } })
    const other = await simulator.create()
    expect((await finished(simulator, other.body.id)).error).toBe('Prediction interrupted; please retry (code: PA)')
  })

  test('huge_logs', async () => {
    const simulator = await simulatorFor()
    await simulator.faults({ predictions: { huge_logs: { next: 1, bytes: 150_000 } } })
    const { body } = await simulator.create()
    expect((await finished(simulator, body.id)).logs.length).toBeGreaterThan(150_000)
  })
})

async function outcomes(): Promise<string> {
  const simulator = await simulatorFor({ seed: 11 })
  await simulator.faults({ create: { garbage: 0.5 } })
  const kinds: string[] = []
  for (let i = 0; i < 20; i++) kinds.push(typeof (await simulator.create()).body)
  return kinds.join()
}

describe('the switches', () => {
  test('merge, show the remaining count, clear with null', async () => {
    const simulator = await simulatorFor()
    await simulator.faults({ webhooks: { drop: 0.5 }, create: { cut_after_accept: { next: 10 } } })
    const merged = await simulator.faults({ webhooks: { duplicate: { next: 2 } }, get: { garbage: 1 } })
    expect(merged.body).toEqual({
      webhooks: { drop: 0.5, duplicate: { next: 2, times: 1 } },
      create: { cut_after_accept: { next: 10 } },
      get: { garbage: 1 },
    })
    expect((await simulator.faults({ webhooks: { drop: null }, create: null })).body).toEqual({
      webhooks: { duplicate: { next: 2, times: 1 } },
      get: { garbage: 1 },
    })
    expect((await simulator.call('DELETE', '/_sim/faults')).body).toEqual({})
  })

  test.each([
    [{ weather: { rain: 1 } }, 'weather'],
    [{ create: { explode: 1 } }, 'create.explode'],
    [{ create: { delay: { next: 1, minutes: 1 } } }, 'create.delay.minutes'],
    [{ create: { garbage: 2 } }, 'create.garbage.probability'],
    [{ create: { garbage: { next: 1.5 } } }, 'create.garbage.next'],
    [{ webhooks: { drop: { events: ['end'] } } }, 'webhooks.drop.events.0'],
  ])('%j is refused by name, and nothing changes', async (faults, field) => {
    const simulator = await simulatorFor()
    const { status, body } = await simulator.faults({ get: { garbage: 1 }, ...faults })
    expect(status).toBe(422)
    expect(body.invalid_fields.map((one: { field: string }) => one.field)).toContain(field)
    expect((await simulator.get('/_sim/faults')).body).toEqual({})
  })

  test('a probability is reproducible by the seed', async () => {
    const first = await outcomes()
    expect(first).toContain('string')
    expect(first).toContain('object')
    expect(await outcomes()).toBe(first)
  })
})
