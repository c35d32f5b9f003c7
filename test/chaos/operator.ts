import { setTimeout as delay } from 'node:timers/promises'
import { createRedisLimitStore } from '../../src/shared/limits/redis-limit-store.ts'
import type { LimitStore } from '../../src/shared/limits/ports.ts'
import type { ChaosFleet } from './fleet.ts'
import { dice } from './seeded.ts'

/** Changes limits and pauses of every kind of scope while jobs run and processes die. */
export interface ChaosOperator {
  /** Lifts everything, so that all jobs end. */
  lift(): Promise<void>
}

const EVERY_MS = [150, 700] as const
const BY = 'chaos'

export function startOperator(
  { inspect, keys, customers }: Pick<ChaosFleet, 'inspect' | 'keys' | 'customers'>,
  seed: number,
  createsPerMinute: number,
): ChaosOperator {
  const random = dice(seed, 'operator')
  const store: LimitStore = createRedisLimitStore({
    redis: inspect,
    keys,
    accounts: { default: { perMinute: createsPerMinute, burst: 1 } },
  })
  const [{ tenant } = { tenant: 'default' }] = customers
  const limits = [
    ['concurrency', 'account:default'],
    ['concurrency', 'model:black-forest-labs/flux-schnell'],
    ['concurrency', `tenant:${tenant}`],
    ['concurrency', 'preset:paid-picture'],
    ['per_tenant', 'preset:paid-picture'],
  ] as const
  const scopes = ['all', ...limits.map(([, scope]) => scope)]
  const ending = new AbortController()

  async function change(): Promise<void> {
    if (random.chance(0.7)) {
      const [name, scope] = random.pick([limits[0], ...limits])
      const value = random.chance(0.2) ? null : random.integer(1, 15)
      await store.change({ scope, [name]: value }, BY)
    } else if (random.chance(0.3)) await store.pause(random.pick(['all', ...scopes]), 'a drill', BY)
    else for (const { scope } of await store.pauses()) await store.resume(scope, BY)
  }

  const working = (async () => {
    while (!ending.signal.aborted) {
      await delay(random.between(...EVERY_MS), undefined, { signal: ending.signal }).catch(() => undefined)
      // Redis may be away or read-only: the next change comes soon.
      await change().catch(() => undefined)
    }
  })()

  return {
    async lift() {
      ending.abort()
      await working
      for (const [name, scope] of limits) await store.change({ scope, [name]: null }, BY)
      for (const { scope } of await store.pauses()) await store.resume(scope, BY)
    },
  }
}
