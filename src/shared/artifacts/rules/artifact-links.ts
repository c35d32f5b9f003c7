import { isSigned, sign, type SigningKeys } from '../../values/signing-keys.ts'

const VALID_MS = 60 * 60 * 1000
/** Expiry times are rounded up to this step, so that links stay the same for a while and browsers can cache the files. */
const STEP_MS = 15 * 60 * 1000
const SIGNATURE_BYTES = 16

/** Signed paths to artifacts: bearer links, valid for at least an hour. */
export function createArtifactLinks(keys: SigningKeys) {
  const claimOf = (id: string, expires: string): string => `artifact:${id}:${expires}`
  return {
    /** `part`: of the artifact, such as `/thumbnail`; one signature covers all parts. */
    path(id: string, part = '', now = Date.now()): string {
      const expires = String((Math.ceil((now + VALID_MS) / STEP_MS) * STEP_MS) / 1000)
      return `/v1/artifacts/${id}${part}?expires=${expires}&signature=${sign(keys, claimOf(id, expires), SIGNATURE_BYTES)}`
    },
    valid(id: string, expires: string, signature: string, now = Date.now()): boolean {
      return isSigned(keys, claimOf(id, expires), SIGNATURE_BYTES, signature) && Number(expires) * 1000 > now
    },
  }
}

export type ArtifactLinks = ReturnType<typeof createArtifactLinks>

export interface ArtifactPlace {
  job: string
  attempt: number
  index: number
}

/** Parses `art_<ulid>_<attempt>_<index>`; null when it is not an artifact id. */
export function parseArtifactId(id: string): ArtifactPlace | null {
  const match = /^art_([0-9A-HJKMNP-TV-Z]{26})_(\d{1,6})_(\d{1,9})$/.exec(id)
  return match ? { job: `job_${match[1]}`, attempt: Number(match[2]), index: Number(match[3]) } : null
}

export const artifactId = (job: string, attempt: number, index: number): string =>
  `art_${job.replace(/^job_/, '')}_${attempt}_${index}`
