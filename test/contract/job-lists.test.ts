import { randomUUID } from 'node:crypto'
import * as fc from 'fast-check'
import { ulid } from 'ulid'
import { beforeAll, expect, test, vi } from 'vitest'
import type { JobRecord } from '../../src/shared/jobs/rules/job.ts'
import { labelDigest, labelMember } from '../../src/shared/jobs/record/label-member.ts'
import { labelsOf, passes, type Label } from '../../src/shared/jobs/rules/job-filter.ts'
import type { JobQuery } from '../../src/shared/jobs/ports.ts'
import { jobScene, type JobScene } from '../support/job-scene.ts'
import { jobRecord } from '../unit/support/job-states.ts'

let scene: JobScene
beforeAll(async () => {
  scene = await jobScene()
})

const TENANT = 'lists'

/** Every page of a list. */
async function pages(tenant: string, query: JobQuery): Promise<JobRecord[][]> {
  const all: JobRecord[][] = []
  let { before, after } = query
  for (;;) {
    const { jobs, last } = await scene.store.list(tenant, { ...query, before, after })
    all.push(jobs)
    if (last === null) return all
    if (after === undefined) before = last
    else after = last
  }
}
const idsOf = (jobs: readonly JobRecord[]): string[] => jobs.map(({ id }) => id)

async function made(tenant: string, count: number, of: (i: number) => Partial<JobRecord>): Promise<string[]> {
  const ids: string[] = []
  const from = await scene.store.now()
  for (let at = 0; at < count; at += 250) {
    const some = Array.from({ length: Math.min(250, count - at) }, (_, i) => `job_${ulid(from + at + i)}`)
    const records = some.map((id, i) => ({ ...jobRecord('queued'), tenant, ...of(at + i), id, rev: 0 }))
    await Promise.all(records.map((record) => scene.store.create(record, null, randomUUID())))
    ids.push(...some)
  }
  return ids
}

const deleted = async (id: string): Promise<void> => {
  await scene.happen(id, { type: 'cancel' }, 'api')
  const { state } = await scene.store.load(id)
  if (!state) throw new Error('there is no job')
  expect(await scene.store.purge(state, { remove: 'record', early: false, kept: null }, randomUUID())).toBe(true)
}

test('one of 5,000 jobs is found by its label without looking at the others', async () => {
  const ids = await made('many', 5000, (i) => ({
    user: i % 2 === 0 ? 'even' : 'odd',
    metadata: {
      group: 'all',
      third: i % 3 === 0,
      sixth: i % 6 === 0,
      last: i > 4990,
      ...(i % 6 === 3 ? { 'odd third': true } : {}),
      ...(i === 2500 ? { only: 'one' } : {}),
    },
  }))
  const sent = vi.spyOn(scene.redis, 'sendCommand')
  const looked = async (labels: Label[], status?: 'queued') => {
    sent.mockClear()
    const { jobs, last } = await scene.store.list('many', { labels, status, limit: 20 })
    // Redis is sent a script again that it does not know yet.
    const commands = sent.mock.calls.map(([{ name }]) => name).filter((name) => name !== 'eval')
    return { ids: idsOf(jobs), last, commands }
  }
  const only: Label = ['metadata.only', 'one']
  const found = { ids: [ids[2500]], last: null }
  expect(await looked([only])).toEqual({ ...found, commands: ['zrange', 'evalsha'] })
  const counts = ['zlexcount', 'zlexcount']
  expect(await looked([['metadata.group', 'all'], only], 'queued')).toEqual({
    ...found,
    commands: [...counts, 'zrange', 'zmscore', 'zmscore', 'evalsha'],
  })
  // Two labels of many jobs, few of which have both: a thousand ids are compared at once, and no other job is read.
  const last = ids.filter((_id, i) => i > 4990 && i % 2 === 1).toReversed()
  const compared = ['zrange', 'zmscore']
  expect(
    await looked([
      ['metadata.last', 'true'],
      ['user', 'odd'],
    ]),
  ).toEqual({
    ids: last,
    last: null,
    commands: [...counts, ...compared, 'evalsha'],
  })
  expect(
    await looked([
      ['metadata.third', 'true'],
      ['metadata.sixth', 'false'],
    ]),
  ).toMatchObject({
    ids: expect.objectContaining({ length: 20 }),
    commands: [...counts, ...compared, 'evalsha'],
  })
  // No job has both, and 1,667 have one: the page says where the search continues, or that it is over.
  expect(
    await looked([
      ['metadata.third', 'true'],
      ['metadata.sixth', 'no'],
    ]),
  ).toEqual({
    ids: [],
    last: null,
    commands: [...counts, 'zrange'],
  })
  expect(
    await looked([
      ['metadata.third', 'true'],
      ['metadata.odd third', 'true'],
      ['user', 'even'],
    ]),
  ).toMatchObject({
    ids: [],
    last: null,
  })
  sent.mockRestore()
})

test('a search among many ends its page after five thousand ids', async () => {
  const index = scene.keys.tenantLabels('search')
  const [one = ''] = await made('search', 1, () => ({ user: 'u', metadata: { a: 1 } }))
  const [user, field] = [labelDigest(['user', 'u']), labelDigest(['metadata.a', '1'])]
  const newer = Array.from({ length: 5_500 }, (_, i) => `job_${ulid(Date.now() + 60_000 + i)}`)
  const members = newer.flatMap((id) => ['0', labelMember(user, id)])
  const others = newer.flatMap((id) => ['0', labelMember(labelDigest(['metadata.a', '2']), id)])
  await scene.redis.zadd(index, ...members, ...others)
  await scene.redis.zadd(index, ...newer.flatMap((_id, i) => ['0', labelMember(field, `job_${ulid(i)}`)]))
  const query = {
    labels: [
      ['user', 'u'],
      ['metadata.a', '1'],
    ] satisfies Label[],
    limit: 20,
  }
  const first = await scene.store.list('search', query)
  expect(first).toEqual({ jobs: [], last: newer[499 + 1] })
  const second = await scene.store.list('search', { ...query, before: first.last ?? '' })
  expect([idsOf(second.jobs), second.last]).toEqual([[one], null])
})

test('pages of any labels, statuses and times have exactly the jobs that match, newest first', async () => {
  const values = ['a', 'b', '\u0000', '\u007f', 'ü', '1']
  const ids = await made(TENANT, 120, (i) => ({
    user: i % 4 === 0 ? null : (values[i % 3] ?? null),
    metadata: { x: values[i % 6] ?? '', n: i % 2, yes: i % 5 === 0, ...(i % 7 === 0 ? { '\u0001': 'rare' } : {}) },
  }))
  for (const id of ids.filter((_id, i) => i % 11 === 0)) await scene.happen(id, { type: 'cancel' }, 'api')
  for (const id of ids.filter((_id, i) => i % 13 === 0))
    await scene.happen(id, { type: 'intend', claim: 'c' }).catch(() => undefined)
  const all = (await pages(TENANT, { limit: 1000 })).flat()
  expect(idsOf(all)).toEqual(ids.toReversed())

  const known = [...new Map(all.flatMap(labelsOf).map((label) => [label.join('='), label])).values()]
  const times = fc.option(fc.constantFrom(...all.map(({ created_at }) => created_at)), { nil: undefined })
  const queries = fc.record({
    labels: fc.subarray([...known, ['metadata.x', 'none'] as const], { maxLength: 3 }),
    status: fc.constantFrom(undefined, 'queued' as const, 'canceled' as const),
    created_after: times,
    created_before: times,
    limit: fc.integer({ min: 1, max: 50 }),
  })
  await fc.assert(
    fc.asyncProperty(queries, async (query) => {
      const found = await pages(TENANT, query)
      const matching = (jobs: readonly JobRecord[]): JobRecord[] => jobs.filter((job) => passes(job, query))
      const wanted = matching(all).filter(({ status }) => status === (query.status ?? status))
      expect(idsOf(matching(found.flat()))).toEqual(idsOf(wanted))
      // The indexes of labels and statuses name no other job.
      if (query.created_after === undefined && query.created_before === undefined)
        expect(found.flat()).toHaveLength(wanted.length)
      for (const page of found) expect(page.length).toBeLessThanOrEqual(query.limit)
      // The same pages from the other end, behind a job.
      const [from = ''] = ids
      const back = (await pages(TENANT, { ...query, after: from })).flat()
      expect(idsOf(matching(back))).toEqual(idsOf(wanted.filter(({ id }) => id > from)).toReversed())
    }),
    { numRuns: 60 },
  )
})

test('a job that is removed leaves no label, and one without labels never has any', async () => {
  const { redis, keys } = scene
  const [plain = ''] = await made('plain', 1, () => ({ metadata: { deep: {} } }))
  expect(await redis.exists(keys.tenantLabels('plain'))).toBe(0)
  await deleted(plain)
  const labeled = await made('labeled', 2, (i) => ({ user: 'u', metadata: { n: i, ok: true } }))
  expect(await redis.zcard(keys.tenantLabels('labeled'))).toBe(6)
  for (const id of labeled) await deleted(id)
  expect(await redis.exists(keys.tenantLabels('labeled'))).toBe(0)
})

test('a job of a release without labels is in the other lists, and is removed as ever', async () => {
  const [id = ''] = await made('earlier', 1, () => ({ metadata: { a: 'b' } }))
  await scene.redis.del(scene.keys.tenantLabels('earlier'))
  expect(await pages('earlier', { labels: [['metadata.a', 'b']], limit: 5 })).toEqual([[]])
  expect((await pages('earlier', { limit: 5 })).flat()).toHaveLength(1)
  await deleted(id)
  expect(await pages('earlier', { limit: 5 })).toEqual([[]])
})

test('a member that names no job is passed over, and a digest of two labels shows no wrong job', async () => {
  const { redis, keys } = scene
  const [id = '', other = ''] = await made('strange', 2, (i) => ({ metadata: { n: i } }))
  const index = keys.tenantLabels('strange')
  const [mine = '', its = ''] = (await redis.zrange(index, '-', '+', 'BYLEX')).toSorted((a, b) =>
    a.slice(7) < b.slice(7) ? -1 : 1,
  )
  await redis.zadd(index, 0, `${mine.slice(0, 7)}x`, 0, mine.slice(0, 7) + its.slice(7))
  const { jobs } = await scene.store.list('strange', { labels: [['metadata.n', '0']], limit: 5 })
  expect(idsOf(jobs)).toEqual([other, id])
  expect(idsOf(jobs.filter((job) => passes(job, { labels: [['metadata.n', '0']] })))).toEqual([id])
})
