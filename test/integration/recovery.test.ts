import { readFileSync, truncateSync } from 'node:fs'
import { Redis } from 'ioredis'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { closeQueues, createQueues } from '../../src/queues/producer.ts'
import { createLogger } from '../../src/shared/process/logger.ts'
import { appendOnlyFile } from '../support/append-only-file.ts'
import { finished, inPhase } from '../support/finished.ts'
import { forgetAttempt } from '../support/forgotten-attempt.ts'
import { freePort } from '../support/free-port.ts'
import { startOwnRedis, type OwnRedis } from '../support/redis.ts'
import { SHORT_TIMINGS } from '../support/short-timings.ts'
import { startService, type TestService } from '../support/start-service.ts'
import { startTcpProxy, type TcpProxy } from '../support/tcp-proxy.ts'
import { waitFor } from '../support/wait-for.ts'

const HELLO = '9dcd6d78e7c6560c340d916fe32e9f24aabfa331e5cce95fe31f77fb03121426'
const GEMINI = 'google/gemini-3-pro'

describe('the recovery gate', () => {
  let redis: OwnRedis
  let proxy: TcpProxy
  let service: TestService
  beforeAll(async () => {
    redis = await startOwnRedis()
    proxy = await startTcpProxy({ port: redis.port })
    service = await startService({ redisUrl: `redis://127.0.0.1:${proxy.port}`, timings: SHORT_TIMINGS })
  })
  afterAll(async () => {
    await service.stop()
    await redis.stop()
  })

  test('after a restart nothing is created before one complete listing was read', async () => {
    const first = await service.client.submit({ version: HELLO, input: { text: 'before' } })
    expect((await finished(service, first.id)).status).toBe('succeeded')
    const listed = (await service.simulator.books()).counts.lists
    expect(listed).toBeGreaterThan(0)

    await redis.kill()
    await redis.start()
    const second = await waitFor('a job to be accepted again', async () =>
      service.client.submit({ version: HELLO, input: { text: 'after' } }).catch(() => undefined),
    )
    expect(await finished(service, second.id)).toMatchObject({ status: 'succeeded' })
    expect((await service.simulator.books()).counts.lists).toBeGreaterThan(listed)
  })

  test('a proxy that holds connections while Redis restarts does not make a live worker look dead', async () => {
    const direct = new Redis(redis.url)
    for (const one of [direct, service.redis]) one.on('error', () => undefined)
    const processes = async (): Promise<Record<string, string>> => {
      const fields = Object.entries(await direct.hgetall(service.keys.presence))
      return Object.fromEntries(fields.filter(([field]) => field.startsWith('worker:')))
    }
    const [[worker, before] = ['', '']] = Object.entries(await processes())
    const [generation] = before.split(' ')
    const connections = proxy.connections
    proxy.blackHole()
    proxy.resetAll()
    // Their handshakes are sent, and never answered.
    await waitFor('the connections to be opened again', () => proxy.connections >= connections)
    await redis.kill()
    await redis.start()
    await proxy.heal()

    const beat = await waitFor('the worker to beat in the new generation', async () => {
      const now = (await processes())[worker]
      return now !== undefined && !now.startsWith(`${generation} `) && now
    })
    await waitFor('the next heartbeat', async () => (await processes())[worker] !== beat)
    const { id } = await waitFor('a job to be accepted again', () =>
      service.client.submit({ version: HELLO, input: { text: 'held' } }),
    )
    expect(await finished(service, id)).toMatchObject({ status: 'succeeded' })
    expect(Object.keys(await processes())).toEqual([worker])
    direct.disconnect()
  })

  test('a prediction whose intent Redis forgot is adopted by its job, not created again', async () => {
    await service.simulator.faults({ webhooks: { drop: 1 } })
    const { id } = await service.client.submit({ model: GEMINI, input: { prompt: 'forgotten intent' } })
    const running = await inPhase(service, id, 'created', 'running')
    const prediction = running.prediction_id ?? ''
    await forgetAttempt(service, running, 'default')
    const job = await waitFor('the prediction to be adopted', async () => {
      const now = await service.client.get(id)
      return now.prediction_id === prediction && now
    })
    expect(job).toMatchObject({ attempt: 1 })
    await service.simulator.faults({ webhooks: null })
    await service.client.cancel(id)
    await finished(service, id)
    const rows = (await service.simulator.books()).predictions.filter((row) => row.webhook?.includes(id))
    expect(rows).toHaveLength(1)
  })

  test('a Redis that lost its data is not ready, and nothing is created from it', async () => {
    const before = (await service.simulator.books()).counts.created
    await service.redis.flushall()
    const ready = await waitFor('not to be ready', async () => {
      const response = await fetch(`${service.url}/readyz`)
      return response.status === 503 && ((await response.json()) as { checks: { redis: { detail: string } } })
    })
    expect(ready.checks.redis.detail).toContain('lost its data')
    expect((await service.simulator.books()).counts.created).toBe(before)
  })
})

test('a create that is in flight when Redis forgets its intent is awaited and adopted', async () => {
  const redis = await startOwnRedis()
  const timings = { ...SHORT_TIMINGS, createTimeout: 20_000, intentSilence: 25_000 }
  const service = await startService({ redisUrl: redis.url, timings })
  const { keys, simulator } = service
  await simulator.faults({ create: { delay: { seconds: 10, next: 1 } }, webhooks: { drop: 1 } })
  const { id } = await service.client.submit({ model: GEMINI, input: { prompt: 'in flight' } })
  await inPhase(service, id, 'submitting')
  await redis.kill()
  const written = readFileSync(appendOnlyFile(redis))
  // Everything from the intent on is lost.
  truncateSync(appendOnlyFile(redis), written.lastIndexOf('*1\r\n$5\r\nMULTI\r\n', written.indexOf('submitting')))
  await redis.start()
  await waitFor('Redis', () => service.redis.ping())
  expect(await service.redis.hget(keys.job(id), 'phase')).toBe('queued')
  // Another worker receives the job.
  const queues = createQueues(service.redis, keys.queues, createLogger({ level: 'silent', readable: false }))
  await queues.submit.add('submit', { v: 1, job: id }, { jobId: 'again', removeOnComplete: true })
  await closeQueues(queues)
  const rowsOf = async () => (await simulator.books()).predictions.filter((row) => row.webhook?.includes(id))
  expect(await rowsOf()).toEqual([])

  const job = await waitFor('the prediction to be adopted', async () => {
    const now = await service.client.get(id).catch(() => undefined)
    return now?.prediction_id ? now : undefined
  })
  expect(job.attempt).toBe(1)
  // A worker that received it and waited for the gate finds nothing to do.
  const next = await service.client.submit({ version: HELLO, input: { text: 'after' } })
  expect((await finished(service, next.id)).status).toBe('succeeded')
  expect((await rowsOf()).map((row) => row.id)).toEqual([job.prediction_id])
  await service.client.cancel(id)
  await finished(service, id)
  await service.stop()
  await redis.stop()
})

test('a second attempt is adopted when Redis forgot both how the first one ended and that there is another', async () => {
  const redis = await startOwnRedis()
  const service = await startService({ redisUrl: redis.url, timings: SHORT_TIMINGS })
  const { keys, simulator } = service
  await simulator.faults({ create: { status: { code: 429, retry_after: 1, next: 1 } }, webhooks: { drop: 1 } })
  const { id } = await service.client.submit({ model: GEMINI, input: { prompt: 'two attempts' } })
  const second = await inPhase(service, id, 'created', 'running')
  expect(second.attempt).toBe(2)
  await redis.kill()
  // The first intent is the last thing that is left.
  const written = readFileSync(appendOnlyFile(redis))
  truncateSync(appendOnlyFile(redis), written.indexOf('*1\r\n$5\r\nMULTI\r\n', written.indexOf('submitting')))
  await redis.start()
  await waitFor('Redis', () => service.redis.ping())
  expect(await service.redis.hmget(keys.job(id), 'phase', 'attempt')).toEqual(['submitting', '1'])
  // Whoever wants to create next has Redis checked, long before the first attempt is given up for silent.
  const next = await waitFor('a job to be accepted again', () =>
    service.client.submit({ version: HELLO, input: { text: 'next' } }).catch(() => undefined),
  )

  const job = await waitFor('the prediction to be adopted', async () => {
    const now = await service.client.get(id).catch(() => undefined)
    return now?.prediction_id ? now : undefined
  })
  expect(job).toMatchObject({ attempt: 2, prediction_id: second.prediction_id })
  expect((await finished(service, next.id)).status).toBe('succeeded')
  const rows = (await simulator.books()).predictions.filter((row) => row.webhook?.includes(id))
  expect(rows.map((row) => row.id)).toEqual([second.prediction_id])
  await service.client.cancel(id)
  await finished(service, id)
  await service.stop()
  await redis.stop()
})

describe('a first start', () => {
  const trouble = async (url: string, faults: object): Promise<void> => {
    await fetch(`${url}/_sim/faults`, { method: 'POST', body: JSON.stringify(faults) })
  }

  test.each([
    ['a token that is refused', { api: { status: { code: 401 } } }, 'account', 'token_refused'],
    ['Replicate that is away', { api: { cut: 1 } }, 'upstream', 'upstream_failing'],
  ] as const)(
    'with %s says so everywhere within seconds, and creation begins when it is over',
    async (_what, faults, reason, condition) => {
      const redis = await startOwnRedis()
      const log: string[] = []
      const healthPort = await freePort()
      const service = await startService({
        redisUrl: redis.url,
        env: { LOG_LEVEL: 'info', HEALTH_PORT: String(healthPort) },
        timings: SHORT_TIMINGS,
        onLog: (line) => void log.push(line),
        through: async (port) => {
          await trouble(`http://127.0.0.1:${port}`, faults)
          return port
        },
      })
      const lines = () => log.map((line): { level: number; msg: string; condition?: string } => JSON.parse(line))
      const said = () => lines().filter((line) => line.condition === condition)
      // Nothing was submitted yet, and nothing was lost.
      await waitFor('the log to say it', () => said().length > 0)
      expect(said()).toMatchObject([{ level: 50 }])
      const { id } = await service.client.submit({ version: HELLO, input: { text: 'first' } })
      await waitFor('the job to say why it waits', async () => {
        const { waiting_for } = await service.client.get(id)
        return waiting_for?.reason === reason
      })
      const health = await waitFor('Health to show a pause', async () => {
        const now = await service.client.health()
        return now.pause?.reason === reason && now.conditions.some(({ name }) => name === condition) && now
      })
      expect(health.conditions.find(({ name }) => name === condition)).toMatchObject({
        stops_creation: true,
        processes: 1,
      })
      const worker = await fetch(`http://127.0.0.1:${healthPort}/readyz`)
      expect(worker.status).toBe(503)
      expect(await worker.json()).toMatchObject({ status: 'not_ready', checks: { creation: { ok: false } } })
      const api = await fetch(`${service.url}/readyz`)
      // It takes jobs, which wait.
      expect(api.status).toBe(200)
      expect(await api.json()).toMatchObject({ checks: { creation: { ok: false, optional: true } } })
      const metrics = async (): Promise<string> => (await fetch(`${service.url}/metrics`)).text()
      expect(await metrics()).toContain(`genqueue_condition{name="${condition}"} 1`)
      expect((await service.simulator.books()).counts.created).toBe(0)

      await service.simulator.faults({ api: null })
      expect((await finished(service, id)).status).toBe('succeeded')
      await waitFor('the condition to end', async () => {
        const now = await service.client.health()
        return now.pause === null && now.conditions.length === 0
      })
      expect(said()).toMatchObject([{ level: 50 }, { level: 30 }])
      if (condition === 'token_refused')
        expect(lines().flatMap((line) => line.condition ?? [])).toEqual([condition, condition])
      const texts = lines().map(({ msg }) => msg)
      expect(texts).toContain("Comparing Replicate's list of predictions before the first create")
      expect(texts.filter((text) => /restarted|lost|gone back/.test(text))).toEqual([])
      expect(await metrics()).toContain(`genqueue_condition{name="${condition}"} 0`)
      expect((await fetch(`http://127.0.0.1:${healthPort}/readyz`)).status).toBe(200)
      service.redis.on('error', () => undefined)
      await redis.stop()
      for (const url of [service.url, `http://127.0.0.1:${healthPort}`]) {
        const away = await fetch(`${url}/readyz`)
        expect(away.status).toBe(503)
        const silent = { ok: false, detail: expect.stringMatching(/^Redis at 127\.0\.0\.1:\d+ does not respond$/) }
        expect(await away.json()).toMatchObject({ checks: { redis: silent, creation: silent } })
      }
      await service.stop()
    },
  )
})

describe('strict durability', () => {
  test('needs a Redis that writes at once', async () => {
    const lax = await startOwnRedis()
    const strict = { DURABILITY: 'strict' }
    await expect(startService({ redisUrl: lax.url, env: strict, timings: SHORT_TIMINGS })).rejects.toThrow(
      'DURABILITY: strict requires appendonly yes and appendfsync always; this Redis has appendonly yes and appendfsync everysec',
    )
    await lax.stop()
  })

  test('works with appendfsync always', async () => {
    const redis = await startOwnRedis({ extraFlags: ['--appendfsync', 'always'] })
    const service = await startService({
      redisUrl: redis.url,
      env: { DURABILITY: 'strict' },
      timings: SHORT_TIMINGS,
    })
    const { id } = await service.client.submit({ version: HELLO, input: { text: 'strict' } })
    expect((await finished(service, id)).status).toBe('succeeded')
    await service.stop()
    await redis.stop()
  })
})
