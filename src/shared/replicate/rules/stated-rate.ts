/** A limit of creates that a 429 states. */
export interface StatedRate {
  perMinute: number
  /** Largest burst; null: not stated. */
  burst: number | null
}

const PER_MINUTE = { second: 60, minute: 1, hour: 1 / 60 }
const isUnit = (unit: string): unit is keyof typeof PER_MINUTE => Object.hasOwn(PER_MINUTE, unit)

/** "6 requests per minute with a burst of 1 requests" (source: recorded 429s of accounts with less than 5 dollars of credit). */
const WORDS = /(\d+(?:\.\d+)?) requests? per (second|minute|hour)(?: with a burst of (\d+))?/
/** `100;w=60` (drafts of RateLimit headers up to 07), `"name";q=100;w=60` (later ones). */
const POLICY = /(?:^|[,\s])(?:(\d+)|"[^"]*"\s*;[^,]*?\bq=(\d+))\s*;[^,]*?\bw=(\d+)/

/** The limit that a 429 states in its text, or in the headers RateLimit-Policy or RateLimit-Limit; null: none. */
export function statedRate(headers: { get(name: string): string | null }, body: string): StatedRate | null {
  const [, count, unit = '', burst] = WORDS.exec(body) ?? []
  if (count !== undefined && isUnit(unit))
    return rateOf(Number(count) * PER_MINUTE[unit], burst === undefined ? null : Number(burst))
  for (const name of ['ratelimit-policy', 'ratelimit-limit']) {
    const [, limit, quota, window] = POLICY.exec(headers.get(name) ?? '') ?? []
    if (Number(window) > 0) return rateOf((Number(limit ?? quota) * 60) / Number(window), null)
  }
  return null
}

const rateOf = (perMinute: number, burst: number | null): StatedRate | null =>
  perMinute > 0 ? { perMinute, burst: burst === null ? null : Math.max(1, burst) } : null
