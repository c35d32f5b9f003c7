import { ServiceError } from '../shared/errors.ts'
import type { JobRecord } from '../shared/jobs/job.ts'
import { mayOpen } from './auth.ts'
import type { OwnedRequest } from './http.ts'
import { JOB_ID } from './schemas.ts'

export const noSuchJob = (): ServiceError => new ServiceError('not_found', 'There is no such job.')

/**
 * What a path with `:id` names, read by `read`, which answers null when it is not there: a foreign id is as unknown as a
 * made-up one, and one that no job can have reaches no store.
 */
export function createOwned<T>(read: (id: string) => Promise<T | null>, jobOf: (found: T) => JobRecord) {
  return async ({ params, principal }: Pick<OwnedRequest, 'params' | 'principal'>): Promise<T> => {
    const id = params.id ?? ''
    const found = JOB_ID.test(id) ? await read(id) : null
    if (found === null || !mayOpen(principal, jobOf(found))) throw noSuchJob()
    return found
  }
}

/** The job, if it exists and belongs to the one who asks. */
export const createOwnedJob = (store: { read(id: string): Promise<JobRecord | null> }) =>
  createOwned(store.read, (job) => job)
