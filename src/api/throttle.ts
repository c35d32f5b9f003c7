import ipaddr from 'ipaddr.js'
import { ServiceError } from '../shared/errors.ts'

/** Slows down guessing: so many failures of one name within a minute, then a pause. In memory, bounded. */
export interface Throttle {
  /** Throws `too_many_attempts` when the name has failed too often. */
  check(name: string): void
  fail(name: string): void
  /**
   * `check` and `fail` at once, for an attempt whose outcome is known later: parallel attempts cannot all pass the check.
   * Returns how to take the failure back when the attempt succeeded.
   */
  reserve(name: string): () => void
}

const WINDOW_MS = 60_000
const MAX_NAMES = 10_000

export function createThrottle(options: { failuresPerMinute: number; now?: () => number }): Throttle {
  const now = options.now ?? Date.now
  // In the order of their first failure: who has to make room is the one whose minute is over first.
  const failures = new Map<string, { count: number; since: number }>()
  const throttle: Throttle = {
    check(name) {
      const entry = failures.get(name)
      if (!entry) return
      const left = entry.since + WINDOW_MS - now()
      if (left <= 0) failures.delete(name)
      else if (entry.count >= options.failuresPerMinute)
        throw new ServiceError('too_many_attempts', 'Too many failed attempts.', { retryAfter: left / 1000 })
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

/** What one client can choose freely is one: an IPv4 address, or the /64 of an IPv6 address. */
export function clientNetwork(address: string): string {
  if (!ipaddr.isValid(address)) return address
  const parsed = ipaddr.process(address)
  if (parsed instanceof ipaddr.IPv4) return parsed.toString()
  return `${parsed.parts
    .slice(0, 4)
    .map((part) => part.toString(16))
    .join(':')}::/64`
}
