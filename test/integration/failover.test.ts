import { Redis } from 'ioredis'
import { afterEach, expect, test } from 'vitest'
import { finished, inPhase } from '../support/finished.ts'
import { startOwnRedis, type OwnRedis } from '../support/redis.ts'
import { SHORT_TIMINGS } from '../support/short-timings.ts'
import { startService, TEST_KEY, type TestService } from '../support/start-service.ts'
import { startTcpProxy, type TcpProxy } from '../support/tcp-proxy.ts'
import { waitFor } from '../support/wait-for.ts'

/**
 * Two servers behind one address, as managed services have them: which of them is the primary changes, and neither ends.
 */

const GEMINI = 'google/gemini-3-pro'
const HELLO = '9dcd6d78e7c6560c340d916fe32e9f24aabfa331e5cce95fe31f77fb03121426'
/** Replication begins at once. */
const FLAGS = ['--repl-diskless-sync-delay', '0']

interface Pair {
  a: OwnRedis
  b: OwnRedis
  /** Connections of the test's own, past the address. */
  onA: Redis
  onB: Redis
  address: TcpProxy
}

const stops: (() => Promise<unknown>)[] = []
afterEach(async () => {
  for (const stop of stops.splice(0).toReversed()) await stop()
})

async function replicate(from: OwnRedis, to: Redis): Promise<void> {
  await to.replicaof('127.0.0.1', from.port)
  await waitFor('the replica', async () => (await to.info('replication')).includes('master_link_status:up'))
}

async function startPair(flags: string[] = []): Promise<Pair> {
  const [a, b] = [await startOwnRedis({ extraFlags: [...FLAGS, ...flags] }), await startOwnRedis({ extraFlags: FLAGS })]
  const [onA, onB] = [new Redis(a.url), new Redis(b.url)]
  await replicate(a, onB)
  // With min-replicas-to-write the replica counts once it has acknowledged.
  await waitFor('A to take writes', () => onA.set('x', 'y'))
  const address = await startTcpProxy({ port: a.port })
  stops.push(async () => {
    for (const redis of [onA, onB]) redis.disconnect()
    await address.stop()
    await Promise.all([a.kill(), b.kill()])
  })
  return { a, b, onA, onB, address }
}

async function serve({ address }: Pair, options: Parameters<typeof startService>[0] = {}): Promise<TestService> {
  const redisUrl = `redis://127.0.0.1:${address.port}`
  const service = await startService({ redisUrl, timings: SHORT_TIMINGS, ...options })
  stops.push(() => service.stop())
  return service
}

async function moveTo({ address }: Pair, server: OwnRedis): Promise<void> {
  address.leadTo(server.port)
  address.resetAll()
}

/** B takes over, and holds all that A did up to now. */
async function failOver(pair: Pair): Promise<void> {
  const at = async (redis: Redis, field: string) =>
    new RegExp(`${field}:(\\d+)`).exec(await redis.info('replication'))?.[1]
  // Nothing else reaches A from here on.
  await pair.address.refuse()
  pair.address.resetAll()
  const offset = await waitFor('what A wrote', () => at(pair.onA, 'master_repl_offset'))
  await waitFor('B to hold it', async () => Number(await at(pair.onB, 'slave_repl_offset')) >= Number(offset))
  await pair.onB.replicaof('NO', 'ONE')
  pair.address.leadTo(pair.b.port)
  await pair.address.heal()
}

const paidFor = async (service: TestService, id: string) =>
  (await service.simulator.books()).predictions.filter((row) => row.webhook?.includes(id))

const pauseUntil = async (redis: Redis, service: TestService, ms: number): Promise<void> => {
  await redis.hset(service.keys.account('default'), {
    paused_until: String(Date.now() + ms),
    pause_reason: 'rate_limited',
  })
}

test.each([
  ['it was never demoted', async () => undefined],
  [
    'it failed to follow, and is promoted',
    async ({ onA }: Pair) => {
      await onA.replicaof('127.0.0.1', 1)
      await onA.replicaof('NO', 'ONE')
    },
  ],
])(
  'a former primary that is one again, with an older memory, creates nothing a second time: %s',
  async (_how, meanwhile) => {
    const pair = await startPair()
    const service = await serve(pair)
    await finished(service, (await service.client.submit({ version: HELLO, input: { text: 'before' } })).id)
    // Accepted on A, and in the line there for good.
    await pauseUntil(pair.onA, service, 600_000)
    const { id } = await service.client.submit({ model: GEMINI, input: { prompt: 'once' } })
    await failOver(pair)
    await service.simulator.faults({ webhooks: { drop: 1 } })
    await waitFor('B to answer', () => pair.onB.hdel(service.keys.account('default'), 'paused_until'))
    const made = await inPhase(service, id, 'created', 'running')
    expect(await pair.onA.hget(service.keys.job(id), 'phase')).toBe('queued')

    await pair.onA.hdel(service.keys.account('default'), 'paused_until')
    await meanwhile(pair)
    await moveTo(pair, pair.a)
    const adopted = await waitFor('the prediction to be adopted', async () => {
      const job = await service.client.get(id).catch(() => undefined)
      return job?.prediction_id ? job : undefined
    })
    expect(adopted).toMatchObject({ prediction_id: made.prediction_id, attempt: 1 })
    const next = await service.client.submit({ version: HELLO, input: { text: 'after' } })
    expect((await finished(service, next.id)).status).toBe('succeeded')
    expect((await paidFor(service, id)).map((row) => row.id)).toEqual([made.prediction_id])
  },
)

test('a process that finds an unattended Redis memory compares it first', async () => {
  const pair = await startPair()
  const timings = { ...SHORT_TIMINGS, unattended: 1500 }
  const env = { KEY_PREFIX: 'unattended' }
  const first = await serve(pair, { timings, env })
  await finished(first, (await first.client.submit({ version: HELLO, input: { text: 'before' } })).id)
  await pauseUntil(pair.onA, first, 600_000)
  const { id } = await first.client.submit({ model: GEMINI, input: { prompt: 'once' } })
  await failOver(pair)
  await pair.onB.hdel(first.keys.account('default'), 'paused_until')
  const made = await inPhase(first, id, 'created', 'running')
  const { simulator } = first
  const hole = await startTcpProxy({ port: Number(new URL(simulator.url).port) })
  // Whoever knew of B's memory is gone, but for upstream.
  await pair.address.refuse()
  pair.address.resetAll()
  const left = performance.now()
  await waitFor('A to be unattended', () => performance.now() - left > 1500)
  await pair.onA.hdel(first.keys.account('default'), 'paused_until')
  pair.address.leadTo(pair.a.port)
  const second = await startService({
    redisUrl: pair.a.url,
    timings,
    env,
    through: async () => hole.port,
  })
  stops.push(() => second.stop())
  // What the first one has open leads nowhere any more.
  await pair.address.heal()
  const job = await waitFor('the prediction to be adopted', async () => {
    const now = await second.client.get(id)
    return now.prediction_id ? now : undefined
  })
  expect(job.prediction_id).toBe(made.prediction_id)
  expect((await simulator.books()).predictions.filter((row) => row.webhook?.includes(id))).toHaveLength(1)
})

test('with min-replicas-to-write, a primary that was left alone creates nothing beside its successor', async () => {
  const pair = await startPair(['--min-replicas-to-write', '1', '--min-replicas-max-lag', '10'])
  const env = { KEY_PREFIX: 'partition' }
  const service = await serve(pair, { env })
  await finished(service, (await service.client.submit({ version: HELLO, input: { text: 'before' } })).id)
  // B is promoted; clients on A's side are not notified.
  await pair.onB.replicaof('NO', 'ONE')
  await waitFor('A to refuse writes', () =>
    pair.onA.set('x', 'y').then(
      () => false,
      (error: unknown) => String(error).includes('NOREPLICAS'),
    ),
  )
  const created = (await service.simulator.books()).counts.created
  const refused = await fetch(`${service.url}/v1/jobs`, {
    method: 'POST',
    headers: { authorization: `Bearer ${TEST_KEY}`, 'content-type': 'application/json' },
    body: JSON.stringify({ version: HELLO, input: { text: 'alone' } }),
  })
  expect(refused.status).toBe(503)
  expect(await refused.json()).toMatchObject({ code: 'unavailable' })
  expect((await service.simulator.books()).counts.created).toBe(created)
})

test.each([
  ['is down', (redis: OwnRedis) => redis.kill()],
  ['hangs', async (redis: OwnRedis) => redis.pause()],
])('a service with nothing in flight stops although Redis %s', async (_how, strike) => {
  const redis = await startOwnRedis()
  const log: string[] = []
  const service = await startService({
    redisUrl: redis.url,
    timings: SHORT_TIMINGS,
    env: { LOG_LEVEL: 'info' },
    onLog: (line) => void log.push(line),
  })
  await finished(service, (await service.client.submit({ version: HELLO, input: { text: 'before' } })).id)
  await strike(redis)
  await service.stop()
  // It waits for no deadline of its work.
  expect(log.filter((line) => line.includes('the workers stop without it'))).toHaveLength(1)
  redis.resume()
  await redis.kill()
})
