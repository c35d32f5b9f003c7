import * as fc from 'fast-check'
import { ulid } from 'ulid'
import { expect, test } from 'vitest'
import { flightMember } from '../../src/shared/jobs/record/line-member.ts'
import { PRIORITIES } from '../../src/shared/jobs/rules/job.ts'
import type { Place } from '../../src/shared/jobs/rules/place.ts'
import { positionOf } from '../../src/shared/jobs/rules/turn.ts'
import { examples } from '../support/property-seed.ts'
import { jobScene } from '../support/job-scene.ts'
import { placed } from '../support/places.ts'

/** The position of a job as it is shown, beside the order in which jobs are chosen. */

const newId = (): string => `job_${ulid()}`
const TENANTS = ['ann', 'bob', 'cat'] as const

const crowd = fc.record({
  weights: fc.tuple(...TENANTS.map(() => fc.constantFrom(1, 2, 3))),
  costs: fc.tuple(...TENANTS.map(() => fc.constantFrom(1, 2, 5))),
  jobs: fc.array(
    fc.record({
      tenant: fc.nat(TENANTS.length - 1),
      priority: fc.constantFrom(...PRIORITIES),
      lane: fc.constantFrom('model:a/b', 'preset:page|model:c/d'),
      ready: fc.integer({ min: 1, max: 50 }),
    }),
    { minLength: 1, maxLength: 60 },
  ),
  taken: fc.nat(20),
})

test('the position of each job is the number of jobs that are chosen before it', async () => {
  await fc.assert(
    fc.asyncProperty(crowd, async ({ weights, costs, jobs, taken }) => {
      const { store, redis, keys } = await jobScene()
      for (const [i, tenant] of TENANTS.entries())
        await redis.hset(keys.limits, `weight tenant:${tenant}`, String(weights[i]))
      const places = jobs.map(({ tenant, priority, lane, ready }) =>
        placed(newId(), { tenant: TENANTS[tenant] ?? '', priority, lane, ready, cost: costs[tenant] ?? 1 }),
      )
      await store.joinLine(places)
      const before = (await store.claimLine(taken, true)).places.map(({ job }) => job)
      // Those in hand have their predictions by now.
      await redis.del(keys.places)
      const waiting = places.filter(({ job }) => !before.includes(job))
      const positions = await Promise.all(
        waiting.map(async (place) => [place.job, positionOf(await store.turnOf(place))] as const),
      )
      const order: string[] = []
      for (let next: Place[]; (next = (await store.claimLine(1, true)).places).length > 0;)
        order.push(...next.map(({ job }) => job))
      expect(positions.toSorted(([, a], [, b]) => a - b).map(([job]) => job)).toEqual(order)
      expect(positions.map(([, position]) => position).toSorted((a, b) => a - b)).toEqual([...order.keys()])
    }),
    { numRuns: examples(15) },
  )
})

test('a limit of jobs in flight, a pause and a choice are seen', async () => {
  const { store, redis, keys } = await jobScene()
  const [first, second, other] = [1, 2, 3].map((ready) =>
    placed(newId(), { tenant: ready < 3 ? 'ann' : 'bob', lane: 'preset:page|model:a/b', ready }),
  )
  if (!first || !second || !other) throw new Error('no jobs')
  await redis.hset(keys.limits, 'concurrency preset:page', '1')
  await redis.zadd(keys.flight, 0, flightMember('preset:page', 'job_running'))
  await store.joinLine([first, second, other])
  expect(await store.claimLine(5, true)).toMatchObject({ places: [] })
  const held = { scope: 'preset:page', limit: 1, held: 1 }
  expect(await store.turnOf(second)).toMatchObject({
    blocked: 'preset:page',
    isPaused: false,
    slots: [{ ...held, ahead: 2 }],
  })
  await redis.hset(keys.pauses, 'tenant:bob', '{"reason":"holiday","since":0,"by":"test"}')
  expect(await store.turnOf(other)).toMatchObject({ blocked: 'tenant:bob', isPaused: true })
  await redis.del(keys.pauses, keys.limits)
  await store.wakeLanes()
  await store.claimLine(1, true)
  const turns = await Promise.all([first, second, other].map((place) => store.turnOf(place)))
  expect(turns.filter(({ isChosen }) => isChosen)).toHaveLength(1)
})

test('errors of forecasts have quantiles once five are known', async () => {
  const { store, redis, keys } = await jobScene()
  const add = (error: number): Promise<void> => store.rememberError('batch', error)
  for (let i = 0; i < 4; i++) await add(1)
  expect(await store.forecastErrors('batch')).toBeNull()
  const { createRedisTurns } = await import('../../src/shared/jobs/indexes/redis-turns.ts')
  for (let i = 0; i < 5; i++) await add(4)
  const errors = await createRedisTurns({ redis, keys }).forecastErrors('batch')
  expect(errors?.p50).toBeCloseTo(4, 0)
  expect(errors?.p90).toBeCloseTo(4, 0)
})
