import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { DEFAULT_TIMINGS } from '../../src/shared/jobs/rules/timings.ts'
import { createNextPoll } from '../../src/workers/next-poll.ts'
import { examples } from '../support/property-seed.ts'

const MINUTE = 60_000
const { pollOnly, pollWithWebhooks, outputLifetime } = DEFAULT_TIMINGS
/** From this age on little time is left to fetch what upstream will remove. */
const LAST = outputLifetime - 20 * MINUTE

interface World {
  open: number
  readsPerMinute: number
  webhooks: boolean
  silent: boolean
}
const wait = (age: number, { open, readsPerMinute, webhooks, silent }: World): Promise<number> => {
  return createNextPoll({
    store: { openPredictions: async () => open, webhooksSilent: async () => silent },
    readsPerMinute: () => readsPerMinute,
    timings: DEFAULT_TIMINGS,
    webhooks: () => webhooks,
  })('default', age)
}

const worlds = fc.record({
  open: fc.nat(20_000),
  readsPerMinute: fc.constantFrom(60, 600, 3000),
  webhooks: fc.boolean(),
  silent: fc.boolean(),
})
const ages = fc.integer({ min: -MINUTE, max: outputLifetime })
const boundsOf = ({ webhooks, silent }: World) => (webhooks && !silent ? pollWithWebhooks : pollOnly)

describe('the next look at a prediction', () => {
  test('is never in no time, never later than 15 minutes, and not slow in the last 20 minutes', async () => {
    await fc.assert(
      fc.asyncProperty(ages, worlds, async (age, world) => {
        const ms = await wait(age, world)
        const { min, max } = boundsOf(world)
        expect(ms).toBeGreaterThanOrEqual(min)
        expect(ms).toBeLessThanOrEqual(15 * MINUTE)
        if (age >= LAST) expect(ms).toBeLessThanOrEqual(max)
        // However many are open, each is seen once when the last 20 minutes begin.
        else expect(age + ms).toBeLessThanOrEqual(LAST + min)
      }),
      { numRuns: examples(1000) },
    )
  })

  test('waits half of the age while few are open, within the bounds', async () => {
    const few: World = { open: 1, readsPerMinute: 3000, webhooks: false, silent: false }
    expect(await wait(0, few)).toBe(pollOnly.min)
    expect(await wait(10_000, few)).toBe(5000)
    expect(await wait(10 * MINUTE, few)).toBe(pollOnly.max)
    expect(await wait(10 * MINUTE, { ...few, webhooks: true })).toBe(pollWithWebhooks.max)
  })

  test('comes sooner while webhooks do not come', async () => {
    const silent: World = { open: 1, readsPerMinute: 3000, webhooks: true, silent: true }
    expect(await wait(10 * MINUTE, silent)).toBe(pollOnly.max)
  })

  test('spends half of the read budget, while that is enough', async () => {
    await fc.assert(
      fc.asyncProperty(fc.integer({ min: 0, max: LAST / 2 }), worlds, async (age, world) => {
        const ms = await wait(age, world)
        const reads = (world.open / ms) * MINUTE
        if (ms < 15 * MINUTE && age + ms < LAST) expect(reads).toBeLessThanOrEqual(world.readsPerMinute / 2 + 1e-6)
      }),
      { numRuns: examples(1000) },
    )
  })
})
