import { randomUUID } from 'node:crypto'
import { Redis } from 'ioredis'
import { describe, expect, test } from 'vitest'
import { createRedisJobStore } from '../../src/shared/jobs/commit/redis-job-store.ts'
import { createCommitRunner } from '../../src/shared/jobs/commit/redis-commits.ts'
import { NotDurableError, strictDurability } from '../../src/shared/redis/durability.ts'
import { jobScene } from '../support/job-scene.ts'
import { freshPrefix, testRedisUrl } from '../support/redis.ts'
import { jobRecord } from '../unit/support/job-states.ts'

/** A server that hides its settings, and confirms writes as the test says: how many are on disk, or an error. */
function hiding(confirms: (number | Error)[]) {
  const calls: string[] = []
  let last: number | Error = 1
  return {
    calls,
    redis: {
      set: () => {
        calls.push('SET')
        return Promise.resolve('OK' as const)
      },
      call: (name: string) => {
        calls.push(name)
        if (name === 'CONFIG') return Promise.reject(new Error('NOPERM this user has no permissions'))
        last = confirms.shift() ?? last
        return last instanceof Error ? Promise.reject(last) : Promise.resolve([last, 0])
      },
    } as unknown as Redis,
  }
}

describe('where the settings are hidden', () => {
  test('writes that are confirmed at once will do, each after a write on the same connection', async () => {
    const { redis, calls } = hiding([1])
    const confirm = await strictDurability(redis, 'k')
    calls.length = 0
    await confirm()
    expect(calls).toEqual(['SET', 'WAITAOF'])
  })

  test.each([
    ['a disk that is synced once a second', [1, 0]],
    ['a server without WAITAOF', [new Error("ERR unknown command 'WAITAOF'")]],
  ])('%s is refused at the start', async (_what, confirms) => {
    await expect(strictDurability(hiding(confirms).redis, 'k')).rejects.toThrow(/^DURABILITY: strict requires/)
  })

  test.each([
    ['late', 0],
    ['not at all', new Error('ERR whatever')],
  ])('a write that is confirmed %s later on is one that may be lost', async (_how, answer) => {
    const confirm = await strictDurability(hiding([1, 1, 1, answer]).redis, 'k')
    await expect(confirm()).rejects.toThrow(NotDurableError)
  })
})

test('a Redis that says that it syncs once a second is refused with what to set', async () => {
  const redis = new Redis(testRedisUrl())
  await expect(strictDurability(redis, freshPrefix())).rejects.toThrow('requires appendonly yes and appendfsync always')
  redis.disconnect()
})

test('a repeat of an accept is confirmed as the accept is', async () => {
  const { redis, keys, timings, generation } = await jobScene()
  let isConfirmed = false
  const store = createRedisJobStore({
    redis,
    keys,
    timings,
    accounts: { default: { perMinute: 600, burst: 10 } },
    commits: createCommitRunner(redis, timings, generation),
    confirmDurable: () => (isConfirmed ? Promise.resolve() : Promise.reject(new NotDurableError('late'))),
  })
  const job = { ...jobRecord('queued'), id: 'job_01ARZ3NDEKTSV4RRFFQ69G5FAV', rev: 0 }
  const entry = { entry: 'e', body: 'b' }
  await expect(store.create(job, entry, randomUUID())).rejects.toThrow(NotDurableError)
  await expect(store.idempotent('e')).rejects.toThrow(NotDurableError)
  isConfirmed = true
  expect(await store.idempotent('e')).toMatchObject({ job: job.id })
})
