import { setTimeout as delay } from 'node:timers/promises'

/** Of the time that was waited already: whoever has waited long may hear of it a little later, and asks less. */
const PATIENCE = 0.05
const LONGEST_NAP_MS = 100

/**
 * Asks until the answer is there; a probe that throws is asked again. Fails with what was awaited and what went wrong last.
 * `interval`: between two questions, ms; without it they become rarer as time passes.
 */
export async function waitFor<T>(
  what: string,
  probe: () => Promise<T | undefined | false> | T | undefined | false,
  options: { timeout?: number; interval?: number } = {},
): Promise<T> {
  const { timeout = 10_000, interval } = options
  const begun = performance.now()
  const deadline = begun + timeout
  for (;;) {
    let lastError: unknown
    try {
      const answer = await probe()
      if (answer !== undefined && answer !== false) return answer
    } catch (error) {
      lastError = error
    }
    if (performance.now() > deadline) {
      const reason = lastError instanceof Error ? `; last error: ${lastError.message}` : ''
      throw new Error(`Waited ${timeout} ms for ${what}${reason}`, { cause: lastError })
    }
    await delay(interval ?? Math.min(LONGEST_NAP_MS, Math.max(20, PATIENCE * (performance.now() - begun))))
  }
}
