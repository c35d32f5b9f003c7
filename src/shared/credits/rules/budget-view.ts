import type { BudgetCounts } from '../ports.ts'
import type { Period } from './period.ts'
import type { Budget } from './spending-budget.ts'

/** Budgets as the API and the command line show them. Amounts are whole micro-credits. */

const time = (ms: number): string => new Date(ms).toISOString()

/** Users that are shown of a budget that counts each of them for itself: those who have used most. */
const MOST_USERS = 100

export function budgetView(budget: Budget, period: Period, { used }: BudgetCounts) {
  const { id, title, scope, tenant, key_id, preset, user, time_zone, limit, hard, alert_at, created_at } = budget
  const isEach = scope === 'user' && user === null
  const own = isEach ? null : (used.get('') ?? 0)
  const users = [...used].map(([name, amount]) => ({ user: name, used: amount })).sort((a, b) => b.used - a.used)
  return {
    id,
    title,
    scope,
    tenant,
    key_id,
    preset,
    user,
    period: budget.period,
    time_zone,
    limit,
    hard,
    alert_at,
    used: own,
    remaining: own === null ? null : Math.max(0, limit - own),
    users: isEach ? users.slice(0, MOST_USERS) : null,
    period_started_at: time(period.from),
    resets_at: time(period.until),
    created_at: time(created_at),
  }
}
export type BudgetView = ReturnType<typeof budgetView>
