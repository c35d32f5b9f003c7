import type { ArtifactStore } from '../../shared/artifacts/artifact-store.ts'
import { ServiceError } from '../../shared/errors/service-error.ts'
import { json, type JobRecord } from '../../shared/jobs/rules/job.ts'
import type { Json } from '../../shared/values/json.ts'

/** Limit of an output that a response contains, bytes. */
const MAX_BYTES = 16 * 1024 * 1024

/**
 * Reads outputs that are too long for the record of their job: the clients of Replicate expect them in the prediction.
 * undefined: the record has the output. Throws `storage_unavailable` when it cannot be read.
 */
export const createLongOutput =
  (artifacts: Pick<ArtifactStore, 'open'>) =>
  async (job: JobRecord): Promise<Json | undefined> => {
    const file = job.artifacts.find(({ id }) => id === job.output_artifact)
    // A larger one remains a link.
    if (!file || file.bytes > MAX_BYTES) return undefined
    const stream = await artifacts.open(file.key)
    if (stream === null)
      throw new ServiceError('storage_unavailable', 'The output of the prediction cannot be read.', { retryAfter: 15 })
    const chunks: Buffer[] = []
    for await (const chunk of stream) chunks.push(Buffer.from(chunk))
    const text = Buffer.concat(chunks).toString('utf8')
    return file.media_type.startsWith('application/json') ? json.parse(JSON.parse(text)) : text
  }
