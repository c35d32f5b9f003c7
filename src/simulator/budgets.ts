import type { Habits } from './habits.ts'
import { createTokenBucket, type TokenBucket } from './token-bucket.ts'

/** The budgets of requests: a set of buckets for each account. */
export interface Budgets {
  of(account: string): Buckets
  /** Fills one bucket of each account, or all. */
  refill(only?: keyof Buckets): void
}

export interface Buckets {
  creates: TokenBucket
  /** Everything but creates. */
  reads: TokenBucket
  /** `GET` of one prediction, where the habit gives it a budget. */
  gets: TokenBucket
  /** Stands in for `creates` while the account has little credit. */
  lowCredit: TokenBucket
}

interface Options {
  createsPerMinute: number
  readsPerMinute: number
  /** Undefined: a minute's worth of each. */
  burst: number | undefined
  habits: () => Habits
  /** Milliseconds of a clock that never goes backwards. */
  now: () => number
}

export function createBudgets({ createsPerMinute, readsPerMinute, burst, habits, now }: Options): Budgets {
  const all = new Map<string, Buckets>()
  const fixed = (perMinute: number) =>
    createTokenBucket(
      () => perMinute,
      () => burst ?? perMinute,
      now,
    )
  const gets = () => habits().prediction_gets_per_minute ?? readsPerMinute
  return {
    of(account) {
      const buckets = all.get(account) ?? {
        creates: fixed(createsPerMinute),
        reads: fixed(readsPerMinute),
        gets: createTokenBucket(gets, () => burst ?? gets(), now),
        lowCredit: createTokenBucket(
          () => habits().low_credit_creates_per_minute,
          () => 1,
          now,
        ),
      }
      all.set(account, buckets)
      return buckets
    },
    refill(only) {
      if (only === undefined) all.clear()
      else for (const buckets of all.values()) buckets[only].refill()
    },
  }
}
