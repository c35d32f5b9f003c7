import { randomUUID } from 'node:crypto'
import { Redis } from 'ioredis'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import type { AcceptResult } from '../../src/shared/jobs/lifecycle.ts'
import type { NewJob } from '../../src/shared/jobs/rules/new-job.ts'
import { moneyScene, newJob, type MoneyScene } from '../support/money.ts'
import { openGate } from '../support/open-gate.ts'
import { testRedisUrl } from '../support/redis.ts'

/** Budgets by the real scripts: what they count, refuse and report. */

const redis = new Redis(testRedisUrl())
afterAll(() => redis.disconnect())

/** ms; moves the periods of the budgets. */
let day = 0
const PRICE = { per_run: 10 }

let scene: MoneyScene
beforeAll(async () => {
  scene = moneyScene(redis, {
    period: (_period, _zone, at) => ({ name: `2026-01-0${1 + day}`, from: at - 60_000, until: at + 60_000 }),
  })
  await openGate(scene.generation, scene.real)
})

let tenant: string
beforeEach(() => {
  tenant = `t-${randomUUID()}`
  day = 0
})

const accept = (changes: Partial<NewJob> = {}, price: object | null = PRICE): Promise<AcceptResult> =>
  scene.lifecycle.accept(newJob(tenant, price, changes), scene.lifecycle.newJobId(), null)
const kindOf = async (changes: Partial<NewJob> = {}, price: object | null = PRICE): Promise<string> =>
  (await accept(changes, price)).kind
const used = async (id: string, period = '2026-01-01', subject = ''): Promise<number | undefined> =>
  (await scene.budgets.counts(id, period)).used.get(subject)

describe('a hard budget', () => {
  test('refuses what does not fit, and names itself, what it counts and when it resets', async () => {
    const { id } = await scene.addBudget({ tenant, limit: 25 })
    expect([await kindOf(), await kindOf()]).toEqual(['accepted', 'accepted'])
    const refused = await accept()
    expect(refused).toMatchObject({ kind: 'over_budget', used: 20, charge: { amount: 10, budget: { id, limit: 25 } } })
    expect(await scene.account(tenant)).toMatchObject({ held: 20 })
    // A job without a price costs nothing.
    expect(await kindOf({}, null)).toBe('accepted')
    day = 1
    expect(await kindOf()).toBe('accepted')
    expect([await used(id), await used(id, '2026-01-02')]).toEqual([20, 10])
  })

  test('counts in the period of the acceptance, whenever the job ends', async () => {
    const { id } = await scene.addBudget({ tenant, limit: 25 })
    const price = { per_predict_second: 2, expect: { predict_seconds: 10 } }
    const { id: job } = await scene.accept(tenant, price)
    const { id: other } = await scene.accept(tenant, { per_run: 5 })
    await scene.begin(job)
    day = 1
    await scene.end(job, 'succeeded', { output: 'text', metrics: { predict_time: 3 } })
    expect(await used(id)).toBe(11)
    await scene.lifecycle.apply(other, { type: 'cancel' }, 'api')
    expect([await used(id), await used(id, '2026-01-02')]).toEqual([6, undefined])
  })

  test('takes a batch as a whole', async () => {
    const { id } = await scene.addBudget({ tenant, limit: 25 })
    const each = await scene.addBudget({ scope: 'user', tenant, limit: 100 })
    const request = { tenant, in_sequence: false, stop_rate: null, max_spend: null, metadata: {}, retry_of: null }
    const batch = (jobs: NewJob[]) =>
      scene.batches.accept(request, scene.batches.newBatchId(), jobs, null, { queuedJobs: null })
    const [ada, bob] = [newJob(tenant, PRICE, { user: 'ada' }), newJob(tenant, PRICE, { user: 'bob b' })]
    expect(await batch([ada, bob, ada])).toMatchObject({ kind: 'over_budget', charge: { amount: 30 } })
    expect([await used(id), await scene.account(tenant)]).toMatchObject([undefined, { held: 0 }])
    expect(await batch([ada, bob])).toMatchObject({ kind: 'accepted' })
    expect([await used(id), await used(each.id, '2026-01-01', 'bob b')]).toEqual([20, 10])
  })

  test('is one of a user, of each user, of a key, of a preset in one tenant or in all', async () => {
    const other = `t-${randomUUID()}`
    await scene.addBudget({ scope: 'user', tenant, user: 'ada', limit: 10 })
    await scene.addBudget({ scope: 'user', tenant, user: null, limit: 20 })
    await scene.addBudget({ scope: 'key', tenant, key_id: tenant, limit: 10 })
    await scene.addBudget({ scope: 'preset', tenant, preset: tenant, limit: 10 })
    await scene.addBudget({ scope: 'preset', tenant: null, preset: other, limit: 10 })
    const twice = async (changes: Partial<NewJob>) => [await kindOf(changes), await kindOf(changes)]
    expect(await twice({ user: 'ada' })).toEqual(['accepted', 'over_budget'])
    expect(await twice({ user: 'bob' })).toEqual(['accepted', 'accepted'])
    expect(await kindOf({ user: 'bob' })).toBe('over_budget')
    expect(await twice({ key_id: tenant })).toEqual(['accepted', 'over_budget'])
    expect(await twice({ preset: tenant })).toEqual(['accepted', 'over_budget'])
    expect(await kindOf({ preset: other })).toBe('accepted')
    tenant = other
    expect(await kindOf({ preset: other })).toBe('over_budget')
  })

  test('applies from its creation on, at once in a process that has seen none, and no longer once it is removed', async () => {
    expect(await kindOf()).toBe('accepted')
    const { id } = await scene.addBudget({ tenant, limit: 10 })
    expect([await kindOf(), await kindOf()]).toEqual(['accepted', 'over_budget'])
    await scene.budgets.change(id, { limit: 20 })
    expect([await kindOf(), await kindOf()]).toEqual(['accepted', 'over_budget'])
    await scene.budgets.change(id, { hard: false })
    expect(await kindOf()).toBe('accepted')
    await scene.budgets.remove(id)
    await scene.budgets.remove(id)
    expect([await kindOf(), await scene.budgets.read(id), await used(id)]).toEqual(['accepted', null, 30])
  })

  test('counts jobs whose acceptance was sent again once', async () => {
    const { id } = await scene.addBudget({ tenant, limit: 100 })
    const [job, commit] = [{ ...(await scene.accept(tenant, PRICE)), id: scene.lifecycle.newJobId() }, randomUUID()]
    const limits = { queuedJobs: null }
    expect((await scene.real.create(job, null, commit, limits)).status).toBe('applied')
    expect((await scene.real.create(job, null, commit, limits)).status).toBe('repeated')
    expect(await used(id)).toBe(20)
  })
})

describe('an alert', () => {
  const notices = async (of = tenant): Promise<unknown[]> =>
    (await redis.hvals(scene.keys.notices(of))).map((text) => JSON.parse(text) as unknown)

  test('is owed once for each level, also by the end of a job, and again after a change of the limit', async () => {
    await redis.hset(scene.keys.subscribed(tenant), 'budget.alert', '1')
    const { id } = await scene.addBudget({ tenant, limit: 40, hard: false, alert_at: [50, 100] })
    const levels = async () => [
      (await notices()).length,
      (await scene.budgets.counts(id, '2026-01-01')).alerted.get(''),
    ]
    await accept()
    expect(await levels()).toEqual([0, undefined])
    await accept()
    expect(await levels()).toEqual([1, 20])
    const price = { per_predict_second: 1, expect: { predict_seconds: 1 } }
    const { id: job } = await scene.accept(tenant, price)
    await scene.begin(job)
    expect(await levels()).toEqual([1, 20])
    await scene.end(job, 'succeeded', { output: 'text', metrics: { predict_time: 30 } })
    expect(await levels()).toEqual([2, 40])
    await accept()
    expect(await levels()).toEqual([2, 40])
    await scene.budgets.change(id, { limit: 60 })
    await accept()
    expect(await levels()).toEqual([3, 60])
    expect(await notices()).toContainEqual(
      expect.objectContaining({ type: 'budget.alert', budget: id, period: '2026-01-01', subject: '' }),
    )
  })

  test('of a budget of all tenants is owed to the operator’s tenant, not to the one that spends', async () => {
    await redis.hset(scene.keys.subscribed('default'), 'budget.alert', '1')
    await redis.hset(scene.keys.subscribed(tenant), 'budget.alert', '1')
    await scene.addBudget({ scope: 'preset', tenant: null, preset: tenant, limit: 10 })
    const { id: job } = await scene.accept(
      tenant,
      { per_predict_second: 1, expect: { predict_seconds: 1 } },
      { preset: tenant },
    )
    await scene.begin(job)
    await scene.end(job, 'succeeded', { output: 'text', metrics: { predict_time: 7 } })
    expect([(await notices()).length, (await notices('default')).length]).toEqual([0, 1])
    await redis.del(scene.keys.subscribed('default'))
  })
})

test('the audit recounts budgets from the ledgers, and finds a count that is wrong or lost', async () => {
  const { id } = await scene.addBudget({ tenant, limit: 1000 })
  await accept()
  const { id: job } = await scene.accept(tenant, PRICE)
  await scene.lifecycle.apply(job, { type: 'cancel' }, 'api')
  const found = async () => (await scene.budgetProblems([tenant])).filter((one) => one.id.startsWith(id))
  expect(await found()).toEqual([])
  await redis.hincrby(scene.keys.budgetCounts(id, '2026-01-01'), 'used', 5)
  expect(await found()).toEqual([{ id: `${id}:2026-01-01`, detail: 'it counts 15; the ledgers say 10' }])
})
