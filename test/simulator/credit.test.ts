import { describe, expect, test } from 'vitest'
import { startSimulator } from '../../src/simulator/start-simulator.ts'
import { finished, simulatorFor, temporaryFolder, withCalls } from './support/simulator.ts'

const INSUFFICIENT = {
  title: 'Insufficient credit',
  detail:
    'You have insufficient credit to run this model. Go to https://replicate.com/account/billing#billing to purchase credit. Once you purchase credit, please wait a few minutes before trying again.',
  status: 402,
}

describe('credit', () => {
  test('below $5 creates are limited to 6 a minute without a burst, worded as by the real API', async () => {
    const simulator = await simulatorFor({ credit: 4.9 })
    const [made, refused] = await Promise.all([simulator.create(), simulator.create()])
    expect([made.status, refused.status]).toEqual([201, 429])
    expect(refused.headers.get('content-type')).toBe('application/problem+json')
    expect(refused.headers.get('retry-after')).toBeNull()
    const { retry_after: wait } = refused.body
    expect(wait).toBeGreaterThan(5)
    expect(wait).toBeLessThanOrEqual(10)
    expect(refused.headers.get('ratelimit-reset')).toBe(String(wait))
    expect(refused.body).toEqual({
      detail: `Request was throttled. Your rate limit for creating predictions is reduced to 6 requests per minute with a burst of 1 requests while you have less than $5.0 in credit. Your rate limit resets in ~${wait}s.`,
      status: 429,
      retry_after: wait,
    })
    expect((await simulator.get('account')).status).toBe(200)
    expect((await simulator.books()).counts).toMatchObject({ create_requests: 2, created: 1, throttled: 1 })
  })

  test('is spent by runs: not limited above $5, limited as soon as it is below', async () => {
    const simulator = await simulatorFor({ credit: 5.002 })
    const [first] = await Promise.all([simulator.create(), simulator.create()])
    await finished(simulator, first.body.id)
    expect((await simulator.get('/_sim/credit')).body.usd).toBeLessThan(5)
    await simulator.create()
    expect((await simulator.create()).status).toBe(429)
  })

  test('at zero a create is a 402, until credit is added', async () => {
    const simulator = await simulatorFor({ credit: 0.001 })
    const last = await simulator.create()
    expect(last.status).toBe(201)
    await finished(simulator, last.body.id)
    const broke = await simulator.create()
    expect([broke.status, broke.body]).toEqual([402, INSUFFICIENT])
    expect((await simulator.get('/_sim/credit')).body).toEqual({ usd: -0.002, payment_method: true })

    await simulator.post('/_sim/credit', { usd: null })
    const rich = await Promise.all(Array.from({ length: 10 }, () => simulator.create()))
    expect(new Set(rich.map(({ status }) => status))).toEqual(new Set([201]))
  })

  test('without a payment method creates are limited too; habits set the limit', async () => {
    const simulator = await simulatorFor({ habits: { low_credit_creates_per_minute: 12 } })
    await simulator.post('/_sim/credit', { usd: null, payment_method: false })
    const answers = await Promise.all([simulator.create(), simulator.create()])
    const refused = answers.find(({ status }) => status === 429)
    expect(refused?.body.detail).toBe(
      `Request was throttled. Your rate limit for creating predictions is reduced to 12 requests per minute with a burst of 1 requests until you add a payment method. Your rate limit resets in ~${refused?.body.retry_after}s.`,
    )
    expect(refused?.body.retry_after).toBeLessThanOrEqual(5)
    expect((await simulator.post('/_sim/credit', { usd: 'much' })).status).toBe(422)
  })

  test('the rest survives a restart; another amount replaces it; reset restores it', async () => {
    const folder = temporaryFolder()
    const start = async (credit: number) =>
      withCalls(await startSimulator({ port: 0, dataDir: folder, speed: 100, credit }))
    const first = await start(10)
    const { body } = await first.create()
    await finished(first, body.id)
    await first.stop()
    const second = await start(10)
    expect((await second.get('/_sim/credit')).body.usd).toBe(9.997)
    await second.post('/_sim/reset')
    expect((await second.get('/_sim/credit')).body.usd).toBe(10)
    await second.stop()
    const third = await start(3)
    expect((await third.get('/_sim/credit')).body.usd).toBe(3)
    await third.stop()
  })
})
