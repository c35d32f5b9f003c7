import { ServiceError } from '../../errors/service-error.ts'
import type { ArtifactRecord } from '../../jobs/rules/job.ts'
import type { Limits } from '../../tenants/rules/tenant.ts'

/** Files of a tenant that are counted for its quota (stored.lua). */

export interface StoredAmount {
  bytes: number
  files: number
}

/** The hash of the tenants' own limits, and the defaults. */
export interface StoredQuota {
  tenants: string
  defaults: Pick<Limits, 'stored_bytes' | 'stored_files'>
}

/** A limit that was reached, its value, and the usage. */
export interface StoredBeyond {
  limit: string
  most: number
  used: number
}

/** Output files with their thumbnails: each is a file. */
export function amountOf(artifacts: readonly Pick<ArtifactRecord, 'bytes' | 'thumbnail'>[]): StoredAmount {
  const sizes = artifacts.flatMap(({ bytes, thumbnail }) => (thumbnail ? [bytes, thumbnail.bytes] : [bytes]))
  return { bytes: sizes.reduce((sum, bytes) => sum + bytes, 0), files: sizes.length }
}

export const tooMuchStored = ({ limit, most, used }: StoredBeyond): ServiceError =>
  new ServiceError(
    'too_much_stored',
    `The tenant stores ${used} ${limit === 'stored_bytes' ? 'bytes' : 'files'}. The limit is ${most}. Delete jobs or uploads, or wait until files expire.`,
    { limit, allowed: most, used },
  )
