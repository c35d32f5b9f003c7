import { afterAll, beforeAll, expect, test } from 'vitest'
import { startProcesses, type Fleet } from '../support/start-processes.ts'
import { waitFor } from '../support/wait-for.ts'

const HELLO = '9dcd6d78e7c6560c340d916fe32e9f24aabfa331e5cce95fe31f77fb03121426'
const PER_MINUTE = 6000
const JOBS = 300

let fleet: Fleet
beforeAll(async () => {
  fleet = await startProcesses({
    apis: 2,
    workers: 2,
    env: { REPLICATE_CREATES_PER_MINUTE: String(PER_MINUTE), REPLICATE_READS_PER_MINUTE: '60000' },
    simulatorArgs: ['--creates-per-minute', String(PER_MINUTE), '--reads-per-minute', '60000'],
  })
})
afterAll(() => fleet.stop())

test(`two apis and two workers finish ${JOBS} jobs, each once, at the pace of the budget`, async () => {
  const ids: string[] = []
  for (let at = 0; at < JOBS; at += 50) {
    const batch = Array.from({ length: Math.min(50, JOBS - at) }, async (_, i) =>
      fleet.clients[i % 2]?.submit({ version: HELLO, input: { text: `job ${at + i}` } }),
    )
    for (const job of await Promise.all(batch)) if (job) ids.push(job.id)
  }
  expect(new Set(ids).size).toBe(JOBS)
  await waitFor(
    'all jobs to succeed',
    async () => Number(await fleet.redis.hget(fleet.keys.phases, 'succeeded')) === JOBS,
  )

  const books = await fleet.simulator.books()
  expect(books.counts).toMatchObject({ created: JOBS, throttled: 0 })
  const owners = books.predictions.map(({ webhook }) => new URL(webhook ?? '').searchParams.get('job'))
  expect(new Set(owners)).toEqual(new Set(ids))

  const submitted = (await Promise.all(ids.map((id) => fleet.redis.hget(fleet.keys.job(id), 'submitted_at'))))
    .map(Number)
    .sort((a, b) => a - b)
  const perSecond = PER_MINUTE / 60
  const burst = perSecond
  const busiest = Math.max(...submitted.map((from, i) => submitted.slice(i).filter((at) => at < from + 1000).length))
  expect(busiest).toBeLessThanOrEqual(perSecond + burst)

  const share = fleet.workers.map((worker) => worker.stdout.split('"to":"submitting"').length - 1)
  expect(Math.min(...share)).toBeGreaterThan(JOBS / 10)
})
