import { createHash, createHmac } from 'node:crypto'
import type { Habits } from './habits.ts'

/** Who a token belongs to, by the habit `accounts`. An account is named by its user name. */

/** The account of every token while they share one, and of everything that a models file defines. */
export const SHARED_ACCOUNT = 'acme'

/** The account of a token, or null when the token is not valid. */
export function accountOf(token: string, { accounts }: Habits): string | null {
  if (accounts === 'shared') return SHARED_ACCOUNT
  if (accounts === 'by_token') return `user-${createHash('sha256').update(token).digest('hex').slice(0, 8)}`
  return (Object.hasOwn(accounts, token) ? accounts[token] : undefined) ?? null
}

/** The account of something in the books. */
export const ownerOf = ({ account }: { account?: string }): string => account ?? SHARED_ACCOUNT

/** Whether an account may change what belongs to a user name: the shared account stands for everybody. */
export const isOwner = (account: string, owner: string): boolean => account === SHARED_ACCOUNT || account === owner

/** The field that `ownerOf` reads; left out for the shared account, as in journals from before there were others. */
export const ownedBy = (account: string): { account?: string } => (account === SHARED_ACCOUNT ? {} : { account })

/** Each account signs its webhooks with a secret that follows from the simulator's. */
export function webhookSecretOf(secret: string, account: string): string {
  if (account === SHARED_ACCOUNT) return secret
  return `whsec_${createHmac('sha256', secret).update(account).digest().subarray(0, 24).toString('base64')}`
}
