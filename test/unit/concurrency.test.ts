import { describe, expect, test } from 'vitest'
import { createSemaphore, mapLimited } from '../../src/shared/values/concurrency.ts'

/** Work that ends when the test says so. Counts how many run at the same time. */
function gatedWork() {
  const started: number[] = []
  const gates = new Map<number, PromiseWithResolvers<string>>()
  let running = 0
  let most = 0
  return {
    started,
    most: () => most,
    end: (index: number) => gates.get(index)?.resolve(`result ${index}`),
    fail: (index: number) => gates.get(index)?.reject(new Error(`failure ${index}`)),
    async work(_item: unknown, index: number): Promise<string> {
      started.push(index)
      most = Math.max(most, ++running)
      const gate = Promise.withResolvers<string>()
      gates.set(index, gate)
      try {
        return await gate.promise
      } finally {
        running--
      }
    },
  }
}
/** Lets every promise that can settle without the outside settle. */
const settled = (): Promise<void> => new Promise((resolve) => setImmediate(resolve))

describe('mapLimited', () => {
  test.for<[items: number, atOnce: number, most: number]>([
    [0, 4, 0],
    [1, 4, 1],
    [3, 4, 3],
    [4, 4, 4],
    [9, 4, 4],
    [5, 1, 1],
  ])('%i items, at most %i at once: %i run at the same time, results in order', async ([items, atOnce, most]) => {
    const { started, work, end, most: seen } = gatedWork()
    const all = mapLimited(Array.from({ length: items }), atOnce, work)
    for (let index = 0; index < items; index++) {
      await settled()
      end(index)
    }
    expect(await all).toEqual(Array.from({ length: items }, (_, index) => `result ${index}`))
    expect(started).toEqual(Array.from({ length: items }, (_, index) => index))
    expect(seen()).toBe(most)
  })

  test('an item starts as soon as any other one has ended', async () => {
    const { started, work, end } = gatedWork()
    const all = mapLimited(['a', 'b', 'c', 'd'], 2, work)
    end(1)
    await settled()
    expect(started).toEqual([0, 1, 2])
    for (const index of [2, 0]) end(index)
    await settled()
    end(3)
    expect(await all).toEqual(['result 0', 'result 1', 'result 2', 'result 3'])
  })

  test('after a failure nothing starts, and it rejects when nothing is in flight, with the first failure', async () => {
    const { started, work, end, fail } = gatedWork()
    let outcome: unknown = 'pending'
    const all = mapLimited(['a', 'b', 'c', 'd', 'e'], 3, work).catch((error: unknown) => (outcome = error))
    fail(1)
    await settled()
    expect(outcome).toBe('pending')
    end(2)
    await settled()
    expect(outcome).toBe('pending')
    fail(0)
    await all
    expect(outcome).toEqual(new Error('failure 0'))
    expect(started).toEqual([0, 1, 2])
  })
})

describe('a semaphore', () => {
  test.for<[name: string, capacity: number, units: number[], entered: number[], afterFirst: number[]]>([
    ['admits as many as fit', 2, [1, 1], [0, 1], [0, 1]],
    ['makes the next one wait until one leaves', 2, [1, 1, 1], [0, 1], [0, 1, 2]],
    ['serves waiters in their order', 1, [1, 1, 1], [0], [0, 1]],
    ['admits several waiters when several fit', 10, [10, 5, 5, 5], [0], [0, 1, 2]],
    ['lets a waiter pass one that needs more than is free', 10, [4, 4, 8, 2, 3], [0, 1, 3], [0, 1, 3, 4]],
    ['runs what needs more than everything alone', 10, [50, 1], [0], [0, 1]],
    ['lets what needs more than everything wait for the others', 10, [1, 50], [0], [0, 1]],
  ])('%s', async ([, capacity, units, entered, afterFirst]) => {
    const semaphore = createSemaphore(capacity)
    const inside: number[] = []
    const releases: (() => void)[] = []
    const enter = async (unit: number, index: number): Promise<void> => {
      releases[index] = await semaphore.acquire(unit)
      inside.push(index)
    }
    for (const [index, unit] of units.entries()) void enter(unit, index)
    await settled()
    expect(inside).toEqual(entered)
    releases[0]?.()
    await settled()
    expect(inside).toEqual(afterFirst)
  })

  test('a waiter leaves when its signal aborts, and takes nothing', async () => {
    const semaphore = createSemaphore(1)
    const release = await semaphore.acquire()
    const abort = new AbortController()
    const left = semaphore.acquire(1, abort.signal)
    const next = semaphore.acquire()
    abort.abort(new Error('gone'))
    await expect(left).rejects.toThrow('gone')
    await expect(semaphore.acquire(1, abort.signal)).rejects.toThrow('gone')
    release()
    ;(await next)()
    await expect(semaphore.run(async () => 'free')).resolves.toBe('free')
  })

  test('work that fails releases its unit', async () => {
    const semaphore = createSemaphore(1)
    await expect(semaphore.run(() => Promise.reject(new Error('failed')))).rejects.toThrow('failed')
    await expect(semaphore.run(async () => 'free')).resolves.toBe('free')
  })
})
