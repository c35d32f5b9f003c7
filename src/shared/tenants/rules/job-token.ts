import { z } from 'zod'
import { isSigned, sign, type SigningKeys } from '../../values/signing-keys.ts'

/** Permission of a job token: to read one job or batch of its holder's tenant until it expires. */
export interface TokenGrant {
  /** `job_...` or `bat_...` */
  subject: string
  /** Id of the key that requested the token; the token becomes invalid with that key. */
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
 * Tokens for browsers, in place of a key: `gqt_<grant><signature>`, at most 200 characters of A-Z a-z 0-9 _ -. They are not
 * stored; 128 bits of HMAC-SHA256 with the deployment's key prove the grant.
 */
export function createJobTokens(keys: SigningKeys) {
  const claimOf = (grant: string): string => `job-token:${grant}`
  return {
    issue(grant: TokenGrant): string {
      const text = Buffer.from(JSON.stringify([grant.subject, grant.holder, grant.expires])).toString('base64url')
      return TOKEN_PREFIX + text + sign(keys, claimOf(text), SIGNATURE_BYTES)
    },
    /** The grant of a token that we signed, even an expired one; null for any other text. */
    read(token: string): TokenGrant | null {
      const [, text = '', signature = ''] = TOKEN.exec(token) ?? []
      if (text === '' || !isSigned(keys, claimOf(text), SIGNATURE_BYTES, signature)) return null
      const [subject, holder, expires] = grantSchema.parse(JSON.parse(Buffer.from(text, 'base64url').toString('utf8')))
      return { subject, holder, expires }
    },
  }
}
