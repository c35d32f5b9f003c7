import * as fc from 'fast-check'
import { Redis } from 'ioredis'
import { afterAll, describe, expect, test } from 'vitest'
import { z } from 'zod'
import { DEFAULT_TIMINGS } from '../../src/shared/jobs/rules/timings.ts'
import { loadScript } from '../../src/shared/redis/script.ts'
import { examples } from '../support/property-seed.ts'
import { testRedisUrl } from '../support/redis.ts'

const redis = new Redis(testRedisUrl())
afterAll(() => redis.disconnect())

const includes = [new URL('../../src/shared/limits/learned-rate.lua', import.meta.url)]
const runSteps = loadScript(new URL('../fixtures/learned-rate-run.lua', import.meta.url), { includes })
const runAccount = loadScript(new URL('../fixtures/learned-rate-account.lua', import.meta.url), { includes })

const QUIET = DEFAULT_TIMINGS.rateQuiet
const DOUBLING = DEFAULT_TIMINGS.rateDoubling
const PLAN = { rate: 600, burst: 10, quiet: QUIET, doubling: DOUBLING }

interface Refusal {
  at: number
  pause: number
  /** Time of the intent; the time of the refusal by default. */
  sent?: number
  rate?: number
  burst?: number
}
const stepsReply = z.array(
  z.object({
    rate: z.number(),
    burst: z.number(),
    interval: z.number(),
    base: z.number().nullable(),
    probe: z.boolean(),
  }),
)
type Seen = z.output<typeof stepsReply>[number]

/** What the rate is after each refusal, and at each look. */
async function along(refusals: Refusal[], looks: number[], ceiling?: number): Promise<{ after: Seen[]; at: Seen[] }> {
  const steps = [
    ...refusals.map((one) => ({ sent: one.at, ...one, kind: 'refused' })),
    ...looks.map((at) => ({ at, kind: 'look' })),
  ].sort((a, b) => a.at - b.at)
  const reply = stepsReply.parse(
    JSON.parse(String(await runSteps(redis, [], [JSON.stringify({ plan: PLAN, ceiling, steps })]))),
  )
  const of = (kind: string): Seen[] => reply.filter((_seen, i) => steps[i]?.kind === kind)
  return { after: of('refused'), at: of('look') }
}

const LOW = { pause: 7000, rate: 6, burst: 1 }
const NOW = 1_000_000

describe('the learned rate of creates', () => {
  test('is the configured budget until a 429 comes', async () => {
    const { at } = await along([], [NOW])
    expect(at[0]).toMatchObject({ rate: 600, burst: 10, interval: 100_000, base: null })
  })

  test('is what the 429 states, doubles after a minute of quiet, and is back within five minutes', async () => {
    const quiet = NOW + LOW.pause + QUIET
    const { after, at } = await along(
      [{ at: NOW, ...LOW }],
      [quiet - 1, quiet, quiet + DOUBLING, quiet + 5 * DOUBLING, quiet + 6 * DOUBLING, NOW + 300_000],
    )
    expect(after).toMatchObject([{ rate: 6, burst: 1, probe: false }])
    expect(at.map(({ rate }) => rate)).toEqual([6, 12, 24, 384, 600, 600])
    // A burst grows with the rate, and two requests are never closer than the account allows.
    expect(at.map(({ burst }) => burst)).toEqual([1, 1, 1, 6, 10, 10])
    expect(at[0]?.interval).toBeGreaterThan(10_000_000)
  })

  test('rises by a tenth after a 429 met the rising rate, and doubles when the next minute shows that the limit was lifted', async () => {
    const rising = NOW + LOW.pause + QUIET
    const again = rising + 10 + LOW.pause + QUIET
    const { after, at } = await along(
      [
        { at: NOW, ...LOW },
        { at: rising + 10, ...LOW },
      ],
      [again - 1, again + QUIET / 2, again + QUIET - 1, again + QUIET, rising + 10 + 300_000],
    )
    expect(after.map(({ probe }) => probe)).toEqual([false, true])
    expect(at.map(({ rate }) => Number(rate.toFixed(1)))).toEqual([6, 6.3, 6.6, 13.2, 600])
  })

  test('is a little lower without a figure, then half, and the last good rate when it rose by steps', async () => {
    const plain = { pause: 1000 }
    const rising = NOW + 3000 + QUIET
    const steps = rising + 1000 + QUIET
    const { after } = await along(
      [
        { at: NOW, ...plain },
        { at: NOW + 2000, ...plain },
        { at: rising, ...plain },
        { at: steps + QUIET / 2, ...plain },
        // At the last good rate itself.
        { at: steps + QUIET, ...plain },
      ],
      [],
    )
    expect(after.map(({ rate }) => rate)).toEqual([570, 285, 285, 285, 142.5])
  })

  test('is lowered once by creates that were under way together', async () => {
    const { after } = await along(
      [0, 1, 2, 3].map((late) => ({ at: NOW + late, sent: NOW - 5, pause: 1000 })),
      [],
    )
    expect(after.map(({ rate, probe }) => [rate, probe])).toEqual([570, 570, 570, 570].map((rate) => [rate, false]))
  })

  test('follows a lower figure of a later 429 of these', async () => {
    const { after } = await along(
      [
        { at: NOW, pause: 1000 },
        { at: NOW + 1, sent: NOW - 5, ...LOW },
      ],
      [],
    )
    expect(after.map(({ rate }) => rate)).toEqual([570, 6])
  })

  test('knows no figure above the ceiling, which an operator may move', async () => {
    const { after, at } = await along([{ at: NOW, pause: 1000, rate: 600, burst: 600 }], [NOW - 1], 60)
    expect(at[0]).toMatchObject({ rate: 60, burst: 1 })
    expect(after[0]).toMatchObject({ rate: 57 })
  })

  test('whatever comes: never above the ceiling, never lower without a 429, and back at 95 % after five minutes of quiet', async () => {
    const refusal = fc.record(
      {
        at: fc.integer({ min: 0, max: 2_000_000 }),
        pause: fc.integer({ min: 0, max: 60_000 }),
        late: fc.integer({ min: 0, max: 30_000 }),
        rate: fc.integer({ min: 6, max: 900 }),
        burst: fc.integer({ min: 1, max: 20 }),
      },
      { requiredKeys: ['at', 'pause', 'late'] },
    )
    await fc.assert(
      fc.asyncProperty(fc.array(refusal, { minLength: 1, maxLength: 12 }), async (found) => {
        const refusals = found
          .toSorted((a, b) => a.at - b.at)
          .map(({ late, ...one }) => ({ ...one, sent: one.at - late }))
        const last = refusals.at(-1)?.at ?? 0
        const from = Math.max(...refusals.map(({ at, pause }) => at + pause))
        const looks = Array.from({ length: 40 }, (_, i) => last + 1 + i * 10_000)
        const { after, at } = await along(refusals, [...looks, from + 300_000])
        for (const { rate, burst } of [...after, ...at]) {
          expect(rate).toBeLessThanOrEqual(600)
          expect(rate).toBeGreaterThanOrEqual(1)
          expect(burst).toBeGreaterThanOrEqual(1)
          expect(burst).toBeLessThanOrEqual(10)
        }
        for (const [i, one] of after.entries()) {
          const { rate = 600 } = refusals[i] ?? {}
          expect(one.rate).toBeLessThanOrEqual(rate)
        }
        for (const [i, one] of at.slice(1).entries()) expect(one.rate).toBeGreaterThanOrEqual(at[i]?.rate ?? 0)
        expect(at.at(-1)?.rate).toBeGreaterThanOrEqual(0.95 * 600)
      }),
      { numRuns: examples(100) },
    )
  })
})

describe('an account whose limit changes, in simulated time', () => {
  const MINUTE = 60_000
  const accountReply = z.object({
    minutes: z.array(z.object({ created: z.number(), refused: z.number() })),
    probing: z.number(),
  })
  const created = async (minutes: number, limits: object[]) =>
    accountReply.parse(
      JSON.parse(
        String(await runAccount(redis, [], [JSON.stringify({ plan: PLAN, until: minutes * MINUTE, limits })])),
      ),
    )
  const usual = { from: 0, rate: 600, burst: 600, states: false }
  const low = { rate: 6, burst: 1, states: true }

  test('uses the whole limit, without a 429, while nothing lowers it', async () => {
    const { minutes } = await created(5, [usual])
    for (const one of minutes) expect(one.created).toBeGreaterThanOrEqual(0.99 * 600)
    expect(minutes.reduce((sum, { refused }) => sum + refused, 0)).toBe(0)
  })

  test.each([0, 17, 30, 44, 61, 75])(
    'with little credit it creates what is allowed; %i seconds into a minute credit comes, and it is back within five minutes',
    async (second) => {
      const lifted = 10 * MINUTE + second * 1000
      const { minutes, probing } = await created(17, [usual, { from: 2 * MINUTE, ...low }, { ...usual, from: lifted }])
      for (const one of minutes.slice(3, 10)) {
        expect(one.created).toBeGreaterThanOrEqual(4)
        expect(one.created).toBeLessThanOrEqual(7)
        // One try of a higher rate in a minute.
        expect(one.refused).toBeLessThanOrEqual(2)
      }
      expect(probing).toBeGreaterThan(0)
      const first = Math.ceil(lifted / MINUTE) + 5
      for (const one of minutes.slice(first)) {
        expect(one.created).toBeGreaterThanOrEqual(0.95 * 600)
        expect(one.refused).toBe(0)
      }
    },
  )

  test('finds a limit that no 429 states, and uses most of it', async () => {
    const { minutes } = await created(30, [{ from: 0, rate: 200, burst: 20, states: false }])
    const settled = minutes.slice(10)
    const mean = settled.reduce((sum, one) => sum + one.created, 0) / settled.length
    const refused = settled.reduce((sum, one) => sum + one.refused, 0) / settled.length
    expect(mean).toBeGreaterThan(0.75 * 200)
    expect(refused).toBeLessThan(2)
  })
})
