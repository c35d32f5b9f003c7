import * as fc from 'fast-check'
import { ulid } from 'ulid'
import { expect, test } from 'vitest'
import { jobScene } from '../support/job-scene.ts'
import { examples } from '../support/property-seed.ts'
import { queueScene } from '../support/queue-worker.ts'
import { waitFor } from '../support/wait-for.ts'

/** Whose outputs are copied next (docs/adr/0017-fair-order.md), with the queue and a real worker. */

const MINUTE = 60_000

async function copyScene() {
  const scene = await jobScene()
  const { queues, doorbells, worker } = queueScene(scene)
  const job = (tenant: string) => ({ id: `job_${ulid()}`, tenant })
  const ring = (of: { id: string; tenant: string }, minutes = 60): Promise<void> =>
    doorbells.store(of, {
      v: 1,
      kind: 'store',
      attempt: 1,
      output: null,
      output_pending: false,
      expires_at: Date.now() + minutes * MINUTE + MINUTE / 2,
      give_up_at: Date.now() + 60 * MINUTE,
    })
  return {
    ...scene,
    queues,
    worker,
    job,
    ring,
    /** Rings for `count` further jobs, one after the other. */
    async many(tenant: string, count: number, minutes?: number) {
      const jobs = Array.from({ length: count }, () => job(tenant))
      for (const one of jobs) await ring(one, minutes)
      return jobs
    },
    /** What a worker would take, in that order. */
    waiting: async (): Promise<string[]> => (await queues.store.getPrioritized()).map(({ data }) => data.job),
  }
}

test('five copies of one tenant are not delayed by five hundred of another, and what is removed soon is first', async () => {
  const { many, worker, waiting } = await copyScene()
  const crowd = await many('crowd', 500)
  const few = await many('few', 5)
  const soon = await many('crowd', 2, 10)
  const begun: string[] = []
  const { stop } = await worker({ store: async (id) => void begun.push(id) })
  await waitFor('all copies', () => begun.length >= 507)
  await stop()
  expect(begun.slice(0, 2).toSorted()).toEqual(soon.map(({ id }) => id).toSorted())
  for (const { id } of few) expect(begun.indexOf(id)).toBeLessThan(20)
  expect(begun.toSorted()).toEqual([...crowd, ...few, ...soon].map(({ id }) => id).toSorted())
  expect(await waiting()).toEqual([])
})

test('a copy that is queued again costs nothing more, keeps its place, and goes to the front when it is removed soon', async () => {
  const { many, ring, waiting, queues, redis, keys } = await copyScene()
  const [first, second] = await many('a', 2)
  const [other] = await many('b', 1)
  const order = [first?.id, other?.id, second?.id]
  const tags = await redis.hgetall(keys.copyShares)
  for (const one of [first, second, other]) if (one) await ring(one)
  expect(await waiting()).toEqual(order)
  expect(await redis.hgetall(keys.copyShares)).toEqual(tags)
  const [late, later] = [second, first]
  if (late) await ring(late, 4)
  if (later) await ring(later, 9)
  expect(await waiting()).toEqual([second?.id, first?.id, other?.id])
  expect((await queues.store.getPrioritized()).map(({ priority }) => priority)).toEqual([5, 10, 64])
  // A later ring with the same urgency changes nothing.
  if (late) await ring(late, 4)
  expect(await waiting()).toEqual([second?.id, first?.id, other?.id])
})

test('when nothing waits, nobody is owed a turn', async () => {
  const { many, queues, waiting } = await copyScene()
  await many('a', 50)
  await queues.store.drain()
  const [first] = await many('a', 1)
  const [next] = await many('b', 1)
  expect(await waiting()).toEqual([first?.id, next?.id])
})

test('a tenant that comes waits for one turn of each that was there, whatever was queued and begun before', async () => {
  const { job, ring, many, queues, redis, keys } = await copyScene()
  await redis.hset(keys.limits, 'weight tenant:heavy', '3')
  const tenants = ['heavy', 'a', 'b'] as const
  const step = fc.record({
    tenant: fc.constantFrom(...tenants),
    count: fc.integer({ min: 0, max: 12 }),
    takes: fc.nat(15),
  })
  const tenantOf = new Map<string, string>()
  const next = async (count: number): Promise<string[]> => {
    const first = await queues.store.getPrioritized(0, count - 1)
    for (const one of first) await one.remove()
    return first.map(({ data }) => tenantOf.get(data.job) ?? '')
  }
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 12 }), async (steps) => {
      await queues.store.drain()
      for (const { tenant, count, takes } of steps) {
        for (let i = 0; i < count; i++) {
          const one = job(tenant)
          tenantOf.set(one.id, tenant)
          await ring(one)
        }
        if (takes > 0) await next(takes)
      }
      // A tenant that comes now waits at most for one turn of each tenant that was there: three of the heavy one.
      for (const one of await many('new', 3)) tenantOf.set(one.id, 'new')
      const order = await next(40)
      const turns = order.flatMap((tenant, at) => (tenant === 'new' ? [at] : []))
      expect(turns).toHaveLength(3)
      for (const [i, at] of turns.entries()) expect(at).toBeLessThanOrEqual((i + 1) * 5 + i + 3)
      await queues.store.drain()
    }),
    { numRuns: examples(6) },
  )
}, 60_000)

test('tenants that wait share by weight, in whatever order their copies were queued', async () => {
  const { job, ring, queues, redis, keys } = await copyScene()
  await redis.hset(keys.limits, 'weight tenant:heavy', '3')
  const EACH = 60
  const places = Array.from({ length: 2 * EACH }, (_, i) => i)
  await fc.assert(
    fc.asyncProperty(fc.shuffledSubarray(places, { minLength: places.length }), async (shuffled) => {
      const jobs = shuffled.map((place) => job(place < EACH ? 'heavy' : 'light'))
      const tenantOf = new Map(jobs.map(({ id, tenant }) => [id, tenant]))
      for (const one of jobs) await ring(one)
      const first = await queues.store.getPrioritized(0, EACH - 1)
      const heavy = first.slice(20).filter(({ data }) => tenantOf.get(data.job) === 'heavy')
      // Three of four.
      expect(Math.abs(heavy.length - 30)).toBeLessThanOrEqual(2)
      await queues.store.drain()
    }),
    { numRuns: examples(4) },
  )
})
