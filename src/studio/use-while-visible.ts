import { useEffect } from 'react'

/**
 * Runs `start` while the page can be seen, and what it returns when it cannot. A browser allows six connections to one
 * host over HTTP/1.1: streams of forgotten tabs would block the seventh tab for good.
 */
export function useWhileVisible(start: () => () => void, dependencies: readonly unknown[]): void {
  useEffect(() => {
    let stop: (() => void) | null = null
    const look = () => {
      if (document.visibilityState === 'visible') stop ??= start()
      else {
        stop?.()
        stop = null
      }
    }
    look()
    document.addEventListener('visibilitychange', look)
    return () => {
      document.removeEventListener('visibilitychange', look)
      stop?.()
    }
    // The caller says what `start` depends on.
  }, dependencies)
}
