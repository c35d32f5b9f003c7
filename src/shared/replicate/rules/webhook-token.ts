import { DEFAULT_ACCOUNT } from '../../jobs/rules/job.ts'
import { isSigned, sign, type SigningKeys } from '../../values/signing-keys.ts'

/** Job and attempt that a webhook URL names, and the account of the prediction. */
export interface NamedAttempt {
  job: string
  attempt: number
  account: string
}

/**
 * The token in a prediction's webhook URL proves that an event belongs to this attempt of this deployment in this account, because
 * Replicate's signing secret is shared by the whole account. A URL without an account is that of the account `default`. 128 bits of HMAC-SHA256, base64url. The account's owner can
 * see the URL; the token grants nothing else.
 */
export interface WebhookTokens {
  /** Without an account: that of `default`. */
  url(job: string, attempt: number, account?: string): string
  valid(job: string, attempt: number, token: string, account?: string): boolean
  /** Parses a webhook URL; null when its token is not from this deployment. */
  read(url: string): NamedAttempt | null
  /** Reloads the keys before a token is rejected: its key may be newer. Throws when the keys cannot be read. */
  refresh(options?: { now: true }): Promise<void>
}

export const WEBHOOK_PATH = '/webhooks/replicate'

const TOKEN_BYTES = 16
const KEPT_PROVED = 1000

export function createWebhookTokens(options: {
  deployment: string
  keys: SigningKeys
  /** null: the service is not reachable; the URL still names the attempt, on a host that never resolves. */
  publicUrl: () => string | null
}): WebhookTokens {
  const claimOf = ({ job, attempt, account }: NamedAttempt): string =>
    JSON.stringify([options.deployment, job, attempt, ...(account === DEFAULT_ACCOUNT ? [] : [account])])
  /**
   * Tokens that were proved, with the keys that were accepted then. Each webhook is checked before and after its body is
   * read, and a prediction sends two or more with one token.
   */
  const proved = new Map<string, readonly Buffer[]>()

  function valid(job: string, attempt: number, token: string, account = DEFAULT_ACCOUNT): boolean {
    const claim = claimOf({ job, attempt, account })
    const accepted = options.keys.accepted()
    const name = `${claim} ${token}`
    const before = proved.get(name)
    if (before?.length === accepted.length && before.every((key, i) => key === accepted[i])) return true
    const isProved = isSigned(options.keys, claim, TOKEN_BYTES, token)
    if (isProved) {
      if (proved.size >= KEPT_PROVED) proved.clear()
      proved.set(name, accepted)
    }
    return isProved
  }

  return {
    url(job, attempt, account = DEFAULT_ACCOUNT) {
      const base = options.publicUrl() ?? `https://${options.deployment.toLowerCase()}.invalid`
      const url = new URL(base.replace(/\/+$/, '') + WEBHOOK_PATH)
      url.searchParams.set('job', job)
      url.searchParams.set('attempt', String(attempt))
      if (account !== DEFAULT_ACCOUNT) url.searchParams.set('account', account)
      url.searchParams.set('token', sign(options.keys, claimOf({ job, attempt, account }), TOKEN_BYTES))
      return url.href
    },
    valid,
    refresh: options.keys.refresh,
    read(text) {
      if (!URL.canParse(text)) return null
      const query = new URL(text).searchParams
      const [job, attempt, token] = [query.get('job') ?? '', Number(query.get('attempt')), query.get('token') ?? '']
      const account = query.get('account') ?? DEFAULT_ACCOUNT
      return Number.isSafeInteger(attempt) && valid(job, attempt, token, account) ? { job, attempt, account } : null
    },
  }
}
