import { readFileSync } from 'node:fs'
import { expect, test } from 'vitest'
import { startProcesses } from '../test/support/start-processes.ts'
import { waitFor } from '../test/support/wait-for.ts'

/** What 10,000 predictions in flight cost: memory of the one worker, bytes in Redis for an open and for a finished job. */
const JOBS = 10_000

const rssOf = (pid: number): number =>
  Number(/VmRSS:\s+(\d+) kB/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1] ?? 0) / 1024

test('in flight', async () => {
  const fleet = await startProcesses({
    apis: 1,
    workers: 1,
    env: { REPLICATE_CREATES_PER_MINUTE: '60000', REPLICATE_READS_PER_MINUTE: '3000', LOG_LEVEL: 'warn' },
    // Runs take four to eight minutes: all are in flight together.
    simulatorArgs: ['--creates-per-minute', '60000', '--reads-per-minute', '600000', '--speed', '0.25'],
  })
  const used = async (): Promise<number> => Number(/used_memory:(\d+)/.exec(await fleet.redis.info('memory'))?.[1] ?? 0)
  const before = await used()
  const ids: string[] = []
  for (let at = 0; at < JOBS; at += 100) {
    const batch = Array.from({ length: 100 }, async (_, i) =>
      fleet.clients[0]?.submit({ model: 'google/gemini-3-pro', input: { prompt: `job ${at + i}` } }),
    )
    for (const job of await Promise.all(batch)) if (job) ids.push(job.id)
  }
  await waitFor('all to be in flight', async () => (await fleet.redis.scard(fleet.keys.open('default'))) === JOBS, {
    timeout: 300_000,
    interval: 250,
  })
  const worker = fleet.workers[0]
  const rss = worker ? rssOf(worker.pid) : 0
  const open = ((await used()) - before) / JOBS
  process.stdout.write(
    `10,000 in flight: worker ${rss.toFixed(0)} MB RSS, ${open.toFixed(0)} bytes of Redis for each open job\n`,
  )

  const sample = ids.slice(0, 200)
  const sizes = await Promise.all(
    sample.flatMap((id) =>
      [fleet.keys.job(id), fleet.keys.order(id)].map(async (key) => fleet.redis.memory('USAGE', key)),
    ),
  )
  const records = sizes.reduce<number>((sum, size) => sum + (size ?? 0), 0) / sample.length
  process.stdout.write(`record, attempts and history of an open job: ${records.toFixed(0)} bytes\n`)
  expect(ids).toHaveLength(JOBS)
  for (const one of [...fleet.apis, ...fleet.workers]) await one.kill('SIGKILL')
  await fleet.stop()
})
