import { setImmediate as nextTurn } from 'node:timers/promises'
import { ulid } from 'ulid'
import { expect, test } from 'vitest'
import { SUBMITS_AT_ONCE } from '../../src/queues/contracts.ts'
import { parseLineMember } from '../../src/shared/jobs/record/line-member.ts'
import type { JobStore } from '../../src/shared/jobs/ports.ts'
import type { JobRecord } from '../../src/shared/jobs/rules/job.ts'
import { createLifecycle } from '../../src/shared/jobs/lifecycle.ts'
import { dueJob } from '../../src/shared/jobs/record/due-member.ts'
import { createLogger } from '../../src/shared/process/logger.ts'
import type { Processors } from '../../src/workers/start-workers.ts'
import { createSweep } from '../../src/workers/sweep.ts'
import { dice } from '../chaos/seeded.ts'
import { jobScene } from '../support/job-scene.ts'
import { placed } from '../support/places.ts'
import { queueScene } from '../support/queue-worker.ts'
import { SHORT_TIMINGS } from '../support/short-timings.ts'
import { waitFor } from '../support/wait-for.ts'
import { noNotifications } from '../support/no-notifications.ts'

/** The line of jobs that wait for a worker, and its doorbell (docs/adr/0011-one-doorbell-for-the-line.md). No sweep runs. */

const log = createLogger({ level: 'silent', readable: false })
const nothing = (): Promise<void> => Promise.resolve()
const newId = (): string => `job_${ulid()}`

async function claimed(store: JobStore, limit: number): Promise<{ jobs: string[]; waiting: number }> {
  const { places, waiting } = await store.claimLine(limit, true)
  return { jobs: places.map(({ job }) => job), waiting }
}

async function recordOf(store: JobStore, id: string): Promise<JobRecord> {
  const job = await store.read(id)
  if (!job) throw new Error(`there is no job ${id}`)
  return job
}

async function lineScene() {
  const scene = await jobScene(SHORT_TIMINGS)
  const { queues, doorbells, worker } = queueScene(scene)
  return {
    ...scene,
    queues,
    doorbells,
    worker: (submit: Processors['submit']) => worker({ submit }),
    waiting: () => queues.submit.getJobCounts('waiting', 'active'),
  }
}

test('one doorbell stands for all jobs that wait', async () => {
  const { doorbells, redis, keys, waiting } = await lineScene()
  const ids = Array.from({ length: 300 }, newId)
  for (let at = 0; at < ids.length; at += 100)
    await Promise.all(ids.slice(at, at + 100).map((id) => doorbells.submit(placed(id))))
  expect(await waiting()).toEqual({ waiting: 1, active: 0 })
  // The line is in the order of acceptance, and a job has one place.
  await doorbells.submit(...ids.map((id) => placed(id)))
  expect((await redis.zrange(keys.line, '0', '-1')).map((member) => parseLineMember(member).job)).toEqual(
    ids.toSorted(),
  )
})

test('a claim takes the first jobs under a lease, and puts off no earlier due time', async () => {
  const { store, accepted, redis, keys, timings } = await lineScene()
  const ids = [await accepted(), await accepted(), await accepted()].toSorted()
  const [first = '', second = ''] = ids
  await store.joinLine(ids.map((id) => placed(id)))
  const soon = (await store.now()) + 50
  await redis.zadd(keys.due, String(soon), dueJob(second).member, String(soon + 3_600_000), dueJob(first).member)
  const before = await store.now()
  expect(await claimed(store, 2)).toEqual({ jobs: [first, second], waiting: 1 })
  expect(Number(await redis.zscore(keys.due, dueJob(second).member))).toBe(soon)
  const lease = Number(await redis.zscore(keys.due, dueJob(first).member))
  expect(lease).toBeGreaterThanOrEqual(before + timings.dueLease)
  expect(lease).toBeLessThanOrEqual((await store.now()) + timings.dueLease)
  // A job that is not due any more, because it ended meanwhile, stays so.
  await redis.zrem(keys.due, dueJob(ids[2] ?? '').member)
  expect(await claimed(store, 5)).toEqual({ jobs: [ids[2]], waiting: 0 })
  expect(await redis.zscore(keys.due, dueJob(ids[2] ?? '').member)).toBeNull()
  expect(await claimed(store, 5)).toEqual({ jobs: [], waiting: 0 })
})

test('a job that is put back in line is due late, and with its lease once a worker has taken it', async () => {
  const { store, accepted, redis, keys, timings } = await lineScene()
  const id = await accepted()
  const dueIn = async (): Promise<number> =>
    Number(await redis.zscore(keys.due, dueJob(id).member)) - (await store.now())
  await store.keepInLine(await recordOf(store, id), 1_800_000)
  expect(await dueIn()).toBeGreaterThan(1_700_000)
  expect(await claimed(store, 1)).toEqual({ jobs: [id], waiting: 0 })
  expect(await dueIn()).toBeLessThanOrEqual(timings.dueLease)
  // One that has ended meanwhile is not due again.
  await redis.zrem(keys.due, dueJob(id).member)
  await store.keepInLine(await recordOf(store, id), 1_800_000)
  expect(await redis.zscore(keys.due, dueJob(id).member)).toBeNull()
})

test('every job that joins is taken once, while several workers take and others join', async () => {
  const scene = await lineScene()
  const served: string[] = []
  const random = dice(5, 'line')
  const submit = async (id: string): Promise<void> => {
    for (let turns = random.integer(0, 20); turns > 0; turns--) await nextTurn()
    served.push(id)
  }
  for (let i = 0; i < 3; i++) await scene.worker(submit)
  const joined: string[] = []
  for (let round = 0; round < 150; round++) {
    const ids = Array.from({ length: random.integer(1, 8) }, newId)
    joined.push(...ids)
    await Promise.all(ids.map((id) => scene.doorbells.submit(placed(id))))
    // Sometimes the line is empty by then, and a doorbell is about to find that out.
    if (random.chance(0.3)) await waitFor('the line to be empty', () => served.length === joined.length)
  }
  await waitFor('all to be taken', () => served.length >= joined.length)
  expect(served.toSorted()).toEqual(joined.toSorted())
  await waitFor('no doorbell to be left', async () => {
    const { waiting = 0, active = 0 } = await scene.waiting()
    return waiting + active === 0
  })
})

test('a worker takes as many as it can handle, and another one the rest', async () => {
  const scene = await lineScene()
  const held = Promise.withResolvers<void>()
  const mine: string[] = []
  await scene.worker(async (id) => {
    mine.push(id)
    await held.promise
  })
  const ids = Array.from({ length: SUBMITS_AT_ONCE + 10 }, newId)
  await scene.doorbells.submit(...ids.map((id) => placed(id)))
  await waitFor('the first to be full', () => mine.length === SUBMITS_AT_ONCE)
  const others: string[] = []
  await scene.worker(async (id) => void others.push(id))
  await waitFor('the other to take the rest', () => others.length === 10)
  expect([...mine, ...others].toSorted()).toEqual(ids.toSorted())
  held.resolve()
})

test('a job that comes back into line while its worker has it in hand is begun again when that has ended', async () => {
  const scene = await lineScene()
  const held = Promise.withResolvers<void>()
  const begun: string[] = []
  await scene.worker(async (id) => {
    begun.push(id)
    await held.promise
  })
  const [first, second] = [newId(), newId()]
  await scene.doorbells.submit(placed(first))
  await waitFor('it to be begun', () => begun.length > 0)
  await scene.doorbells.submit(placed(first), placed(second))
  await waitFor('the other to be begun', () => begun.length > 1)
  expect(begun).toEqual([first, second])
  held.resolve()
  await waitFor('the first to be begun again', () => begun.length > 2)
  expect(begun).toEqual([first, second, first])
})

test('a worker that stops puts what it has not done back in line, for the others', async () => {
  const scene = await lineScene()
  const begun: string[] = []
  const first = await scene.worker(async (id, stopping) => {
    begun.push(id)
    await new Promise((_resolve, reject) => stopping.addEventListener('abort', () => reject(stopping.reason)))
  })
  const ids = Array.from({ length: SUBMITS_AT_ONCE + 5 }, newId)
  await scene.doorbells.submit(...ids.map((id) => placed(id)))
  await waitFor('it to be full', () => begun.length === SUBMITS_AT_ONCE)
  await first.stop()
  const served: string[] = []
  await scene.worker(async (id) => void served.push(id))
  await waitFor('all to be taken', () => served.length >= ids.length)
  expect(served.toSorted()).toEqual(ids.toSorted())
})

test('a doorbell that was lost is rung again by the next sweep, and an empty line rings for nobody', async () => {
  const scene = await lineScene()
  const { store, timings, doorbells, waiting } = scene
  const lifecycle = createLifecycle({ store, doorbells, timings, log, webhooks: () => false })
  const batches = { tend: nothing }
  const parts = { store, lifecycle, doorbells, cleanUp: nothing, batches, notifications: noNotifications, timings, log }
  const sweep = createSweep({ ...parts, slice: () => 1000 })
  const { signal } = new AbortController()
  await sweep(signal)
  expect(await waiting()).toEqual({ waiting: 0, active: 0 })
  await store.joinLine([placed(newId())])
  await sweep(signal)
  expect(await waiting()).toEqual({ waiting: 1, active: 0 })
})

test('a doorbell of an earlier release, which names its job, is served', async () => {
  const scene = await lineScene()
  const served: string[] = []
  await scene.worker(async (id) => void served.push(id))
  const id = newId()
  await scene.queues.submit.add('submit', { v: 1, job: id }, { jobId: `submit-${id}`, removeOnComplete: true })
  await waitFor('it to be served', () => served.length > 0)
  expect(served).toEqual([id])
})
