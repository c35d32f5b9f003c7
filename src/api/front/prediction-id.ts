import { JOB_ID } from '../../shared/jobs/rules/ids.ts'

/** A prediction has the id of its job in lower case, without `job_`: 26 characters of Crockford's base 32, as at Replicate. */
export const predictionIdOf = (job: string): string => job.slice('job_'.length).toLowerCase()

/** null: no job has this id. */
export function jobIdOf(prediction: string): string | null {
  const id = `job_${prediction.toUpperCase()}`
  return prediction === prediction.toLowerCase() && JOB_ID.test(id) ? id : null
}
