import type { JobReader } from '../jobs/ports.ts'
import type { JobRecord } from '../jobs/rules/job.ts'
import type { JsonObject } from '../values/json.ts'
import type { Message } from './transport-port.ts'
import { payloadText } from './rules/payload.ts'

export interface ContentDependencies {
  jobs: JobReader
  /** The job as the API shows it, with lasting links. */
  jobView: (job: JobRecord) => Promise<JsonObject>
  /** The prediction as Replicate's own API shows it. */
  predictionView: (job: JobRecord) => Promise<JsonObject>
}

/** Makes the exact text that an attempt sends: with the whole job as it is then, where the receiver wants it and its record exists. */
export const createContent =
  ({ jobs, jobView, predictionView }: ContentDependencies) =>
  async ({ shape, type, tenant, created_at, job: id, data }: Message['notification']): Promise<string> => {
    const found = shape === 'thin' || id === null ? null : await jobs.read(id)
    const job = found?.tenant === tenant ? found : null
    if (shape === 'replicate') return JSON.stringify(job === null ? data : await predictionView(job))
    return payloadText(type, created_at, job === null ? data : { ...data, job: await jobView(job) })
  }
