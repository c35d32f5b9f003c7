import type { Look } from './watch-conditions.ts'

/**
 * A look that costs a request: at once, again after `calm` ms while nothing was met, and while something lasts after
 * `first` ms, doubled up to `longest`. Between looks nothing is changed.
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
    // A look that throws is made again as one that met something.
    dueAt = now() + wait
    const found = await look()
    const isTrouble = Object.values(found).some((detail) => detail !== null)
    dueAt = now() + (isTrouble ? wait : pace.calm)
    wait = isTrouble ? Math.min(pace.longest, wait * 2) : pace.first
    return found
  }
}
