/** The longest time that a timer takes, ms. */
const LONGEST_TIMER_MS = 2 ** 31 - 1

/** A signal that follows another one and a timeout until it is released. */
export interface LinkedSignal {
  signal: AbortSignal
  abort: (reason?: unknown) => void
  /** Ends the timeout, but not the following. */
  stopTimer: () => void
  /** Stops following; nothing is left behind on the other signal. */
  release: () => void
}

/**
 * `AbortSignal.any` and `AbortSignal.timeout` together, for runtimes without them (Node before 20.3, Safari before 17.4).
 * After `timeout` ms the reason is a TimeoutError.
 */
export function linkSignal(outer: AbortSignal | undefined, timeout?: number): LinkedSignal {
  const controller = new AbortController()
  const abort = (reason?: unknown): void => controller.abort(reason)
  const follow = (): void => abort(outer?.reason)
  const timer =
    timeout === undefined
      ? undefined
      : setTimeout(
          () => abort(new DOMException(`It took longer than ${timeout} ms.`, 'TimeoutError')),
          Math.min(timeout, LONGEST_TIMER_MS),
        )
  const stopTimer = (): void => clearTimeout(timer)
  if (outer?.aborted) follow()
  else outer?.addEventListener('abort', follow)
  return {
    signal: controller.signal,
    abort,
    stopTimer,
    release: () => {
      stopTimer()
      outer?.removeEventListener('abort', follow)
    },
  }
}

/** What every call accepts. */
export interface CallOptions {
  /** Aborts the call, which then rejects with the signal's reason. What was submitted continues. */
  signal?: AbortSignal | undefined
  /** ms for the whole call with its retries; then it rejects with a TimeoutError. No limit by default. */
  timeout?: number | undefined
}

/** Does `work` with a signal that follows `options`. */
export async function within<T>(
  { signal, timeout }: CallOptions,
  work: (signal: AbortSignal | undefined) => Promise<T>,
): Promise<T> {
  if (timeout === undefined) return work(signal)
  const limit = linkSignal(signal, timeout)
  try {
    return await work(limit.signal)
  } finally {
    limit.release()
  }
}

/** Rejects with the reason of `signal` when that is aborted. */
export function pause(ms: number, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    const stop = (): void => {
      clearTimeout(timer)
      reject(signal?.reason)
    }
    const timer = setTimeout(() => {
      signal?.removeEventListener('abort', stop)
      resolve()
    }, ms)
    if (signal?.aborted) stop()
    else signal?.addEventListener('abort', stop, { once: true })
  })
}
