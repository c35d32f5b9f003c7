import { isUnreadableRecord, NewerRecordError } from '../shared/jobs/record-codec.ts'
import type { Logger } from '../shared/logger.ts'

/**
 * Does what needs the record of one job; null when that record cannot be read, because a newer release wrote it or it is
 * damaged. For loops over many jobs: one record must not hold up the others. Any other error passes.
 */
export async function unlessUnreadable<T>(log: Logger, job: string, work: () => Promise<T>): Promise<T | null> {
  try {
    return await work()
  } catch (error) {
    if (!isUnreadableRecord(error)) throw error
    const level = error instanceof NewerRecordError ? 'debug' : 'error'
    log[level]({ err: error, job }, 'the record of a job could not be read; the others go on')
    return null
  }
}
