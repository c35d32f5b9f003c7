import {
  chargeBudgets,
  scopesOf,
  type BudgetTerms,
  type OverBudget,
  type PeriodAt,
} from '../../credits/rules/spending-budget.ts'
import type { BudgetBook } from '../../credits/ports.ts'
import type { JobRecord } from '../rules/job.ts'
import type { BudgetRefusal } from './commit-script.ts'

/** Budgets change rarely, and periods begin once a day: an acceptance that meets several changes in a row is refused. */
const MAX_TRIES = 5

export interface Budgets {
  book: BudgetBook
  /** ms, estimate of the Redis clock */
  now: () => number
  period?: PeriodAt
}

/**
 * Accepts jobs with the budgets that count them: with those that this process has seen last, and when the script finds that they
 * have changed, or that another period has begun, again with those of now. `accept` must leave nothing behind then.
 */
export async function withBudgets<Result extends { status: string }>(
  { book, now, period }: Budgets,
  jobs: readonly JobRecord[],
  accept: (jobs: JobRecord[], terms: BudgetTerms) => Promise<Result>,
): Promise<Result> {
  const scopes = [...new Set(jobs.flatMap((job) => (job.price === null ? [] : scopesOf(job))))]
  for (let tries = 1; ; tries++) {
    const texts = await book.texts(scopes, { fresh: tries > 1 })
    const charged = chargeBudgets(jobs, texts, { now: now(), ...(period ? { period } : {}) })
    const result = await accept(charged.jobs, charged.terms)
    if (result.status !== 'budgets_changed' || tries === MAX_TRIES) return result
  }
}

/** The charge that a budget refused. */
export function overBudget({ id, used, subject }: BudgetRefusal, terms: BudgetTerms | undefined): Refused {
  const charge = terms?.charges.find((one) => one.budget.id === id && one.subject === subject)
  if (!charge) throw new Error(`the budget ${id} refused what it was not charged with`)
  return { status: 'over_budget', charge, used }
}

type Refused = { status: 'over_budget' } & OverBudget
