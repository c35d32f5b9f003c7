import { z } from 'zod'
import type { FrozenBudget } from './frozen-budget.ts'
import type { JobRecord } from '../../jobs/rules/job.ts'
import { DEFAULT_TENANT } from '../../tenants/rules/tenant.ts'
import { crockfordOf } from '../../values/crockford.ts'
import { BUDGET_PERIODS, periodAt, type BudgetPeriod, type Period } from './period.ts'

/**
 * Budgets bound what jobs may cost in a calendar period (docs/credits.md). A budget counts what was held for a job in the period of
 * its acceptance; the end of the job corrects it there to what was captured. Amounts: micro-credits. Times: ms.
 */

export const BUDGET_SCOPES = ['tenant', 'key', 'preset', 'user'] as const

export const BUDGET_ID = /^bdg_[0-9A-HJKMNP-TV-Z]{26}$/

/** Budgets of one scope. */
export const MOST_BUDGETS = 10

/** The id of the budget that a request with this idempotency key makes. */
export const budgetIdOf = (key: string): string => `bdg_${crockfordOf(`budget ${key}`, 26)}`

const budgetSchema = z.object({
  v: z.literal(1),
  id: z.string().regex(BUDGET_ID),
  title: z.string(),
  /** What it counts the jobs of. */
  scope: z.enum(BUDGET_SCOPES),
  /** null: of all tenants; only with a preset. */
  tenant: z.string().nullable(),
  key_id: z.string().nullable(),
  preset: z.string().nullable(),
  /** null with the scope `user`: each user of the tenant for itself. */
  user: z.string().nullable(),
  period: z.enum(BUDGET_PERIODS),
  time_zone: z.string(),
  limit: z.number(),
  /** Whether jobs beyond the limit are refused. */
  hard: z.boolean(),
  /** Percents of the limit, rising. */
  alert_at: z.array(z.number()),
  /** The digest of the request that made it. */
  request: z.string(),
  created_at: z.number(),
})
export type Budget = z.output<typeof budgetSchema>

/** The budgets of one scope, as they are kept. */
const budgetsSchema = z.array(budgetSchema)

/** Under which name the budgets of a scope are kept. */
export function scopeOf({
  scope,
  tenant,
  key_id,
  preset,
  user,
}: Pick<Budget, 'scope' | 'tenant' | 'key_id' | 'preset' | 'user'>): string {
  switch (scope) {
    case 'tenant':
      return `tenant:${tenant}`
    case 'key':
      return `key:${key_id}`
    case 'preset':
      return tenant === null ? `preset:${preset}` : `preset:${preset}@${tenant}`
    case 'user':
      return user === null ? `users:${tenant}` : `user:${tenant}:${user}`
  }
}

export type Spender = Pick<JobRecord, 'tenant' | 'key_id' | 'preset' | 'user'>

/** The scopes whose budgets count a job. */
export function scopesOf({ tenant, key_id, preset, user }: Spender): string[] {
  const of = { tenant, key_id, preset, user }
  return [
    scopeOf({ ...of, scope: 'tenant' }),
    ...(key_id === null ? [] : [scopeOf({ ...of, scope: 'key' })]),
    ...(preset === null
      ? []
      : [scopeOf({ ...of, scope: 'preset', tenant: null }), scopeOf({ ...of, scope: 'preset' })]),
    ...(user === null ? [] : [scopeOf({ ...of, scope: 'user', user: null }), scopeOf({ ...of, scope: 'user' })]),
  ]
}

/** A budget that is charged with jobs. */
export interface BudgetCharge {
  budget: Budget
  period: Period
  /** The user, where each one has the limit for itself; else ''. */
  subject: string
  /** Held for all these jobs together. */
  amount: number
  /** The tenant that hears of it. */
  receiver: string
}

/** A hard budget without room for what an acceptance would hold. `used`: what it counts. */
export interface OverBudget {
  charge: BudgetCharge
  used: number
}

/** What an acceptance has to know of budgets. */
export interface BudgetTerms {
  /** The budgets of each scope, as they were read. */
  known: [scope: string, text: string][]
  charges: BudgetCharge[]
}

/** The counts of a period are kept after its end for this time, ms, which is longer than any job waits and runs. */
const KEEP_COUNTS = 100 * 86_400_000

export const keepCountsUntil = ({ until }: Pick<Period, 'until'>): number => until + KEEP_COUNTS

/** The amounts at which a budget alerts, rising. */
export const alertLevels = ({ limit, alert_at }: Pick<Budget, 'limit' | 'alert_at'>): number[] =>
  alert_at.map((percent) => Math.ceil((limit * percent) / 100))

/** The tenant that hears of a budget: its own, or that of the operator. */
export const receiverOf = ({ tenant }: Pick<Budget, 'tenant'>): string => tenant ?? DEFAULT_TENANT

/** The percent of the limit that an alert is about; null: the limit was changed since. `amount`: the level that was reached. */
export function levelReached(budget: Pick<Budget, 'limit' | 'alert_at'>, amount: number): number | null {
  return budget.alert_at[alertLevels(budget).lastIndexOf(amount)] ?? null
}

export type PeriodAt = (period: BudgetPeriod, timeZone: string, at: number) => Period

/**
 * Charges the budgets of jobs that are accepted at `now`, each once with all of them. `texts`: the budgets of a scope, as they are
 * kept; '': none. Returns the jobs with the budgets that count them.
 */
export function chargeBudgets(
  jobs: readonly JobRecord[],
  texts: ReadonlyMap<string, string>,
  { now, period = periodAt }: { now: number; period?: PeriodAt },
): { jobs: JobRecord[]; terms: BudgetTerms } {
  const charges = new Map<string, BudgetCharge>()
  const budgets = new Map([...texts].map(([scope, text]) => [scope, readBudgets(text)]))
  function charge(job: JobRecord, budget: Budget): FrozenBudget {
    const subject = budget.scope === 'user' && budget.user === null ? (job.user ?? '') : ''
    const entry = `${budget.id} ${subject}`
    const known = charges.get(entry) ?? {
      budget,
      period: period(budget.period, budget.time_zone, now),
      subject,
      amount: 0,
      receiver: receiverOf(budget),
    }
    charges.set(entry, { ...known, amount: known.amount + job.estimate })
    return [budget.id, known.period.name, subject, known.receiver === job.tenant ? '' : known.receiver]
  }
  const charged = jobs.map((job) => {
    const all = job.price === null ? [] : scopesOf(job).flatMap((scope) => budgets.get(scope) ?? [])
    return { ...job, budgets: all.map((budget) => charge(job, budget)) }
  })
  return { jobs: charged, terms: { known: [...texts], charges: [...charges.values()] } }
}

/** The budgets of one scope from their text; '': none. */
export const readBudgets = (text: string): Budget[] => (text === '' ? [] : budgetsSchema.parse(JSON.parse(text)))

const whole = z.coerce.number().int()

/** From the hash of budgets: a field for each scope, and one for each budget. */
export const decodeBudgets = (hash: Record<string, string>): Budget[] =>
  Object.entries(hash)
    .flatMap(([field, text]) => (BUDGET_ID.test(field) ? [] : readBudgets(text)))
    .sort((a, b) => a.created_at - b.created_at || (a.id < b.id ? -1 : 1))

/** From the counts of a budget in a period (budgets.lua): the numbers of one kind by subject. */
export function decodeCounts(name: 'used' | 'alerted', hash: Record<string, string>): Map<string, number> {
  const counts = new Map<string, number>()
  for (const [field, value] of Object.entries(hash)) {
    if (field !== name && !field.startsWith(`${name}:`)) continue
    counts.set(field.slice(name.length + 1), whole.parse(value.slice(value.lastIndexOf('|') + 1)))
  }
  return counts
}
