import { describe, expect, test } from 'vitest'
import { waitFor } from '../support/wait-for.ts'
import { finished, GEMINI, simulatorFor } from './support/simulator.ts'
import { webhookReceiver } from './support/webhook-receiver.ts'

describe('list', () => {
  test('newest first, 100 a page, the cursor keeps the window', async () => {
    const simulator = await simulatorFor()
    const ids: string[] = []
    for (let i = 0; i < 205; i++) ids.unshift((await simulator.create({ prompt: `${i}` })).body.id)
    const first = await simulator.get('predictions')
    expect(first.body.results).toHaveLength(100)
    expect(first.body.previous).toBeNull()
    expect(first.body.next).toMatch(new RegExp(`^${simulator.apiUrl}/predictions\\?cursor=`))
    const second = await simulator.get(first.body.next)
    const third = await simulator.get(second.body.next)
    expect(third.body.next).toBeNull()
    const idsOf = ({ body }: { body: { results: { id: string }[] } }) => body.results.map(({ id }) => id)
    const back = await simulator.get(third.body.previous)
    expect(idsOf(back)).toEqual(idsOf(second))
    const start = await simulator.get(back.body.previous)
    expect([idsOf(start), start.body.previous]).toEqual([idsOf(first), null])
    const listed = [first, second, third].flatMap(idsOf)
    expect(listed).toEqual(ids)

    const { body: oldest } = await simulator.get(`predictions/${ids.at(-1)}`)
    const { body: middle } = await simulator.get(`predictions/${ids[50]}`)
    const window = `created_after=${oldest.created_at}&created_before=${encodeURIComponent(middle.created_at)}`
    const windowed = await simulator.get(`predictions?${window}`)
    const rest = await simulator.get(windowed.body.next)
    const inWindow = [...windowed.body.results, ...rest.body.results]
    expect(inWindow.every((one) => one.created_at < middle.created_at && one.created_at >= oldest.created_at)).toBe(
      true,
    )
    expect(inWindow.at(-1).id).toBe(ids.at(-1))
    expect(inWindow.length).toBeGreaterThan(100)
    expect((await simulator.get('predictions?source=web')).body.results).toEqual([])
  })

  test('refuses invalid parameters', async () => {
    const simulator = await simulatorFor()
    for (const query of ['created_after=yesterday', 'created_before=', 'cursor=zzz', 'source=api']) {
      expect((await simulator.get(`predictions?${query}`)).status).toBe(422)
    }
  })
})

describe('cancel', () => {
  test('before the start: canceled with almost no time', async () => {
    const simulator = await simulatorFor({ speed: 0.1 })
    const { body } = await simulator.create()
    const canceled = await simulator.post(`predictions/${body.id}/cancel`)
    expect(canceled.status).toBe(200)
    expect(canceled.body).toMatchObject({ status: 'canceled', metrics: { predict_time: 0.000003 } })
  })

  test('while running: bills the time, keeps the output so far; a second cancel changes nothing', async () => {
    const simulator = await simulatorFor({ speed: 20 })
    const { body } = await simulator.post(GEMINI, { input: { prompt: 'bees' } })
    await waitFor('some text', async () => (await simulator.get(`predictions/${body.id}`)).body.output?.length > 3)
    const canceled = await simulator.post(`predictions/${body.id}/cancel`)
    expect(canceled.body.status).toBe('canceled')
    expect(canceled.body.output.length).toBeGreaterThan(3)
    const again = await simulator.post(`predictions/${body.id}/cancel`)
    expect(again.body).toEqual(canceled.body)
    const { predictions, counts } = await simulator.books()
    expect(predictions[0].billed_seconds).toBeGreaterThan(0)
    expect(counts.cancels).toBe(2)
    expect((await simulator.post('predictions/nothing/cancel')).status).toBe(404)
  })
})

describe('Cancel-After', () => {
  test('before the start aborted and free, while running canceled and billed; both send a webhook', async () => {
    const [simulator, receiver] = [await simulatorFor({ speed: 10 }), await webhookReceiver()]
    const silent = await simulatorFor({ habits: { completed_on_aborted: false } })
    const webhook = { webhook: receiver.url, webhook_events_filter: ['completed'] }
    for (const one of [simulator, silent]) await one.faults({ predictions: { starting_forever: { next: 1 } } })
    const untold = await silent.create({ prompt: 'x' }, webhook, { 'cancel-after': '5' })
    const waiting = await simulator.create({ prompt: 'x' }, webhook, { 'cancel-after': '5' })
    const running = await simulator.post(GEMINI, { input: { prompt: 'x' }, ...webhook }, { 'cancel-after': '5s' })
    expect(Date.parse(waiting.body.deadline) - Date.parse(waiting.body.created_at)).toBe(5000)
    const aborted = await finished(simulator, waiting.body.id)
    expect(aborted).toMatchObject({ status: 'aborted', output: null })
    expect(aborted.started_at).toBeUndefined()
    expect(await finished(silent, untold.body.id)).toMatchObject({ status: 'aborted' })
    expect(await finished(simulator, running.body.id)).toMatchObject({ status: 'canceled' })
    const billed = (await simulator.books()).predictions.map((one: { billed_seconds: number }) => one.billed_seconds)
    expect(billed[0]).toBe(0)
    expect(billed[1]).toBeGreaterThan(4)
    await receiver.completed(waiting.body.id)
    await receiver.completed(running.body.id)
    expect(new Set(receiver.received.map((one) => one.body.status))).toEqual(new Set(['aborted', 'canceled']))
    expect((await silent.books()).webhooks.sent).toBe(0)
  })

  test.each(['4', '1s', 'soon', '5x', '', '1m 5s', '-5'])('%j is refused', async (value) => {
    const simulator = await simulatorFor()
    expect((await simulator.create({ prompt: 'x' }, {}, { 'cancel-after': value })).status).toBe(422)
  })

  test('units add up', async () => {
    const simulator = await simulatorFor()
    const { body } = await simulator.create({ prompt: 'x' }, {}, { 'cancel-after': '1h30m45s' })
    expect(Date.parse(body.deadline) - Date.parse(body.created_at)).toBe(5_445_000)
  })
})

describe('removal after an hour', () => {
  test('the clock ages predictions: input, output, logs and files are removed, timestamps stay', async () => {
    const simulator = await simulatorFor()
    const { body } = await simulator.create({ prompt: 'x', megapixels: '0.25' })
    const done = await finished(simulator, body.id)
    const file = done.output[0]
    expect((await fetch(file)).status).toBe(200)
    expect((await simulator.post('/_sim/age', { seconds: 3500 })).body.removed).toBe(0)
    const young = await simulator.create({ prompt: 'y', megapixels: '0.25' })
    await finished(simulator, young.body.id)
    expect((await simulator.post('/_sim/age', { seconds: 150 })).body.removed).toBe(1)
    const { body: removed } = await simulator.get(`predictions/${body.id}`)
    expect(removed).toMatchObject({ data_removed: true, output: null, input: {}, logs: '', status: 'succeeded' })
    expect(removed.completed_at).toBe(done.completed_at)
    expect(removed.metrics).toEqual(done.metrics)
    expect((await fetch(file)).status).toBe(404)
    expect((await simulator.get(`predictions/${young.body.id}`)).body.data_removed).toBe(false)
    expect((await simulator.post('/_sim/age', { seconds: -1 })).status).toBe(422)
  })
})

describe('budgets', () => {
  test('a burst is exactly as large as the bucket, in both of them', async () => {
    const simulator = await simulatorFor({ createsPerMinute: 1, readsPerMinute: 1, burst: 20 })
    const creates = await Promise.all(Array.from({ length: 50 }, () => simulator.create()))
    const made = creates.filter(({ status }) => status === 201)
    expect(made).toHaveLength(20)
    expect(made.map(({ headers }) => Number(headers.get('ratelimit-remaining'))).sort((a, b) => a - b)[0]).toBe(0)
    const refused = creates.find(({ status }) => status === 429)
    expect(refused?.headers.get('retry-after')).toBeNull()
    expect(refused?.body.retry_after).toBeGreaterThan(50)
    expect(refused?.body.detail).toBe(
      `Request was throttled. Your rate limit resets in ~${refused?.body.retry_after}s.`,
    )
    const reads = await Promise.all(Array.from({ length: 30 }, () => simulator.get('account')))
    expect(reads.filter(({ status }) => status === 200)).toHaveLength(20)
    const { counts } = await simulator.books()
    expect(counts).toMatchObject({ create_requests: 50, created: 20, throttled: 40 })
  })

  test('speed does not touch them', async () => {
    const simulator = await simulatorFor({ createsPerMinute: 60, burst: 1, speed: 1000 })
    expect((await simulator.create()).status).toBe(201)
    const refused = await simulator.create()
    expect([refused.status, refused.headers.get('ratelimit-reset')]).toEqual([429, '1'])
    await waitFor('the next token', async () => (await simulator.create()).status === 201)
  })
})

test('reset forgets predictions, counts and faults; the secret stays', async () => {
  const simulator = await simulatorFor()
  const secret = (await simulator.get('webhooks/default/secret')).body.key
  await simulator.create()
  await simulator.faults({ create: { garbage: 1 } })
  expect((await simulator.post('/_sim/reset')).status).toBe(204)
  expect(await simulator.books()).toEqual({
    predictions: [],
    trainings: [],
    counts: { create_requests: 0, created: 0, gets: 0, lists: 0, cancels: 0, throttled: 0 },
    webhooks: { sent: 0, delivered: 0, failed: 0, dropped: 0 },
    spend: 0,
  })
  expect((await simulator.get('/_sim/faults')).body).toEqual({})
  expect((await simulator.get('webhooks/default/secret')).body.key).toBe(secret)
})
