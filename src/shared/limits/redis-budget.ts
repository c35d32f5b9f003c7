import { setTimeout as delay } from 'node:timers/promises'
import type { Redis } from 'ioredis'
import { loadScript } from '../redis/script.ts'
import type { Budget } from './budget.ts'

const takeToken = loadScript(new URL('take-token.lua', import.meta.url), { flags: ['allow-oom'] })

export function createRedisBudget(options: { redis: Redis; key: string; perMinute: number; burst: number }): Budget {
  const interval = 60_000_000 / options.perMinute
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
