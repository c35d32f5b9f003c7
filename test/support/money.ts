import { randomUUID } from 'node:crypto'
import type { Redis } from 'ioredis'
import { checkBatch } from '../../src/shared/audit/rules/check-batch.ts'
import { checkJob } from '../../src/shared/audit/rules/check-job.ts'
import { createRedisAuditSource } from '../../src/shared/audit/redis-audit-source.ts'
import { createBatches } from '../../src/shared/batches/batches.ts'
import { createRedisBatchStore } from '../../src/shared/batches/redis-batch-store.ts'
import { createBudgetBook, createRedisBudgetStore } from '../../src/shared/credits/redis-budget-store.ts'
import { budgetIdOf, type Budget, type PeriodAt } from '../../src/shared/credits/rules/spending-budget.ts'
import { verifyBudgets } from '../../src/shared/credits/verify-budgets.ts'
import { createRedisCreditStore } from '../../src/shared/credits/redis-credit-store.ts'
import { createRedisLedgerSource } from '../../src/shared/credits/redis-ledger-source.ts'
import { verifyLedger } from '../../src/shared/credits/verify-ledger.ts'
import { estimatePrice, priceRuleSchema } from '../../src/shared/credits/rules/price.ts'
import type { Inputs } from '../../src/shared/inputs/inputs.ts'
import { createJobKeys } from '../../src/shared/jobs/record/job-keys.ts'
import type { CommitRunner } from '../../src/shared/jobs/commit/commit-script.ts'
import type { JobRecord } from '../../src/shared/jobs/rules/job.ts'
import { createLifecycle } from '../../src/shared/jobs/lifecycle.ts'
import type { NewJob } from '../../src/shared/jobs/rules/new-job.ts'
import type { JobStore } from '../../src/shared/jobs/ports.ts'
import { createRedisJobStore } from '../../src/shared/jobs/commit/redis-job-store.ts'
import { createCommitRunner } from '../../src/shared/jobs/commit/redis-commits.ts'
import { createGeneration } from '../../src/shared/redis/generation.ts'
import { DEFAULT_TIMINGS } from '../../src/shared/jobs/rules/timings.ts'
import { FIRST_KEEP } from '../../src/shared/jobs/rules/keep.ts'
import { createLogger } from '../../src/shared/process/logger.ts'
import type { Prediction } from '../../src/shared/replicate/rules/prediction.ts'
import { freshPrefix } from './redis.ts'
import { SILENT_DOORBELLS } from './silent-doorbells.ts'

/** Jobs that cost something, by the real scripts in a real Redis, without anything around them. */

/** Their inputs name no files. */
const NO_FILES: Pick<Inputs, 'attach' | 'release' | 'estimate'> = {
  estimate: (price, input) => Promise.resolve(price === null ? 0 : estimatePrice(price, input)),
  attach: (_tenant, applicants) => Promise.resolve(applicants.map(({ input }) => input)),
  release: () => Promise.resolve(),
}

const nobody = (): Promise<void> => Promise.resolve()

const TROUBLE_NEVER_STOPS = { ...DEFAULT_TIMINGS, troublePause: { first: 0, longest: 0 } }

const BUDGET: Omit<Budget, 'id' | 'created_at'> = {
  v: 1,
  title: '',
  scope: 'tenant',
  tenant: null,
  key_id: null,
  preset: null,
  user: null,
  period: 'day',
  time_zone: 'UTC',
  limit: 1000,
  hard: true,
  alert_at: [50, 100],
  request: '',
}

/** Puts something around what writes. */
export interface MoneyWraps {
  store?: (store: JobStore) => JobStore
  commits?: (commits: CommitRunner) => CommitRunner
  /** The periods of budgets; default: those of the calendar. */
  period?: PeriodAt
}

export function moneyScene(redis: Redis, wraps: MoneyWraps = {}) {
  const keys = createJobKeys(freshPrefix())
  const timings = TROUBLE_NEVER_STOPS
  const account = 'default'
  const keepEvents = 1000
  const generation = createGeneration(redis, keys.generation, { gap: null })
  const commits = createCommitRunner(redis, timings, generation)
  const creates = { perMinute: 600_000, burst: 100_000 }
  const budgets = { book: createBudgetBook({ redis, keys }), ...(wraps.period ? { period: wraps.period } : {}) }
  const real = createRedisJobStore({
    redis,
    keys,
    timings,
    accounts: { [account]: creates },
    commits,
    keepEvents,
    budgets,
  })
  const store = wraps.store?.(real) ?? real
  const log = createLogger({ level: 'silent', readable: false })
  const lifecycle = createLifecycle({ store, doorbells: SILENT_DOORBELLS, timings, log, webhooks: () => true })
  const batches = createBatches({
    store: createRedisBatchStore({
      redis,
      plan: { keys, timings, keepEvents },
      account,
      commits: wraps.commits?.(commits) ?? commits,
      confirmDurable: nobody,
      budgets,
    }),
    jobs: store,
    lifecycle,
    doorbells: SILENT_DOORBELLS,
    inputs: NO_FILES,
    timings,
    log,
  })
  const credits = createRedisCreditStore({ redis, keys })
  const budgetStore = createRedisBudgetStore({ redis, keys })
  const audit = createRedisAuditSource({ redis, keys })
  const ledgers = createRedisLedgerSource({ redis, keys })
  return {
    keys,
    generation,
    timings,
    real,
    lifecycle,
    batches,
    credits,
    budgets: budgetStore,
    async addBudget(changes: Partial<Budget>): Promise<Budget> {
      const id = budgetIdOf(randomUUID())
      const added = await budgetStore.add({ ...BUDGET, created_at: await budgetStore.now(), ...changes, id })
      if (added.status !== 'added') throw new Error(`not added: ${added.status}`)
      return added.budget
    },
    budgetProblems: (tenants: readonly string[]) =>
      audit.names().then(({ budgetCounts }) => verifyBudgets(ledgers, tenants, budgetCounts)),

    grant: (tenant: string, amount: number, request: string = randomUUID()) =>
      credits.enter(tenant, { kind: 'grant', amount, reason: 'bought' }, { request, body: `grant ${amount}` }),

    /** A job is tried at the end of its last try: it must have been accepted. */
    async accept(tenant: string, price: object | null, changes: Partial<NewJob> = {}): Promise<JobRecord> {
      const result = await lifecycle.accept(newJob(tenant, price, changes), lifecycle.newJobId(), null)
      if (result.kind !== 'accepted') throw new Error(`not accepted: ${result.kind}`)
      return result.job
    },

    /** The prediction begins. */
    async begin(id: string): Promise<void> {
      const { state } = await real.load(id)
      await lifecycle.apply(id, (claim) => ({ type: 'intend', claim }), 'worker')
      await lifecycle.observe(id, (state?.job.attempt ?? 0) + 1, predictionOf(id, 'processing'), 'webhook')
    },

    async end(id: string, status: string, changes: Partial<Prediction> = {}): Promise<JobRecord> {
      const { state } = await real.load(id)
      await lifecycle.observe(id, state?.job.attempt ?? 0, predictionOf(id, status, changes), 'webhook')
      const job = await real.read(id)
      if (!job) throw new Error(`${id} is gone`)
      return job
    },

    account: (tenant: string) => credits.account(tenant),
    kinds: async (tenant: string): Promise<string[]> =>
      (await credits.ledger(tenant, { limit: 1000 })).entries
        .map(({ kind, amount }) => `${kind} ${amount}`)
        .toReversed(),
    /** What the auditor finds wrong with these jobs and batches. */
    async findings(jobs: readonly string[], batchIds: readonly string[]): Promise<string[]> {
      const options = { keys, timings, keep: { usual: FIRST_KEEP }, quiescent: false }
      const found: string[] = []
      for (const id of jobs) {
        const one = await audit.load(id)
        if (one.kind === 'broken') found.push(`${id} ${one.detail}`)
        if (one.kind === 'job')
          found.push(...checkJob(one.loaded, options).map(({ invariant, detail }) => `${invariant} ${id} ${detail}`))
      }
      for (const id of batchIds) {
        const one = await audit.loadBatch(id)
        if (one.kind === 'broken') found.push(`${id} ${one.detail}`)
        if (one.kind === 'batch')
          found.push(...checkBatch(one.loaded, options).map(({ invariant, detail }) => `${invariant} ${id} ${detail}`))
      }
      return found
    },
    problems: async (tenant: string) => (await verifyLedger(ledgers, tenant)).problems,
  }
}

export type MoneyScene = ReturnType<typeof moneyScene>

export const newJob = (tenant: string, price: object | null, changes: Partial<NewJob> = {}): NewJob => ({
  tenant,
  account: 'default',
  preset: 'picture',
  model: 'owner/name',
  version: null,
  deployment: null,
  input: {},
  metadata: {},
  user: null,
  key_id: null,
  webhook_events: ['start', 'completed'],
  timeout: 600,
  start_within: 86_400,
  on_unknown: 'fail',
  retry_of: null,
  resubmit_limit: 2,
  store: 'copy',
  output_shape: null,
  key_pattern: null,
  priority: 'interactive',
  not_before: null,
  price: price === null ? null : priceRuleSchema.parse(price),
  charge_canceled: false,
  keep: null,
  ...changes,
})

const ENDED = ['succeeded', 'failed', 'canceled', 'aborted']

export const predictionOf = (id: string, status: string, changes: Partial<Prediction> = {}): Prediction => ({
  id: `p-${id}`,
  status,
  output: status === 'succeeded' ? 'text' : null,
  error: status === 'failed' ? 'the model has its own words' : null,
  created_at: Date.now(),
  started_at: status === 'starting' ? null : Date.now(),
  completed_at: ENDED.includes(status) ? Date.now() : null,
  ...changes,
})
