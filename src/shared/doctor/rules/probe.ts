import { z } from 'zod'

/**
 * Probe: a request to our own webhook receiver by the way that Replicate's webhooks take. Its URL has the form of a
 * webhook's, with the id of the probe in place of a job's.
 */

export const PROBE_ID = /^probe_[0-9A-HJKMNP-TV-Z]{26}$/
/** The attempt in the URL of a probe. */
export const PROBE_ATTEMPT = 1

/** What a receiver found about the signature of a probe. */
const SIGNATURES = ['valid', 'old', 'wrong', 'missing', 'no_secret'] as const
export type ProbeSignature = (typeof SIGNATURES)[number]

/** What arrived, as the receiver answers it in the first line of its response. */
export const arrival = z.object({
  probe: z.string().regex(PROBE_ID),
  at: z.iso.datetime().describe('By the clock of the receiver.'),
  bytes: z.int(),
  sha256: z.string(),
  signature: z.enum(SIGNATURES).describe('`old`: right, but made more than five minutes ago, or ahead.'),
  generation: z.string().describe("Generation of Redis's data that the receiver knows."),
})
export type Arrival = z.output<typeof arrival>

/** Pause between the two lines of the response, ms: a proxy that buffers passes both on at once. */
export const PROBE_PAUSE_MS = 250

/** A sent probe. */
export interface SentProbe {
  probe: string
  url: string
  bytes: number
  sha256: string
  /** By the clock of the sender, ms since 1970 */
  at: number
  /** Whether it was signed with the secret of the account; otherwise the signature proves nothing. */
  signed: boolean
  generation: string
}

/** What came back. */
export type ProbeReply =
  | { kind: 'none'; code: string; message: string; ms: number }
  | {
      kind: 'answered'
      status: number
      location: string | null
      /** `Server` and similar headers, which name who answered. */
      server: string
      /** Beginning of the body. */
      text: string
      /** null: the answer is not that of a receiver. */
      arrival: Arrival | null
      /** Until the first byte of the body. */
      ms: number
      /** Between the first and the last byte of the body, ms. */
      gap: number
    }
