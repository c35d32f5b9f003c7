import { randomUUID } from 'node:crypto'
import { Redis } from 'ioredis'
import { ulid } from 'ulid'
import { afterAll } from 'vitest'
import type { JobEvent } from '../../src/shared/jobs/rules/decision.ts'
import type { Cause, JobRecord, JobState } from '../../src/shared/jobs/rules/job.ts'
import { createJobKeys, type JobKeys } from '../../src/shared/jobs/record/job-keys.ts'
import type { JobStore } from '../../src/shared/jobs/ports.ts'
import { createRedisJobStore } from '../../src/shared/jobs/commit/redis-job-store.ts'
import { createCommitRunner } from '../../src/shared/jobs/commit/redis-commits.ts'
import type { AccountRates } from '../../src/shared/limits/rules/budget.ts'
import type { StoredQuota } from '../../src/shared/limits/rules/stored.ts'
import { createGeneration, type Generation } from '../../src/shared/redis/generation.ts'
import { DEFAULT_TIMINGS, type Timings } from '../../src/shared/jobs/rules/timings.ts'
import { transition } from '../../src/shared/jobs/rules/transitions.ts'
import { context, jobRecord } from '../unit/support/job-states.ts'
import { freshPrefix, testRedisUrl } from './redis.ts'
import { openGate } from './open-gate.ts'

export interface JobScene {
  redis: Redis
  keys: JobKeys
  timings: Timings
  generation: Generation
  store: JobStore
  accepted(changes?: Partial<JobRecord>): Promise<string>
  /** Loads, decides and commits; the event must bring news. */
  happen(id: string, event: JobEvent, cause?: Cause): Promise<JobState>
}

/** The store of jobs on the Redis that all tests share, under its own prefix; no worker runs there. */
export async function jobScene(
  changes: Partial<Timings> = {},
  /** Default limits of what a tenant may store. */
  stored: StoredQuota['defaults'] = {},
  accounts: AccountRates = { default: { perMinute: 60_000, burst: 1000 } },
): Promise<JobScene> {
  const redis = new Redis(testRedisUrl())
  afterAll(() => redis.disconnect())
  const keys = createJobKeys(freshPrefix())
  const timings = { ...DEFAULT_TIMINGS, ...changes }
  const generation = createGeneration(redis, keys.generation, { gap: null })
  const commits = createCommitRunner(redis, timings, generation)
  const quota = { tenants: `${keys.tag}:tenants`, defaults: stored }
  const store = createRedisJobStore({ redis, keys, timings, accounts, commits, quota })
  await openGate(generation, store)
  return {
    redis,
    keys,
    timings,
    generation,
    store,
    async accepted(record = {}) {
      const id = `job_${ulid()}`
      await store.create({ ...jobRecord('queued'), ...record, id, rev: 0 }, null, randomUUID())
      return id
    },
    async happen(id, event, cause = 'webhook') {
      const { now, paused, clocks, state } = await store.load(id)
      if (!state) throw new Error(`there is no job ${id}`)
      const decision = transition(state, event, context(now, { paused, clocks, cause, timings }))
      if (decision.kind === 'ignored') throw new Error(`${event.type} was ignored: ${decision.reason}`)
      const result = await store.commit(state, decision, cause, randomUUID())
      if (result.status !== 'applied') throw new Error(`${event.type}: ${result.status}`)
      return result.state
    },
  }
}
