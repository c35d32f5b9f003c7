import { hash, randomUUID } from 'node:crypto'
import { ServiceError } from '../errors/service-error.ts'
import { canonicalJson } from '../values/canonical-json.ts'
import type { BudgetStore } from './ports.ts'
import type { BudgetChange, BudgetRequest } from './rules/budget-requests.ts'
import { budgetView, type BudgetView } from './rules/budget-view.ts'
import { periodAt } from './rules/period.ts'
import { budgetIdOf, MOST_BUDGETS, type Budget } from './rules/spending-budget.ts'

/** An operator's use cases of budgets, over HTTP and on the command line. */
export function createBudgetAdmin({
  store,
  tenants,
}: {
  store: BudgetStore
  tenants: {
    /** Throws `not_found`. */
    tenant(id: string): Promise<unknown>
    /** Throws `not_found`. */
    key(tenant: string, id: string): Promise<unknown>
  }
}) {
  async function view(budget: Budget, now: number): Promise<BudgetView> {
    const period = periodAt(budget.period, budget.time_zone, now)
    return budgetView(budget, period, await store.counts(budget.id, period.name))
  }

  const shown = async (budget: Budget | null): Promise<BudgetView> => {
    if (budget === null) throw new ServiceError('not_found', 'The budget does not exist.')
    return view(budget, await store.now())
  }

  return {
    /** `tenant`: only its own; null: all. Oldest first. */
    async list(tenant: string | null): Promise<BudgetView[]> {
      const now = await store.now()
      const all = await store.list()
      return Promise.all(
        all.filter((budget) => tenant === null || budget.tenant === tenant).map((budget) => view(budget, now)),
      )
    },

    /** `tenant`: only its own. Throws `not_found`. */
    async read(id: string, tenant: string | null = null): Promise<BudgetView> {
      const budget = await store.read(id)
      return shown(budget !== null && (tenant === null || budget.tenant === tenant) ? budget : null)
    },

    /**
     * `key`: idempotency key; a repetition with the same request returns the budget that it made. null: every call makes one.
     * Throws `not_found` for its tenant or key, `idempotency_key_reused`, `too_many_budgets`.
     */
    async create(request: BudgetRequest, key: string | null): Promise<{ budget: BudgetView; repeated: boolean }> {
      if (request.tenant !== null) await tenants.tenant(request.tenant)
      if (request.tenant !== null && request.key_id !== null) await tenants.key(request.tenant, request.key_id)
      const digest = hash('sha256', canonicalJson(request), 'base64url')
      const id = budgetIdOf(key ?? randomUUID())
      const created = await store.add({ v: 1, id, ...request, request: digest, created_at: await store.now() })
      if (created.status === 'too_many')
        throw new ServiceError(
          'too_many_budgets',
          `A tenant, key, preset or user has at most ${MOST_BUDGETS} budgets. Remove one first.`,
        )
      if (created.budget.request !== digest)
        throw new ServiceError('idempotency_key_reused', 'This Idempotency-Key was already used for another budget.')
      return { budget: await shown(created.budget), repeated: created.status === 'known' }
    },

    /** Throws `not_found`. */
    change: async (id: string, changes: BudgetChange): Promise<BudgetView> =>
      shown(await store.change(id, definedOnly(changes))),

    /** Idempotent. */
    remove: (id: string): Promise<void> => store.remove(id),
  }
}

const definedOnly = ({ title, limit, hard, alert_at }: BudgetChange) => ({
  ...(title === undefined ? {} : { title }),
  ...(limit === undefined ? {} : { limit }),
  ...(hard === undefined ? {} : { hard }),
  ...(alert_at === undefined ? {} : { alert_at }),
})

export type BudgetAdmin = ReturnType<typeof createBudgetAdmin>
