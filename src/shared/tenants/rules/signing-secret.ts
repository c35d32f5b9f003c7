import { randomBytes } from 'node:crypto'

/** A secret of Standard Webhooks that signs the notifications of a tenant. Times are ms of the Redis clock. */
export interface SigningSecret {
  /** `whsec_`, and 32 random bytes in base64. */
  key: string
  created_at: number
}

/** The secrets of a tenant: notifications are signed with all of them. */
export interface SigningSecrets {
  current: SigningSecret
  /** Replaced ones that are still valid, newest first. */
  previous: (SigningSecret & { expires_at: number })[]
}

export const makeSecret = (): string => `whsec_${randomBytes(32).toString('base64')}`

/** Replaced secrets that may be valid at once; of more, the oldest becomes invalid. */
export const MOST_PREVIOUS = 3
