import { createHmac, randomBytes, timingSafeEqual } from 'node:crypto'
import { z } from 'zod'

/** What the cookie of a browser says. `holder`: what it was exchanged for; `expires`: s since 1970. */
export interface Ticket {
  holder: string
  expires: number
}

export type TicketKind = 'studio' | 'admin'

const ticketSchema = z.object({ kind: z.string(), holder: z.string(), expires: z.number() })

/** Cookies that carry their own proof: nothing is kept of a session. */
export function createTickets(key: Buffer) {
  const sign = (text: string): string => createHmac('sha256', key).update(`session:${text}`).digest('base64url')
  return {
    issue(kind: TicketKind, holder: string, lifeS: number): string {
      const payload = {
        kind,
        holder,
        expires: Math.floor(Date.now() / 1000) + lifeS,
        nonce: randomBytes(9).toString('base64url'),
      }
      const text = Buffer.from(JSON.stringify(payload)).toString('base64url')
      return `${text}.${sign(text)}`
    },

    /** null: not a ticket of ours, of another kind, or its time is over. */
    read(kind: TicketKind, value: string | undefined): Ticket | null {
      const [text, signature, ...rest] = value?.split('.') ?? []
      if (!text || !signature || rest.length > 0) return null
      const [expected, given] = [Buffer.from(sign(text)), Buffer.from(signature)]
      if (expected.length !== given.length || !timingSafeEqual(expected, given)) return null
      const parsed = ticketSchema.safeParse(JSON.parse(Buffer.from(text, 'base64url').toString('utf8')))
      if (!parsed.success || parsed.data.kind !== kind || parsed.data.expires <= Date.now() / 1000) return null
      const { holder, expires } = parsed.data
      return { holder, expires }
    },
  }
}
