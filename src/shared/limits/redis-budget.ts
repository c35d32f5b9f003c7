import { setTimeout as delay } from 'node:timers/promises'
import type { Redis } from 'ioredis'
import { redisMicros } from '../redis/clock.ts'
import { takeToken } from './token-script.ts'
import { unlessAborted } from '../values/unless-aborted.ts'
import {
  intervalOf,
  leftBy,
  READ_PURPOSES,
  tokensFree,
  type Budget,
  type Rate,
  type ReadBudget,
  type ReadPurpose,
} from './rules/budget.ts'

export interface RedisBudgetOptions extends Rate {
  redis: Redis
  key: string
}

/** Tokens of a budget that are available now. */
export async function readBudgetFree({ redis, key, ...rate }: RedisBudgetOptions): Promise<number> {
  const [arrival, now] = await Promise.all([redis.get(key), redisMicros(redis)])
  return tokensFree(rate, Number(arrival ?? 0), now)
}

export function createReadBudget(options: RedisBudgetOptions): ReadBudget {
  const { redis, key, burst } = options
  const interval = intervalOf(options)
  /** Waiters in this process, by purpose. */
  const waiting = new Map<ReadPurpose, number>()
  const moreUrgent = (purpose: ReadPurpose): boolean =>
    READ_PURPOSES.slice(0, READ_PURPOSES.indexOf(purpose)).some((other) => (waiting.get(other) ?? 0) > 0)

  function budgetFor(purpose: ReadPurpose): Budget {
    const tolerance = interval * (burst - 1 - leftBy(purpose, burst))
    const args = [interval, tolerance, interval * burst].map(String)
    // FIFO mutex: one waiter of a purpose calls Redis at a time, and none while this process has a more urgent waiter.
    // The others would have to wait anyway.
    let queue: Promise<void> = Promise.resolve()
    async function takeNext(signal: AbortSignal): Promise<void> {
      for (;;) {
        signal.throwIfAborted()
        const wait = moreUrgent(purpose) ? interval / 1000 : Number(await takeToken(redis, [key], args))
        if (wait === 0) return
        await delay(Math.ceil(wait), undefined, { signal })
      }
    }
    return {
      async take(signal) {
        waiting.set(purpose, (waiting.get(purpose) ?? 0) + 1)
        const turn = queue.then(() => takeNext(signal))
        queue = turn.catch(() => undefined)
        try {
          await unlessAborted(turn, signal)
        } finally {
          waiting.set(purpose, (waiting.get(purpose) ?? 1) - 1)
        }
      },
    }
  }

  const budgets = {
    cancel: budgetFor('cancel'),
    expiring: budgetFor('expiring'),
    adopt: budgetFor('adopt'),
    poll: budgetFor('poll'),
    relay: budgetFor('relay'),
  } satisfies Record<ReadPurpose, Budget>
  return { of: (purpose) => budgets[purpose] }
}
