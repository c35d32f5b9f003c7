import { randomUUID } from 'node:crypto'
import * as fc from 'fast-check'
import { Redis } from 'ioredis'
import { ulid } from 'ulid'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { runAudit } from '../../src/shared/audit/audit.ts'
import { createRedisAuditSource } from '../../src/shared/audit/redis-audit-source.ts'
import { createRedisNoticeStore } from '../../src/shared/notifications/redis-notice-store.ts'
import { createRedisSingleNotices } from '../../src/shared/notifications/redis-single-notices.ts'
import { createWarnings } from '../../src/shared/notifications/warnings.ts'
import { createLogger } from '../../src/shared/process/logger.ts'
import { createRedisLedgerSource } from '../../src/shared/credits/redis-ledger-source.ts'
import type { JobRecord } from '../../src/shared/jobs/rules/job.ts'
import { transition } from '../../src/shared/jobs/rules/transitions.ts'
import { moneyScene, newJob, type MoneyScene } from '../support/money.ts'
import { openGate } from '../support/open-gate.ts'
import { testRedisUrl } from '../support/redis.ts'
import { context } from '../unit/support/job-states.ts'

/** What is owed to receivers is written with the change that makes it true, once, and only where somebody hears of it. */

const redis = new Redis(testRedisUrl())
afterAll(() => redis.disconnect())
let scene: MoneyScene
beforeAll(async () => {
  scene = moneyScene(redis)
  await openGate(scene.generation, scene.real)
})

const newTenant = (): string => `t-${randomUUID()}`
const hearing = async (tenant: string, ...types: string[]): Promise<void> => {
  await redis.hset(scene.keys.subscribed(tenant), Object.fromEntries(types.map((type) => [type, '1'])))
}
const typesIn = async (key: string): Promise<string[]> =>
  (await redis.hvals(key)).map((text) => String(JSON.parse(text).type)).sort()
const ofJob = (id: string): Promise<string[]> => typesIn(scene.keys.outbox(id))
const ofTenant = (tenant: string): Promise<string[]> => typesIn(scene.keys.notices(tenant))
const WEBHOOK: NonNullable<JobRecord['webhook']> = {
  url: 'https://example.com/hook',
  events: ['job.succeeded'],
  shape: 'genqueue',
  filter: null,
}
const PRICE = { per_run: 100 }

/** Every row has its member of the due index, and there are no others. */
const expectDue = (tenant: string, jobs: readonly string[]): Promise<void> => expectDueIn(scene, tenant, jobs)
async function expectDueIn({ keys, findings }: MoneyScene, tenant: string, jobs: readonly string[]): Promise<void> {
  const due = await redis.zrange(keys.due, '0', '-1')
  const rows = await Promise.all(jobs.map((id) => redis.hkeys(keys.outbox(id))))
  const ofJobs = jobs.flatMap((id, i) => (rows[i] ?? []).map((row) => `effect:${id}:${row}`))
  const own = (await redis.hkeys(keys.notices(tenant))).map((id) => `owed:${tenant}:${id}`)
  const isMine = (member: string): boolean =>
    member.startsWith(`owed:${tenant}:`) || jobs.some((id) => member.startsWith(`effect:${id}:`))
  expect(due.filter(isMine).sort()).toEqual([...ofJobs, ...own].sort())
  expect(await findings(jobs, [])).toEqual([])
}

describe('a job', () => {
  test('owes nothing where nobody hears of it', async () => {
    const tenant = newTenant()
    await hearing(tenant, 'job.failed')
    const { id } = await scene.accept(tenant, null)
    await scene.begin(id)
    await scene.end(id, 'succeeded')
    expect(await ofJob(id)).toEqual([])
    expect(await ofTenant(tenant)).toEqual([])
    await expectDue(tenant, [id])
  })

  test('owes its start and its end where an endpoint hears of them, and shows them in its state', async () => {
    const tenant = newTenant()
    await hearing(tenant, 'job.started', 'job.succeeded')
    const { id } = await scene.accept(tenant, null)
    await scene.begin(id)
    expect(await ofJob(id)).toEqual(['job.started'])
    await scene.end(id, 'succeeded')
    expect(await ofJob(id)).toEqual(['job.started', 'job.succeeded'])
    await expectDue(tenant, [id])
    const { state } = await scene.real.load(id)
    expect(state?.effects.map(({ kind }) => kind)).toEqual(['notice', 'notice'])
  })

  test('owes what its own webhook hears of, without any endpoint', async () => {
    const tenant = newTenant()
    const { id } = await scene.accept(tenant, null, { webhook: WEBHOOK })
    await scene.begin(id)
    expect(await ofJob(id)).toEqual([])
    await scene.end(id, 'succeeded')
    expect(await ofJob(id)).toEqual(['job.succeeded'])
    await expectDue(tenant, [id])
  })

  test('is left alone by releases that would not notify its receivers, or cannot read what is owed to them', async () => {
    const tenant = newTenant()
    await hearing(tenant, 'job.started')
    const [plain, own] = [await scene.accept(tenant, null), await scene.accept(tenant, null, { webhook: WEBHOOK })]
    const version = (id: string) => redis.hget(scene.keys.job(id), 'v')
    expect([await version(plain.id), await version(own.id)]).toEqual(['1', '3'])
    await scene.begin(plain.id)
    const [row = '{}'] = await redis.hvals(scene.keys.outbox(plain.id))
    expect(JSON.parse(row)).toMatchObject({ v: 2, kind: 'notice' })
    expect((await scene.real.load(own.id)).state?.job).toMatchObject({ v: 1, webhook: WEBHOOK, input_bytes: null })
  })

  test('owes nothing twice when its commit is repeated', async () => {
    const tenant = newTenant()
    await hearing(tenant, 'job.canceled')
    const { id } = await scene.accept(tenant, null)
    const { now, state } = await scene.real.load(id)
    if (!state) throw new Error('no state')
    const decision = transition(state, { type: 'cancel' }, context(now))
    if (decision.kind === 'ignored') throw new Error('ignored')
    const first = await scene.real.commit(state, decision, 'api', 'once')
    expect(first).toMatchObject({ status: 'applied', owed: [{ job: id, notice: { type: 'job.canceled' } }] })
    expect((await scene.real.load(id)).state).toEqual('state' in first && first.state)
    expect((await scene.real.commit(state, decision, 'api', 'once')).status).toBe('repeated')
    expect(await ofJob(id)).toEqual(['job.canceled'])
  })

  test('is kept with its payload while a row is there', async () => {
    const tenant = newTenant()
    const { id } = await scene.accept(tenant, null, { webhook: WEBHOOK })
    await scene.begin(id)
    await scene.end(id, 'succeeded')
    const retention = async (): Promise<number> => Number(await redis.zscore(scene.keys.retention, id))
    const [row = ''] = await redis.hkeys(scene.keys.outbox(id))
    const carry = { v: 2, kind: 'carry', notification: 'ntf_1' }
    await redis.hset(scene.keys.outbox(id), 'carry:ntf_1', JSON.stringify(carry))
    await redis.hset(scene.keys.notification('ntf_1'), 'state', 'pending')
    for (const key of [row, null]) {
      const { now, state } = await scene.real.load(id)
      if (!state) throw new Error('no state')
      await redis.zadd(scene.keys.retention, 1, id)
      await scene.real.deferRetention(state)
      // A notice is due in seconds; the end of a notification is looked for after minutes.
      expect(await retention()).toBeGreaterThanOrEqual(now + scene.timings.ringAgain.max - 1000)
      expect(await scene.findings([id], [])).toEqual([])
      if (key !== null) {
        await redis.hdel(scene.keys.outbox(id), key)
        await redis.zrem(scene.keys.due, `effect:${id}:${key}`)
      }
    }
    await redis.hset(scene.keys.notification('ntf_1'), 'state', 'delivered')
    expect(await scene.findings([id], [])).toEqual([expect.stringMatching(/^effect_fits .* delivered$/)])
  })
})

describe('a batch', () => {
  const accepted = async (tenant: string, count: number, webhook: JobRecord['webhook'] = null) => {
    const id = scene.batches.newBatchId()
    const request = { tenant, in_sequence: false, stop_rate: null, max_spend: null, metadata: {}, retry_of: null }
    const items = Array.from({ length: count }, () => newJob(tenant, PRICE, { webhook }))
    const result = await scene.batches.accept(request, id, items, null, { queuedJobs: null })
    if (result.kind !== 'accepted') throw new Error(`not accepted: ${result.kind}`)
    return { batch: result.batch, jobs: await redis.zrange(scene.keys.batchJobs(id), '0', '-1') }
  }

  test('owes its end with the end of its last job', async () => {
    const tenant = newTenant()
    await hearing(tenant, 'batch.finished')
    const { batch, jobs } = await accepted(tenant, 2)
    const [first = '', second = ''] = jobs
    await scene.lifecycle.apply(first, { type: 'cancel' }, 'api')
    expect(await ofTenant(tenant)).toEqual([])
    await scene.begin(second)
    await scene.end(second, 'failed')
    const rows = await redis.hvals(scene.keys.notices(tenant))
    expect(rows.map((text) => JSON.parse(text))).toMatchObject([{ type: 'batch.finished', batch: batch.id }])
    await expectDue(tenant, jobs)
  })

  test('owes its end also when it is canceled, to its own webhook', async () => {
    const tenant = newTenant()
    const { batch, jobs } = await accepted(tenant, 3, { ...WEBHOOK, events: ['batch.finished'] })
    await scene.batches.cancel(batch)
    expect(await ofTenant(tenant)).toEqual(['batch.finished'])
    for (const id of jobs) expect(await ofJob(id)).toEqual([])
    await expectDue(tenant, jobs)
  })
})

describe('credits', () => {
  const threshold = (tenant: string, amount: number) => scene.credits.setLowBalance(tenant, amount)

  test('owe that they are low once for each crossing, which a grant arms again', async () => {
    const tenant = newTenant()
    await hearing(tenant, 'credits.low')
    await scene.grant(tenant, 250)
    await threshold(tenant, 100)
    const { id } = await scene.accept(tenant, PRICE)
    expect(await ofTenant(tenant)).toEqual([])
    await scene.accept(tenant, PRICE)
    expect(await ofTenant(tenant)).toEqual(['credits.low'])
    // The release lifts the balance over the threshold, and the next hold takes it below: this is the same shortage.
    await scene.lifecycle.apply(id, { type: 'cancel' }, 'api')
    await scene.accept(tenant, PRICE)
    expect(await ofTenant(tenant)).toEqual(['credits.low'])
    await scene.grant(tenant, 10)
    await scene.grant(tenant, 100)
    await scene.accept(tenant, PRICE)
    expect(await ofTenant(tenant)).toEqual(['credits.low', 'credits.low'])
    await expectDue(tenant, [id])
  })

  test('owe it in the commit of a settlement that takes more than was held', async () => {
    const tenant = newTenant()
    await hearing(tenant, 'credits.low')
    await scene.grant(tenant, 300)
    await threshold(tenant, 150)
    const { id } = await scene.accept(tenant, { per_predict_second: 100, expect: { predict_seconds: 1 } })
    await scene.begin(id)
    expect(await ofTenant(tenant)).toEqual([])
    await scene.end(id, 'succeeded', { metrics: { predict_time: 2 } })
    expect(await ofTenant(tenant)).toEqual(['credits.low'])
  })

  test('owe it by an adjustment, and again when the threshold is set again', async () => {
    const tenant = newTenant()
    await hearing(tenant, 'credits.low')
    await scene.grant(tenant, 300)
    await threshold(tenant, 200)
    const adjust = (amount: number) => {
      const name = { request: randomUUID(), body: String(amount) }
      return scene.credits.enter(tenant, { kind: 'adjustment', amount, reason: 'x' }, name)
    }
    await adjust(-100)
    expect(await ofTenant(tenant)).toEqual([])
    await adjust(-1)
    await adjust(-1)
    expect(await ofTenant(tenant)).toEqual(['credits.low'])
    await threshold(tenant, 250)
    await adjust(1)
    expect(await ofTenant(tenant)).toHaveLength(2)
    expect(await scene.account(tenant)).toMatchObject({ low_balance: 250, balance: 199 })
    await scene.credits.setLowBalance(tenant, null)
    await adjust(-50)
    expect(await ofTenant(tenant)).toHaveLength(2)
    expect(await scene.account(tenant)).toMatchObject({ low_balance: null })
    await expectDue(tenant, [])
  })

  test('owe it to nobody of a tenant without credits or without a threshold, and not to who hears of nothing', async () => {
    const [unlimited, none, deaf] = [newTenant(), newTenant(), newTenant()]
    await hearing(unlimited, 'credits.low')
    await threshold(unlimited, 100)
    await hearing(none, 'credits.low')
    await scene.grant(none, 100)
    await scene.grant(deaf, 150)
    await threshold(deaf, 100)
    for (const tenant of [unlimited, none, deaf]) {
      await scene.accept(tenant, PRICE)
      expect(await ofTenant(tenant)).toEqual([])
    }
  })
})

test('low credits are owed once for each crossing that the ledger shows, though replies are lost', async () => {
  const THRESHOLD = 250
  let isLost = false
  /** The reply of the first try is lost, and the command is sent again. */
  const twice = async <T>(send: () => Promise<T>): Promise<T> => {
    if (isLost) await send()
    return send()
  }
  const lossy = moneyScene(redis, {
    store: (store) => ({
      ...store,
      create: (...args) => twice(() => store.create(...args)),
      commit: (...args) => twice(() => store.commit(...args)),
    }),
  })
  await openGate(lossy.generation, lossy.real)
  const bySecond = { per_predict_second: 100, expect: { predict_seconds: 1 } }
  const step = fc.record({
    act: fc.constantFrom('accept', 'accept', 'succeed', 'cancel', 'grant', 'adjust'),
    amount: fc.integer({ min: 1, max: 3 }),
    isLost: fc.boolean(),
  })
  await fc.assert(
    fc.asyncProperty(fc.array(step, { minLength: 4, maxLength: 25 }), async (steps) => {
      const tenant = newTenant()
      await redis.hset(lossy.keys.subscribed(tenant), 'credits.low', '1')
      await lossy.credits.setLowBalance(tenant, THRESHOLD)
      await lossy.grant(tenant, 400)
      const running: string[] = []
      for (const { act, amount, ...how } of steps) {
        isLost = how.isLost
        const [oldest] = running
        if (act === 'grant') await lossy.grant(tenant, 100 * amount)
        if (act === 'adjust') {
          const entry = { kind: 'adjustment' as const, amount: -40 * amount, reason: 'x' }
          await lossy.credits.enter(tenant, entry, { request: randomUUID(), body: 'x' })
        }
        if (act === 'accept') {
          const job = newJob(tenant, bySecond)
          const result = await lossy.lifecycle.accept(job, lossy.lifecycle.newJobId(), null)
          if (result.kind === 'accepted') running.push(result.job.id)
        }
        if ((act === 'cancel' || act === 'succeed') && oldest !== undefined) {
          running.shift()
          if (act === 'cancel') await lossy.lifecycle.apply(oldest, { type: 'cancel' }, 'api')
          else {
            await lossy.begin(oldest)
            await lossy.end(oldest, 'succeeded', { metrics: { predict_time: amount } })
          }
        }
      }
      isLost = false
      let [isLow, crossings] = [false, 0]
      const { entries } = await lossy.credits.ledger(tenant, { limit: 1000 })
      for (const { kind, amount, after } of entries.toReversed()) {
        const wasLow = isLow
        if (!wasLow && after.balance < THRESHOLD) [isLow, crossings] = [true, crossings + 1]
        const lifts = (kind === 'grant' || kind === 'adjustment') && amount > 0
        if (wasLow && lifts && after.balance >= THRESHOLD) isLow = false
      }
      const owed = await typesIn(lossy.keys.notices(tenant))
      expect(owed).toEqual(Array.from({ length: crossings }, () => 'credits.low'))
    }),
    { numRuns: 30 },
  )
})

describe('a warning', () => {
  const rung: string[] = []
  const warnings = () =>
    createWarnings({
      notices: createRedisSingleNotices({ redis, keys: scene.keys, timings: scene.timings }),
      doorbells: {
        effect: async (job) => void rung.push(job),
        notice: async (tenant) => void rung.push(tenant),
      },
      log: createLogger({ level: 'silent', readable: false }),
    })

  test('that the credits are exhausted is owed once, until the next grant', async () => {
    const tenant = newTenant()
    await scene.grant(tenant, 10)
    await warnings().creditsExhausted(tenant, 90)
    expect(await ofTenant(tenant)).toEqual([])
    await hearing(tenant, 'credits.exhausted')
    for (let i = 0; i < 3; i++) await warnings().creditsExhausted(tenant, 90 + i)
    const [row = ''] = await redis.hvals(scene.keys.notices(tenant))
    expect(JSON.parse(row)).toMatchObject({ type: 'credits.exhausted', missing: 90, job: null })
    await scene.grant(tenant, 10)
    for (let i = 0; i < 2; i++) await warnings().creditsExhausted(tenant, 80)
    expect(await ofTenant(tenant)).toEqual(['credits.exhausted', 'credits.exhausted'])
    expect(rung.filter((one) => one === tenant)).toHaveLength(2)
    await expectDue(tenant, [])
  })

  test('that an output is at risk is owed once for each job, to its own webhook and to endpoints', async () => {
    const tenant = newTenant()
    const webhook: JobRecord['webhook'] = { ...WEBHOOK, events: ['artifact.at_risk'] }
    const own = await scene.accept(tenant, null, { webhook })
    const none = await scene.accept(tenant, null)
    for (const job of [own, none, own]) await warnings().artifactAtRisk(job)
    expect([await ofJob(own.id), await ofJob(none.id)]).toEqual([['artifact.at_risk'], []])
    await hearing(tenant, 'artifact.at_risk')
    for (const job of [own, none, none]) await warnings().artifactAtRisk(job)
    expect([await ofJob(own.id), await ofJob(none.id)]).toEqual([['artifact.at_risk'], ['artifact.at_risk']])
    expect(rung.filter((one) => one === own.id || one === none.id)).toEqual([own.id, none.id])
    // A later commit of the job keeps the row.
    await scene.lifecycle.apply(none.id, { type: 'cancel' }, 'api')
    expect(await ofJob(none.id)).toEqual(['artifact.at_risk'])
    await expectDue(tenant, [own.id, none.id])
    // Nothing is made of a job that is gone.
    const gone = { ...own, id: scene.lifecycle.newJobId() }
    await warnings().artifactAtRisk(gone)
    expect(await redis.exists(scene.keys.job(gone.id), scene.keys.outbox(gone.id))).toBe(0)
  })

  test('that cannot be written fails nothing', async () => {
    const broken = createWarnings({
      notices: { oweExhausted: () => Promise.reject(new Error('x')), oweOfJob: () => Promise.reject(new Error('x')) },
      doorbells: { effect: () => Promise.resolve(), notice: () => Promise.resolve() },
      log: createLogger({ level: 'silent', readable: false }),
    })
    await expect(broken.creditsExhausted('t', 1)).resolves.toBeUndefined()
  })
})

test('what no change of a job shows is owed also while a program follows the events of the tenant, and only then', async () => {
  const tenant = newTenant()
  const notices = createRedisNoticeStore({ redis, keys: scene.keys, timings: scene.timings })
  const follower = redis.duplicate()
  const happen = async (): Promise<string[]> => {
    await scene.grant(tenant, 250)
    await scene.credits.setLowBalance(tenant, 200)
    const job = await scene.accept(tenant, PRICE)
    await scene.credits.setLowBalance(tenant, 200)
    await scene.credits.enter(
      tenant,
      { kind: 'adjustment', amount: -60, reason: 'x' },
      { request: randomUUID(), body: '' },
    )
    const warnings = createWarnings({
      notices: createRedisSingleNotices({ redis, keys: scene.keys, timings: scene.timings }),
      doorbells: { effect: async () => undefined, notice: async () => undefined },
      log: createLogger({ level: 'silent', readable: false }),
    })
    await warnings.creditsExhausted(tenant, 1)
    await warnings.artifactAtRisk(job)
    const disabled = { endpoint: 'ep_1', reason: 'gone', detail: '' } as const
    await notices.owe(tenant, { v: 1, id: ulid(), type: 'endpoint.disabled', ...disabled })
    await scene.lifecycle.apply(job.id, { type: 'cancel' }, 'api')
    await scene.grant(tenant, -(await scene.account(tenant)).balance)
    return [...(await ofTenant(tenant)), ...(await ofJob(job.id))]
  }
  expect(await happen()).toEqual([])
  await follower.subscribe(scene.keys.subscribed(tenant))
  // The end of the job is not among them: it is derived from its change.
  const all = ['credits.exhausted', 'credits.low', 'credits.low', 'endpoint.disabled', 'artifact.at_risk']
  expect(await happen()).toEqual(all)
  follower.disconnect()
})

test('the audit finds rows that are not due, and members without a row, and repairs both', async () => {
  const own = moneyScene(redis)
  await openGate(own.generation, own.real)
  const tenant = 'acme'
  await redis.hset(own.keys.subscribed(tenant), 'job.failed', '1')
  await redis.hset(own.keys.notices(tenant), 'A', JSON.stringify({ v: 1, id: 'A', type: 'credits.low' }))
  await redis.zadd(own.keys.due, 1, `owed:${tenant}:B`)
  const { id } = await own.accept(tenant, null)
  await own.begin(id)
  await own.end(id, 'failed')
  const [row = ''] = await redis.hkeys(own.keys.outbox(id))
  await redis.zrem(own.keys.due, `effect:${id}:${row}`)
  await redis.del(own.keys.subscribed(tenant))
  const audit = (repair: boolean) =>
    runAudit({
      source: createRedisAuditSource({ redis, keys: own.keys }),
      ledgers: createRedisLedgerSource({ redis, keys: own.keys }),
      keys: own.keys,
      accounts: { default: null },
      repair,
    })
  const found = (await audit(false)).findings.map(({ invariant, id: what }) => `${invariant} ${what}`)
  const expected = [`due ${id}:${row}`, 'due owed:acme:A', 'index_member_exists owed:acme:B']
  expect(found.filter((one) => !one.startsWith('sweep_scheduled')).sort()).toEqual(expected.sort())
  await audit(true)
  await expectDueIn(own, tenant, [id])
})
