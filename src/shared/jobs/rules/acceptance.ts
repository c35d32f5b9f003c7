import type { BudgetCharge, BudgetTerms } from '../../credits/rules/spending-budget.ts'
import type { StoredQuota } from '../../limits/rules/stored.ts'
import type { TenantNotice } from '../../notifications/rules/notice.ts'
import type { Answering } from './answering.ts'
import type { JobRecord, Phase, Status } from './job.ts'
import { untilReady } from './deadlines.ts'
import { acceptedAt } from './place.ts'
import { labelsOf, type Label } from './job-filter.ts'
import type { Timings } from './timings.ts'

/** What an acceptance has to respect and to note. */
export interface AcceptTerms {
  /** Limit of a tenant's jobs that wait in the queue; null: none. */
  queuedJobs: number | null
  /** The budgets that count the jobs; absent: none was read. */
  budgets?: BudgetTerms | undefined
  /** The create that this acceptance answers, of which nothing else is remembered. */
  answering?: Answering | undefined
}

/** What the acceptance of jobs entails besides their records, as data. Amounts: micro-credits. Times: ms. */
export type AcceptConsequence =
  /** The tenant's queue has room for `jobs` more. */
  | { kind: 'need_queue_room'; limit: number; jobs: number }
  /** The tenant may store at least one more file. */
  | { kind: 'need_storage'; quota: StoredQuota }
  /** The budgets are still those that were read. */
  | { kind: 'need_budgets'; known: BudgetTerms['known'] }
  /** It is still the period of the budget, and a hard one has room for all jobs together, which it counts from now on. */
  | { kind: 'budget_charged'; charge: BudgetCharge; notice: TenantNotice; due: { in: number } }
  /** The tenant can afford all jobs together; each has a hold from now on. */
  | {
      kind: 'hold'
      total: number
      batch: string | null
      holds: { job: string; amount: number; budgets: JobRecord['budgets'] }[]
    }
  /** The tenant's balance falls below its threshold with these holds. */
  | { kind: 'owed_when_low'; notice: TenantNotice; due: { in: number } }
  /** The jobs are in the tenant's lists, and counted by phase. */
  | { kind: 'listed'; status: Status; phase: Phase }
  /** The jobs are found by these labels. */
  | { kind: 'labeled'; labels: { job: string; label: Label }[] }
  /** The request is being answered. */
  | { kind: 'being_answered'; answering: Answering }
  /** When the jobs are due for the first time, from the acceptance on. */
  | { kind: 'first_due'; in: number }

/** The jobs belong to one tenant, and to one batch or none. */
export function acceptanceOf(
  jobs: readonly [JobRecord, ...JobRecord[]],
  { queuedJobs, budgets, answering }: AcceptTerms,
  quota: StoredQuota | null,
  { ringAgain }: Pick<Timings, 'ringAgain'>,
  newNotice: () => string,
): AcceptConsequence[] {
  const [{ status, phase, batch }] = jobs
  const holds = jobs.flatMap(({ id, price, estimate, budgets: counted }) =>
    price === null ? [] : [{ job: id, amount: estimate, budgets: counted }],
  )
  const all: AcceptConsequence[] = []
  if (queuedJobs !== null) all.push({ kind: 'need_queue_room', limit: queuedJobs, jobs: jobs.length })
  // Only at the acceptance: the outputs of accepted jobs are paid for and always stored.
  if (quota && jobs.some(({ store }) => store === 'copy')) all.push({ kind: 'need_storage', quota })
  if (budgets && budgets.known.length > 0) all.push({ kind: 'need_budgets', known: budgets.known })
  for (const charge of budgets?.charges ?? []) {
    const { subject, period, budget } = charge
    const about = { budget: budget.id, period: period.name, subject }
    const notice = { v: 1, id: newNotice(), type: 'budget.alert', ...about } as const
    all.push({ kind: 'budget_charged', charge, notice, due: { in: ringAgain.min } })
  }
  if (holds.length > 0) {
    all.push({ kind: 'hold', total: holds.reduce((sum, { amount }) => sum + amount, 0), batch, holds })
    const notice = { v: 1, id: newNotice(), type: 'credits.low' } as const
    all.push({ kind: 'owed_when_low', notice, due: { in: ringAgain.min } })
  }
  all.push({ kind: 'listed', status, phase })
  const labels = jobs.flatMap((job) => labelsOf(job).map((label) => ({ job: job.id, label })))
  if (labels.length > 0) all.push({ kind: 'labeled', labels })
  if (answering) all.push({ kind: 'being_answered', answering })
  // Not later than the first deadline.
  const limits = jobs.map((job) => {
    const deadline = Math.min(job.start_within, job.cancel_after ?? Infinity) * 1000
    // A job that starts later is put in line then.
    return job.not_before === null ? deadline : Math.min(deadline, untilReady(job, acceptedAt(job.id)))
  })
  all.push({ kind: 'first_due', in: Math.min(ringAgain.min, ...limits) })
  return all
}
