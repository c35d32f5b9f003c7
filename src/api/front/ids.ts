import { UPLOAD_ID } from '../../shared/inputs/rules/reference.ts'
import { JOB_ID } from '../../shared/jobs/rules/ids.ts'

/** Ids of the front: those of ours without their prefix and in lower case, 26 characters of Crockford's base 32, as at Replicate. */

const shortOf =
  (prefix: string) =>
  (id: string): string =>
    id.slice(prefix.length).toLowerCase()

/** null: no such object has this id. */
const fullOf =
  (prefix: string, form: RegExp) =>
  (short: string): string | null => {
    const id = prefix + short.toUpperCase()
    return short === short.toLowerCase() && form.test(id) ? id : null
  }

/** A prediction is a job. */
export const predictionIdOf = shortOf('job_')
export const jobIdOf = fullOf('job_', JOB_ID)

/** A file is an upload. */
export const fileIdOf = shortOf('upl_')
export const uploadIdOf = fullOf('upl_', UPLOAD_ID)
