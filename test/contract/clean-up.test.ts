import { randomUUID } from 'node:crypto'
import { Redis } from 'ioredis'
import { afterAll, expect, test } from 'vitest'
import type { JobEvent } from '../../src/shared/jobs/decision.ts'
import { createJobKeys } from '../../src/shared/jobs/job-keys.ts'
import { createRedisJobStore } from '../../src/shared/jobs/redis-job-store.ts'
import { createCommitRunner } from '../../src/shared/jobs/run-commit.ts'
import { DEFAULT_TIMINGS } from '../../src/shared/jobs/timings.ts'
import { transition } from '../../src/shared/jobs/transitions.ts'
import { createLogger } from '../../src/shared/logger.ts'
import { createCleanUp } from '../../src/workers/clean-up.ts'
import { freshPrefix, testRedisUrl } from '../support/redis.ts'
import { context, JOB, jobRecord, prediction } from '../unit/support/job-states.ts'

const redis = new Redis(testRedisUrl())
afterAll(() => redis.disconnect())

const HOUR = 3_600_000

/** A job that was canceled `age` ms ago while its create was under way: its attempt is open still. */
async function outlived(age: number) {
  const keys = createJobKeys(freshPrefix())
  const timings = DEFAULT_TIMINGS
  const creates = { perMinute: 60_000, burst: 1000 }
  const commits = createCommitRunner(redis, timings)
  const store = createRedisJobStore({ redis, keys, timings, creates, account: 'default', commits })
  await store.allowIntents()
  const happen = async (event: JobEvent): Promise<void> => {
    const { now, state } = await store.load(JOB)
    const decision = state && transition(state, event, context(now))
    if (!state || decision?.kind !== 'commit') throw new Error(`${event.type} was ignored`)
    expect((await store.commit(state, decision, 'sweep', randomUUID())).status).toBe('applied')
  }
  await store.create({ ...jobRecord('queued'), rev: 0 }, null, randomUUID())
  await happen({ type: 'intend', claim: 'c' })
  await happen({ type: 'observed', attempt: 1, prediction: prediction('starting', { id: 'p1' }) })
  await happen({ type: 'cancel' })
  await redis.hset(keys.job(JOB), 'stop', JSON.stringify({ reason: 'canceled', requested_at: 0 }))
  await happen({ type: 'tick' })
  await redis.hset(keys.job(JOB), 'completed_at', String(Date.now() - age))
  await redis.zadd(keys.retention, 0, JOB)
  const log = createLogger({ level: 'silent', readable: false })
  const removed: string[] = []
  const artifacts = { removeAll: async (prefix: string) => void removed.push(prefix) }
  const batches = { forget: () => Promise.resolve() }
  const cleanUp = createCleanUp({ store, artifacts, batches, timings, log })
  return {
    store,
    removed,
    happen,
    /** As if the lease were over. */
    async cleanUp(): Promise<void> {
      const lease = Date.now() + timings.dueLease + 1000
      if (Number(await redis.zscore(keys.retention, JOB)) <= lease) await redis.zadd(keys.retention, 0, JOB)
      await cleanUp()
    },
    async cleanUpAt(at: number): Promise<void> {
      await redis.zadd(keys.retention, at, JOB)
      await cleanUp()
    },
    attemptDue: (at: number) => redis.zadd(keys.due, at, `attempt:${JOB}:1`),
    retention: async () => Number(await redis.zscore(keys.retention, JOB)),
    indexed: async () => (await redis.exists(keys.prediction('default', 'p1'))) === 1,
  }
}

test('a final job whose attempt is open waits for the attempt, and is not touched meanwhile', async () => {
  const { store, retention, removed, happen, cleanUp, cleanUpAt, attemptDue } = await outlived(8 * 24 * HOUR)
  const due = Date.now() + 5 * 60_000
  await attemptDue(due)
  // What is private goes at its time, whatever is open.
  await cleanUp()
  const purged = await store.read(JOB)
  expect(purged?.input).toBeNull()
  await cleanUp()
  expect(await retention()).toBe(due)
  await cleanUp()
  expect((await store.read(JOB))?.rev).toBe(purged?.rev)
  expect(removed).toEqual([])

  await happen({ type: 'observed', attempt: 1, prediction: prediction('canceled', { id: 'p1' }) })
  await cleanUpAt(0)
  expect(await store.read(JOB)).toBeNull()
  expect(removed).toEqual([`default/${JOB}`])
})

test('the index of its prediction stays until the attempt is closed', async () => {
  const { cleanUp, indexed, attemptDue, retention } = await outlived(3 * HOUR)
  const due = Date.now() + 5 * 60_000
  await attemptDue(due)
  await cleanUp()
  expect(await indexed()).toBe(true)
  expect(await retention()).toBe(due)
})

test('an attempt that is overdue does not make the clean-up come again at once', async () => {
  const { cleanUp, attemptDue, retention } = await outlived(3 * HOUR)
  await attemptDue(1000)
  await cleanUp()
  expect(await retention()).toBeGreaterThan(Date.now() + DEFAULT_TIMINGS.dueLease - 5000)
})
