import { setTimeout as delay } from 'node:timers/promises'
import type { Redis } from 'ioredis'
import { loadScript } from '../redis/script.ts'
import { intervalOf, tokensFree, type Budget, type Rate } from './budget.ts'

const takeToken = loadScript(new URL('take-token.lua', import.meta.url), { flags: ['allow-oom'] })

export interface RedisBudgetOptions extends Rate {
  redis: Redis
  key: string
}

/** How much of a budget is left at this moment. */
export async function readBudgetFree({ redis, key, ...rate }: RedisBudgetOptions): Promise<number> {
  const [arrival, [seconds, micros]] = await Promise.all([redis.get(key), redis.time()])
  return tokensFree(rate, Number(arrival ?? 0), Number(seconds) * 1_000_000 + Number(micros))
}

export function createRedisBudget(options: RedisBudgetOptions): Budget {
  const interval = intervalOf(options)
  const args = [String(interval), String(interval * (options.burst - 1))]
  // One waiter of a process asks at a time: the others would only be told to wait as well.
  let line: Promise<void> = Promise.resolve()
  const takeNext = async (signal: AbortSignal): Promise<void> => {
    for (;;) {
      signal.throwIfAborted()
      const wait = Number(await takeToken(options.redis, [options.key], args))
      if (wait === 0) return
      await delay(wait, undefined, { signal })
    }
  }
  return {
    take(signal) {
      const turn = line.then(() => takeNext(signal))
      line = turn.catch(() => undefined)
      return turn
    },
  }
}
