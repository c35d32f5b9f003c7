import { Webhook } from 'standardwebhooks'
import { describe, expect, test } from 'vitest'
import { waitFor } from '../support/wait-for.ts'
import { finished, FLUX, GEMINI, simulatorFor, type TestSimulator } from './support/simulator.ts'
import { isOver, type Received, webhookReceiver } from './support/webhook-receiver.ts'

async function secretOf(simulator: TestSimulator): Promise<string> {
  return (await simulator.get('webhooks/default/secret')).body.key
}

function isAuthentic({ raw, headers }: Received, secret: string): boolean {
  try {
    new Webhook(secret).verify(
      raw,
      Object.fromEntries(Object.entries(headers).map(([name, value]) => [name, String(value)])),
    )
    return true
  } catch {
    return false
  }
}

describe('webhooks', () => {
  test('signed, keys sorted, nanoseconds, no source, the query string kept', async () => {
    const [simulator, receiver] = [await simulatorFor(), await webhookReceiver()]
    const { body } = await simulator.create({ prompt: 'x' }, { webhook: receiver.url })
    const last = await receiver.completed(body.id)
    expect(last.path).toBe('/hook?job=job_1&token=a%2Bb')
    expect(isAuthentic(last, await secretOf(simulator))).toBe(true)
    expect(last.headers['webhook-id']).toMatch(/^msg_[0-9A-Za-z]{27}$/)
    expect(last.headers['user-agent']).toMatch(/^Webhooks\//)
    expect(last.headers['content-type']).toBe('application/json')
    expect(Object.keys(last.body)).toEqual(Object.keys(last.body).sort())
    expect(last.body.completed_at).toMatch(/\.\d{9}Z$/)
    expect(last.body).toMatchObject({ status: 'succeeded', webhook: receiver.url, version: 'hidden' })
    expect(last.body.source).toBeUndefined()
    const shown = await finished(simulator, body.id)
    expect(shown.output).toEqual(last.body.output)
    expect(shown.completed_at.slice(0, 26)).toBe(last.body.completed_at.slice(0, 26))
  })

  test('only the requested events; without a filter output and completed', async () => {
    const [simulator, receiver] = [await simulatorFor({ speed: 20 }), await webhookReceiver()]
    const seen = async (more: object): Promise<string[]> => {
      const { body } = await simulator.post(FLUX, { input: { prompt: 'x' }, webhook: receiver.url, ...more })
      await receiver.completed(body.id)
      return receiver.received.filter((one) => one.body.id === body.id).map((one) => one.body.status)
    }
    expect(await seen({ webhook_events_filter: ['completed'] })).toEqual(['succeeded'])
    expect((await seen({ webhook_events_filter: ['start', 'completed'] })).toSorted()).toEqual([
      'processing',
      'succeeded',
    ])
    expect((await seen({})).toSorted()).toEqual(['processing', 'succeeded'])
  })

  test('output and logs come at most every half second, as snapshots that grow', async () => {
    const [simulator, receiver] = [await simulatorFor({ speed: 40 }), await webhookReceiver()]
    const { body } = await simulator.post(GEMINI, {
      input: { prompt: 'bees' },
      webhook: receiver.url,
      webhook_events_filter: ['output', 'completed'],
    })
    const { metrics } = (await receiver.completed(body.id)).body
    const outputs = receiver.received.filter((one) => !isOver(one))
    expect(outputs.length).toBeGreaterThanOrEqual(2)
    const sizes = outputs.map((one) => one.body.output.length)
    expect(sizes).toEqual(sizes.toSorted((a, b) => a - b))
    expect(outputs.length).toBeLessThanOrEqual(metrics.predict_time / 0.5 + 1)
  })
})

describe('retries', () => {
  const habits = { webhook_retry_seconds: [0, 0.1, 0.3, 0.6], webhook_timeout_seconds: 0.5 }

  test('the last one is retried with the same id and a right signature, until a 2xx', async () => {
    const [simulator, receiver] = [await simulatorFor({ habits }), await webhookReceiver()]
    receiver.answer = { status: 500 }
    const { body } = await simulator.create(
      { prompt: 'x' },
      { webhook: receiver.url, webhook_events_filter: ['start', 'completed'] },
    )
    await waitFor('the second try', () => receiver.received.filter(isOver).length >= 2)
    receiver.answer = { status: 204 }
    await waitFor('delivery', async () => (await simulator.books()).webhooks.delivered === 1)
    const tries = receiver.received.filter(isOver)
    expect(new Set(tries.map((one) => one.headers['webhook-id'])).size).toBe(1)
    const secret = await secretOf(simulator)
    expect(tries.every((one) => isAuthentic(one, secret))).toBe(true)
    expect(receiver.received.filter((one) => !isOver(one) && one.body.id === body.id)).toHaveLength(1)
  })

  test.each([301, 401, 413, 500])('%i: gives up after the last try, follows no redirect', async (status) => {
    const [simulator, receiver, elsewhere] = [
      await simulatorFor({ habits }),
      await webhookReceiver(),
      await webhookReceiver(),
    ]
    receiver.answer = { status, headers: { location: elsewhere.url } }
    await simulator.create({ prompt: 'x' }, { webhook: receiver.url, webhook_events_filter: ['completed'] })
    await waitFor('the last try', async () => (await simulator.books()).webhooks.failed === 4)
    expect((await simulator.books()).webhooks).toEqual({ sent: 4, delivered: 0, failed: 4, dropped: 0 })
    expect(receiver.received).toHaveLength(4)
    expect(elsewhere.received).toHaveLength(0)
  })

  test('a reserved name fails at once and is not retried', async () => {
    const simulator = await simulatorFor({ habits })
    const { body } = await simulator.create(
      { prompt: 'x' },
      { webhook: 'https://here.invalid/hook?job=1', webhook_events_filter: ['completed'] },
    )
    await finished(simulator, body.id)
    expect((await simulator.books()).webhooks).toEqual({ sent: 1, delivered: 0, failed: 1, dropped: 0 })
    expect(body.webhook).toBe('https://here.invalid/hook?job=1')
  })
})

async function run(faults: object, events: string[]) {
  const [simulator, receiver] = [await simulatorFor(), await webhookReceiver()]
  await simulator.faults({ webhooks: faults })
  const { body } = await simulator.create({ prompt: 'x' }, { webhook: receiver.url, webhook_events_filter: events })
  const id: string = body.id
  return { simulator, receiver, id, secret: await secretOf(simulator) }
}

describe('webhook faults', () => {
  test('drop', async () => {
    const { simulator, receiver, id } = await run({ drop: { next: 1, events: ['completed'] } }, ['start', 'completed'])
    await finished(simulator, id)
    await waitFor('the start', () => receiver.received.length === 1)
    expect((await simulator.books()).webhooks).toMatchObject({ dropped: 1 })
    expect(receiver.received.filter(isOver)).toHaveLength(0)
    const { body } = await simulator.create({ prompt: 'y' }, { webhook: receiver.url })
    await receiver.completed(body.id)
  })

  test('duplicate', async () => {
    const { receiver } = await run({ duplicate: { next: 1, times: 3 } }, ['completed'])
    await waitFor('four of them', () => receiver.received.length === 4)
    expect(new Set(receiver.received.map((one) => one.headers['webhook-id'])).size).toBe(1)
  })

  test('delay', async () => {
    const { simulator, receiver, id } = await run({ delay: { next: 1, seconds: 0.4 } }, ['completed'])
    const { completed_at: end } = await finished(simulator, id)
    expect((await receiver.completed(id)).at - Date.parse(end)).toBeGreaterThan(350)
  })

  test('reorder: the start comes after the completion', async () => {
    const { receiver } = await run({ reorder: { next: 1 } }, ['start', 'completed'])
    await waitFor('both', () => receiver.received.length === 2)
    expect(receiver.received.map((one) => one.body.status)).toEqual(['succeeded', 'processing'])
  })

  test('wrong_signature', async () => {
    const { receiver, secret } = await run({ wrong_signature: { next: 1 } }, ['completed'])
    expect(isAuthentic(await receiver.completed(), secret)).toBe(false)
  })

  test('old_timestamp: signed, but long ago', async () => {
    const { receiver } = await run({ old_timestamp: { next: 1, seconds: 900 } }, ['completed'])
    const { headers } = await receiver.completed()
    expect(Date.now() / 1000 - Number(headers['webhook-timestamp'])).toBeGreaterThan(890)
  })

  test('two_signatures: the second is the right one', async () => {
    const { receiver, secret } = await run({ two_signatures: 1 }, ['completed'])
    const last = await receiver.completed()
    const [first, second] = String(last.headers['webhook-signature']).split(' ')
    const withOnly = (signature: string | undefined): Received => ({
      ...last,
      headers: { ...last.headers, 'webhook-signature': String(signature) },
    })
    expect([isAuthentic(withOnly(first), secret), isAuthentic(withOnly(second), secret)]).toEqual([false, true])
    expect(isAuthentic(last, secret)).toBe(true)
  })
})

test('a changed secret signs all later webhooks', async () => {
  const [simulator, receiver] = [await simulatorFor(), await webhookReceiver()]
  const before = await secretOf(simulator)
  const { key } = (await simulator.post('/_sim/secret')).body
  expect(key).not.toBe(before)
  expect(await secretOf(simulator)).toBe(key)
  await simulator.create({ prompt: 'x' }, { webhook: receiver.url, webhook_events_filter: ['completed'] })
  expect(isAuthentic(await receiver.completed(), key)).toBe(true)
})
