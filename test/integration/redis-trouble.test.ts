import { afterAll, beforeAll, expect, test } from 'vitest'
import { finished, inPhase, submitMany } from '../support/finished.ts'
import { startOwnRedis, type OwnRedis } from '../support/redis.ts'
import { SHORT_TIMINGS } from '../support/short-timings.ts'
import { startService, TEST_KEY, type TestService } from '../support/start-service.ts'
import { waitFor } from '../support/wait-for.ts'

/** A Redis that is set up wrongly, or fills up. */

const HELLO = '9dcd6d78e7c6560c340d916fe32e9f24aabfa331e5cce95fe31f77fb03121426'

let redis: OwnRedis
let service: TestService
const log: string[] = []
beforeAll(async () => {
  redis = await startOwnRedis({ extraFlags: ['--maxmemory-policy', 'allkeys-lru', '--appendonly', 'no'] })
  service = await startService({
    redisUrl: redis.url,
    timings: SHORT_TIMINGS,
    simulator: { speed: 20 },
    env: { LOG_LEVEL: 'warn' },
    onLog: (line) => void log.push(line),
  })
})
afterAll(async () => {
  await service.stop()
  await redis.stop()
})

const ready = async (): Promise<{ status: number; detail: string }> => {
  const response = await fetch(`${service.url}/readyz`)
  const { checks } = (await response.json()) as { checks: { redis: { detail: string } } }
  return { status: response.status, detail: checks.redis.detail }
}

test('a Redis that evicts, or keeps nothing on disk, is reported at startup and by /readyz until it is fixed', async () => {
  const EVICTS = 'maxmemory-policy is allkeys-lru: set it to noeviction'
  const FORGETS = 'appendonly is off'
  for (const problem of [EVICTS, FORGETS])
    expect(log.filter((line) => line.includes(problem) && line.includes('"level":50'))).toHaveLength(1)
  expect(await ready()).toMatchObject({ status: 503, detail: expect.stringContaining(EVICTS) })
  expect((await ready()).detail).toContain(FORGETS)
  await service.redis.config('SET', 'maxmemory-policy', 'noeviction')
  expect(await ready()).toMatchObject({ status: 503, detail: expect.not.stringContaining('maxmemory-policy') })
  await service.redis.config('SET', 'appendonly', 'yes')
  expect(await ready()).toEqual({ status: 200, detail: 'responds' })
})

test.each<[string, () => Promise<unknown>, () => Promise<unknown>, string]>([
  [
    'has too few replicas',
    () => service.redis.config('SET', 'min-replicas-to-write', '1'),
    () => service.redis.config('SET', 'min-replicas-to-write', '0'),
    'NOREPLICAS',
  ],
  [
    'is a replica',
    () => service.redis.replicaof('127.0.0.1', 1),
    () => service.redis.replicaof('NO', 'ONE'),
    'READONLY',
  ],
  [
    'refuses to load scripts',
    () => service.redis.acl('SETUSER', 'default', '-script|load', '-eval'),
    () => service.redis.acl('SETUSER', 'default', '+@all'),
    'NOPERM',
  ],
])('a Redis that %s is not ready, and its refusals are no mistakes of ours', async (_what, begin, end, code) => {
  await begin()
  expect(await ready()).toMatchObject({ status: 503, detail: expect.stringContaining(code) })
  if (code !== 'NOPERM') {
    const response = await fetch(`${service.url}/v1/jobs`, {
      method: 'POST',
      headers: { authorization: `Bearer ${TEST_KEY}`, 'content-type': 'application/json' },
      body: JSON.stringify({ version: HELLO, input: { text: 'refused' } }),
    })
    expect(response.status).toBe(503)
    expect(await response.json()).toMatchObject({ code: 'unavailable' })
  }
  await end()
  expect(await ready()).toEqual({ status: 200, detail: 'responds' })
  const { id } = await service.client.submit({ version: HELLO, input: { text: 'again' } })
  expect((await finished(service, id)).status).toBe('succeeded')
})

test('at 75 % of maxmemory new jobs are refused, what was accepted ends, and there is room again afterwards', async () => {
  const running = await submitMany(service, 5, (i) => ({
    model: 'google/gemini-3-pro',
    input: { prompt: `full ${i}` },
  }))
  for (const id of running) await inPhase(service, id, 'created', 'running')
  // Accepted, and not created before Redis is filling up.
  await service.redis.hset(service.keys.account('default'), {
    paused_until: String(Date.now() + 3000),
    pause_reason: 'rate_limited',
  })
  const queued = await submitMany(service, 5, (i) => ({ version: HELLO, input: { text: `full ${i}` } }))
  const used = Number(/used_memory:(\d+)/.exec(await service.redis.info('memory'))?.[1])
  await service.redis.config('SET', 'maxmemory', String(Math.round(used / 0.8)))
  const submit = async (): Promise<{ status: number; body: { id?: string; code?: string } }> => {
    const response = await fetch(`${service.url}/v1/jobs`, {
      method: 'POST',
      headers: { authorization: `Bearer ${TEST_KEY}`, 'content-type': 'application/json' },
      body: JSON.stringify({ version: HELLO, input: { text: 'one more' } }),
    })
    return { status: response.status, body: (await response.json()) as { id?: string; code?: string } }
  }
  const refused = await waitFor('an accept to be refused', async () => {
    const answer = await submit()
    return answer.status !== 202 && answer
  })
  expect(refused).toMatchObject({ status: 503, body: { code: 'capacity' } })
  for (const id of [...running, ...queued]) expect((await finished(service, id)).status).toBe('succeeded')
  expect((await submit()).body.code).toBe('capacity')
  expect(log.filter((line) => line.includes('Redis is filling up'))).toHaveLength(1)
  await service.redis.config('SET', 'maxmemory', '0')
  const again = await waitFor('an accept', async () => (await submit()).body.id)
  expect((await finished(service, again)).status).toBe('succeeded')
})
