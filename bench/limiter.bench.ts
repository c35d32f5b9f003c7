import { Queue, RateLimitError, Worker } from 'bullmq'
import { Redis } from 'ioredis'
import { setTimeout as delay } from 'node:timers/promises'
import { expect, test } from 'vitest'
import { freshPrefix, testRedisUrl } from '../test/support/redis.ts'
import { startProcesses } from '../test/support/start-processes.ts'

/**
 * How much of an account's limit is used while jobs wait, by two workers of genqueue and by two workers of BullMQ with its own
 * limiter, each against a simulator with the true bucket. `LIMITER_MINUTES` says for how long each is measured.
 */

const HELLO = '9dcd6d78e7c6560c340d916fe32e9f24aabfa331e5cce95fe31f77fb03121426'
const PER_MINUTE = 600
const BURST = 10
const MS = 60_000 * Number(process.env.LIMITER_MINUTES ?? 1)
/** Until the burst of a full bucket is over, ms. */
const WARM_MS = 5_000
const JOBS = Math.ceil((PER_MINUTE * (MS + 3 * WARM_MS)) / 60_000)

interface Result {
  /** Creates that were accepted, by time, ms. */
  times: number[]
  throttled: number
}

function report(what: string, { times, throttled }: Result): number {
  const sorted = times.toSorted((a, b) => a - b)
  const from = (sorted[0] ?? 0) + WARM_MS
  const within = sorted.filter((at) => at >= from && at < from + MS)
  const used = within.length / ((PER_MINUTE * MS) / 60_000)
  const busiest = Math.max(...sorted.map((at, i) => sorted.slice(i, i + 200).filter((one) => one < at + 1000).length))
  process.stdout.write(
    `${what}: ${(100 * used).toFixed(1)} % of the budget created, busiest sliding second ${busiest} ` +
      `(limit and burst: ${PER_MINUTE / 60 + BURST}), 429s: ${throttled} of ${sorted.length + throttled}\n`,
  )
  return used
}

const fleetOf = (workers: number) =>
  startProcesses({
    apis: 1,
    workers,
    env: {
      REPLICATE_CREATES_PER_MINUTE: String(PER_MINUTE),
      REPLICATE_READS_PER_MINUTE: '60000',
      LOG_LEVEL: 'warn',
    },
    simulatorArgs: [
      '--creates-per-minute',
      String(PER_MINUTE),
      '--burst',
      String(BURST),
      '--reads-per-minute',
      '600000',
    ],
  })

async function withGenqueue(): Promise<Result> {
  const fleet = await fleetOf(2)
  const [client] = fleet.clients
  if (!client) throw new Error('no api')
  for (let left = JOBS; left > 0; left -= 1000)
    await client.batch({
      items: Array.from({ length: Math.min(left, 1000) }, (_, i) => ({ version: HELLO, input: { text: `job ${i}` } })),
    })
  await delay(MS + 2 * WARM_MS)
  const { predictions, counts } = await fleet.simulator.books()
  for (const one of [...fleet.apis, ...fleet.workers]) await one.kill('SIGKILL')
  await fleet.stop()
  return { times: predictions.map(({ created_at }) => Date.parse(created_at)), throttled: counts.throttled }
}

async function withBullMq(): Promise<Result> {
  const fleet = await fleetOf(0)
  const connection = new Redis(testRedisUrl(), { maxRetriesPerRequest: null })
  const prefix = freshPrefix()
  const queue = new Queue('creates', { connection, prefix })
  await queue.addBulk(Array.from({ length: JOBS }, (_, i) => ({ name: 'create', data: { text: `job ${i}` } })))
  const workers = [1, 2].map(() => {
    const worker = new Worker<{ text: string }>(
      'creates',
      async ({ data }) => {
        const response = await fetch(`${fleet.simulator.url}/v1/predictions`, {
          method: 'POST',
          headers: { authorization: 'Bearer test', 'content-type': 'application/json' },
          body: JSON.stringify({ version: HELLO, input: data }),
        })
        await response.body?.cancel()
        if (response.status !== 429) return
        await worker.rateLimit(1000 * Number(response.headers.get('retry-after') ?? 1))
        throw new RateLimitError()
      },
      { connection, prefix, concurrency: 25, limiter: { max: PER_MINUTE / 60, duration: 1000 } },
    )
    return worker
  })
  await delay(MS + 2 * WARM_MS)
  await Promise.all(workers.map((worker) => worker.close(true)))
  await queue.close()
  connection.disconnect()
  const { predictions, counts } = await fleet.simulator.books()
  for (const one of fleet.apis) await one.kill('SIGKILL')
  await fleet.stop()
  return { times: predictions.map(({ created_at }) => Date.parse(created_at)), throttled: counts.throttled }
}

test('limiter', { timeout: 4 * MS + 300_000 }, async () => {
  const genqueue = await withGenqueue()
  const used = report('genqueue, two workers', genqueue)
  report("BullMQ's limiter, two workers", await withBullMq())
  expect(genqueue.throttled).toBeLessThanOrEqual(genqueue.times.length / 1000 + 1)
  expect(used).toBeGreaterThan(0.5)
})
