export interface TokenBucket {
  /** Takes one token, or returns the time until there is one. */
  take(): Taken
  refill(): void
}

export interface Taken {
  allowed: boolean
  /** Remaining whole tokens. */
  remaining: number
  /** Time until the next token; 0 when there is one. */
  resetSeconds: number
}

/**
 * A bucket of `capacity` tokens that fills by `perMinute`. It starts full, so a burst of `capacity` is allowed. Refused
 * requests cost nothing.
 * @param now milliseconds of a clock that never goes backwards
 */
export function createTokenBucket(perMinute: () => number, capacity: () => number, now: () => number): TokenBucket {
  let tokens = capacity()
  let at = now()
  return {
    take() {
      const time = now()
      const perMillisecond = perMinute() / 60_000
      tokens = Math.min(capacity(), tokens + (time - at) * perMillisecond)
      at = time
      const allowed = tokens >= 1
      if (allowed) tokens -= 1
      const missing = Math.max(0, 1 - tokens)
      return { allowed, remaining: Math.floor(tokens), resetSeconds: Math.ceil(missing / perMillisecond / 1000) }
    },
    refill() {
      tokens = capacity()
      at = now()
    },
  }
}
