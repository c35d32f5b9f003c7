import { z } from 'zod'
import { isSignedNow, sign, type SigningKeys } from '../../values/signing-keys.ts'

/** How long an address can be confirmed, ms. */
export const CONFIRM_WITHIN_MS = 7 * 86_400_000
const SIGNATURE_BYTES = 24

/** An endpoint whose address is confirmed by this link. */
export interface ConfirmClaim {
  tenant: string
  endpoint: string
  address: string
}

/** An address that gets no more mail of a tenant by this link. */
export interface UnsubscribeClaim {
  tenant: string
  address: string
}

const confirmClaim = z.tuple([z.string(), z.string(), z.string(), z.number()])
const unsubscribeClaim = z.tuple([z.string(), z.string()])

type Purpose = 'confirm' | 'unsubscribe'
/** Paths of the pages, followed by a token. */
export const MAIL_PATHS: Record<Purpose, string> = { confirm: '/mail/confirm', unsubscribe: '/mail/unsubscribe' }

/** Signed links in mails, by the key of lasting links. */
export function createMailLinks(keys: SigningKeys) {
  const textOf = (purpose: Purpose, claim: string): string => `mail:${purpose}:${claim}`

  function path(purpose: Purpose, values: readonly unknown[]): string {
    const claim = Buffer.from(JSON.stringify(values)).toString('base64url')
    return `${MAIL_PATHS[purpose]}/${claim}.${sign(keys, textOf(purpose, claim), SIGNATURE_BYTES)}`
  }

  /** null: nobody signed it. */
  async function read(purpose: Purpose, token: string): Promise<unknown> {
    const [claim = '', signature = ''] = token.split('.')
    if (!(await isSignedNow(keys, textOf(purpose, claim), SIGNATURE_BYTES, signature))) return null
    return JSON.parse(Buffer.from(claim, 'base64url').toString())
  }

  return {
    /** `now`: ms */
    confirmPath: ({ tenant, endpoint, address }: ConfirmClaim, now: number): string =>
      path('confirm', [tenant, endpoint, address, now + CONFIRM_WITHIN_MS]),

    /** null: it is not valid, or no longer. */
    async readConfirm(token: string, now: number): Promise<ConfirmClaim | null> {
      const { data } = confirmClaim.safeParse(await read('confirm', token))
      if (data === undefined) return null
      const [tenant, endpoint, address, until] = data
      return now < until ? { tenant, endpoint, address } : null
    },

    unsubscribePath: ({ tenant, address }: UnsubscribeClaim): string => path('unsubscribe', [tenant, address]),

    async readUnsubscribe(token: string): Promise<UnsubscribeClaim | null> {
      const { data } = unsubscribeClaim.safeParse(await read('unsubscribe', token))
      return data === undefined ? null : { tenant: data[0], address: data[1] }
    },
  }
}

export type MailLinks = ReturnType<typeof createMailLinks>
