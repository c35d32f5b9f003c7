import { afterAll, beforeAll, expect, test } from 'vitest'
import { ulid } from 'ulid'
import type { Batch, Job } from '../src/client/types.ts'
import { createLifecycle } from '../src/shared/jobs/lifecycle.ts'
import { placeOf } from '../src/shared/jobs/rules/place.ts'
import { createLogger } from '../src/shared/process/logger.ts'
import { jobScene } from '../test/support/job-scene.ts'
import { SILENT_DOORBELLS } from '../test/support/silent-doorbells.ts'
import { startProcesses, type Fleet } from '../test/support/start-processes.ts'
import { TEST_KEY } from '../test/support/start-service.ts'
import { waitFor } from '../test/support/wait-for.ts'

/** What the order of tenants gives a lone job beside ten thousand of another tenant, and what it costs. */

const HELLO = '9dcd6d78e7c6560c340d916fe32e9f24aabfa331e5cce95fe31f77fb03121426'
const PER_MINUTE = 600
const CROWD = Number(process.env.CROWD_JOBS ?? 10_000)
const ROUNDS = 5
const say = (line: string): boolean => process.stdout.write(`${line}\n`)
const median = (times: readonly number[]): number => times.toSorted((a, b) => a - b)[Math.floor(times.length / 2)] ?? 0

let fleet: Fleet
beforeAll(async () => {
  fleet = await startProcesses({
    apis: 1,
    workers: 2,
    env: {
      REPLICATE_CREATES_PER_MINUTE: String(PER_MINUTE),
      REPLICATE_READS_PER_MINUTE: '60000',
      TENANT_QUEUED_JOBS: '1000000',
      LOG_LEVEL: 'warn',
    },
    simulatorArgs: ['--creates-per-minute', String(PER_MINUTE), '--burst', '10', '--reads-per-minute', '600000'],
  })
})
afterAll(() => fleet.stop())

async function ask<T>(path: string, body?: object, key = TEST_KEY): Promise<T> {
  const response = await fetch(new URL(path, fleet.urls[0]), {
    method: body ? 'POST' : 'GET',
    headers: { authorization: `Bearer ${key}`, 'content-type': 'application/json' },
    ...(body ? { body: JSON.stringify(body) } : {}),
  })
  if (!response.ok) throw new Error(`${path}: ${response.status} ${await response.text()}`)
  return (await response.json()) as T
}

async function newKey(tenant: string): Promise<string> {
  await ask('/v1/admin/tenants', { id: tenant, title: tenant })
  return (await ask<{ key: string }>(`/v1/admin/tenants/${tenant}/keys`, { title: 'bench' })).key
}

/** Time from the request for a job to its end, as its tenant sees it, ms. */
async function loneJob(key: string): Promise<number> {
  const began = performance.now()
  const { id } = await ask<Job>('/v1/jobs', { version: HELLO, input: { text: 'alone' } }, key)
  await ask(`/v1/jobs/${id}?wait=60`, undefined, key)
  return performance.now() - began
}

test('a lone job beside a crowd', { timeout: 600_000 }, async () => {
  const [crowd, lone] = [await newKey('crowd'), await newKey('lone')]
  const alone: number[] = []
  for (let i = 0; i < ROUNDS; i++) alone.push(await loneJob(lone))
  for (let left = CROWD; left > 0; left -= 1000) {
    const items = Array.from({ length: Math.min(left, 1000) }, (_, i) => ({ version: HELLO, input: { text: `${i}` } }))
    await ask<Batch>('/v1/batches', { defaults: { priority: 'interactive' }, items }, crowd)
  }
  await waitFor(
    'the budget to be used up',
    async () => Number(await fleet.redis.hget(fleet.keys.phases, 'succeeded')) > 50,
  )
  const beside: number[] = []
  for (let i = 0; i < ROUNDS; i++) beside.push(await loneJob(lone))
  const waiting = await fleet.redis.zcard(fleet.keys.line)
  const last = (waiting / PER_MINUTE) * 60
  say(
    `a lone job at ${PER_MINUTE} creates a minute: ${median(alone).toFixed(0)} ms alone, ${median(beside).toFixed(0)} ms ` +
      `(slowest ${Math.max(...beside).toFixed(0)}) beside ${waiting} waiting jobs of another tenant (goal < 3000); ` +
      `in the order of acceptance it would wait for ${last.toFixed(0)} s`,
  )
  for (const one of [...fleet.apis, ...fleet.workers]) await one.kill('SIGKILL')
  expect(waiting).toBeGreaterThan(CROWD / 2)
})

test('the cost of a dispatch', { timeout: 300_000 }, async () => {
  const scene = await jobScene()
  const { store, redis, timings } = scene
  const log = createLogger({ level: 'silent', readable: false })
  const lifecycle = createLifecycle({ store, doorbells: SILENT_DOORBELLS, timings, log, webhooks: () => false })
  const JOBS = 2000
  const run = async (what: string, tenants: number): Promise<number> => {
    const ids: string[] = []
    for (let i = 0; i < JOBS; i++) ids.push(await scene.accepted({ tenant: `t${i % tenants}` }))
    const records = await Promise.all(ids.map((id) => store.read(id)))
    for (let at = 0; at < JOBS; at += 100)
      await store.joinLine(records.slice(at, at + 100).flatMap((job) => (job ? [placeOf(job)] : [])))
    let [choosing, intending] = [0, 0]
    for (let done = 0; done < JOBS;) {
      const began = performance.now()
      const { places } = await store.claimLine(5, true)
      choosing += performance.now() - began
      done += places.length
      for (const { job } of places) {
        const from = performance.now()
        await lifecycle.apply(job, (claim) => ({ type: 'intend', claim, lease: store.lease }), 'worker')
        intending += performance.now() - from
      }
    }
    say(
      `${what}: choosing ${((1000 * choosing) / JOBS).toFixed(0)} us a job, the intent ${((1000 * intending) / JOBS).toFixed(0)} us`,
    )
    return choosing / intending
  }
  await run('one tenant (warm-up)', 1)
  await run('one tenant', 1)
  await run('a thousand tenants', 1000)
  // As it was before tenants had shares: the first members of one sorted set.
  const key = `${scene.keys.tag}:plain`
  const plain = Array.from({ length: JOBS }, () => `job_${ulid()}`)
  for (const id of plain) await redis.zadd(key, 0, id)
  const began = performance.now()
  for (let done = 0; done < JOBS; done += 5) {
    const popped = await redis.zpopmin(key, 5)
    await redis.zadd(scene.keys.due, 'XX', 'LT', ...popped.filter((_, i) => i % 2 === 0).flatMap((id) => [0, id]))
  }
  say(`in the order of acceptance: choosing ${((1000 * (performance.now() - began)) / JOBS).toFixed(0)} us a job`)
})
