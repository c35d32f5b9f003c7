import { Redis } from 'ioredis'
import { afterAll, expect, test } from 'vitest'
import type { ReadBudget, ReadPurpose } from '../../src/shared/limits/rules/budget.ts'
import { createReadBudget, readBudgetFree } from '../../src/shared/limits/redis-budget.ts'
import { freshPrefix, testRedisUrl } from '../support/redis.ts'
import { waitFor } from '../support/wait-for.ts'

const redis = new Redis(testRedisUrl())
afterAll(() => redis.disconnect())

/** A budget that processes share, and for what its tokens were taken, in order. */
function shared(rate: { perMinute: number; burst: number }) {
  const key = `${freshPrefix()}:reads`
  const taken: ReadPurpose[] = []
  const stop = new AbortController()
  const waits: Promise<void>[] = []
  return {
    taken,
    process: (): ReadBudget => createReadBudget({ redis, key, ...rate }),
    ask(budget: ReadBudget, purpose: ReadPurpose, times: number): void {
      for (let i = 0; i < times; i++)
        waits.push(
          budget
            .of(purpose)
            .take(stop.signal)
            .then(() => void taken.push(purpose)),
        )
    },
    all: (): Promise<unknown> => Promise.all(waits),
    /** Whoever waits, waits no more. */
    async end(): Promise<void> {
      stop.abort()
      await Promise.allSettled(waits)
    },
  }
}

test('however many ask, each purpose leaves a part of the burst to those that go before it', async () => {
  // One more token in a minute: what can be taken is the burst.
  const { taken, process, ask, end } = shared({ perMinute: 1, burst: 20 })
  const counted = (purpose: ReadPurpose): number => taken.filter((one) => one === purpose).length
  for (const [purpose, tokens] of [
    ['poll', 10],
    ['adopt', 4],
    ['expiring', 4],
    ['cancel', 2],
  ] as const) {
    ask(process(), purpose, 20)
    await waitFor(`what is there for ${purpose}`, () => counted(purpose) === tokens)
  }
  expect(taken).toHaveLength(20)
  await end()
})

test('of those that wait in a process the most urgent is next, though nothing can be left to it', async () => {
  const { taken, process, ask, all } = shared({ perMinute: 300, burst: 1 })
  const one = process()
  ask(one, 'poll', 5)
  await waitFor('the first', () => taken.length > 0)
  const before = taken.length
  ask(one, 'adopt', 1)
  ask(one, 'cancel', 2)
  await all()
  // One poll may have been on its way to Redis.
  expect(taken.slice(before).join(' ')).toMatch(/^(poll )?cancel cancel adopt( poll)*$/)
})

test('all purposes and processes together take no more than there is', async () => {
  const { process, ask, all } = shared({ perMinute: 3000, burst: 5 })
  const [one, other] = [process(), process()]
  const begun = performance.now()
  for (const purpose of ['poll', 'cancel', 'adopt', 'expiring'] as const) {
    ask(one, purpose, 10)
    ask(other, purpose, 10)
  }
  await all()
  // 20 ms each, but for the burst.
  expect(performance.now() - begun).toBeGreaterThanOrEqual((80 - 5) * 20 - 1)
})

test('a wait ends with its signal, also behind another one', async () => {
  const { process, ask, end } = shared({ perMinute: 1, burst: 1 })
  const one = process()
  ask(one, 'poll', 2)
  const leaves = new AbortController()
  const gone = one.of('poll').take(leaves.signal)
  leaves.abort(new Error('left'))
  await expect(gone).rejects.toThrow('left')
  await expect(one.of('poll').take(AbortSignal.abort(new Error('never came')))).rejects.toThrow('never came')
  await end()
})

test('a stopped caller takes no token and does not block the others', async () => {
  const { taken, process, ask, all } = shared({ perMinute: 600, burst: 1 })
  const one = process()
  ask(one, 'poll', 1)
  await all()
  const leaves = new AbortController()
  const gone = one.of('cancel').take(leaves.signal)
  leaves.abort()
  await expect(gone).rejects.toThrow()
  ask(one, 'poll', 1)
  await all()
  expect(taken).toEqual(['poll', 'poll'])
})

test('a clock of Redis that is set back by ten minutes costs no more than the burst', async () => {
  const key = `${freshPrefix()}:reads`
  await redis.set(key, (Date.now() + 600_000) * 1000)
  await createReadBudget({ redis, key, perMinute: 6000, burst: 10 }).of('cancel').take(new AbortController().signal)
  // A burst of 600 s: what lies further ahead was brought by no token.
  await redis.set(key, (Date.now() + 900_000) * 1000)
  const slow = { redis, key, perMinute: 1, burst: 10 }
  await createReadBudget(slow).of('cancel').take(new AbortController().signal)
  // One passed; the others come at the rate.
  expect(await readBudgetFree(slow)).toBe(0)
})
