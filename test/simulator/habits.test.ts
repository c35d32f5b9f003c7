import { describe, expect, onTestFinished, test } from 'vitest'
import { startSimulator } from '../../src/simulator/start-simulator.ts'
import { waitFor } from '../support/wait-for.ts'
import { callsTo, finished, FLUX, GEMINI, simulatorFor } from './support/simulator.ts'
import { isOver, webhookReceiver } from './support/webhook-receiver.ts'

/** The answers that the documentation and the recordings give differently, and what clients have stumbled over. */

describe('a create', () => {
  test('has its address in Location, and shows the events that it named', async () => {
    const simulator = await simulatorFor()
    const events = ['start', 'completed']
    const sent = { webhook: 'https://a.invalid/', webhook_events_filter: events }
    const { body, headers } = await simulator.create({ prompt: 'x' }, sent)
    expect(headers.get('location')).toBe(body.urls.get)
    expect(body.webhook_events_filter).toEqual(events)
    expect((await simulator.get(`predictions/${body.id}`)).body.webhook_events_filter).toEqual(events)
    const plain = await simulator.create({ prompt: 'x' }, { webhook: 'https://a.invalid/' })
    expect(plain.body.webhook_events_filter).toBeUndefined()
    await simulator.post('/_sim/habits', { location_header: false, echo_events_filter: false })
    const recorded = await simulator.create({ prompt: 'x' }, sent)
    expect(recorded.headers.get('location')).toBeNull()
    expect(recorded.body.webhook_events_filter).toBeUndefined()
  })

  test('that waited too long is shown as starting, by a habit as it is', async () => {
    const simulator = await simulatorFor({ speed: 1 })
    const run = async () => (await simulator.post(GEMINI, { input: { prompt: 'x' } }, { prefer: 'wait=1' })).body
    const late = await run()
    expect([late.status, late.output, late.started_at]).toEqual(['starting', null, undefined])
    await simulator.post('/_sim/habits', { unfinished_wait_status: 'current' })
    expect((await run()).status).toBe('processing')
  })

  test('with a webhook that is no URL succeeds, and none is sent', async () => {
    const simulator = await simulatorFor()
    const { status, body } = await simulator.create({ prompt: 'x' }, { webhook: 'nope' })
    expect([status, body.webhook]).toEqual([201, 'nope'])
    expect((await finished(simulator, body.id)).status).toBe('succeeded')
    expect((await simulator.books()).webhooks).toEqual({ sent: 0, delivered: 0, failed: 0, dropped: 0 })
  })
})

describe('output webhooks', () => {
  test('an output is announced before the end, however short the run and whatever else is announced', async () => {
    const [simulator, receiver] = [await simulatorFor(), await webhookReceiver()]
    const events = ['start', 'output', 'logs', 'completed']
    const sent = { input: { prompt: 'x', megapixels: '0.25' }, webhook: receiver.url, webhook_events_filter: events }
    const made = await Promise.all(Array.from({ length: 5 }, () => simulator.post(FLUX, sent)))
    for (const { body } of made) {
      await receiver.next((one) => one.body.id === body.id && !isOver(one) && one.body.output?.length === 1)
    }
  })

  test('one for each output, by a habit', async () => {
    const receiver = await webhookReceiver()
    const habits = { output_webhook_seconds: 0 }
    const simulator = await startSimulator({ port: 0, dataDir: null, clock: 'manual', habits })
    onTestFinished(() => simulator.stop())
    await callsTo(simulator.url).post(GEMINI, {
      input: { prompt: 'bees', max_output_tokens: 20 },
      webhook: receiver.url,
      webhook_events_filter: ['output', 'completed'],
    })
    await simulator.clock.advance(121_000)
    await waitFor('all of them', () => receiver.received.length === 21)
    const sizes = receiver.received.flatMap((one) => (isOver(one) ? [] : [one.body.output.length]))
    expect(sizes.toSorted((a, b) => a - b)).toEqual(Array.from({ length: 20 }, (_, i) => i + 1))
  })
})

test('the address of a version that is no version has a body that others have not', async () => {
  const simulator = await simulatorFor()
  const versions = 'models/replicate/hello-world/versions'
  expect((await simulator.get(`${versions}/undefined`)).body).toEqual({ detail: 'Not found.' })
  expect((await simulator.get(`${versions}/${'0'.repeat(64)}`)).body.status).toBe(404)
})
