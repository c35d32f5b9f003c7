import type { BudgetBook, CreditStore } from '../shared/credits/ports.ts'
import { readBudgets, scopesOf, type Spender } from '../shared/credits/rules/spending-budget.ts'
import { ServiceError } from '../shared/errors/service-error.ts'
import type { JobRecord } from '../shared/jobs/rules/job.ts'

/** Throws `no_price` when jobs without a price are submitted although the tenant's credit is limited, or a hard budget counts them. */
export type MayRunUnpriced = (
  by: Pick<Spender, 'tenant' | 'key_id'>,
  jobs: readonly Pick<JobRecord, 'price' | 'preset' | 'user'>[],
) => Promise<void>

export function createMayRunUnpriced(options: {
  credits: Pick<CreditStore, 'account'>
  budgets: BudgetBook
  isAllowed: boolean
}): MayRunUnpriced {
  const refusal = (why: string): ServiceError =>
    new ServiceError(
      'no_price',
      `${why}, and this job has no price. Submit it by a preset with a price; the operator may allow it with UNPRICED_MODELS=allow.`,
    )
  return async (by, jobs) => {
    const unpriced = jobs.filter(({ price }) => price === null)
    if (options.isAllowed || unpriced.length === 0) return
    const scopes = [...new Set(unpriced.flatMap(({ preset, user }) => scopesOf({ ...by, preset, user })))]
    const [{ limited }, budgets] = await Promise.all([
      options.credits.account(by.tenant),
      options.budgets.texts(scopes, { fresh: true }),
    ])
    if (limited) throw refusal("The tenant's credit is limited")
    if ([...budgets.values()].flatMap(readBudgets).some(({ hard }) => hard))
      throw refusal('A hard budget counts its cost')
  }
}
