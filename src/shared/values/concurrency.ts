/** Semaphore: limits what runs at the same time, in units that the caller chooses (tasks, bytes). */
export interface Semaphore {
  /**
   * Resolves with the function that releases the units, which is called once. Serves waiters in the order of their calls,
   * except that a waiter whose units are free passes one that needs more. A caller that needs more than the capacity runs
   * alone. Rejects with the reason of `signal` when that aborts while the caller waits.
   */
  acquire(units?: number, signal?: AbortSignal): Promise<() => void>
  /** Runs `work` while it holds one unit. */
  run<T>(work: () => Promise<T>): Promise<T>
}

export function createSemaphore(capacity: number): Semaphore {
  let taken = 0
  const waiting = new Set<{ units: number; enter: (release: () => void) => void }>()
  const fits = (units: number): boolean => taken === 0 || taken + units <= capacity

  function take(units: number): () => void {
    taken += units
    return () => {
      taken -= units
      for (const one of waiting)
        if (fits(one.units)) {
          waiting.delete(one)
          one.enter(take(one.units))
        }
    }
  }

  async function acquire(units = 1, signal?: AbortSignal): Promise<() => void> {
    if (fits(units)) return take(units)
    signal?.throwIfAborted()
    const { promise, resolve, reject } = Promise.withResolvers<() => void>()
    const one = { units, enter: resolve }
    const leave = (): void => {
      waiting.delete(one)
      reject(signal?.reason)
    }
    waiting.add(one)
    signal?.addEventListener('abort', leave, { once: true })
    try {
      return await promise
    } finally {
      signal?.removeEventListener('abort', leave)
    }
  }

  return {
    acquire,
    async run(work) {
      const release = await acquire()
      try {
        return await work()
      } finally {
        release()
      }
    },
  }
}

/**
 * Calls `work` for each item, at most `atOnce` at the same time and in the order of the items. Resolves with the results
 * in that order. After a failure it starts no more, waits for those in flight, so that nothing continues in the
 * background, and rejects with the failure of the first item that failed.
 */
export async function mapLimited<T, R>(
  items: readonly T[],
  atOnce: number,
  work: (item: T, index: number) => Promise<R>,
): Promise<R[]> {
  const results: R[] = []
  const failures: { index: number; error: unknown }[] = []
  // One iterator for all runners: each takes the next item.
  const entries = items.entries()
  async function run(): Promise<void> {
    for (const [index, item] of entries) {
      try {
        results[index] = await work(item, index)
      } catch (error) {
        failures.push({ index, error })
      }
      if (failures.length > 0) return
    }
  }
  await Promise.all(Array.from({ length: Math.min(atOnce, items.length) }, run))
  const [first] = failures.sort((a, b) => a.index - b.index)
  if (first) throw first.error
  return results
}
