import { randomBytes } from 'node:crypto'
import { z } from 'zod'

/** A secret of Standard Webhooks that signs notifications. Times are ms of the Redis clock. */
const signingSecret = z.object({
  /** `whsec_`, and 32 random bytes in base64. */
  key: z.string(),
  created_at: z.number(),
})

/** The secrets of a tenant or of an endpoint: notifications are signed with all of them. */
export const signingSecretsSchema = z.object({
  current: signingSecret,
  /** Replaced ones that are still valid, newest first. */
  previous: z.array(signingSecret.extend({ expires_at: z.number() })),
})
export type SigningSecrets = z.output<typeof signingSecretsSchema>

export const makeSecret = (): string => `whsec_${randomBytes(32).toString('base64')}`

/** Replaces the current secret, which signs too for `graceMs`; earlier ones end at the latest with it. */
export function withSecret(
  { current, previous }: SigningSecrets,
  made: SigningSecrets['current'],
  graceMs: number,
): SigningSecrets {
  const ends = made.created_at + graceMs
  const replaced = [
    { ...current, expires_at: ends },
    ...previous.map((secret) => ({ ...secret, expires_at: Math.min(secret.expires_at, ends) })),
  ]
  const valid = replaced.filter(({ expires_at }) => expires_at > made.created_at)
  return { current: made, previous: valid.slice(0, MOST_PREVIOUS) }
}

/** Replaced secrets that may be valid at once; of more, the oldest becomes invalid. */
export const MOST_PREVIOUS = 3
