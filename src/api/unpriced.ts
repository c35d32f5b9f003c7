import type { CreditStore } from '../shared/credits/ports.ts'
import { ServiceError } from '../shared/errors/service-error.ts'
import type { JobRecord } from '../shared/jobs/rules/job.ts'

/** Throws `no_price` when a tenant with limited credit submits a job without a price. */
export type MayRunUnpriced = (tenant: string, jobs: readonly Pick<JobRecord, 'price'>[]) => Promise<void>

export function createMayRunUnpriced(options: {
  credits: Pick<CreditStore, 'account'>
  isAllowed: boolean
}): MayRunUnpriced {
  return async (tenant, jobs) => {
    if (options.isAllowed || jobs.every(({ price }) => price !== null)) return
    const { limited } = await options.credits.account(tenant)
    if (limited)
      throw new ServiceError(
        'no_price',
        "The tenant's credit is limited and this job has no price. Submit it by a preset with a price; the operator may allow it with UNPRICED_MODELS=allow.",
      )
  }
}
