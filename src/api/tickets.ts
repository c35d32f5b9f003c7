import { randomBytes } from 'node:crypto'
import { z } from 'zod'
import { isSigned, sign, type SigningKeys } from '../shared/values/signing-keys.ts'

/** Content of a session cookie. `holder`: the credential behind it; `expires`: s since 1970. */
export interface Ticket {
  holder: string
  expires: number
}

export type TicketKind = 'studio' | 'admin'

const ticketSchema = z.object({ kind: z.string(), holder: z.string(), expires: z.number() })

const SIGNATURE_BYTES = 32

/** Signed cookies; no session state is stored. */
export function createTickets(keys: SigningKeys) {
  const claimOf = (text: string): string => `session:${text}`
  return {
    issue(kind: TicketKind, holder: string, lifeS: number): string {
      const payload = {
        kind,
        holder,
        expires: Math.floor(Date.now() / 1000) + lifeS,
        nonce: randomBytes(9).toString('base64url'),
      }
      const text = Buffer.from(JSON.stringify(payload)).toString('base64url')
      return `${text}.${sign(keys, claimOf(text), SIGNATURE_BYTES)}`
    },

    /** null: invalid, of another kind, or expired. */
    read(kind: TicketKind, value: string | undefined): Ticket | null {
      const [text, signature, ...rest] = value?.split('.') ?? []
      if (!text || !signature || rest.length > 0) return null
      if (!isSigned(keys, claimOf(text), SIGNATURE_BYTES, signature)) return null
      const parsed = ticketSchema.safeParse(JSON.parse(Buffer.from(text, 'base64url').toString('utf8')))
      if (!parsed.success || parsed.data.kind !== kind || parsed.data.expires <= Date.now() / 1000) return null
      const { holder, expires } = parsed.data
      return { holder, expires }
    },
  }
}
