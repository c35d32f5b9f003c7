import type { RequestRate } from '../shared/tenants/ports.ts'

/** The name of the limit that a budget enforces. */
export const limitOf = ({ of }: RequestRate): string =>
  of === 'tenant' ? 'requests_per_minute' : 'token_requests_per_minute'

/**
 * RateLimit-Policy and RateLimit (draft-ietf-httpapi-ratelimit-headers): the limit per minute, how many requests may follow at
 * once, and the seconds until the whole burst may be used again.
 */
export const rateHeaders = (rate: RequestRate): Record<string, string> => ({
  'ratelimit-policy': `"${limitOf(rate)}";q=${rate.perMinute};w=60`,
  ratelimit: `"${limitOf(rate)}";r=${rate.free};t=${Math.ceil(rate.wholeInMs / 1000)}`,
})
