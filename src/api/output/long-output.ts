import type { ArtifactStore } from '../../shared/artifacts/artifact-store.ts'
import { ServiceError } from '../../shared/errors/service-error.ts'
import { json, type JobRecord } from '../../shared/jobs/rules/job.ts'
import type { Json } from '../../shared/values/json.ts'

/** Limit of an output that a response contains, bytes. */
const MAX_BYTES = 16 * 1024 * 1024

/**
 * The whole output of a job that keeps it as a file, because it is too long for the record. undefined: the record has the
 * output, or it is too long for a response. Throws `storage_unavailable` when it cannot be read.
 */
export type LongOutputOf = (job: JobRecord) => Promise<Json | undefined>

export const createLongOutput =
  (artifacts: Pick<ArtifactStore, 'open'>): LongOutputOf =>
  async (job) => {
    const file = job.artifacts.find(({ id }) => id === job.output_artifact)
    // A larger one remains a link.
    if (!file || file.bytes > MAX_BYTES) return undefined
    const stream = await artifacts.open(file.key)
    if (stream === null) throw new ServiceError('storage_unavailable', 'The output cannot be read.', { retryAfter: 15 })
    const chunks: Buffer[] = []
    for await (const chunk of stream) chunks.push(Buffer.from(chunk))
    const text = Buffer.concat(chunks).toString('utf8')
    return file.media_type.startsWith('application/json') ? json.parse(JSON.parse(text)) : text
  }
