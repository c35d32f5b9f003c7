import { Queue, QueueEvents, Worker } from 'bullmq'
import { Redis } from 'ioredis'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { freshPrefix, testRedisUrl } from '../test/support/redis.ts'
import { simulatorAdmin } from '../test/support/simulator-admin.ts'
import { startProcesses, type Fleet } from '../test/support/start-processes.ts'
import { waitFor } from '../test/support/wait-for.ts'

/**
 * Requests to Replicate per finished job: with webhooks, without any, and with two naive implementations. Runs take 6 to
 * 12 s.
 */
const MODEL = 'google/gemini-3-pro'
const JOBS = 1000
const LOOPS = 100

let fleet: Fleet
beforeAll(async () => {
  fleet = await startProcesses({
    apis: 1,
    workers: 1,
    env: { REPLICATE_CREATES_PER_MINUTE: '60000', REPLICATE_READS_PER_MINUTE: '3000', LOG_LEVEL: 'warn' },
    simulatorArgs: ['--creates-per-minute', '60000', '--reads-per-minute', '600000', '--speed', '10'],
  })
})
afterAll(() => fleet.stop())

const calls = async (): Promise<number> => {
  const { create_requests, gets, lists, cancels } = (await fleet.simulator.books()).counts
  return create_requests + gets + lists + cancels
}

async function runJobs(count: number): Promise<number> {
  const finished = async (): Promise<number> => Number(await fleet.redis.hget(fleet.keys.phases, 'succeeded'))
  const [before, done] = [await calls(), await finished()]
  for (let at = 0; at < count; at += 50)
    await Promise.all(
      Array.from({ length: 50 }, async (_, i) =>
        fleet.clients[0]?.submit({ model: MODEL, input: { prompt: `job ${at + i}` } }),
      ),
    )
  await waitFor('the jobs to finish', async () => (await finished()) - done >= count, {
    timeout: 300_000,
    interval: 250,
  })
  return ((await calls()) - before) / count
}

const create = async (prompt: string): Promise<string> => {
  const response = await fetch(`${fleet.simulator.url}/v1/models/${MODEL}/predictions`, {
    method: 'POST',
    headers: { authorization: 'Bearer x', 'content-type': 'application/json' },
    body: JSON.stringify({ input: { prompt } }),
  })
  return ((await response.json()) as { id: string }).id
}
const isOver = async (id: string): Promise<boolean> => {
  const response = await fetch(`${fleet.simulator.url}/v1/predictions/${id}`, {
    headers: { authorization: 'Bearer x' },
  })
  return ['succeeded', 'failed', 'canceled'].includes(((await response.json()) as { status: string }).status)
}
const untilOver = async (id: string): Promise<void> => {
  while (!(await isOver(id))) await new Promise((resolve) => setTimeout(resolve, 500))
}
const report = (what: string, value: number): void =>
  void process.stdout.write(`${what}: ${value.toFixed(2)} requests per finished job\n`)

describe('requests per finished job', () => {
  test('with webhooks', async () => {
    const value = await runJobs(JOBS)
    report('webhooks healthy', value)
    expect(value).toBeGreaterThanOrEqual(1)
  })

  test('without any webhook, 1,000 in flight', async () => {
    await simulatorAdmin(fleet.simulator.url).faults({ webhooks: { drop: 1 } })
    report('webhooks dead', await runJobs(JOBS))
    await simulatorAdmin(fleet.simulator.url).faults({ webhooks: null })
  })

  test('a loop of GETs each 500 ms', async () => {
    const before = await calls()
    await Promise.all(Array.from({ length: LOOPS }, async (_, i) => untilOver(await create(`loop ${i}`))))
    report('a loop of GETs each 500 ms', ((await calls()) - before) / LOOPS)
  })

  test('a BullMQ worker that holds its slot while it polls', async () => {
    const connection = new Redis(testRedisUrl(), { maxRetriesPerRequest: null })
    const prefix = freshPrefix()
    const queue = new Queue('naive', { connection, prefix })
    const events = new QueueEvents('naive', { connection: connection.duplicate(), prefix })
    const worker = new Worker('naive', async (job) => untilOver(await create(String(job.data.prompt))), {
      connection,
      prefix,
      concurrency: 20,
    })
    const before = await calls()
    const began = performance.now()
    const jobs = await queue.addBulk(
      Array.from({ length: LOOPS }, (_, i) => ({ name: 'run', data: { prompt: `slot ${i}` } })),
    )
    await Promise.all(jobs.map((job) => job.waitUntilFinished(events)))
    report('a BullMQ worker that holds its slot', ((await calls()) - before) / LOOPS)
    process.stdout.write(`  and ${((performance.now() - began) / 1000).toFixed(0)} s for ${LOOPS} jobs with 20 slots\n`)
    await worker.close()
    await events.close()
    await queue.close()
    connection.disconnect()
  })
})
