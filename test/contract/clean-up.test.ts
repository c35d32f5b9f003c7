import { expect, test } from 'vitest'
import { FIRST_KEEP } from '../../src/shared/jobs/rules/keep.ts'
import { createLogger } from '../../src/shared/process/logger.ts'
import { createCleanUp } from '../../src/workers/clean-up.ts'
import { jobScene } from '../support/job-scene.ts'
import { prediction } from '../unit/support/job-states.ts'

const HOUR = 3_600_000

/** A job that was canceled `age` ms ago while its prediction began: its attempt is open still. */
async function outlived(age: number) {
  const { redis, keys, timings, store, accepted, happen } = await jobScene()
  const id = await accepted()
  await happen(id, { type: 'intend', claim: 'c' })
  await happen(id, { type: 'observed', attempt: 1, prediction: prediction('starting', { id: 'p1' }) })
  await happen(id, { type: 'cancel' })
  await redis.hset(keys.job(id), 'stop', JSON.stringify({ reason: 'canceled', requested_at: 0 }))
  await happen(id, { type: 'tick' })
  await redis.hset(keys.job(id), 'completed_at', String(Date.now() - age))
  const removed: string[] = []
  const cleanUp = createCleanUp({
    store,
    files: {
      of: ({ id, tenant }) => ({ tenant, keys: [id], folders: [] }),
      remove: async ({ keys: [key = ''] }) => void removed.push(key),
    },
    keep: { usual: FIRST_KEEP, max: FIRST_KEEP },
    inputs: { removeInputs: () => Promise.resolve(), sweep: () => Promise.resolve() },
    batches: { forget: () => Promise.resolve() },
    timings,
    log: createLogger({ level: 'silent', readable: false }),
  })
  return {
    id,
    timings,
    store,
    removed,
    ends: () => happen(id, { type: 'observed', attempt: 1, prediction: prediction('canceled', { id: 'p1' }) }),
    async cleanUpNow(): Promise<void> {
      await redis.zadd(keys.retention, 0, id)
      await cleanUp()
    },
    attemptDue: (at: number) => redis.zadd(keys.due, at, `attempt:${id}:1`),
    retention: async () => Number(await redis.zscore(keys.retention, id)),
    indexed: async () => (await redis.exists(keys.prediction('default', 'p1'))) === 1,
  }
}

test('a final job whose attempt is open waits for the attempt, and is not touched meanwhile', async () => {
  const { id, store, retention, removed, ends, cleanUpNow, attemptDue } = await outlived(8 * 24 * HOUR)
  const due = Date.now() + 5 * 60_000
  await attemptDue(due)
  // Private data expires on time, even with work still open.
  await cleanUpNow()
  const purged = await store.read(id)
  expect(purged?.input).toBeNull()
  for (let i = 0; i < 3; i++) {
    await cleanUpNow()
    expect(await retention()).toBe(due)
  }
  expect((await store.read(id))?.rev).toBe(purged?.rev)
  expect(removed).toEqual([])

  await ends()
  await cleanUpNow()
  expect(await store.read(id)).toBeNull()
  expect(removed).toEqual([id])
})

test('the index of its prediction stays until the attempt is closed', async () => {
  const { cleanUpNow, indexed, attemptDue, retention } = await outlived(3 * HOUR)
  const due = Date.now() + 5 * 60_000
  await attemptDue(due)
  await cleanUpNow()
  expect(await indexed()).toBe(true)
  expect(await retention()).toBe(due)
})

test('an attempt that is overdue does not make the clean-up come again at once', async () => {
  const { timings, cleanUpNow, attemptDue, retention } = await outlived(3 * HOUR)
  await attemptDue(1000)
  const before = Date.now()
  await cleanUpNow()
  expect(await retention()).toBeGreaterThanOrEqual(before + timings.dueLease - 1000)
})
