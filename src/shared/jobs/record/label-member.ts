import { hash } from 'node:crypto'
import { ulidToUUID, uuidToULID } from 'ulid'
import { fromSevenBits, toSevenBits } from '../../values/seven-bits.ts'
import type { JobRecord } from '../rules/job.ts'
import { labelsOf, type Label } from '../rules/job-filter.ts'

/**
 * Members of the index by labels (job-filter.ts): 48 bits of the digest of the label, then the 128 bits of the job's ULID, both
 * in characters of seven bits, which sort as the bits do. So the jobs with a label are a range of the index, in the order of
 * their creation. A digest can stand for several labels: the records decide. Part of the stored format.
 */

const DIGEST_BYTES = 6
const DIGEST_LENGTH = 7
const ID_PREFIX = 'job_'

/** What the members of a label begin with. */
export const labelDigest = (label: Label): string =>
  toSevenBits(hash('sha256', JSON.stringify(label), 'buffer').subarray(0, DIGEST_BYTES))

/** Follows every member of a label that it is appended to. */
export const AFTER_DIGEST = '\u0080'

/** Throws when `job` is no id of a job. */
export const labelMember = (digest: string, job: string): string =>
  digest + toSevenBits(Buffer.from(ulidToUUID(job.slice(ID_PREFIX.length)).replaceAll('-', ''), 'hex'))

/** The members of a job. */
export const labelMembers = (job: Pick<JobRecord, 'id' | 'user' | 'metadata'>): string[] =>
  labelsOf(job).map((label) => labelMember(labelDigest(label), job.id))

/** The id of the job that a member names; null: it is no member of the index. */
export function labeledJob(member: string): string | null {
  const hex = Buffer.from(fromSevenBits(member.slice(DIGEST_LENGTH))).toString('hex')
  const uuid = /^(.{8})(.{4})(.{4})(.{4})(.{12})$/.exec(hex)
  return uuid === null ? null : ID_PREFIX + uuidToULID(uuid.slice(1).join('-'))
}
