import { afterAll, beforeAll, expect, test } from 'vitest'
import { finished } from '../support/finished.ts'
import { startService, type TestService } from '../support/start-service.ts'
import { waitFor } from '../support/wait-for.ts'

/** An account whose credit falls below five dollars and rises again: the simulator's own buckets, with short times of learning. */

let service: TestService
beforeAll(async () => {
  service = await startService({
    env: { REPLICATE_CREATES_PER_MINUTE: '6000', REPLICATE_CREATE_BURST: '100' },
    timings: { rateQuiet: 4000, rateDoubling: 200, conditionCheck: 100 },
    simulator: { createsPerMinute: 6000, speed: 100 },
  })
})
afterAll(() => service.stop())

async function simulated(path: string, body: object): Promise<void> {
  const response = await fetch(`${service.simulator.url}/_sim/${path}`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(body),
  })
  expect(response.status).toBe(200)
}

async function metric(name: string): Promise<number> {
  const text = await (await fetch(`${service.url}/metrics`)).text()
  return Number(new RegExp(`^${name} (.*)$`, 'm').exec(text)?.[1])
}

test('creates are made at the rate that a 429 states, and at the configured one soon after the limit was lifted', async () => {
  const creates = async () => (await service.client.health()).budget.creates
  expect(await creates()).toMatchObject({ per_minute: 6000, ceiling: 6000, quiet_since: null, throttled: 0 })
  await simulated('habits', { low_credit_creates_per_minute: 60 })
  await simulated('credit', { usd: 4 })

  const jobs = await Promise.all(
    Array.from({ length: 20 }, (_, i) =>
      service.client.submit({ model: 'black-forest-labs/flux-schnell', input: { prompt: `${i}` } }),
    ),
  )
  // Until the next 429 the rate rises; it is caught at what the text states, or above.
  const lowered = await waitFor('the lower rate', async () => {
    const seen = await creates()
    return seen.quiet_since !== null && seen.per_minute < 6000 ? seen : undefined
  })
  expect(lowered).toMatchObject({ ceiling: 6000, throttled: expect.any(Number) })
  expect(lowered.throttled).toBeGreaterThan(0)
  const waiting = await waitFor('a job to say which rate it waits for', async () => {
    const seen = await Promise.all(jobs.map(({ id }) => service.client.get(id)))
    return seen.find(
      ({ waiting_for }) => waiting_for?.reason === 'budget' && waiting_for.detail.includes('instead of 6000'),
    )
  })
  expect(waiting.waiting_for?.detail).toMatch(/Replicate limits it to \d+ predictions per minute at present/)
  const { detail } = await waitFor('the condition', async () => {
    const { conditions } = await service.client.health()
    return conditions.find(({ name }) => name === 'rate_lowered')
  })
  expect(detail).toMatch(/^\d+ of 6000 per minute$/)
  expect(await metric('genqueue_create_rate_per_minute')).toBeLessThan(6000)
  expect(await metric('genqueue_create_ceiling_per_minute')).toBe(6000)

  await simulated('credit', { usd: 100 })
  const ended = await Promise.all(jobs.map(({ id }) => finished(service, id)))
  expect(ended.map(({ status }) => status)).toEqual(jobs.map(() => 'succeeded'))
  const after = await waitFor('the configured rate', async () => {
    const seen = await creates()
    return seen.quiet_since === null ? seen : undefined
  })
  expect(after.per_minute).toBe(6000)
  const { counts } = await service.simulator.books()
  expect(after.throttled).toBe(counts.throttled)
  expect(after.throttled_probing).toBeLessThan(after.throttled)
  expect(counts.created).toBe(jobs.length)
})
