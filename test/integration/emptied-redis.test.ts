import { randomUUID } from 'node:crypto'
import type { Redis } from 'ioredis'
import { afterEach, expect, test } from 'vitest'
import { createCommitRunner } from '../../src/shared/jobs/commit/redis-commits.ts'
import { createRedisJobStore } from '../../src/shared/jobs/commit/redis-job-store.ts'
import { beginDeployment } from '../../src/compose/begin-deployment.ts'
import { parseConfig } from '../../src/shared/settings/config.ts'
import { createLogger } from '../../src/shared/process/logger.ts'
import { loadDeployment } from '../../src/shared/redis/deployment.ts'
import { toServiceError } from '../../src/api/error-response.ts'
import { jobScene } from '../support/job-scene.ts'
import { freshPrefix, startOwnRedis } from '../support/redis.ts'
import { SHORT_TIMINGS } from '../support/short-timings.ts'
import { startService } from '../support/start-service.ts'
import { tempDir } from '../support/temp-dir.ts'
import { jobRecord } from '../unit/support/job-states.ts'
import { DeploymentLostError } from '../../src/shared/jobs/ports.ts'

const log = createLogger({ level: 'silent', readable: false })
const stops: (() => Promise<unknown>)[] = []
afterEach(async () => {
  for (const stop of stops.splice(0).toReversed()) await stop()
})

test('a new deployment is not begun where one was known, unless requested', async () => {
  const redis = await startOwnRedis()
  stops.push(redis.kill)
  const env = { DATA_DIR: tempDir(), KEY_PREFIX: freshPrefix() }
  const start = (more: Record<string, string> = {}) =>
    startService({ redisUrl: redis.url, env: { ...env, ...more }, timings: SHORT_TIMINGS })
  const first = await start()
  const id = await first.redis.hget(first.keys.deployment, 'id')
  await first.redis.flushall()
  await first.stop()

  await expect(start()).rejects.toThrow(`belongs to one (${id})`)
  await expect(start({ DURABILITY: 'everysec' })).rejects.toThrow('NEW_DEPLOYMENT=yes')
  const second = await start({ NEW_DEPLOYMENT: 'yes' })
  const made = await second.redis.hget(second.keys.deployment, 'id')
  expect(made).toMatch(/^dep/)
  expect(made).not.toBe(id)
  await second.stop()
  const third = await start()
  expect(await third.redis.hget(third.keys.deployment, 'id')).toBe(made)
  await third.stop()
})

test('a worker begins no deployment: it waits for an api that does', async () => {
  const { redis, keys } = await jobScene()
  const config = parseConfig({
    ROLE: 'worker',
    DATA_DIR: tempDir(),
    REDIS_URL: 'redis://127.0.0.1:1',
    REPLICATE_API_TOKEN: 'token',
  })
  const waiting = beginDeployment(redis, keys.deployment, config, log)
  const { id } = await loadDeployment(redis, keys.deployment)
  expect((await waiting).id).toBe(id)
})

test('a worker that looked before the api of the same folder created the deployment does not take it for lost', async () => {
  const { redis, keys } = await jobScene()
  const env = { DATA_DIR: tempDir(), REDIS_URL: 'redis://127.0.0.1:1', REPLICATE_API_TOKEN: 'token' }
  const begin = (connection: Redis, ROLE: string) =>
    beginDeployment(connection, keys.deployment, parseConfig({ ...env, ROLE }), log)
  // What the worker reads first reaches it when the api has started.
  const made = Promise.withResolvers<void>()
  const slow = new Proxy(redis, {
    get(target, name) {
      if (name !== 'multi') return Reflect.get(target, name)
      const multi = target.multi()
      const exec = multi.exec.bind(multi)
      const held = async () => {
        const found = await exec()
        await made.promise
        return found
      }
      return () => Object.assign(multi, { exec: held })
    },
  })
  const worker = begin(slow, 'worker')
  const api = await begin(redis, 'api')
  made.resolve()
  expect((await worker).id).toBe(api.id)
})

test('nothing is accepted into a Redis that lost the deployment, or holds another one', async () => {
  const { redis, keys, timings, generation } = await jobScene()
  const commits = createCommitRunner(redis, timings, generation, { key: keys.deployment, id: 'dep1' })
  const creates = { perMinute: 600, burst: 10 }
  const store = createRedisJobStore({ redis, keys, timings, accounts: { default: creates }, commits })
  const job = { ...jobRecord('queued'), id: 'job_01ARZ3NDEKTSV4RRFFQ69G5FAV', rev: 0 }
  for (const held of [null, 'dep2']) {
    if (held) await redis.hset(keys.deployment, 'id', held)
    const refused = await store.create(job, null, randomUUID()).catch((error: unknown) => error)
    expect(refused).toBeInstanceOf(DeploymentLostError)
    expect(toServiceError(refused).code).toBe('unavailable')
    expect(await redis.exists(keys.job(job.id))).toBe(0)
  }
  await redis.hset(keys.deployment, 'id', 'dep1')
  expect((await store.create(job, null, randomUUID())).status).toBe('applied')
})
