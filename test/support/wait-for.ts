import { setTimeout as delay } from 'node:timers/promises'

/** The share of the time already waited after which the probe runs again: a long wait polls less often. */
const BACKOFF = 0.05
const LONGEST_NAP_MS = 100

/** Milliseconds that a test waits before it fails. Only a failing test waits that long, also on a machine that does other work. */
export const PATIENCE_MS = 90_000

/**
 * Polls until `probe` returns something; a probe that throws runs again. Fails with what was awaited and the last error.
 * `interval`: milliseconds between two probes; by default they become rarer as time passes.
 */
export async function waitFor<T>(
  what: string,
  probe: () => Promise<T | undefined | false> | T | undefined | false,
  options: { timeout?: number; interval?: number } = {},
): Promise<T> {
  const { timeout = PATIENCE_MS, interval } = options
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
    await delay(interval ?? Math.min(LONGEST_NAP_MS, Math.max(20, BACKOFF * (performance.now() - begun))))
  }
}
