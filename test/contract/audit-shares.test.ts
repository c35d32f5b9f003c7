import { flightMember } from '../../src/shared/jobs/record/line-member.ts'
import { Redis } from 'ioredis'
import { afterAll, beforeAll, expect, test } from 'vitest'
import type { AuditReport } from '../../src/shared/audit/audit.ts'
import { auditReport } from '../support/audit.ts'
import { moneyScene, newJob, type MoneyScene } from '../support/money.ts'
import { testRedisUrl } from '../support/redis.ts'
import { openGate } from '../support/open-gate.ts'

/** The whole audit over batches, drafts, slots and ledgers, without a service that would change them meanwhile. */

const redis = new Redis(testRedisUrl())
afterAll(() => redis.disconnect())

let scene: MoneyScene
/** Acceptances of batches that are let through; then their writer dies. */
let lives = 1
let draft: string
let batch: string
let ids: string[]

const TENANT = 'default'
const PRICE = { per_run: 10 }

async function acceptBatch(count: number): Promise<string> {
  const id = scene.batches.newBatchId()
  const request = { tenant: TENANT, in_sequence: false, stop_rate: null, max_spend: null, metadata: {}, retry_of: null }
  const item = newJob(TENANT, PRICE, { preset: 'picture' })
  await scene.batches.accept(
    request,
    id,
    Array<typeof item>(count).fill(item),
    { entry: id, body: '' },
    { queuedJobs: null },
  )
  return id
}

beforeAll(async () => {
  let writes = 0
  scene = moneyScene(redis, {
    commits: (runner) => ({
      ...runner,
      run(script, input, head) {
        writes += 1
        // A draft, then its acceptance.
        if (writes === 2 * lives + 2) throw new Error('died before the acceptance')
        return runner.run(script, input, head)
      },
    }),
  })
  await openGate(scene.generation, scene.real)
  batch = await acceptBatch(4)
  ids = await redis.zrange(scene.keys.batchJobs(batch), '0', '-1')
  const [first = '', second = ''] = ids
  await scene.begin(first)
  await scene.end(first, 'succeeded')
  await scene.begin(second)
  await acceptBatch(3).catch(() => undefined)
  const due = await redis.zrange(scene.keys.due, '0', '-1')
  draft = due.find((member) => member.startsWith('batch:'))?.slice('batch:'.length) ?? ''
})

/** No worker ever started here, so nothing is scheduled. */
const audit = async (repair = false): Promise<AuditReport> => {
  const report = await auditReport({ redis, keys: scene.keys, timings: scene.timings, repair })
  return { ...report, findings: report.findings.filter(({ id }) => id !== 'sweep') }
}
const findings = async (): Promise<string[]> =>
  (await audit()).findings.map(({ invariant, id }) => `${invariant} ${id}`).sort()

test('the audit leaves a draft alone that is not accepted yet, and does not count its jobs', async () => {
  expect(draft).toMatch(/^bat_/)
  expect(await redis.zcard(scene.keys.batchJobs(draft))).toBe(3)
  const report = await audit()
  expect(report.findings).toEqual([])
  expect(report.jobs).toBe(4)
})

test('what is damaged is found; what follows from the records is repaired', async () => {
  const { keys } = scene
  const [first = '', second = '', third = ''] = ids
  const scope = 'preset:picture'
  const member = (of: string, id: string): string => flightMember(of, id)
  await redis.zrem(keys.flight, member(scope, second))
  await redis.zadd(
    keys.flight,
    0,
    member(scope, third),
    0,
    member(scope, 'job_gone'),
    0,
    member('preset:another', second),
  )
  await redis.zrem(keys.due, `batch:${draft}`)
  await redis.zadd(keys.due, 1, 'batch:bat_gone')
  await redis.zadd(keys.retention, 1, 'bat_gone')
  await redis.zadd(keys.tenantBatches(TENANT), 0, 'bat_gone')
  const curable = [
    `due ${draft}`,
    'index_member_exists bat_gone',
    'index_member_exists bat_gone',
    'index_member_exists batch:bat_gone',
    'slots_match job_gone',
    `slots_match ${second}`,
    `slots_match ${second}`,
    `slots_match ${third}`,
  ].sort()
  expect(await findings()).toEqual(curable)
  expect((await audit(true)).repaired).toHaveLength(curable.length)
  expect(await findings()).toEqual([])
  const held = await redis.zrange(keys.flight, `[${scope} `, `(${scope}!`, 'BYLEX')
  expect(held).toEqual([member(scope, second)])

  await redis.hincrby(keys.batch(batch), 'queued', 1)
  await redis.hincrby(keys.batch(batch), 'held', -10)
  await redis.zadd(keys.batchJobs(batch), 9, third)
  await redis.hincrby(keys.credits(TENANT), 'captured', 5)
  await redis.hset(keys.job(first), 'captured', '11')
  await redis.set(keys.idempotency('nowhere'), JSON.stringify({ batch: 'bat_gone', body: '' }))
  await redis.zadd(keys.batchLive('bat_gone'), 0, 'job_gone')
  const { findings: left } = await audit()
  expect(left.map(({ invariant }) => invariant).sort()).toEqual(
    ['batch_counted', 'batch_counted', 'credit_adds_up', 'hold_resolved_once', 'idempotent', 'record_complete'].sort(),
  )
  expect(left.some(({ repairable }) => repairable)).toBe(false)
})
