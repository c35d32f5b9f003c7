import { SHARED_ACCOUNT, webhookSecretOf } from '../accounts.ts'
import { json } from '../http/reply.ts'
import type { Handler } from '../http/router.ts'
import type { Services } from './services.ts'

/** An account as the API shows it. */
export const showAccount = (username: string) => ({
  ...(username === SHARED_ACCOUNT ? { type: 'organization' } : { type: 'user' }),
  username,
  name: username === SHARED_ACCOUNT ? 'Acme Corp, Inc.' : username,
  github_url: `https://github.com/${username}`,
})

export const getAccount: Handler = ({ account }) => json(200, showAccount(account))

export function getWebhookSecret({ book }: Services): Handler {
  return ({ account }) => json(200, { key: webhookSecretOf(book.identity.webhookSecret, account) })
}
