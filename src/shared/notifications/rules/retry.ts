/** The schedule of a notification, and what an attempt means for it and for its receiver. Durations: ms. */

const SECOND = 1000
const MINUTE = 60 * SECOND
const HOUR = 60 * MINUTE

/** Waits between attempts; after the last one the notification has failed. About 39 hours together. */
export const WAITS = [
  5 * SECOND,
  30 * SECOND,
  2 * MINUTE,
  15 * MINUTE,
  1 * HOUR,
  4 * HOUR,
  10 * HOUR,
  24 * HOUR,
] as const
/** Part of a wait by which it is longer at random, so that what failed together does not come back together. */
const JITTER = 0.2
/** An endpoint that only failed for this long is disabled. */
export const DISABLE_AFTER_MS = 5 * 24 * HOUR

/**
 * When a failed notification is sent next, ms after this attempt; null: never. `tries`: attempts so far. `retryAfter`: what the
 * receiver asked for; it counts between once and twice the planned wait. `random`: in [0, 1).
 */
export function waitAfter(tries: number, retryAfter: number | null, random: number): number | null {
  const planned = WAITS[tries - 1]
  if (planned === undefined) return null
  const asked = Math.min(Math.max(retryAfter ?? 0, planned), 2 * planned)
  return Math.round(Math.max(asked, planned * (1 + JITTER * random)))
}
