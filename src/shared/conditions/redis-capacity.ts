import type { Redis } from 'ioredis'
import type { Conditions } from './conditions.ts'
import { REDIS_FULL_FROM } from './rules/thresholds.ts'

/** Whether Redis has room for new work. */
export interface Capacity {
  full(): boolean
  stop(): void
}

const LOOK_MS = 2_000

/** Checks Redis's memory use every two seconds; without maxmemory there is no limit. */
export function watchCapacity(redis: Redis, conditions: Pick<Conditions, 'set'>): Capacity {
  let full = false
  const look = async (): Promise<void> => {
    const info = await redis.info('memory')
    const figure = (name: string): number => Number(new RegExp(`^${name}:(\\d+)`, 'm').exec(info)?.[1] ?? 0)
    const [used, most] = [figure('used_memory'), figure('maxmemory')]
    full = most > 0 && used >= most * REDIS_FULL_FROM
    conditions.set(
      'redis_filling',
      full ? `Redis uses more than ${REDIS_FULL_FROM * 100} % of its maxmemory of ${most} bytes` : null,
    )
  }
  // A request that needs Redis reports an unresponsive one.
  const attempt = (): void => void look().catch(() => undefined)
  attempt()
  const timer = setInterval(attempt, LOOK_MS)
  timer.unref()
  return { full: () => full, stop: () => clearInterval(timer) }
}
