/**
 * Wait that a 429 requests, ms. Replicate states it in up to four places (source: recorded responses and its docs): a
 * Retry-After header, `retry_after` in the body, the words "resets in ~30s", and `ratelimit-reset`. The longest wins,
 * because an early retry costs the whole account another 429.
 */
export function retryHintMs(headers: { get(name: string): string | null }, body: string, now: number): number {
  const seconds: number[] = []
  const header = headers.get('retry-after')
  if (header !== null) {
    const at = Date.parse(header)
    seconds.push(/^\d+(\.\d+)?$/.test(header.trim()) ? Number(header) : Number.isNaN(at) ? 0 : (at - now) / 1000)
  }
  const field = /"retry_after"\s*:\s*(\d+(?:\.\d+)?)/.exec(body)
  if (field) seconds.push(Number(field[1]))
  const words = /resets in ~?\s*(\d+(?:\.\d+)?)\s*s/.exec(body)
  if (words) seconds.push(Number(words[1]))
  const reset = headers.get('ratelimit-reset')
  if (reset !== null && /^\d+(\.\d+)?$/.test(reset.trim())) seconds.push(Number(reset))
  const longest = Math.max(0, ...seconds)
  return Math.min(longest === 0 ? DEFAULT_WAIT_S : longest, MAX_WAIT_S) * 1000
}

const DEFAULT_WAIT_S = 10
const MAX_WAIT_S = 300
