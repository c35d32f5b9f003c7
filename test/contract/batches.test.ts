import { randomUUID } from 'node:crypto'
import { Redis } from 'ioredis'
import { afterAll, beforeAll, expect, test } from 'vitest'
import type { BatchRecord, NewBatch } from '../../src/shared/batches/rules/batch.ts'
import { moneyScene, newJob, type MoneyScene } from '../support/money.ts'
import { openGate } from '../support/open-gate.ts'
import { testRedisUrl } from '../support/redis.ts'

/** What the commits of jobs change in their batch: counts, money, and whether another job may begin. */

const redis = new Redis(testRedisUrl())
afterAll(() => redis.disconnect())
let scene: MoneyScene
beforeAll(async () => {
  scene = moneyScene(redis)
  await openGate(scene.generation, scene.real)
})

const FIXED = { per_run: 100 }
/** Estimated at 210. */
const BY_SECOND = { per_run: 10, per_predict_second: 100, expect: { predict_seconds: 2 } }
const seconds = (predict_time: number) => ({ metrics: { predict_time } })

async function accepted(count: number, price: object, how: Partial<NewBatch> = {}, tenant = `t-${randomUUID()}`) {
  const id = scene.batches.newBatchId()
  const request = { tenant, in_sequence: false, stop_rate: null, max_spend: null, metadata: {}, retry_of: null, ...how }
  const items = Array.from({ length: count }, () => newJob(tenant, price))
  const result = await scene.batches.accept(request, id, items, null, { queuedJobs: null })
  if (result.kind !== 'accepted') throw new Error(`not accepted: ${result.kind}`)
  const jobs = await redis.zrange(scene.keys.batchJobs(id), '0', '-1')
  return {
    jobs,
    job: (position: number): string => jobs[position] ?? '',
    async read(): Promise<BatchRecord> {
      const batch = await scene.batches.read(id)
      if (!batch) throw new Error('no batch')
      expect(await scene.findings(jobs, [id])).toEqual([])
      return batch
    },
    cleanUp: () => redis.zscore(scene.keys.retention, id),
  }
}

/** What an intent of the job comes to. */
const intend = async (id: string): Promise<string> =>
  (await scene.lifecycle.apply(id, (claim) => ({ type: 'intend', claim }), 'worker')).kind
const ends = async (id: string, status: string, changes: object = {}): Promise<void> => {
  await scene.begin(id)
  await scene.end(id, status, changes)
}

test('counts and money follow each job, and the last one completes the batch', async () => {
  const tenant = `t-${randomUUID()}`
  await scene.grant(tenant, 4 * 210)
  const { jobs, job, read, cleanUp } = await accepted(4, BY_SECOND, {}, tenant)
  expect(await read()).toMatchObject({ total: 4, held: 840, captured: 0, counts: { queued: 4 } })
  await scene.lifecycle.apply(job(0), { type: 'cancel' }, 'api')
  expect(await read()).toMatchObject({ held: 630, counts: { queued: 3, canceled: 1 } })
  await ends(job(1), 'failed')
  expect(await read()).toMatchObject({ held: 420, captured: 0, counts: { queued: 2, failed: 1, canceled: 1 } })
  // The released holds of two pay for the overrun as far as they go.
  await ends(job(2), 'succeeded', seconds(9))
  expect(await read()).toMatchObject({ held: 210, captured: 630, uncollected: 280, completed_at: null })
  expect(await cleanUp()).toBeNull()
  await ends(job(3), 'succeeded', seconds(1))
  const done = await read()
  expect(done).toMatchObject({ held: 0, captured: 740, counts: { queued: 0, succeeded: 2, failed: 1, canceled: 1 } })
  expect(done.completed_at).not.toBeNull()
  expect(Number(await cleanUp())).toBeGreaterThan(done.completed_at ?? Infinity)
  expect(jobs).toHaveLength(4)
})

test.each([
  { total: 12, stop_rate: 0.5, before: 'ffff', last: 'f', stops: true },
  { total: 12, stop_rate: 0.5, before: 'fsss', last: 'f', stops: false },
  { total: 3, stop_rate: 0.5, before: 'f', last: 'f', stops: true },
  { total: 4, stop_rate: 0.5, before: 's', last: 'f', stops: true },
  { total: 4, stop_rate: 0.51, before: 's', last: 'f', stops: false },
  { total: 4, stop_rate: 0, before: 's', last: 's', stops: false },
])('of $total, with a limit of $stop_rate, $before and then $last: stops $stops', async (row) => {
  const { job, read } = await accepted(row.total, FIXED, { stop_rate: row.stop_rate })
  for (const [i, end] of `${row.before}${row.last}`.split('').entries()) {
    expect((await read()).stopped).toBeNull()
    await ends(job(i), end === 'f' ? 'failed' : 'succeeded')
  }
  expect((await read()).stopped).toBe(row.stops ? 'failure_rate' : null)
  expect(await intend(job(row.total - 1))).toBe(row.stops ? 'batch_stopped' : 'applied')
})

test('what a batch may spend is used to the last credit, and a release makes room', async () => {
  const { job, read } = await accepted(3, FIXED, { max_spend: 200 })
  await ends(job(0), 'succeeded')
  await scene.begin(job(1))
  expect(await intend(job(2))).toBe('crowded')
  await scene.end(job(1), 'failed')
  expect(await intend(job(2))).toBe('applied')
  expect((await read()).stopped).toBeNull()
})

test('a job that is sent again needs no further room', async () => {
  const { job, read } = await accepted(2, FIXED, { max_spend: 100 })
  await scene.begin(job(0))
  await scene.end(job(0), 'failed', { error: '(code: PA)' })
  expect(await intend(job(1))).toBe('crowded')
  expect(await intend(job(0))).toBe('applied')
  await read()
})

test('the first reason to stop is kept', async () => {
  const { job, read } = await accepted(4, BY_SECOND, { max_spend: 420, stop_rate: 0.5 })
  await scene.begin(job(0))
  await scene.begin(job(1))
  await scene.end(job(0), 'succeeded', seconds(4))
  expect(await intend(job(2))).toBe('batch_stopped')
  expect((await read()).stopped).toBe('max_spend')
  await scene.end(job(1), 'failed')
  expect((await read()).stopped).toBe('max_spend')
})

test('in sequence, the first that has not ended may begin, and no other', async () => {
  const { job } = await accepted(3, FIXED, { in_sequence: true })
  expect([await intend(job(2)), await intend(job(1)), await intend(job(0))]).toEqual(['crowded', 'crowded', 'applied'])
  await scene.lifecycle.apply(job(1), { type: 'cancel' }, 'api')
  expect(await intend(job(2))).toBe('crowded')
  await scene.end(job(0), 'failed')
  expect(await intend(job(2))).toBe('applied')
})
