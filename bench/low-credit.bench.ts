import { setTimeout as delay } from 'node:timers/promises'
import { expect, test } from 'vitest'
import { startProcesses } from '../test/support/start-processes.ts'

/**
 * An account whose credit falls to four dollars, where Replicate allows six creates a minute, and rises again: two workers, the
 * default times, a simulator with the true buckets. Takes nine minutes.
 */

const HELLO = '9dcd6d78e7c6560c340d916fe32e9f24aabfa331e5cce95fe31f77fb03121426'
const PER_MINUTE = 600
const MINUTE = 60_000
const JOBS = 4_500

test('low credit', { timeout: 15 * MINUTE }, async () => {
  const fleet = await startProcesses({
    apis: 1,
    workers: 2,
    env: { REPLICATE_CREATES_PER_MINUTE: String(PER_MINUTE), REPLICATE_READS_PER_MINUTE: '60000', LOG_LEVEL: 'warn' },
    simulatorArgs: ['--creates-per-minute', String(PER_MINUTE), '--burst', '10', '--reads-per-minute', '600000'],
  })
  const [client] = fleet.clients
  if (!client) throw new Error('no api')
  const credit = async (dollars: number): Promise<void> => {
    const response = await fetch(`${fleet.simulator.url}/_sim/credit`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ usd: dollars }),
    })
    if (!response.ok) throw new Error(`${response.status} ${await response.text()}`)
  }
  for (let left = JOBS; left > 0; left -= 500)
    await client.batch({
      items: Array.from({ length: Math.min(left, 500) }, (_, i) => ({ version: HELLO, input: { text: `job ${i}` } })),
    })
  const counts = async () => (await fleet.simulator.books()).counts
  /** Creates and 429s of the next minute. */
  async function minute(what: string): Promise<number> {
    const before = await counts()
    await delay(MINUTE)
    const after = await counts()
    const [created, refused] = [after.created - before.created, after.throttled - before.throttled]
    process.stdout.write(`${what}: ${created} created, ${refused} refused\n`)
    return created
  }
  await credit(100)
  await delay(5_000)
  await minute('usual credit')
  await credit(4)
  // The first minute of the new limit has the creates that had begun.
  await minute('4 dollars, first minute')
  const low = await minute('4 dollars, second minute')
  await credit(100)
  let back = 0
  for (let n = 1; n <= 6; n++) back = await minute(`credit again, minute ${n}`)
  const failed = Number((await fleet.redis.hget(fleet.keys.phases, 'failed')) ?? 0)
  process.stdout.write(`failed jobs: ${failed}\n`)
  expect(failed).toBe(0)
  expect(low).toBeLessThanOrEqual(8)
  expect(back).toBeGreaterThan(0)
  for (const one of [...fleet.apis, ...fleet.workers]) await one.kill('SIGKILL')
  await fleet.stop()
})
