import { setTimeout as delay } from 'node:timers/promises'
import type { Logger } from '../shared/process/logger.ts'
import { isRedisTrouble } from '../shared/redis/trouble.ts'

const OUTCOME_RETRY_MS = 500

/** Retries until Redis takes the outcome of an intent, which only this process knows, or the worker stops. */
export async function untilTaken<T>(
  record: () => Promise<T>,
  { id, signal, log }: { id: string; signal: AbortSignal; log: Logger },
): Promise<T> {
  for (let tries = 1; ; tries++) {
    try {
      return await record()
    } catch (error) {
      if (!isRedisTrouble(error) || signal.aborted) throw error
      if (tries === 1)
        log.warn({ err: error, job: id }, 'Redis did not store the outcome of a create request; retrying')
      await delay(OUTCOME_RETRY_MS)
    }
  }
}
