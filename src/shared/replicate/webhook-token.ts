import { createHmac, timingSafeEqual } from 'node:crypto'

/**
 * The token in a prediction's webhook URL proves that an event is for this attempt of this deployment: Replicate's
 * signing secret is one for the whole account. 128 bits of HMAC-SHA256, base64url. The URL is visible to the account's
 * owner; the token opens nothing else.
 */
export interface WebhookTokens {
  url(job: string, attempt: number): string
  valid(job: string, attempt: number, token: string): boolean
  /** What a webhook URL names, when its token is ours. */
  read(url: string): { job: string; attempt: number } | null
}

export const WEBHOOK_PATH = '/webhooks/replicate'

export function createWebhookTokens(options: {
  deployment: string
  key: Buffer
  /** null: nobody can reach us; the URL still names the attempt, on a host that never resolves. */
  publicUrl: () => string | null
}): WebhookTokens {
  const tokenOf = (job: string, attempt: number): string =>
    createHmac('sha256', options.key)
      .update(JSON.stringify([options.deployment, job, attempt]))
      .digest()
      .subarray(0, 16)
      .toString('base64url')
  const valid = (job: string, attempt: number, token: string): boolean => {
    const expected = Buffer.from(tokenOf(job, attempt))
    const given = Buffer.from(token)
    return given.length === expected.length && timingSafeEqual(given, expected)
  }
  return {
    url(job, attempt) {
      const base = options.publicUrl() ?? `https://${options.deployment.toLowerCase()}.invalid`
      const url = new URL(base.replace(/\/+$/, '') + WEBHOOK_PATH)
      url.searchParams.set('job', job)
      url.searchParams.set('attempt', String(attempt))
      url.searchParams.set('token', tokenOf(job, attempt))
      return url.href
    },
    valid,
    read(text) {
      if (!URL.canParse(text)) return null
      const query = new URL(text).searchParams
      const [job, attempt, token] = [query.get('job') ?? '', Number(query.get('attempt')), query.get('token') ?? '']
      return Number.isSafeInteger(attempt) && valid(job, attempt, token) ? { job, attempt } : null
    },
  }
}
