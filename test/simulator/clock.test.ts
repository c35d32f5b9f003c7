import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest'
import { createClock } from '../../src/simulator/clock.ts'
import { type Simulator, startSimulator } from '../../src/simulator/start-simulator.ts'
import { type Body, callsTo } from './support/simulator.ts'
import { webhookReceiver } from './support/webhook-receiver.ts'

describe('a manual clock', () => {
  test('fires what is due in order, each at its own time, with what that sets in turn', async () => {
    const clock = createClock('manual')
    const start = clock.now()
    const seen: [string, number][] = []
    const note = (name: string) => () => void seen.push([name, clock.now() - start])
    clock.after(30, note('third'))
    clock.after(10, () => {
      note('first')()
      clock.after(10, note('second'))
    })
    clock.after(5, note('never')).cancel()
    clock.after(31, note('later'))
    await clock.advance(30)
    expect(seen).toEqual([
      ['first', 10],
      ['second', 20],
      ['third', 30],
    ])
    expect([clock.now() - start, clock.elapsed()]).toEqual([30, 30])
  })

  test('waits between two timers for work that takes real time', async () => {
    const clock = createClock('manual')
    const seen: string[] = []
    clock.after(1, () => void clock.hold(fetch('data:,').then(() => seen.push('fetched'))))
    clock.after(2, () => void seen.push('next'))
    await Promise.all([clock.advance(1), clock.advance(1)])
    expect(seen).toEqual(['fetched', 'next'])
  })
})

test.each([-1, Number.NaN, Infinity])('a clock does not advance by %s ms', async (ms) => {
  const clock = createClock('manual')
  await expect(clock.advance(ms)).rejects.toThrow(RangeError)
  const before = clock.now()
  await clock.advance(5)
  expect(clock.now()).toBe(before + 5)
})

test('a real clock advances beyond its timers, and moves on by itself', async () => {
  const clock = createClock()
  let fired = 0
  clock.after(3_600_000, () => (fired += 1))
  const soon = new Promise<void>((resolve) => void clock.after(3_600_020, resolve))
  await clock.advance(3_600_000)
  expect([fired, clock.now() >= Date.now() + 3_600_000]).toEqual([1, true])
  await soon
  const stopping = new AbortController()
  const asleep = clock.sleep(60_000, stopping.signal)
  stopping.abort()
  await asleep
  await clock.sleep(60_000, stopping.signal)
})

describe('a simulator whose time a test moves', () => {
  let simulator: Simulator
  let calls: ReturnType<typeof callsTo>
  beforeAll(async () => {
    simulator = await startSimulator({ seed: 7, clock: 'manual' })
    calls = callsTo(simulator.url)
  })
  afterAll(() => simulator.stop())

  test('runs start and end, webhooks are sent again, and files expire', async () => {
    const receiver = await webhookReceiver()
    receiver.answer = { status: 500 }
    const model = 'models/google/gemini-3-pro/predictions'
    const order = { input: { prompt: 'bees' }, webhook: receiver.url, webhook_events_filter: ['completed'] }
    const { body } = await calls.post(model, order)
    const read = async (): Promise<Body> => (await calls.get(`predictions/${body.id}`)).body
    expect((await read()).status).toBe('starting')
    await simulator.clock.advance(2000)
    expect((await read()).status).toBe('processing')
    await simulator.clock.advance(120_000)
    const ended = await read()
    expect(ended.status).toBe('succeeded')
    expect(Date.parse(ended.completed_at)).toBeLessThan(simulator.clock.now())
    await simulator.clock.advance(60_000)
    // The attempts of one message, and no real time between them.
    expect(receiver.received).toHaveLength(6)
    await calls.post('/_sim/clock', { advance_seconds: 3600 })
    expect((await read()).data_removed).toBe(true)
  })

  test('a wait that runs out returns, and a replaced time of the process changes nothing', async () => {
    vi.useFakeTimers({ toFake: ['Date', 'setTimeout', 'setInterval'] })
    try {
      const before = (await calls.books()).counts.created
      const short = calls.post(
        'models/google/gemini-3-pro/predictions',
        { input: { prompt: 'x' } },
        { prefer: 'wait=1' },
      )
      const long = calls.create({ prompt: 'a boat' }, {}, { prefer: 'wait' })
      while ((await calls.books()).counts.created < before + 2) await calls.get('account')
      await simulator.clock.advance(10_000)
      expect([(await short).status, (await long).status, (await long).body.status]).toEqual([202, 201, 'succeeded'])
    } finally {
      vi.useRealTimers()
    }
  })

  test('an invalid advance is refused', async () => {
    expect((await calls.post('/_sim/clock', { advance_seconds: -1 })).status).toBe(422)
  })
})
