import { isUnreadableRecord, NewerRecordError } from '../shared/jobs/record/record-codec.ts'
import type { Logger } from '../shared/process/logger.ts'

/**
 * Runs `work`, which needs the record of one job; returns null when that record is unreadable, because a newer release wrote
 * it or it is damaged. For loops over many jobs: one record must not block the others. Rethrows any other error.
 */
export async function unlessUnreadable<T>(log: Logger, job: string, work: () => Promise<T>): Promise<T | null> {
  try {
    return await work()
  } catch (error) {
    if (!isUnreadableRecord(error)) throw error
    const level = error instanceof NewerRecordError ? 'debug' : 'error'
    log[level]({ err: error, job }, 'the record of a job is unreadable; continuing with the others')
    return null
  }
}
