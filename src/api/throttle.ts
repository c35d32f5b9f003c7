import ipaddr from 'ipaddr.js'
import { ServiceError } from '../shared/errors/service-error.ts'
import { remembered } from '../shared/values/remembered.ts'

/** Throttle for guessing: limits the failures of one name within a minute. In memory, bounded. */
export interface Throttle {
  /** Throws `too_many_attempts` when the name has failed too often. */
  check(name: string): void
  fail(name: string): void
  /**
   * `check` and `fail` combined, for an attempt whose outcome is known later, so that parallel attempts cannot all pass.
   * Returns a function that removes the failure after a success.
   */
  reserve(name: string): () => void
}

const WINDOW_MS = 60_000
const MAX_NAMES = 10_000

export function createThrottle(options: { failuresPerMinute: number; now?: () => number }): Throttle {
  const now = options.now ?? Date.now
  // Ordered by first failure, so that the entry whose minute ends first is evicted.
  const failures = new Map<string, { count: number; since: number }>()
  const throttle: Throttle = {
    check(name) {
      const entry = failures.get(name)
      if (!entry) return
      const left = entry.since + WINDOW_MS - now()
      if (left <= 0) failures.delete(name)
      else if (entry.count >= options.failuresPerMinute)
        throw new ServiceError(
          'too_many_attempts',
          `Too many failed attempts. Try again in ${Math.ceil(left / 1000)} seconds.`,
          { retryAfter: left / 1000 },
        )
    },
    fail(name) {
      const entry = failures.get(name) ?? { count: 0, since: now() }
      entry.count++
      if (failures.size >= MAX_NAMES && !failures.has(name)) {
        const [oldest = ''] = failures.keys()
        failures.delete(oldest)
      }
      failures.set(name, entry)
    },
    reserve(name) {
      throttle.check(name)
      throttle.fail(name)
      const entry = failures.get(name)
      return () => {
        if (entry) entry.count--
      }
    },
  }
  return throttle
}

const KEPT_NETWORKS = 1000

/** Throttling key of a client: an IPv4 address, or the /64 of an IPv6 address, within which a client can choose freely. */
export const clientNetwork = remembered(KEPT_NETWORKS, (address) => {
  if (!ipaddr.isValid(address)) return address
  const parsed = ipaddr.process(address)
  if (parsed instanceof ipaddr.IPv4) return parsed.toString()
  return `${parsed.parts
    .slice(0, 4)
    .map((part) => part.toString(16))
    .join(':')}::/64`
})
