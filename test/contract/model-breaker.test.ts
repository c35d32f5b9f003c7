import { Redis } from 'ioredis'
import * as fc from 'fast-check'
import { afterAll, describe, expect, test } from 'vitest'
import { loadScript } from '../../src/shared/redis/script.ts'
import { freshPrefix, testRedisUrl } from '../support/redis.ts'
import { examples } from '../support/property-seed.ts'

const redis = new Redis(testRedisUrl())
afterAll(() => redis.disconnect())

const run = loadScript(new URL('../fixtures/model-breaker-run.lua', import.meta.url), {
  includes: ['manual-clock.lua', 'model-breaker.lua'].map(
    (name) => new URL(`../../src/shared/limits/${name}`, import.meta.url),
  ),
})

const TARGET = 'model:owner/name'
const [LIMIT, FIRST, LONGEST, LEASE] = [10, 5000, 60_000, 120_000]
type Call = 'pass' | 'fault' | 'works' | 'look'

/** A breaker, at times that the test says. */
function breaker() {
  const prefix = freshPrefix()
  const keys = ['breakers', 'pauses', 'clocks'].map((name) => `${prefix}:${name}`)
  const [breakers = '', , clocks = ''] = keys
  return {
    /** Whether the target is paused afterwards. `sent`: when the create was sent, now by default. */
    async at(now: number, what: Call, sent = now, target = TARGET): Promise<boolean> {
      const args = [what, target, now, sent, LIMIT, FIRST, LONGEST, LEASE].map(String)
      return Number(await run(redis, keys, args)) === 1
    },
    clock: async () => Number(await redis.hget(clocks, `breaker:${TARGET}`)),
    state: () => redis.hgetall(breakers),
  }
}

/** A breaker that tripped at 1000. */
async function tripped() {
  const one = breaker()
  for (let i = 1; i < LIMIT; i++) expect(await one.at(1000, 'fault')).toBe(false)
  expect(await one.at(1000, 'fault')).toBe(true)
  return one
}

describe('the circuit breaker of a model', () => {
  test('opens after failures of the platform in a row, which any other end interrupts', async () => {
    const one = breaker()
    for (let round = 0; round < 3; round++) {
      for (let i = 1; i < LIMIT; i++) expect(await one.at(1000, 'fault')).toBe(false)
      expect(await one.at(1000, 'works')).toBe(false)
    }
    expect(await one.state()).toEqual({})
    await tripped()
  })

  test('is of one model only', async () => {
    const one = await tripped()
    expect(await one.at(1000, 'look', 1000, 'model:owner/other')).toBe(false)
  })

  test('lets one create pass at the end of its pause, then twice as many after each success, until it is closed', async () => {
    const one = await tripped()
    expect(await one.at(1000 + FIRST - 1, 'look')).toBe(true)
    let now = 1000 + FIRST
    expect(await one.at(now, 'look')).toBe(false)
    for (const passes of [1, 2, 4, 8, 16]) {
      for (let i = 1; i < passes; i++) expect(await one.at(++now, 'pass')).toBe(false)
      expect(await one.at(++now, 'pass')).toBe(true)
      expect(await one.at(++now, 'works')).toBe(false)
    }
    expect(await one.state()).toEqual({})
    for (let i = 0; i < 100; i++) expect(await one.at(++now, 'pass')).toBe(false)
    // The time of the pauses, which does not count for `start_within`.
    expect(await one.clock()).toBeGreaterThanOrEqual(FIRST)
  })

  test('opens again at the first failure of what passed, for twice as long each time', async () => {
    const one = await tripped()
    let now = 1000
    for (const pause of [FIRST, 10_000, 20_000, 40_000, 60_000, 60_000]) {
      expect(await one.at(now + pause - 1, 'look')).toBe(true)
      now += pause
      expect(await one.at(now, 'look')).toBe(false)
      expect(await one.at(now, 'pass')).toBe(true)
      expect(await one.at(now, 'fault')).toBe(true)
    }
  })

  test('is not moved by what was sent before it opened', async () => {
    const one = await tripped()
    expect(await one.at(1500, 'fault', 900)).toBe(true)
    expect(await one.at(1500, 'works', 900)).toBe(true)
    const now = 1000 + FIRST
    expect(await one.at(now, 'look')).toBe(false)
    expect(await one.at(now, 'fault', 900)).toBe(false)
    expect(await one.at(now, 'pass')).toBe(true)
    expect(await one.at(now, 'works', 900)).toBe(true)
    expect(await one.at(now, 'works')).toBe(false)
  })

  test('lets another create pass when nothing is heard of the first', async () => {
    const one = await tripped()
    const now = 1000 + FIRST
    await one.at(now, 'look')
    expect(await one.at(now, 'pass')).toBe(true)
    expect(await one.at(now + LEASE - 1, 'look')).toBe(true)
    expect(await one.at(now + LEASE, 'look')).toBe(false)
    expect(await one.at(now + LEASE, 'pass')).toBe(true)
  })

  test('whatever happens, it closes once the model works, and keeps nothing', async () => {
    const calls = fc.array(
      fc.tuple(fc.constantFrom<Call>('pass', 'fault', 'works', 'look'), fc.integer({ min: 0, max: 30_000 })),
      { maxLength: 40 },
    )
    await fc.assert(
      fc.asyncProperty(calls, async (all) => {
        const one = breaker()
        let now = 1000
        for (const [what, later] of all) {
          now += later
          await one.at(now, what)
        }
        for (let i = 0; i < 10; i++) {
          now += LEASE
          await one.at(now, 'look')
          await one.at(now, 'works')
        }
        expect(await one.at(now, 'look')).toBe(false)
        expect(await one.state()).toEqual({})
      }),
      { numRuns: examples(50) },
    )
  })
})
