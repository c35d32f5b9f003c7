import { randomUUID } from 'node:crypto'
import * as fc from 'fast-check'
import { Redis } from 'ioredis'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { CommitRunner } from '../../src/shared/jobs/commit/commit-script.ts'
import type { JobEvent } from '../../src/shared/jobs/rules/decision.ts'
import { isFinal } from '../../src/shared/jobs/rules/job.ts'
import { sameAgain, type NewJob } from '../../src/shared/jobs/rules/new-job.ts'
import type { JobStore } from '../../src/shared/jobs/ports.ts'
import { isInFlight } from '../../src/shared/jobs/rules/sharing.ts'
import { moneyScene, newJob, predictionOf, type MoneyScene } from '../support/money.ts'
import type { Period } from '../../src/shared/credits/rules/period.ts'
import type { Budget } from '../../src/shared/credits/rules/spending-budget.ts'
import { dayOf } from '../../src/shared/credits/rules/spending.ts'
import { testRedisUrl } from '../support/redis.ts'
import { openGate } from '../support/open-gate.ts'
import { examples } from '../support/property-seed.ts'

const redis = new Redis(testRedisUrl())
afterAll(() => redis.disconnect())

const PRICES = [
  null,
  {},
  { per_run: 100 },
  { per_run: 10, per_predict_second: 100, expect: { predict_seconds: 2 } },
  { per_output: 40, expect: { outputs: 2 } },
]

/** What may go wrong around a commit; `again`: ioredis sends it once more, because the reply was cut. */
type Mishap = 'none' | 'again' | 'dies_before' | 'dies_after'

class Died extends Error {}

/** ms; so that a story goes through several periods. */
const PERIOD = 150
function shortPeriod(_period: string, _zone: string, at: number): Period {
  const number = Math.floor(at / PERIOD)
  return { name: dayOf((number % 1_000_000) * 86_400_000), from: number * PERIOD, until: (number + 1) * PERIOD }
}

const keyOf = (tenant: string): string => tenant.slice(-12)
const EVERYONE = { tenant: null, key_id: null, preset: null, user: null }
const budgetsOf = (tenant: string): Partial<Budget>[] => [
  { ...EVERYONE, scope: 'tenant', tenant, limit: 700 },
  { ...EVERYONE, scope: 'tenant', tenant, limit: 100, hard: false },
  { ...EVERYONE, scope: 'key', tenant, key_id: keyOf(tenant), limit: 250 },
  { ...EVERYONE, scope: 'user', tenant, limit: 120 },
]

/** Everything that jobs share: the money of their tenant, the slots of their preset, the counts of their batch. */
describe('any interleaving', () => {
  let mishap: Mishap = 'none'
  /** So many writes go well before it. */
  let spared = 0
  const around = async <T>(write: () => Promise<T>): Promise<T> => {
    if (spared > 0) {
      spared -= 1
      return write()
    }
    const what = mishap
    mishap = 'none'
    if (what === 'dies_before') throw new Died()
    const first = await write()
    if (what === 'dies_after') throw new Died()
    return what === 'again' ? write() : first
  }
  const disturbed = (store: JobStore): JobStore => ({
    ...store,
    create: (job, idempotency, commitId, limits) => around(() => store.create(job, idempotency, commitId, limits)),
    commit: (state, commit, cause, commitId) => around(() => store.commit(state, commit, cause, commitId)),
  })
  let scene: MoneyScene
  const tenants: string[] = []
  beforeAll(async () => {
    const commits = (runner: CommitRunner): CommitRunner => ({
      ...runner,
      run: (script, input, head) => around(() => runner.run(script, input, head)),
    })
    scene = moneyScene(redis, { store: disturbed, commits, period: shortPeriod })
    await openGate(scene.generation, scene.real)
    await scene.addBudget({ ...EVERYONE, scope: 'preset', preset: 'picture', limit: 1_000_000 })
  })

  const step = fc.record({
    what: fc.constantFrom(
      ...(['accept', 'accept', 'retry', 'batch', 'stop', 'tend', 'grant', 'adjust'] as const),
      ...([
        'intend',
        'begin',
        'succeed',
        'succeed',
        'succeed',
        'succeed',
        'succeed',
        'store',
        'fail',
        'interrupt',
        'abort',
        'lose',
      ] as const),
      ...(['cancel', 'canceled', 'refuse', 'expire'] as const),
    ),
    job: fc.nat(5),
    amount: fc.nat(400),
    price: fc.constantFrom(...PRICES),
    seconds: fc.option(fc.nat(10), { freq: 2 }),
    charged: fc.boolean(),
    inFlight: fc.constantFrom(null, 2),
    who: fc.constantFrom('ada', 'bob', 'a key'),
    together: fc.record({
      jobs: fc.integer({ min: 1, max: 4 }),
      in_sequence: fc.boolean(),
      stop_rate: fc.constantFrom(null, 0.5),
      max_spend: fc.constantFrom(null, 150),
    }),
    mishap: fc.constantFrom<Mishap>('none', 'none', 'none', 'again', 'dies_before', 'dies_after'),
    spared: fc.nat(1),
  })
  type Step = typeof step extends fc.Arbitrary<infer T> ? T : never

  const HEARD: ReadonlySet<Step['what']> = new Set(['begin', 'succeed', 'fail', 'interrupt', 'abort', 'canceled'])

  /** What a step makes of a job. */
  function eventOf({ what, seconds }: Step, id: string, attempt: number, claim: string): JobEvent | null {
    const metrics = seconds === null ? {} : { metrics: { predict_time: seconds } }
    const seen = (status: string, changes: object = {}): JobEvent => ({
      type: 'observed',
      attempt,
      prediction: predictionOf(`${id}-${attempt}`, status, changes),
    })
    switch (what) {
      case 'intend':
        return { type: 'intend', claim: randomUUID() }
      case 'begin':
        return seen('processing')
      case 'succeed':
        return seen('succeeded', {
          ...metrics,
          output: seconds === 1 ? ['https://replicate.delivery/y', 'https://replicate.delivery/z'] : 'text',
        })
      case 'store':
        return { type: 'stored', attempt, output: null, artifacts: [] }
      case 'fail':
        return seen('failed', metrics)
      case 'interrupt':
        return seen('failed', { error: '(code: PA)' })
      case 'abort':
        return seen('aborted')
      case 'canceled':
        return seen('canceled', metrics)
      case 'lose':
        return { type: 'lost', attempt, claim, reason: 'ECONNRESET' }
      case 'cancel':
        return { type: 'cancel' }
      case 'refuse': {
        const error = { code: 'input_rejected', message: '', retryable: false, billed: 'no' as const }
        return { type: 'refused', attempt, claim, outcome: 'refused_422', error, pause: null, health: null }
      }
      case 'expire':
        return { type: 'tick' }
      default:
        return null
    }
  }

  interface Story {
    tenant: string
    jobs: string[]
    batches: string[]
  }

  async function take({ tenant, jobs, batches }: Story, one: Step): Promise<void> {
    const { lifecycle, real, credits, keys } = scene
    mishap = one.mishap
    spared = 0
    const id = jobs[one.job % Math.max(1, jobs.length)]
    const batch = batches[one.job % Math.max(1, batches.length)]
    const asked = newJob(tenant, one.price, {
      charge_canceled: one.charged,
      start_within: one.amount % 2 === 0 ? 86_400 : 0,
      ...(one.who === 'a key' ? { key_id: keyOf(tenant) } : { user: one.who }),
      resubmit_limit: 1,
    })
    switch (one.what) {
      case 'grant':
        return void (await scene.grant(tenant, one.amount))
      case 'adjust':
        return void (await credits.enter(
          tenant,
          { kind: 'adjustment', amount: one.amount - 200, reason: 'mended' },
          { request: randomUUID(), body: '' },
        ))
      case 'accept':
        jobs.push(lifecycle.newJobId())
        return void (await lifecycle.accept(asked, jobs.at(-1) ?? '', null))
      case 'retry': {
        const old = id === undefined ? null : await real.read(id)
        if (!old || !isFinal(old.phase)) return
        jobs.push(lifecycle.newJobId())
        const again = {
          ...sameAgain(old),
          tenant,
          account: old.account,
          key_id: old.key_id,
          input: old.input ?? {},
          retry_of: old.id,
          keep: old.keep,
          not_before: null,
        }
        return void (await lifecycle.accept(again, jobs.at(-1) ?? '', null))
      }
      case 'batch': {
        const { jobs: count, ...how } = one.together
        const name = scene.batches.newBatchId()
        batches.push(name)
        spared = one.spared
        const request = { tenant, ...how, metadata: {}, retry_of: null }
        try {
          await scene.batches.accept(request, name, Array<NewJob>(count).fill(asked), null, { queuedJobs: null })
        } finally {
          jobs.push(...(await redis.zrange(keys.batchJobs(name), '0', '-1')))
        }
        return
      }
      case 'stop': {
        const record = batch === undefined ? null : await scene.batches.read(batch)
        return void (record?.state === 'accepted' && (await scene.batches.cancel(record)))
      }
      case 'tend':
        return void (batch !== undefined && (await scene.batches.tend(batch)))
      default:
        if (id !== undefined) await hear(id, one)
    }
  }

  async function hear(id: string, one: Step): Promise<void> {
    const { state } = await scene.real.load(id)
    // A draft emits no events: nothing names it.
    if (!state || (await isDraft(state.job.batch))) return
    // A job that never started emits no events.
    const begins = state.job.phase === 'queued' && HEARD.has(one.what)
    if (begins) await scene.lifecycle.apply(id, (claim) => ({ type: 'intend', claim }), 'worker')
    if (one.what === 'canceled') await scene.lifecycle.apply(id, { type: 'cancel' }, 'api')
    const attempt = state.job.attempt + (begins ? 1 : 0)
    const event = eventOf(one, id, attempt, state.attempts.at(-1)?.claim ?? '')
    if (event) await scene.lifecycle.apply(id, event, 'webhook')
  }

  const isDraft = async (batch: string | null): Promise<boolean> =>
    batch !== null && (await scene.batches.read(batch))?.state === 'draft'

  /** What the budgets of this tenant must count: in the period of its acceptance what each of the accepted jobs costs. */
  async function sumsOf(jobs: readonly string[]): Promise<Record<string, number>> {
    const sums: Record<string, number> = {}
    for (const id of jobs) {
      const job = await scene.real.read(id)
      if (!job?.price || (await isDraft(job.batch))) continue
      expect(job.budgets.length).toBe(4)
      for (const [budget, period, subject] of job.budgets) {
        // The record of a batch's job is older than its acceptance.
        if (job.batch === null) expect(period).toBe(shortPeriod('', '', job.created_at).name)
        if ((await scene.budgets.read(budget))?.tenant === null) continue
        const name = `${budget} ${period} ${subject}`
        sums[name] = (sums[name] ?? 0) + (isFinal(job.phase) ? (job.captured ?? 0) : job.estimate)
      }
    }
    return sums
  }

  /** What they count. */
  async function countedBy(jobs: readonly string[]): Promise<Record<string, number>> {
    const counted: Record<string, number> = {}
    const records = await Promise.all(jobs.map((id) => scene.real.read(id)))
    for (const [budget, period] of records.flatMap((job) => job?.budgets ?? [])) {
      if ((await scene.budgets.read(budget))?.tenant === null) continue
      for (const [subject, used] of (await scene.budgets.counts(budget, period)).used)
        counted[`${budget} ${period} ${subject}`] = used
    }
    return counted
  }

  /** Runs random stories and returns what occurred in them. */
  async function runStories(parameters: fc.Parameters<[boolean, Step[]]>): Promise<string[]> {
    const seen = new Set<string>()
    await fc.assert(
      fc.asyncProperty(
        fc.boolean(),
        fc.array(step, { minLength: 10, maxLength: 60, size: 'max' }),
        async (limited, steps) => {
          const story: Story = { tenant: `t-${randomUUID()}`, jobs: [], batches: [] }
          const { tenant, jobs, batches } = story
          if (limited) await scene.grant(tenant, 500)
          for (const budget of budgetsOf(tenant)) await scene.addBudget(budget)
          for (const one of steps) {
            await take(story, one).catch((error: unknown) => {
              if (!(error instanceof Died)) throw error
            })
            const { granted, balance, held, captured } = await scene.account(tenant)
            expect(granted).toBe(balance + held + captured)
          }
          mishap = 'none'
          expect(await scene.problems(tenant)).toEqual([])
          expect(await scene.findings(jobs, batches)).toEqual([])
          tenants.push(tenant)
          expect(await scene.budgetProblems(tenants)).toEqual([])
          expect(await countedBy(jobs)).toEqual(await sumsOf(jobs))
          for (const batch of batches) {
            const record = await scene.batches.read(batch)
            if (record) seen.add(record.state === 'draft' ? 'draft' : record.completed_at === null ? 'batch' : 'over')
            if (record?.stopped) seen.add(record.stopped)
          }
          const kinds = await scene.kinds(tenant)
          for (const kind of kinds) seen.add(kind.split(' ')[0] ?? '')
          for (const id of jobs) {
            const job = await scene.real.read(id)
            if (job && isInFlight(job)) seen.add('slot')
            if (!job || !isFinal(job.phase) || !job.price) continue
            seen.add(job.phase)
            if (job.phase === 'canceled' && job.attempt > 0) seen.add('recalled')
            if (job.retry_of !== null) seen.add('again')
            if (job.charge_estimated) seen.add('estimated')
            if (job.uncollected > 0) seen.add('uncollected')
          }
        },
      ),
      parameters,
    )
    return [...seen].sort()
  }

  test('of accept, end, cancel, retry and crash keeps every sum, count and slot, and resolves every hold once', async () => {
    await runStories({ numRuns: examples(20) })
  })

  test('reaches everything that should be tried, from a seed that does', async () => {
    const everything = [
      'opening grant adjustment hold capture release succeeded failed canceled estimated uncollected again slot recalled',
      'draft batch over failure_rate max_spend',
    ]
    expect(await runStories({ numRuns: 40, seed: 4 })).toEqual(everything.join(' ').split(' ').sort())
  })
})
