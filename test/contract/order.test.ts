import * as fc from 'fast-check'
import { ulid } from 'ulid'
import { describe, expect, test } from 'vitest'
import { createRedisAuditSource } from '../../src/shared/audit/redis-audit-source.ts'
import { checkOrder } from '../../src/shared/audit/rules/check-order.ts'
import type { Problem } from '../../src/shared/audit/rules/finding.ts'
import { flowOf, parseFlightMember } from '../../src/shared/jobs/record/line-member.ts'
import type { JobStore } from '../../src/shared/jobs/ports.ts'
import type { Place } from '../../src/shared/jobs/rules/place.ts'
import { examples } from '../support/property-seed.ts'
import { jobScene, type JobScene } from '../support/job-scene.ts'
import { placed } from '../support/places.ts'

/** The order of waiting jobs (docs/adr/0017-fair-order.md), on Redis, without workers. */

const newId = (): string => `job_${ulid()}`
const place = (changes: Partial<Place> = {}): Place =>
  placed(newId(), { ready: 1_700_000_000_000, cost: 1, ...changes })
const many = (count: number, changes: Partial<Place>): Place[] => Array.from({ length: count }, () => place(changes))

/** Claims `count` jobs, at most ten at once as a worker does. */
async function take(store: JobStore, count: number): Promise<Place[]> {
  const taken: Place[] = []
  while (taken.length < count) {
    const { places } = await store.claimLine(Math.min(10, count - taken.length), true)
    if (places.length === 0) return taken
    taken.push(...places)
  }
  return taken
}

const countOf = (places: readonly Place[], tenant: string): number =>
  places.filter((one) => one.tenant === tenant).length

const problemsOf = async ({ redis, keys }: JobScene): Promise<Problem[]> =>
  checkOrder(await createRedisAuditSource({ redis, keys }).order(), keys)

const limits = new Map<string, number>()

describe('the order of waiting jobs', () => {
  test('gives a lone job of one tenant its turn beside ten thousand of another', async () => {
    const { store } = await jobScene()
    for (let i = 0; i < 10; i++) await store.joinLine(many(1000, { tenant: 'crowd' }))
    await take(store, 100)
    await store.joinLine([place({ tenant: 'lone', ready: Date.now() })])
    const next = await take(store, 2)
    expect(countOf(next, 'lone')).toBe(1)
  })

  test('splits any thousand dispatches by the weights of tenants', async () => {
    const { store, redis, keys } = await jobScene()
    await redis.hset(keys.limits, 'weight tenant:heavy', '3')
    await store.joinLine([...many(1200, { tenant: 'light' }), ...many(2400, { tenant: 'heavy' })])
    const taken = await take(store, 2500)
    for (let from = 0; from <= taken.length - 1000; from += 50)
      expect(Math.abs(countOf(taken.slice(from, from + 1000), 'heavy') - 750)).toBeLessThanOrEqual(50)
  })

  test('counts the cost of jobs, and the typical run time of a target where there is no price', async () => {
    const { store, redis, keys } = await jobScene()
    await redis.hset(keys.costs, 'a/slow', '4')
    await store.joinLine([
      ...many(100, { tenant: 'cheap', cost: 1 }),
      ...many(100, { tenant: 'dear', cost: 2 }),
      ...many(100, { tenant: 'slow', cost: null, lane: 'model:a/slow' }),
    ])
    const taken = await take(store, 70)
    expect(
      [countOf(taken, 'cheap'), countOf(taken, 'dear'), countOf(taken, 'slow')].map((n) => Math.round(n / 10)),
    ).toEqual([4, 2, 1])
  })

  test('takes interactive jobs first, but each tenth from a batch while both wait', async () => {
    const { store } = await jobScene()
    await store.joinLine([...many(200, { priority: 'batch', tenant: 'b' }), ...many(200, { tenant: 'a' })])
    const taken = await take(store, 200)
    for (let from = 0; from + 10 <= taken.length; from++) {
      const batch = taken.slice(from, from + 10).filter(({ priority }) => priority === 'batch')
      expect(batch.length).toBe(1)
    }
  })

  test('takes the jobs of a tenant by the time since when they are ready, whatever they run', async () => {
    const { store } = await jobScene()
    const places = [5, 1, 4, 2, 3].map((ready, i) => place({ ready, lane: `model:a/${i % 2}` }))
    await store.joinLine(places)
    expect((await take(store, 5)).map(({ ready }) => ready)).toEqual([1, 2, 3, 4, 5])
  })

  test('gives a job that comes back its old place, and charges its tenant once', async () => {
    const { store } = await jobScene()
    await store.joinLine([...many(10, { tenant: 'a' }), ...many(10, { tenant: 'b' })])
    const [first] = await take(store, 1)
    if (!first) throw new Error('no job')
    await take(store, 4)
    await store.joinLine([first])
    expect((await take(store, 1))[0]?.job).toBe(first.job)
    for (let i = 0; i < 20; i++) {
      await store.joinLine([first])
      await take(store, 1)
    }
    const rest = await take(store, 10)
    expect(Math.abs(countOf(rest, 'a') - countOf(rest, 'b'))).toBeLessThanOrEqual(1)
  })

  test('parks what a limit or a pause holds up, and nothing else waits for it', async () => {
    const scene = await jobScene()
    const { store, redis, keys } = scene
    await redis.hset(keys.limits, 'default concurrency preset:one', '1')
    await redis.hset(keys.pauses, 'tenant:paused', '{}')
    await store.joinLine([
      ...many(50, { tenant: 'a', lane: 'preset:one|model:a/b', ready: 1 }),
      ...many(50, { tenant: 'paused', ready: 1 }),
      ...many(2, { tenant: 'a', lane: 'model:a/b', ready: 2 }),
    ])
    const taken = await take(store, 100)
    expect(taken.map(({ tenant, lane }) => `${tenant} ${lane}`)).toEqual([
      'a preset:one|model:a/b',
      'a model:a/b',
      'a model:a/b',
    ])
    expect(await store.wakeLanes()).toBe(1)
    await redis.hdel(keys.pauses, 'tenant:paused')
    // An operator's empty limit lifts that of the file.
    await redis.hset(keys.limits, 'concurrency preset:one', '')
    expect(await store.wakeLanes()).toBe(1)
    expect((await take(store, 200)).length).toBe(99)
    expect(await problemsOf(scene)).toEqual([])
  })

  test('gives no lease on a job that another worker took meanwhile, and the lease of a dead one ends', async () => {
    const scene = await jobScene({ dueLease: 200 })
    const { store } = scene
    const id = await scene.accepted()
    const job = await store.read(id)
    if (!job) throw new Error('no job')
    await store.keepInLine(job, 1000)
    expect((await take(store, 1)).map((one) => one.job)).toEqual([id])
    const intends = (lease: string): Promise<unknown> => scene.happen(id, { type: 'intend', claim: id, lease })
    await expect(intends('another')).rejects.toThrow('unleased')
    await store.keepInLine(job, 1000)
    expect(await take(store, 1)).toEqual([])
    await store.renewLeases([id])
    await intends(store.lease)
  })
})

type Step = {
  what: 'join' | 'take' | 'back' | 'leave' | 'end' | 'limit' | 'pause' | 'resume' | 'wake'
  n: number
  tenant: number
  lane: number
}
const step: fc.Arbitrary<Step> = fc.record({
  what: fc.constantFrom(
    'join',
    'join',
    'join',
    'take',
    'take',
    'back',
    'leave',
    'end',
    'end',
    'limit',
    'pause',
    'resume',
    'wake',
  ),
  n: fc.integer({ min: 1, max: 8 }),
  tenant: fc.integer({ min: 0, max: 3 }),
  lane: fc.integer({ min: 0, max: 2 }),
})

/** Jobs in random places come, go and end, beside limits and pauses that change. */
async function story(scene: JobScene, steps: readonly Step[]): Promise<void> {
  const { store, redis, keys } = scene
  const taken: Place[] = []
  const flying: Place[] = []
  let joined = 0
  let gone = 0
  const scopes = ({ tenant, lane }: Place): string[] => [
    `tenant:${tenant}`,
    ...lane.split('|'),
    ...lane
      .split('|')
      .filter((scope) => scope.startsWith('preset:'))
      .map((scope) => `${scope}@${tenant}`),
  ]
  const fly = (one: Place) => redis.zadd(keys.flight, ...scopes(one).flatMap((scope) => ['0', `${scope} ${one.job}`]))
  const land = (one: Place) => redis.zrem(keys.flight, ...scopes(one).map((scope) => `${scope} ${one.job}`))
  for (const { what, n, tenant, lane } of steps) {
    const named = `preset:p${lane}`
    if (what === 'join') {
      const places = many(n, {
        tenant: `t${tenant}`,
        lane: lane === 2 ? 'model:a/b' : `${named}|model:a/b`,
        priority: n % 3 === 0 ? 'batch' : 'interactive',
        ready: n,
      })
      joined += n
      await store.joinLine(places)
    } else if (what === 'take') {
      const { places } = await store.claimLine(n, true)
      for (const one of places) {
        taken.push(one)
        await fly(one)
      }
      // A limit that was lowered holds up only what starts later.
      for (const [scope, limit] of limits) {
        const held = (await redis.zrange(keys.flight, '0', '-1')).filter(
          (one) => parseFlightMember(one).scope === scope,
        )
        const isTaken = places.some((one) => scopes(one).includes(scope))
        if (isTaken) expect(held.length).toBeLessThanOrEqual(limit)
      }
    } else if (what === 'back') {
      const [one] = taken.splice(0, 1)
      if (!one) continue
      await land(one)
      await store.joinLine([one])
    } else if (what === 'leave') {
      const [member] = await redis.zrange(keys.line, '0', '0')
      if (member) gone += await redis.zrem(keys.line, member)
    } else if (what === 'end') {
      const [one] = taken.splice(0, 1)
      if (!one) continue
      await land(one)
      flying.push(one)
    } else if (what === 'limit') {
      limits.set(named, n)
      await redis.hset(keys.limits, `concurrency ${named}`, String(n))
    } else if (what === 'pause') await redis.hset(keys.pauses, `tenant:t${tenant}`, '{}')
    else if (what === 'resume') await redis.hdel(keys.pauses, `tenant:t${tenant}`)
    else await store.wakeLanes()
  }
  // Everything goes on once nothing holds it up.
  await redis.del(keys.pauses, keys.limits)
  limits.clear()
  for (const one of taken) await land(one)
  await store.wakeLanes()
  const rest = await take(store, 10_000)
  expect(taken.length + flying.length + rest.length + gone).toBe(joined)
  const ids = [...taken, ...flying, ...rest].map(({ job }) => job)
  expect(new Set(ids).size).toBe(ids.length)
  expect(await problemsOf(scene)).toEqual([])
  expect(await redis.zcard(keys.line)).toBe(0)
  expect(await redis.zcard(keys.parked)).toBe(0)
}

test('every job that joins is taken once, within the limits, whatever happens between', async () => {
  const scene = await jobScene()
  await fc.assert(
    fc.asyncProperty(fc.array(step, { minLength: 20, maxLength: 120, size: 'max' }), async (steps) => {
      limits.clear()
      await story(scene, steps)
      await scene.redis.del(scene.keys.places, scene.keys.shares)
    }),
    { numRuns: examples(25) },
  )
})

test.each<[string, (scene: JobScene, lone: Place) => Promise<unknown>]>([
  ['a head is lost', ({ redis, keys }, lone) => redis.hdel(keys.laneHeads, flowOf(lone))],
  [
    'a later head is noted',
    ({ redis, keys }, lone) => redis.hset(keys.laneHeads, flowOf(lone), `9999999999999 ${lone.job}`),
  ],
  ['the entries are lost', ({ redis, keys }) => redis.del(keys.lanes)],
  ['a turn is lost', ({ redis, keys }, lone) => redis.zrem(keys.turns('interactive'), lone.tenant)],
  [
    'a lane is parked for nothing',
    ({ redis, keys }, lone) => redis.hset(keys.laneHeads, flowOf(lone), 'parked tenant:x 0'),
  ],
  [
    'an entry is left over',
    ({ redis, keys }, lone) => redis.zadd(keys.lanes, 0, `i ${lone.tenant} 1 job_gone model:gone`),
  ],
])('the audit finds and repairs that %s', async (_what, damage) => {
  const scene = await jobScene()
  const { store, redis } = scene
  const lone = place({ tenant: 'lone' })
  const others = many(3, { tenant: 'others' })
  await store.joinLine([lone, ...others])
  expect(await problemsOf(scene)).toEqual([])
  await damage(scene, lone)
  const found = await problemsOf(scene)
  expect(found).not.toEqual([])
  for (const [name, ...args] of found.flatMap(({ fix }) => fix)) await redis.call(name, ...args)
  expect(await problemsOf(scene)).toEqual([])
  await store.wakeLanes()
  expect((await take(store, 10)).map(({ job }) => job).toSorted()).toEqual(
    [lone, ...others].map(({ job }) => job).toSorted(),
  )
})
