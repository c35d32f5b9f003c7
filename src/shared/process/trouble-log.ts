import type { Logger } from './logger.ts'

const MAX_KEPT = 1000

/**
 * Logs a problem that is met again and again once when it begins and once when it ends; repeats are logged at debug. `key`:
 * what fails, such as a job. Each process logs its own begin and end. The oldest of more than 1,000 problems is forgotten.
 */
export function createTroubleLog(log: Logger, now: () => number = Date.now) {
  const since = new Map<string, number>()
  return {
    failed(key: string, fields: Record<string, unknown>, message: string): void {
      if (since.has(key)) return log.debug(fields, message)
      const [oldest = ''] = since.size >= MAX_KEPT ? since.keys() : []
      since.delete(oldest)
      since.set(key, now())
      log.warn(fields, message)
    },
    ended(key: string, fields: Record<string, unknown>, message: string): void {
      const began = since.get(key)
      if (began === undefined) return
      since.delete(key)
      log.info({ ...fields, for_ms: now() - began }, message)
    },
    /** For a problem whose end is logged otherwise. */
    forget: (key: string): void => void since.delete(key),
  }
}
