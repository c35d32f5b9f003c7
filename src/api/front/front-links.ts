import { referenceOf, uploadPath } from '../../shared/inputs/rules/reference.ts'
import type { JobRecord } from '../../shared/jobs/rules/job.ts'
import { isSignedNow, sign, type SigningKeys } from '../../shared/values/signing-keys.ts'
import { FRONT, STREAMS, STREAMS_OF_FILES } from './path.ts'
import { fileIdOf, jobIdOf, predictionIdOf, uploadIdOf } from './ids.ts'

/** Paths that the front shows and recognises. */

const SIGNATURE_BYTES = 16
const TOKEN = /^([0-9a-hjkmnp-tv-z]{26})\.([A-Za-z0-9_-]{22})$/
/** Any origin: a proxy or another name of this service may have made the link. */
const OWN_FILE = /^https?:\/\/[^/]+\/replicate\/v1\/files\/([0-9a-hjkmnp-tv-z]{26})$/

/** The reference of our uploads that a URL of a file here names, under any origin; any other text unchanged. */
export function ownReference(text: string): string {
  const [, file = ''] = OWN_FILE.exec(text) ?? []
  const id = uploadIdOf(file)
  return id === null ? text : uploadPath(id)
}

/** `keys`: those of the deployment. */
export function createFrontLinks(keys: SigningKeys) {
  const claimOf = (prediction: string): string => `replicate-stream:${prediction}`
  return {
    prediction: (id: string): string => `${FRONT}/predictions/${id}`,

    /**
     * Address of the stream of a job, which opens it without credentials. By the path, the official clients know whether
     * its events are files or text. Where the shape of the output is not known, clients get text, which they show as it is.
     */
    stream(job: Pick<JobRecord, 'id' | 'output_shape'>): string {
      const id = predictionIdOf(job.id)
      const { output_shape: shape } = job
      const kind = shape === 'files' || (shape !== null && typeof shape === 'object') ? STREAMS_OF_FILES : STREAMS
      return `${kind}/${id}.${sign(keys, claimOf(id), SIGNATURE_BYTES)}`
    },

    /** The id of the job whose stream a token opens; null: it is none of ours. */
    async readStream(token: string): Promise<string | null> {
      const [, id = '', signature = ''] = TOKEN.exec(token) ?? []
      const job = jobIdOf(id)
      return job !== null && (await isSignedNow(keys, claimOf(id), SIGNATURE_BYTES, signature)) ? job : null
    },

    /** Path of a file that a text of an input names; null: it names none. */
    fileOfReference(text: string): string | null {
      const id = referenceOf(text)
      return id === null ? null : `${FRONT}/files/${fileIdOf(id)}`
    },
  }
}

export type FrontLinks = ReturnType<typeof createFrontLinks>
