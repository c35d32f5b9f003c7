import { z } from 'zod'
import { isSigned, sign, type SigningKeys } from '../signing-keys.ts'

/** What a job token grants: to read one job or batch of its holder's tenant until a time. */
export interface TokenGrant {
  /** `job_...` or `bat_...` */
  subject: string
  /** Names the key that it was asked with, and ends with. */
  holder: string
  /** s since 1970 */
  expires: number
}

export const TOKEN_PREFIX = 'gqt_'

const SIGNATURE_BYTES = 16
const SIGNATURE_LENGTH = 22
const TOKEN = new RegExp(`^${TOKEN_PREFIX}([A-Za-z0-9_-]+)([A-Za-z0-9_-]{${SIGNATURE_LENGTH}})$`)
const grantSchema = z.tuple([z.string(), z.string(), z.number()])

/**
 * Tokens that a browser may hold in place of a key: `gqt_<grant><signature>`, at most 200 characters of
 * A-Z a-z 0-9 _ -. Nothing is kept of them; 128 bits of HMAC-SHA256 with the deployment's key prove the grant.
 */
export function createJobTokens(keys: SigningKeys) {
  const claimOf = (grant: string): string => `job-token:${grant}`
  return {
    issue(grant: TokenGrant): string {
      const text = Buffer.from(JSON.stringify([grant.subject, grant.holder, grant.expires])).toString('base64url')
      return TOKEN_PREFIX + text + sign(keys, claimOf(text), SIGNATURE_BYTES)
    },
    /** The grant of a token of ours, also when its time is over; null for anything else. */
    read(token: string): TokenGrant | null {
      const [, text = '', signature = ''] = TOKEN.exec(token) ?? []
      if (text === '' || !isSigned(keys, claimOf(text), SIGNATURE_BYTES, signature)) return null
      const [subject, holder, expires] = grantSchema.parse(JSON.parse(Buffer.from(text, 'base64url').toString('utf8')))
      return { subject, holder, expires }
    },
  }
}
