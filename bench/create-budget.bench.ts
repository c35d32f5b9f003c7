import { expect, test } from 'vitest'
import { startProcesses } from '../test/support/start-processes.ts'
import { waitFor } from '../test/support/wait-for.ts'

const HELLO = '9dcd6d78e7c6560c340d916fe32e9f24aabfa331e5cce95fe31f77fb03121426'
const JOBS = 1000

/**
 * Share of the create budget that is used while jobs are waiting: two apis, two workers, 6,000 creates a minute and a
 * simulator with the same limit. 1 is the whole budget; the burst that is left from the slow first second can exceed it.
 */
test('create budget', async () => {
  const perMinute = 6000
  const fleet = await startProcesses({
    apis: 2,
    workers: 2,
    env: { REPLICATE_CREATES_PER_MINUTE: String(perMinute), REPLICATE_READS_PER_MINUTE: '60000' },
    simulatorArgs: ['--creates-per-minute', String(perMinute), '--reads-per-minute', '60000'],
  })
  const ids: string[] = []
  for (let at = 0; at < JOBS; at += 50) {
    const batch = Array.from({ length: 50 }, async (_, i) =>
      fleet.clients[i % 2]?.submit({ version: HELLO, input: { text: `job ${at + i}` } }),
    )
    for (const job of await Promise.all(batch)) if (job) ids.push(job.id)
  }
  await waitFor(
    'all jobs to succeed',
    async () => Number(await fleet.redis.hget(fleet.keys.phases, 'succeeded')) === JOBS,
    { timeout: 300_000 },
  )
  const times = (await Promise.all(ids.map((id) => fleet.redis.hget(fleet.keys.job(id), 'submitted_at'))))
    .map(Number)
    .sort((a, b) => a - b)
  const perSecond = perMinute / 60
  const middle = times.slice(JOBS / 4, (JOBS * 3) / 4)
  const seconds = ((middle.at(-1) ?? 0) - (middle[0] ?? 0)) / 1000
  const used = (middle.length - 1) / (seconds * perSecond)
  const busiest = Math.max(...times.map((from, i) => times.slice(i).filter((at) => at < from + 1000).length))
  const { counts } = await fleet.simulator.books()
  process.stdout.write(
    `share of the budget used in the middle half: ${used.toFixed(3)}; busiest sliding second: ${busiest} of ${2 * perSecond} allowed; 429s: ${counts.throttled}\n`,
  )
  expect(counts).toMatchObject({ created: JOBS, throttled: 0 })
  expect(busiest).toBeLessThanOrEqual(2 * perSecond)
  await fleet.stop()
})
