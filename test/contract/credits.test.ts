import { costView } from '../../src/shared/credits/rules/costs.ts'
import type { SpendingLabel } from '../../src/shared/credits/rules/spending.ts'
import { randomUUID } from 'node:crypto'
import { Redis } from 'ioredis'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { createCreditAdmin } from '../../src/shared/credits/credit-admin.ts'
import { createRedisCreditStore } from '../../src/shared/credits/redis-credit-store.ts'
import { moneyScene, newJob, predictionOf, type MoneyScene } from '../support/money.ts'
import { testRedisUrl } from '../support/redis.ts'
import { openGate } from '../support/open-gate.ts'

const redis = new Redis(testRedisUrl())
afterAll(() => redis.disconnect())

let scene: MoneyScene
beforeAll(async () => {
  scene = moneyScene(redis)
  await openGate(scene.generation, scene.real)
})
let tenant: string
beforeEach(() => {
  tenant = `t-${randomUUID()}`
})

const FIXED = { per_run: 100 }
const BY_SECOND = { per_run: 10, per_predict_second: 100, expect: { predict_seconds: 2 } }
const took = (predict_time: number) => ({ metrics: { predict_time } })

async function run(price: object, status: string, changes: Parameters<MoneyScene['end']>[2] = {}) {
  const { id } = await scene.accept(tenant, price)
  await scene.begin(id)
  return scene.end(id, status, changes)
}

describe('an unlimited tenant', () => {
  test('needs no credit, and is accounted all the same', async () => {
    const { id } = await scene.accept(tenant, FIXED)
    expect(await scene.account(tenant)).toEqual({
      granted: 0,
      balance: -100,
      held: 100,
      captured: 0,
      limited: false,
      low_balance: null,
    })
    await scene.begin(id)
    expect(await scene.end(id, 'succeeded')).toMatchObject({ captured: 100, uncollected: 0, charge_estimated: false })
    expect(await scene.account(tenant)).toEqual({
      granted: 0,
      balance: -100,
      held: 0,
      captured: 100,
      limited: false,
      low_balance: null,
    })
    expect(await scene.kinds(tenant)).toEqual(['hold 100', 'capture 100'])
  })

  test('pays what it took, however much more than was expected', async () => {
    expect(await run(BY_SECOND, 'succeeded', took(50))).toMatchObject({ captured: 5010, uncollected: 0 })
    expect(await scene.account(tenant)).toMatchObject({ balance: -5010, captured: 5010 })
  })

  test('begins at nothing with its first grant, and is limited from then on', async () => {
    await run(FIXED, 'succeeded')
    await scene.accept(tenant, FIXED)
    await scene.grant(tenant, 150)
    expect(await scene.account(tenant)).toEqual({
      granted: 350,
      balance: 150,
      held: 100,
      captured: 100,
      limited: true,
      low_balance: null,
    })
    expect(await scene.kinds(tenant)).toEqual(['hold 100', 'capture 100', 'hold 100', 'opening 200', 'grant 150'])
    await scene.grant(tenant, 1)
    expect((await scene.kinds(tenant)).slice(-2)).toEqual(['grant 150', 'grant 1'])
    expect(await scene.problems(tenant)).toEqual([])
  })

  test('may be limited to nothing', async () => {
    await scene.grant(tenant, 0)
    expect(await scene.account(tenant)).toMatchObject({ granted: 0, balance: 0, limited: true, low_balance: null })
    const result = await scene.lifecycle.accept(newJob(tenant, FIXED), scene.lifecycle.newJobId(), null)
    expect(result).toEqual({ kind: 'short', missing: 100 })
  })
})

describe('beyond what can be counted exactly', () => {
  const HUGE = { per_run: 1_000_000_000_000 }

  test('a hold is refused, by an unlimited tenant and by a limited one, and nothing is written', async () => {
    for (const field of ['held', 'captured'] as const) {
      const one = `${tenant}-${field}`
      await redis.hset(scene.keys.credits(one), { [field]: 2 ** 52 - 10, balance: -(2 ** 52 - 10) })
      const id = scene.lifecycle.newJobId()
      expect(await scene.lifecycle.accept(newJob(one, HUGE), id, null)).toEqual({ kind: 'beyond' })
      expect(await scene.real.read(id)).toBeNull()
      expect(await scene.kinds(one)).toEqual([])
    }
  })

  test.each(['9007199254740993000', '1.5', 'many'])(
    'an account that holds %s is answered by a named error',
    async (held) => {
      await redis.hset(scene.keys.credits(tenant), 'held', held)
      const store = createRedisCreditStore({ redis, keys: scene.keys })
      const named = { code: 'credits_not_countable', message: expect.stringContaining('held') }
      await expect(store.account(tenant)).rejects.toMatchObject(named)
      const asked = { kind: 'grant', amount: 10, reason: 'x' } as const
      await expect(createCreditAdmin(store).enter(tenant, asked, null)).rejects.toMatchObject(named)
      expect(await scene.kinds(tenant)).toEqual([])
      await redis.xadd(
        scene.keys.ledger(tenant),
        '1-1',
        'kind',
        'hold',
        'amount',
        '1',
        'granted',
        '0',
        'balance',
        '0',
        'held',
        held,
        'captured',
        '0',
      )
      await expect(store.ledger(tenant, { limit: 5 })).rejects.toMatchObject(named)
    },
  )

  test.each([
    ['captured', { captured: 2 ** 52 - HUGE.per_run }, 1],
    ['held', { held: 2 ** 52 - HUGE.per_run }, 1],
    ['owed', { balance: -(2 ** 52 - HUGE.per_run) }, -1],
  ])('a hold is taken up to the limit, and none beyond it: what is %s', async (field, account, more) => {
    const ask = async (one: string): Promise<string> =>
      (await scene.lifecycle.accept(newJob(one, HUGE), scene.lifecycle.newJobId(), null)).kind
    const key = scene.keys.credits(tenant)
    await redis.hset(key, account)
    await redis.hincrby(key, field === 'owed' ? 'balance' : field, more)
    expect(await ask(tenant)).toBe('beyond')
    await redis.hincrby(key, field === 'owed' ? 'balance' : field, -more)
    expect(await ask(tenant)).toBe('accepted')
  })

  test('a damaged ledger is named, and does not hide the others', async () => {
    await scene.accept(tenant, FIXED)
    await redis.hset(scene.keys.credits(tenant), 'held', '9007199254740993000')
    expect(await scene.problems(tenant)).toMatchObject([{ rule: 'adds_up', detail: expect.stringContaining('held') }])
    await redis.set(scene.keys.ledger(`${tenant}-other`), 'text')
    expect(await scene.problems(`${tenant}-other`)).toMatchObject([
      { rule: 'adds_up', detail: expect.stringContaining('WRONGTYPE') },
    ])
  })
})

describe('a limited tenant', () => {
  test('that cannot afford a job hears what is missing, and nothing is written', async () => {
    await scene.grant(tenant, 130)
    await scene.accept(tenant, FIXED)
    const before = [await scene.account(tenant), await scene.kinds(tenant)]
    const id = scene.lifecycle.newJobId()
    expect(await scene.lifecycle.accept(newJob(tenant, FIXED), id, null)).toEqual({ kind: 'short', missing: 70 })
    expect([await scene.account(tenant), await scene.kinds(tenant)]).toEqual(before)
    expect(await scene.real.read(id)).toBeNull()
    await scene.grant(tenant, 70)
    await scene.accept(tenant, FIXED)
    expect(await scene.account(tenant)).toMatchObject({ balance: 0, held: 200 })
  })

  test('that is short of one micro-credit cannot afford a job', async () => {
    await scene.grant(tenant, 99)
    const result = await scene.lifecycle.accept(newJob(tenant, FIXED), scene.lifecycle.newJobId(), null)
    expect(result).toEqual({ kind: 'short', missing: 1 })
  })

  test('has its last credit used by one of those that want it at once', async () => {
    await scene.grant(tenant, 350)
    const asked = Array.from({ length: 10 }, () =>
      scene.lifecycle.accept(newJob(tenant, FIXED), scene.lifecycle.newJobId(), null),
    )
    const kinds = (await Promise.all(asked)).map(({ kind }) => kind)
    expect(kinds.sort()).toEqual([...Array<string>(3).fill('accepted'), ...Array<string>(7).fill('short')])
    expect(await scene.account(tenant)).toMatchObject({ balance: 50, held: 300 })
  })

  test('pays what a job took, and gets the rest of the hold back', async () => {
    await scene.grant(tenant, 1000)
    expect(await run(BY_SECOND, 'succeeded', took(0.5))).toMatchObject({ estimate: 210, captured: 60, uncollected: 0 })
    expect(await scene.account(tenant)).toMatchObject({ balance: 940, held: 0, captured: 60 })
  })

  test('pays for an overrun out of its balance, and what is beyond stays uncollected', async () => {
    await scene.grant(tenant, 300)
    expect(await run(BY_SECOND, 'succeeded', took(4))).toMatchObject({ captured: 300, uncollected: 110 })
    expect(await scene.account(tenant)).toEqual({
      granted: 300,
      balance: 0,
      held: 0,
      captured: 300,
      limited: true,
      low_balance: null,
    })
    const [entry] = (await scene.credits.ledger(tenant, { limit: 1 })).entries
    expect(entry).toMatchObject({ kind: 'capture', amount: 300, uncollected: 110 })
    expect(await scene.problems(tenant)).toEqual([])
  })

  test('pays the hold when the metrics lack the price, and the job says so', async () => {
    await scene.grant(tenant, 300)
    expect(await run(BY_SECOND, 'succeeded')).toMatchObject({ captured: 210, uncollected: 0, charge_estimated: true })
  })

  test('pays nothing for what fails', async () => {
    await scene.grant(tenant, 300)
    expect(await run(BY_SECOND, 'failed', took(9))).toMatchObject({ phase: 'failed', captured: 0, uncollected: 0 })
    expect(await scene.account(tenant)).toMatchObject({ balance: 300, held: 0, captured: 0 })
    expect(await scene.kinds(tenant)).toEqual(['grant 300', 'hold 210', 'release 210'])
  })

  test('moves nothing with a job that costs nothing, and holds nothing for one without a price', async () => {
    await scene.grant(tenant, 0)
    expect(await run({}, 'succeeded')).toMatchObject({ estimate: 0, captured: 0 })
    await scene.accept(tenant, null)
    expect(await scene.kinds(tenant)).toEqual(['grant 0', 'hold 0', 'capture 0'])
    expect(await scene.problems(tenant)).toEqual([])
  })
})

test('what is heard of a job after its end moves nothing: its hold is resolved once', async () => {
  await scene.grant(tenant, 1000)
  for (const status of ['succeeded', 'failed']) {
    const { id } = await run(FIXED, status)
    const money = [await scene.account(tenant), await scene.kinds(tenant)]
    const counters = await redis.hgetall(scene.keys.counters)
    const due = await redis.zscore(scene.keys.retention, id)
    const twin = predictionOf(`${id}-twin`, 'failed')
    await scene.lifecycle.observe(id, 1, twin, 'webhook')
    expect([await scene.account(tenant), await scene.kinds(tenant)]).toEqual(money)
    const orphan_predictions = String(Number(counters['orphan_predictions'] ?? 0) + 1)
    expect(await redis.hgetall(scene.keys.counters)).toEqual({ ...counters, orphan_predictions })
    expect(await redis.zscore(scene.keys.retention, id)).toBe(due)
  }
  expect(await scene.problems(tenant)).toEqual([])
})

describe('a job that is canceled', () => {
  const cancel = (id: string) => scene.lifecycle.apply(id, { type: 'cancel' }, 'api')

  test('before its start costs nothing', async () => {
    const { id } = await scene.accept(tenant, FIXED, { charge_canceled: true })
    await cancel(id)
    expect(await scene.real.read(id)).toMatchObject({ phase: 'canceled', captured: 0 })
    expect(await scene.kinds(tenant)).toEqual(['hold 100', 'release 100'])
  })

  test.each([
    [false, 'nothing, if the preset does not say so', 0],
    [true, 'what it took, if the preset says so', 160],
  ])('after its start (charge_canceled %s) costs %s', async (charge_canceled, _words, captured) => {
    const { id } = await scene.accept(tenant, BY_SECOND, { charge_canceled })
    await scene.begin(id)
    await cancel(id)
    const job = await scene.end(id, 'canceled', took(1.5))
    expect(job).toMatchObject({ phase: 'canceled', captured, charge_estimated: false })
    expect(await scene.problems(tenant)).toEqual([])
  })

  test('and was not billed upstream costs nothing, even with a preset price', async () => {
    const { id } = await scene.accept(tenant, BY_SECOND, { charge_canceled: true })
    await scene.begin(id)
    await cancel(id)
    expect(await scene.end(id, 'aborted')).toMatchObject({ phase: 'canceled', captured: 0 })
  })
})

describe('an entry of an operator', () => {
  const adjust = (amount: number, request: string = randomUUID()) =>
    scene.credits.enter(
      tenant,
      { kind: 'adjustment', amount, reason: 'mended' },
      { request, body: `adjustment ${amount}` },
    )

  test('is made once for the name of its request, and another body is refused', async () => {
    const answers = await Promise.all(Array.from({ length: 10 }, () => scene.grant(tenant, 50, 'order-1')))
    expect(answers.map(({ status }) => status).sort()).toEqual(['entered', ...Array(9).fill('repeated')])
    const ids = new Set(answers.map((answer) => ('entry' in answer ? answer.entry.id : '')))
    expect(ids.size).toBe(1)
    expect(await scene.grant(tenant, 51, 'order-1')).toEqual({ status: 'key_reused' })
    expect(await scene.account(tenant)).toMatchObject({ granted: 50, balance: 50 })
    const again = await scene.grant(tenant, 50, 'order-1')
    expect(again).toMatchObject({ status: 'repeated', entry: { kind: 'grant', amount: 50, reason: 'bought' } })
  })

  test('takes back what is left, and no more', async () => {
    await scene.grant(tenant, 100)
    await scene.accept(tenant, { per_run: 60 })
    expect(await adjust(-41)).toEqual({ status: 'too_low', balance: 40 })
    expect(await adjust(-40)).toMatchObject({ status: 'entered', entry: { after: { granted: 60, balance: 0 } } })
    expect(await adjust(5)).toMatchObject({ status: 'entered', entry: { amount: 5, after: { balance: 5 } } })
    expect(await scene.problems(tenant)).toEqual([])
  })

  test('that adjusts an unlimited account leaves it unlimited', async () => {
    await scene.accept(tenant, FIXED)
    expect(await adjust(30)).toMatchObject({ status: 'entered', entry: { after: { granted: 30, balance: -70 } } })
    expect(await adjust(-1)).toEqual({ status: 'too_low', balance: -70 })
    expect(await scene.account(tenant)).toMatchObject({ limited: false, low_balance: null })
    expect(await scene.problems(tenant)).toEqual([])
  })

  test('is exact up to the largest number, and refused beyond it', async () => {
    const { MAX_SAFE_INTEGER } = Number
    expect(await scene.grant(tenant, MAX_SAFE_INTEGER - 1)).toMatchObject({ status: 'entered' })
    expect(await scene.grant(tenant, 2)).toEqual({ status: 'too_large' })
    expect(await scene.grant(tenant, 1)).toMatchObject({ entry: { after: { granted: MAX_SAFE_INTEGER } } })
    expect(await redis.hget(scene.keys.credits(tenant), 'granted')).toBe(String(MAX_SAFE_INTEGER))
  })

  test('writes nothing when one of its keys is something else', async () => {
    await redis.set(scene.keys.ledgerRequests(tenant), 'text')
    await expect(scene.grant(tenant, 5)).rejects.toThrow('WRONGTYPE')
    expect(await redis.exists(scene.keys.credits(tenant), scene.keys.ledger(tenant))).toBe(0)
  })
})

describe('what is read', () => {
  test('is the ledger, newest first, in pages', async () => {
    for (const amount of [1, 2, 3, 4, 5]) await scene.grant(tenant, amount)
    const first = await scene.credits.ledger(tenant, { limit: 2 })
    expect(first.entries.map(({ amount }) => amount)).toEqual([5, 4])
    const second = await scene.credits.ledger(tenant, { limit: 3, before: first.next ?? '' })
    expect(second.entries.map(({ amount }) => amount)).toEqual([3, 2, 1])
    expect(second.next).toBeNull()
    expect(await scene.credits.ledger(`${tenant}-x`, { limit: 3 })).toEqual({ entries: [], next: null })
  })

  test('is what one job did, or entries of one kind', async () => {
    await scene.grant(tenant, 1000)
    const job = await run(FIXED, 'succeeded')
    await run(FIXED, 'failed')
    const kinds = async (query: object): Promise<string[]> =>
      (await scene.credits.ledger(tenant, { limit: 10, ...query })).entries.map(({ kind }) => kind)
    expect(await kinds({ job: job.id })).toEqual(['capture', 'hold'])
    expect(await kinds({ kind: 'hold' })).toEqual(['hold', 'hold'])
    expect(await kinds({ kind: 'opening' })).toEqual([])
    const page = await scene.credits.ledger(tenant, { limit: 1, kind: 'hold' })
    expect(await kinds({ kind: 'hold', before: page.next ?? '' })).toEqual(['hold'])
  })

  test('is the spending of days, by what was run', async () => {
    await scene.grant(tenant, 1000)
    await run(FIXED, 'succeeded')
    await run(FIXED, 'failed')
    await run(BY_SECOND, 'succeeded', took(1))
    const { id } = await scene.accept(tenant, { per_run: 7 }, { preset: null, model: null, version: 'a/b:c' })
    await scene.begin(id)
    await scene.end(id, 'succeeded')
    const today = new Date(await scene.credits.now()).toISOString().slice(0, 10)
    expect(await scene.credits.spending(tenant, ['2020-01-01', today])).toEqual([
      { day: today, label: 'a/b:c', jobs: 1, estimated: 7, captured: 7, uncollected: 0 },
      { day: today, label: 'picture', jobs: 2, estimated: 310, captured: 210, uncollected: 0 },
    ])
  })

  test('is what runs cost at Replicate, beside what was held and charged for them', async () => {
    const model = 'wan-video/wan-2.2-s2v'
    const price = { per_video_second: 30_000, expect: { video_seconds: 10 } }
    const [day] = [new Date(await scene.credits.now()).toISOString().slice(0, 10)]
    const before = (await scene.credits.costs([day])).find((row) => row.model === model)
    for (const [status, seconds] of [
      ['succeeded', 20],
      ['failed', 5],
    ] as const) {
      const { id } = await scene.accept(tenant, price, { model })
      await scene.begin(id)
      const metrics = { video_output_duration_seconds: seconds }
      await scene.end(id, status, { output: 'text', metrics })
    }
    // A price is not needed.
    const { id } = await scene.accept(tenant, null, { model })
    await scene.begin(id)
    await scene.end(id, 'succeeded', { output: 'text', metrics: { video_output_duration_seconds: 1 } })
    expect(before).toBe(undefined)
    const rows = await scene.credits.costs([day])
    expect(rows).toEqual([{ day, model, jobs: 2, estimated: 300_000, captured: 600_000, upstream: 420_000 }])
    expect(costView(day, day, rows).data).toMatchObject([
      { estimated_ratio: 0.714, captured_ratio: 1.429, price_source: `https://replicate.com/${model}` },
    ])
  })

  test('is the spending by model, user, key and tenant, of those that have one', async () => {
    const spend = async (changes: object) => {
      const { id } = await scene.accept(tenant, FIXED, changes)
      await scene.begin(id)
      await scene.end(id, 'succeeded')
    }
    await spend({ user: 'a: b', key_id: 'Gq1xZ8mPw2Lk' })
    await spend({ user: 'a: b', model: null, version: 'own/other:v1' })
    await spend({})
    const [day, price] = [new Date(await scene.credits.now()).toISOString().slice(0, 10), FIXED.per_run]
    const rows = (all: [label: string, jobs: number][]) =>
      all.map(([label, jobs]) => ({
        day,
        label,
        jobs,
        estimated: jobs * price,
        captured: jobs * price,
        uncollected: 0,
      }))
    const by = (group: SpendingLabel) => scene.credits.spending(tenant, [day], group)
    expect(await by('user')).toEqual(rows([['a: b', 2]]))
    expect(await by('key')).toEqual(rows([['Gq1xZ8mPw2Lk', 1]]))
    const models: [string, number][] = [
      ['own/other', 1],
      ['owner/name', 2],
    ]
    expect(await by('model')).toEqual(rows(models))
    expect((await scene.credits.allSpending([day])).filter(({ label }) => label === tenant)).toEqual(
      rows([[tenant, 3]]),
    )
    expect(await redis.pttl(scene.keys.spendingBy(tenant, 'user', day))).toBeGreaterThan(399 * 86_400_000)
  })
})
