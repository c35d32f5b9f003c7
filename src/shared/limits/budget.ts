/** Tokens per minute, and how many may be taken at once. */
export interface Rate {
  perMinute: number
  burst: number
}

/** µs between two tokens */
export const intervalOf = ({ perMinute }: Rate): number => 60_000_000 / perMinute

/** How many tokens could be taken at once now. `arrival`: the theoretical arrival time (take-token.lua); both in µs. */
export function tokensFree(rate: Rate, arrival: number, now: number): number {
  const ahead = Math.max(0, arrival - now) / intervalOf(rate)
  return Math.max(0, Math.floor(rate.burst - ahead))
}

/** A budget of requests per minute, shared by all processes. */
export interface Budget {
  /** Waits for a token; rejects when `signal` aborts first. */
  take(signal: AbortSignal): Promise<void>
}
