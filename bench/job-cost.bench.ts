import { afterAll, beforeAll, expect, test } from 'vitest'
import { cleanUpPayloads, FINISHED_RECORD_GOAL, recordBytes } from './support/record-bytes.ts'
import { submitMany } from '../test/support/finished.ts'
import { startProcesses, type Fleet } from '../test/support/start-processes.ts'
import { waitFor } from '../test/support/wait-for.ts'

/** What one finished text job without files costs: commands of Redis, processor time of each process, and memory. */

const HELLO = '9dcd6d78e7c6560c340d916fe32e9f24aabfa331e5cce95fe31f77fb03121426'
const WARM = 200
const JOBS = 1000
const SHOWN = 14

let fleet: Fleet
beforeAll(async () => {
  fleet = await startProcesses({
    apis: 1,
    workers: 1,
    env: {
      REPLICATE_CREATES_PER_MINUTE: '600000',
      REPLICATE_READS_PER_MINUTE: '60000',
      LOG_LEVEL: 'warn',
    },
    simulatorArgs: ['--creates-per-minute', '600000', '--reads-per-minute', '600000', '--speed', '10'],
  })
})
afterAll(() => fleet.stop())

async function runJobs(count: number): Promise<void> {
  const [client] = fleet.clients
  if (!client) throw new Error('no api')
  const finished = async (): Promise<number> => Number(await fleet.redis.hget(fleet.keys.phases, 'succeeded'))
  const before = await finished()
  for (let at = 0; at < count; at += 20)
    await submitMany({ client }, 20, (i) => ({ version: HELLO, input: { text: `job ${at + i}` } }))
  await waitFor('the jobs to finish', async () => (await finished()) - before >= count, { timeout: 300_000 })
}

/** Calls of each command since the last `CONFIG RESETSTAT`, those of scripts included. */
async function calls(): Promise<Map<string, number>> {
  const text = await fleet.redis.info('commandstats')
  return new Map([...text.matchAll(/^cmdstat_(\S+):calls=(\d+)/gm)].map(([, name = '', n]) => [name, Number(n)]))
}

/** Processor time of Redis so far, ms. */
async function redisMs(): Promise<number> {
  const text = await fleet.redis.info('cpu')
  const of = (name: string): number => Number(new RegExp(`^${name}:(\\S+)`, 'm').exec(text)?.[1])
  return 1000 * (of('used_cpu_user') + of('used_cpu_sys'))
}

async function apiMs(): Promise<number> {
  const text = await (await fetch(`${fleet.urls[0]}/metrics`)).text()
  return 1000 * Number(/^process_cpu_seconds_total (\S+)/m.exec(text)?.[1])
}

test('a finished text job', async () => {
  await runJobs(WARM)
  await fleet.redis.config('RESETSTAT')
  const [redisBefore, apiBefore] = [await redisMs(), await apiMs()]
  await runJobs(JOBS)
  const counted = await calls()
  const perJob = (n: number): string => (n / JOBS).toFixed(1)
  const scripts = ['evalsha', 'eval', 'fcall'].reduce((sum, name) => sum + (counted.get(name) ?? 0), 0)
  // The waiting of this file reads one field again and again.
  const all = [...counted].reduce((sum, [name, n]) => sum + (name === 'hget' ? 0 : n), 0)
  process.stdout.write(
    `commands ${perJob(all)}, scripts ${perJob(scripts)}, stream entries ${perJob(counted.get('xadd') ?? 0)}\n` +
      `processor, ms: redis ${perJob((await redisMs()) - redisBefore)}, api ${perJob((await apiMs()) - apiBefore)}\n`,
  )
  for (const [name, n] of [...counted].toSorted(([, a], [, b]) => b - a).slice(0, SHOWN))
    process.stdout.write(`  ${name} ${perJob(n)}\n`)
  const { data } = (await fleet.clients[0]?.list({ limit: 100 })) ?? { data: [] }
  const ids = data.map(({ id }) => id)
  const { record, parts, payload, beside } = await recordBytes(fleet, ids)
  await cleanUpPayloads(fleet, ids)
  const folded = await recordBytes(fleet, ids)
  process.stdout.write(
    `memory: ${record} bytes in the record's own keys without ${payload} of payload, ${beside} in other keys with its id; ` +
      `of its own: ${JSON.stringify(parts)}; after a day ${folded.record} (goal ${FINISHED_RECORD_GOAL}) and ${folded.beside}\n`,
  )
  expect(scripts).toBeGreaterThan(0)
})
