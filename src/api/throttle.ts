import { ServiceError } from '../shared/errors.ts'

/** Slows down guessing: so many failures from one address within a minute, then a pause. In memory, bounded. */
export interface Throttle {
  /** Throws `too_many_attempts` when the address has failed too often. */
  check(address: string): void
  fail(address: string): void
}

const WINDOW_MS = 60_000
const MAX_ADDRESSES = 10_000

export function createThrottle(options: { failuresPerMinute: number; now?: () => number }): Throttle {
  const now = options.now ?? Date.now
  const failures = new Map<string, { count: number; since: number }>()
  return {
    check(address) {
      const entry = failures.get(address)
      if (!entry) return
      const left = entry.since + WINDOW_MS - now()
      if (left <= 0) failures.delete(address)
      else if (entry.count >= options.failuresPerMinute)
        throw new ServiceError('too_many_attempts', 'Too many failed attempts from this address.', {
          retryAfter: left / 1000,
        })
    },
    fail(address) {
      const entry = failures.get(address) ?? { count: 0, since: now() }
      entry.count++
      if (failures.size >= MAX_ADDRESSES && !failures.has(address)) failures.clear()
      failures.set(address, entry)
    },
  }
}
