import { randomUUID } from 'node:crypto'
import { ulid } from 'ulid'
import { expect, test } from 'vitest'
import type { JobRecord } from '../src/shared/jobs/rules/job.ts'
import { jobScene } from '../test/support/job-scene.ts'
import { jobRecord } from '../test/unit/support/job-states.ts'

/** What the labels of a job cost: bytes of their index, by `MEMORY USAGE`, and commands of the script that accepts it. */

const JOBS = 10_000
const AT_ONCE = 100

const CASES: [name: string, of: (i: number) => Partial<JobRecord>][] = [
  ['no label', () => ({})],
  ['a field of metadata', (i) => ({ metadata: { order: `o-${i}` } })],
  ['a user', (i) => ({ user: `u-${i % 500}` })],
  ['both', (i) => ({ user: `u-${i % 500}`, metadata: { order: `o-${i}` } })],
]

test.each(CASES)('jobs with %s', async (name, of) => {
  const { redis, keys, store } = await jobScene()
  await redis.config('RESETSTAT')
  for (let at = 0; at < JOBS; at += AT_ONCE)
    await Promise.all(
      Array.from({ length: AT_ONCE }, (_, i) =>
        store.create({ ...jobRecord('queued'), ...of(at + i), id: `job_${ulid()}`, rev: 0 }, null, randomUUID()),
      ),
    )
  const calls = [...(await redis.info('commandstats')).matchAll(/^cmdstat_(?:zadd|type):calls=(\d+)/gm)]
  const commands = calls.reduce((sum, [, count]) => sum + Number(count), 0)
  const bytes = Number(await redis.call('MEMORY', 'USAGE', keys.tenantLabels('default'), 'SAMPLES', '0'))
  const perJob = (total: number): string => (total / JOBS).toFixed(1)
  process.stdout.write(`${name}: ${perJob(bytes)} bytes for each job, ${perJob(commands)} commands ZADD and TYPE\n`)
  expect(await redis.zcard(keys.tenantJobs('default'))).toBe(JOBS)
})
