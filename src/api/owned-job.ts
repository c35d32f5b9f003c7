import { ServiceError } from '../shared/errors.ts'
import type { JobRecord } from '../shared/jobs/job.ts'
import type { OwnedRequest } from './http.ts'
import { mayOpen } from './principal.ts'
import { JOB_ID } from './schemas.ts'

export const noSuchJob = (): ServiceError => new ServiceError('not_found', 'The job does not exist.')

/**
 * Object that a path with `:id` names. `read` returns null when it does not exist. A foreign id gives the same 404 as an
 * unknown one, and a malformed id does not reach the store.
 */
export function createOwned<T>(read: (id: string) => Promise<T | null>, jobOf: (found: T) => JobRecord) {
  return async ({ params, principal }: Pick<OwnedRequest, 'params' | 'principal'>): Promise<T> => {
    const id = params.id ?? ''
    const found = JOB_ID.test(id) ? await read(id) : null
    if (found === null || !mayOpen(principal, jobOf(found))) throw noSuchJob()
    return found
  }
}

/** The job, if it exists and belongs to the caller. */
export const createOwnedJob = (store: { read(id: string): Promise<JobRecord | null> }) =>
  createOwned(store.read, (job) => job)
