import type { Explanation } from './description/explanation.ts'
import type { BudgetStore, CreditStore } from '../shared/credits/ports.ts'
import type { BudgetCharge } from '../shared/credits/rules/spending-budget.ts'
import type { Inputs, TakenFiles } from '../shared/inputs/inputs.ts'
import type { Lifecycle } from '../shared/jobs/lifecycle.ts'
import type { AcceptanceCheck, Turns } from '../shared/jobs/ports.ts'
import type { JobRecord } from '../shared/jobs/rules/job.ts'
import { newRecord, type NewJob } from '../shared/jobs/rules/new-job.ts'
import { placeOf, targetScope } from '../shared/jobs/rules/place.ts'
import type { Slots } from '../shared/jobs/rules/turn.ts'
import { mapLimited } from '../shared/values/concurrency.ts'
import { sumOf } from '../shared/values/sum.ts'
import { refusedAccept, queueFull } from './accepting.ts'
import type { ForecastOf } from './forecasts.ts'
import type { JobView } from './job-view.ts'
import type { Principal } from './principal.ts'
import type { MayRunUnpriced } from './unpriced.ts'
import type { WaitingOf } from './waiting.ts'

export interface ExplainDependencies {
  store: AcceptanceCheck & Turns
  lifecycle: Pick<Lifecycle, 'newJobId'>
  inputs: Pick<Inputs, 'check' | 'estimate'>
  mayRunUnpriced: MayRunUnpriced
  credits: Pick<CreditStore, 'account'>
  budgets: Pick<BudgetStore, 'counts'>
  accountsFor: (job: Pick<JobRecord, 'tenant' | 'preset'>) => readonly string[]
  view: JobView
  waitingOf: WaitingOf
  forecastOf: ForecastOf
  /** Whether Redis has no room for new work. */
  full: () => boolean
}

/** Jobs that would be submitted together, by one principal. */
export interface Explained {
  jobs: readonly NewJob[]
  files: TakenFiles
  /** Each job waits for the end of the one before. */
  inSequence: boolean
}

/**
 * Explains what a submission would do now. Throws what the submission would be refused with, and changes nothing: no file is kept,
 * nothing is held, no idempotency entry is written.
 */
export type Explain = (by: Principal, explained: Explained) => Promise<Explanation>

const AT_ONCE = 20

export function createExplain(dependencies: ExplainDependencies): Explain {
  const { store, lifecycle, inputs, mayRunUnpriced, credits, budgets, accountsFor } = dependencies
  const { view, waitingOf, forecastOf, full } = dependencies

  async function forecastsOf(kinds: readonly Kind[], inSequence: boolean) {
    const first = kinds[0]?.first
    const last = kinds.at(-1)
    if (first === undefined || last === undefined) throw new Error('no job to explain')
    const waiting = await waitingOf(first)
    const lastWaiting = last.last === first ? waiting : await waitingOf(last.last)
    const [forecast, ofLast] = await Promise.all([
      forecastOf(first, waiting, { isReal: false, after: 0, ofLane: 0 }),
      // Nobody knows when those before it end.
      inSequence && last.last !== first
        ? null
        : forecastOf(last.last, lastWaiting, { isReal: false, after: last.before, ofLane: last.jobs - 1 }),
    ])
    return { waiting_for: view(first, waiting).waiting_for, forecast, last_forecast: ofLast }
  }

  async function limitsOf(kinds: readonly Kind[]): Promise<Explanation['limits']> {
    const slots = new Map<string, Slots>()
    await mapLimited(kinds, AT_ONCE, async ({ first }) => {
      for (const one of (await store.turnOf(placeOf(first))).slots) slots.set(one.scope, one)
    })
    return [...slots.values()]
      .toSorted((a, b) => (a.scope < b.scope ? -1 : 1))
      .map(({ scope, limit, held }) => ({ name: 'concurrency', scope, limit, used: held }))
  }

  async function budgetsOf(charges: readonly BudgetCharge[]): Promise<Explanation['budgets']> {
    return Promise.all(
      charges
        .filter(({ budget }) => budget.tenant !== null)
        .map(async ({ budget, period, subject, amount }) => {
          const used = (await budgets.counts(budget.id, period.name)).used.get(subject) ?? 0
          const { id, title, limit, hard } = budget
          const resets_at = new Date(period.until).toISOString()
          return { id, title, limit, hard, used, used_after: used + amount, resets_at }
        }),
    )
  }

  return async (by, { jobs, files, inSequence }) => {
    if (full()) throw queueFull()
    const { tenant, keyId, limits, scopes } = by
    await mayRunUnpriced({ tenant, key_id: keyId }, jobs)
    await inputs.check(
      tenant,
      jobs.map(({ input }) => input),
      files,
    )
    const estimates = await mapLimited(jobs, AT_ONCE, ({ price, input }) => inputs.estimate(price, input, files))
    const records = jobs.map((job, i) => newRecord({ ...job, estimate: estimates[i] ?? 0 }, lifecycle.newJobId(), null))
    const { result, charges, queued } = await store.mayAccept(records, { queuedJobs: limits.queued_jobs })
    if (result.kind !== 'allowed') throw refusedAccept(result)
    const kinds = kindsOf(records)
    const maySee = scopes.includes('credits:read')
    const hold = sumOf(records, ({ estimate }) => estimate)
    const [account, ofKinds, seen, spent] = await Promise.all([
      maySee ? credits.account(tenant) : null,
      limitsOf(kinds),
      forecastsOf(kinds, inSequence),
      maySee ? budgetsOf(charges) : [],
    ])
    const balance = account?.limited ? account.balance : null
    return {
      jobs: records.length,
      runs: kinds.map(({ first: { preset, model, version, deployment, priority }, jobs: count }) => ({
        preset,
        model,
        version,
        deployment,
        priority,
        jobs: count,
      })),
      cost: {
        hold,
        unpriced: records.filter(({ price }) => price === null).length,
        balance,
        balance_after: balance === null ? null : balance - hold,
      },
      budgets: spent,
      limits: [
        ...(limits.queued_jobs === null
          ? []
          : [{ name: 'queued_jobs' as const, scope: `tenant:${tenant}`, limit: limits.queued_jobs, used: queued }]),
        ...ofKinds,
      ],
      accounts: [...new Set(records.flatMap((record) => accountsFor(record)))],
      ...seen,
    }
  }
}

/** Jobs of one submission with the same target and class. */
interface Kind {
  first: JobRecord
  last: JobRecord
  jobs: number
  /** Jobs of the submission before the last one, of the same class. */
  before: number
}

function kindsOf(records: readonly JobRecord[]): Kind[] {
  const kinds = new Map<string, Kind>()
  const counts = { interactive: 0, batch: 0 }
  for (const record of records) {
    const key = [record.priority, record.preset ?? '', targetScope(record)].join(' ')
    const known = kinds.get(key) ?? { first: record, last: record, jobs: 0, before: 0 }
    // The kind of the last job comes last.
    kinds.delete(key)
    kinds.set(key, { ...known, last: record, jobs: known.jobs + 1, before: counts[record.priority]++ })
  }
  const all = [...kinds.values()]
  const first = all.find((kind) => kind.first === records[0])
  return first === undefined || first === all[0] ? all : [first, ...all.filter((kind) => kind !== first)]
}
