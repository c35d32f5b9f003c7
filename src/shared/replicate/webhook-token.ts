import { isSigned, sign, type SigningKeys } from '../signing-keys.ts'

/** What a webhook URL names. */
export interface NamedAttempt {
  job: string
  attempt: number
}

/**
 * The token in a prediction's webhook URL proves that an event is for this attempt of this deployment: Replicate's
 * signing secret is one for the whole account. 128 bits of HMAC-SHA256, base64url. The URL is visible to the account's
 * owner; the token opens nothing else.
 */
export interface WebhookTokens {
  url(job: string, attempt: number): string
  valid(job: string, attempt: number, token: string): boolean
  /** What a webhook URL names, when its token is ours. */
  read(url: string): NamedAttempt | null
  /** Before a token is judged not to be ours: its key may be a newer one. Throws when nobody can tell. */
  refresh(options?: { now: true }): Promise<void>
}

export const WEBHOOK_PATH = '/webhooks/replicate'

const TOKEN_BYTES = 16

export function createWebhookTokens(options: {
  deployment: string
  keys: SigningKeys
  /** null: nobody can reach us; the URL still names the attempt, on a host that never resolves. */
  publicUrl: () => string | null
}): WebhookTokens {
  const claimOf = (job: string, attempt: number): string => JSON.stringify([options.deployment, job, attempt])
  const valid = (job: string, attempt: number, token: string): boolean =>
    isSigned(options.keys, claimOf(job, attempt), TOKEN_BYTES, token)
  return {
    url(job, attempt) {
      const base = options.publicUrl() ?? `https://${options.deployment.toLowerCase()}.invalid`
      const url = new URL(base.replace(/\/+$/, '') + WEBHOOK_PATH)
      url.searchParams.set('job', job)
      url.searchParams.set('attempt', String(attempt))
      url.searchParams.set('token', sign(options.keys, claimOf(job, attempt), TOKEN_BYTES))
      return url.href
    },
    valid,
    refresh: options.keys.refresh,
    read(text) {
      if (!URL.canParse(text)) return null
      const query = new URL(text).searchParams
      const [job, attempt, token] = [query.get('job') ?? '', Number(query.get('attempt')), query.get('token') ?? '']
      return Number.isSafeInteger(attempt) && valid(job, attempt, token) ? { job, attempt } : null
    },
  }
}
