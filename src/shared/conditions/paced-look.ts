import type { Look } from './watch-conditions.ts'

/**
 * Paces a look that costs a request: immediately, then every `calm` ms while it finds nothing. While it finds a condition
 * it backs off from `first` ms, doubling up to `longest`. Between looks the conditions stay unchanged.
 */
export function pacedLook(
  look: Look,
  pace: { calm: number; first: number; longest: number },
  now: () => number = () => performance.now(),
): Look {
  let dueAt = Number.NEGATIVE_INFINITY
  let wait = pace.first
  return async () => {
    if (now() < dueAt) return {}
    // A look that throws is retried like one that found a condition.
    dueAt = now() + wait
    const found = await look()
    const isTrouble = Object.values(found).some((detail) => detail !== null)
    dueAt = now() + (isTrouble ? wait : pace.calm)
    wait = isTrouble ? Math.min(pace.longest, wait * 2) : pace.first
    return found
  }
}
