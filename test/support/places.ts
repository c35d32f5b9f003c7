import { placeOf, type Place } from '../../src/shared/jobs/rules/place.ts'
import { jobRecord } from '../unit/support/job-states.ts'

/** The place in line of a job that may have no record. */
export const placed = (id: string, changes: Partial<Place> = {}): Place => ({
  ...placeOf({ ...jobRecord('queued'), id }),
  ...changes,
})
