import { createRedisCreditStore } from '../../src/shared/credits/redis-credit-store.ts'
import { STATUSES, type JobState } from '../../src/shared/jobs/rules/job.ts'
import type { ChaosFleet } from './fleet.ts'
import type { Complain } from './verdict.ts'

/** What jobs share, once nothing moves any more, against the jobs themselves. */

/** How many batches there are; each counts its jobs as they are. */
export async function judgeBatches(
  { inspect, keys }: ChaosFleet,
  states: JobState[],
  complain: Complain,
): Promise<number> {
  const byBatch = new Map<string, JobState[]>()
  for (const state of states)
    if (state.job.batch !== null) byBatch.set(state.job.batch, [...(byBatch.get(state.job.batch) ?? []), state])
  for (const [id, mine] of byBatch) {
    const hash = await inspect.hgetall(keys.batch(id))
    const stored = (field: string): number => Number(hash[field] ?? 0)
    const counts = STATUSES.map((status) => [status, mine.filter(({ job }) => job.status === status).length] as const)
    const sum = (field: 'captured' | 'uncollected'): number => mine.reduce((all, { job }) => all + (job[field] ?? 0), 0)
    const sums = [
      ['captured', sum('captured')],
      ['uncollected', sum('uncollected')],
      ['held', 0],
      ['total', mine.length],
    ] as const
    for (const [field, there] of [...counts, ...sums])
      if (stored(field) !== there) complain(`${id} says ${field} ${stored(field)}, its jobs say ${there}`)
  }
  return byBatch.size
}

/** Nothing is held any more, what was captured is what the jobs say, and the account adds up. */
export async function judgeMoney(
  { inspect, keys, customers }: ChaosFleet,
  states: JobState[],
  complain: Complain,
): Promise<void> {
  const credits = createRedisCreditStore({ redis: inspect, keys })
  for (const { tenant } of customers) {
    const { granted, balance, held, captured } = await credits.account(tenant)
    const mine = states.filter(({ job }) => job.tenant === tenant)
    const paid = mine.reduce((sum, { job }) => sum + (job.captured ?? 0), 0)
    if (granted !== balance + held + captured || held !== 0 || captured !== paid)
      complain(
        `${tenant} was granted ${granted}: ${balance} left, ${held} held, ${captured} captured, ${paid} by its jobs`,
      )
  }
}
