import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { expect, test } from 'vitest'
import { FINISHED_RECORD_GOAL, recordBytes } from './support/record-bytes.ts'
import { imageAllocator, imageFlags } from './support/image-flags.ts'
import { startProcesses, type Fleet } from '../test/support/start-processes.ts'
import { tempDir } from '../test/support/temp-dir.ts'
import { waitFor } from '../test/support/wait-for.ts'

/**
 * Cost of 10,000 predictions in flight: memory of the only worker, and bytes in Redis per open and per finished job. Worker
 * and api run with the flags of the container image.
 */
const JOBS = 10_000
const REST_MS = 20_000

/** Runs long enough for all to be in flight together. */
const MODEL = {
  name: 'bench/long',
  input_schema: { properties: { prompt: { type: 'string' } } },
  run_seconds: [240, 270],
  output: { kind: 'string', template: 'done: {prompt}' },
}

const rssOf = (pid: number): number =>
  Number(/VmRSS:\s+(\d+) kB/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1] ?? 0) / 1024

const say = (line: string): boolean => process.stdout.write(`${line}\n`)

/** Bytes of the event stream. Its length is fixed, so they are not part of a job's cost. */
const streamOf = async ({ redis, keys }: Fleet): Promise<number> =>
  (await redis.memory('USAGE', keys.events, 'SAMPLES', '0')) ?? 0

const usedBy = async (fleet: Fleet): Promise<number> => {
  const used = Number(/used_memory:(\d+)/.exec(await fleet.redis.info('memory'))?.[1] ?? 0)
  return used - (await streamOf(fleet))
}

/** Mean bytes per job of the keys that `keysOf` names. */
async function bytesOf({ redis }: Fleet, ids: string[], keysOf: (id: string) => string[]): Promise<number> {
  const sizes = await Promise.all(ids.flatMap(keysOf).map(async (key) => (await redis.memory('USAGE', key)) ?? 0))
  return Math.round(sizes.reduce<number>((sum, size) => sum + size, 0) / ids.length)
}

const succeeded = async ({ redis, keys }: Fleet): Promise<number> => Number(await redis.hget(keys.phases, 'succeeded'))

test('in flight', { timeout: 1_800_000 }, async () => {
  const models = join(tempDir(), 'models.json')
  writeFileSync(models, JSON.stringify({ models: [MODEL] }))
  const processes = { apis: 1, workers: 1, nodeFlags: imageFlags() }
  // Fills the compile cache, which the image contains.
  await (await startProcesses(processes)).stop()
  const fleet = await startProcesses({
    ...processes,
    env: {
      ...imageAllocator(),
      REPLICATE_CREATES_PER_MINUTE: '60000',
      REPLICATE_READS_PER_MINUTE: '3000',
      LOG_LEVEL: 'warn',
    },
    simulatorArgs: ['--creates-per-minute', '60000', '--reads-per-minute', '600000', '--models', models],
  })
  const { keys, redis } = fleet
  const pid = fleet.workers[0]?.pid ?? 0
  const rss = [`${rssOf(pid).toFixed(0)} MB at the start`]
  const before = await usedBy(fleet)
  const ids: string[] = []
  for (let at = 0; at < JOBS; at += 100) {
    const batch = Array.from({ length: 100 }, async (_, i) =>
      fleet.clients[0]?.submit({ model: MODEL.name, input: { prompt: `job ${at + i}` } }),
    )
    for (const job of await Promise.all(batch)) if (job) ids.push(job.id)
  }
  await waitFor('all to be in flight', async () => (await redis.scard(keys.open('default'))) === JOBS, {
    timeout: 230_000,
    interval: 250,
  })
  rss.push(`${rssOf(pid).toFixed(0)} MB with all in flight`)
  const open = ((await usedBy(fleet)) - before) / JOBS
  const sample = ids.slice(0, 200)
  const record = await bytesOf(fleet, sample, (id) => [keys.job(id), keys.order(id)])
  await delay(REST_MS)
  rss.push(`${rssOf(pid).toFixed(0)} MB at rest`)
  say(`an open job: ${open.toFixed(0)} bytes in Redis, ${record} of them in its record`)

  await waitFor('all to be done', async () => (await succeeded(fleet)) === JOBS, { timeout: 900_000, interval: 250 })
  rss.push(`${rssOf(pid).toFixed(0)} MB when all are done`)
  const finished = ((await usedBy(fleet)) - before) / JOBS
  const { record: own, payload, beside } = await recordBytes(fleet, sample)
  const predictions = await Promise.all(
    sample.map(async (id) => (await fleet.clients[0]?.get(id))?.prediction_id ?? ''),
  )
  const orders = await Promise.all(
    sample.map(async (id) => JSON.parse((await redis.get(keys.order(id))) ?? '{}') as object),
  )
  const passing = await bytesOf(fleet, sample, (id) => {
    const at = sample.indexOf(id)
    const { idempotency = '' } = orders[at] as { idempotency?: string }
    return [keys.prediction('default', predictions[at] ?? ''), keys.idempotency(idempotency)]
  })
  const total = finished - payload
  say(
    `a finished job without its ${payload} bytes of payload: ${own} bytes in its record's own keys (goal ${FINISHED_RECORD_GOAL}), ` +
      `${(total - own).toFixed(0)} beside them: ${beside} in other keys of its own, ${passing} in two keys that are removed after a day, ` +
      `${(total - own - beside - passing).toFixed(0)} in indexes`,
  )
  say(`the event stream: ${((await streamOf(fleet)) / 1e6).toFixed(1)} MB in total`)
  say(`worker: ${rss.join(', ')}`)
  expect(ids).toHaveLength(JOBS)
  for (const process of [...fleet.apis, ...fleet.workers]) await process.kill('SIGKILL')
  await fleet.stop()
})
