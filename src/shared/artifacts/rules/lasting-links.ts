import { z } from 'zod'
import type { ArtifactRecord, JobRecord } from '../../jobs/rules/job.ts'
import { fileNameOf } from './file-names.ts'
import { isSignedNow, sign, type SigningKeys } from '../../values/signing-keys.ts'

/** Content of a lasting link: everything that is needed to serve its file without a record. */
export interface LinkedFile {
  /** Key in the artifact store. */
  key: string
  media_type: string
  bytes: number
  /** Source of the ETag. */
  sha256: string
  /** Download name. */
  name: string
  /** Owner; its CORS settings apply to the file. */
  tenant: string
}

/** Path of an artifact's thumbnail, below the artifact's. */
export const THUMBNAIL = '/thumbnail'

/** An artifact and its thumbnail (null: none), as they are served. */
export function namedFiles(
  job: Parameters<typeof fileNameOf>[0] & Pick<JobRecord, 'tenant'>,
  artifact: ArtifactRecord,
): { file: LinkedFile; small: LinkedFile | null } {
  const { key, media_type, bytes, sha256, thumbnail } = artifact
  const name = fileNameOf(job, artifact)
  return {
    file: { key, media_type, bytes, sha256, name, tenant: job.tenant },
    small: thumbnail && {
      ...thumbnail,
      media_type: 'image/webp',
      sha256: `${sha256}-small`,
      name: name.replace(/\.\w+$/, '-small.webp'),
      tenant: job.tenant,
    },
  }
}

const SIGNATURE_BYTES = 24

const fileSchema = z
  .tuple([z.string(), z.string(), z.number().int().min(0), z.string(), z.string(), z.string()])
  .transform(([key, media_type, bytes, sha256, name, tenant]): LinkedFile => ({
    key,
    media_type,
    bytes,
    sha256,
    name,
    tenant,
  }))

/**
 * Signed paths to artifacts: bearer links that are valid as long as the file exists (docs/adr/0008). They have their own
 * key, whose rotation revokes all of them.
 */
export function createLastingLinks(keys: SigningKeys) {
  const claimOf = (path: string, file: string): string => `lasting:${path}:${file}`
  const pathOf = (id: string, part: string): string => `/v1/artifacts/${id}${part}`
  return {
    /** `part`: of the artifact, such as `/thumbnail`. */
    path(id: string, part: string, { key, media_type, bytes, sha256, name, tenant }: LinkedFile): string {
      const path = pathOf(id, part)
      const file = Buffer.from(JSON.stringify([key, media_type, bytes, sha256, name, tenant])).toString('base64url')
      return `${path}?file=${file}&signature=${sign(keys, claimOf(path, file), SIGNATURE_BYTES)}`
    },

    /** Verifies a link; null when its signature is invalid. Throws when the keys cannot be read. */
    async read(id: string, part: string, file: string, signature: string): Promise<LinkedFile | null> {
      const claim = claimOf(pathOf(id, part), file)
      if (!(await isSignedNow(keys, claim, SIGNATURE_BYTES, signature))) return null
      return fileSchema.parse(JSON.parse(Buffer.from(file, 'base64url').toString()))
    },
  }
}

export type LastingLinks = ReturnType<typeof createLastingLinks>
