import { setTimeout as delay } from 'node:timers/promises'

/** Asks until the answer is there; a probe that throws is asked again. Fails with what was awaited and what went wrong last. */
export async function waitFor<T>(
  what: string,
  probe: () => Promise<T | undefined | false> | T | undefined | false,
  options: { timeout?: number; interval?: number } = {},
): Promise<T> {
  const { timeout = 10_000, interval = 20 } = options
  const deadline = performance.now() + timeout
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
    await delay(interval)
  }
}
