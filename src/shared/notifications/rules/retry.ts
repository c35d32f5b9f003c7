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

/** The wait that a `Retry-After` asks for, ms; null: there is none, or it is neither seconds nor a date. `now`: ms. */
export function readRetryAfter(header: string | string[] | undefined, now: number): number | null {
  const text = typeof header === 'string' ? header.trim() : ''
  if (/^\d{1,9}$/.test(text)) return Number(text) * SECOND
  // Of the forms of a date, only those of HTTP begin with the name of a day.
  const at = /^(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun)/.test(text) ? Date.parse(text) : Number.NaN
  return Number.isNaN(at) ? null : Math.max(0, at - now)
}

/** Failures in a row from which a destination is paused, and its longest pause, ms. */
const PAUSE_FROM = 3
const LONGEST_PAUSE = 2 * MINUTE
/** The longest pause that a receiver asks for itself, ms. */
const LONGEST_ASKED_PAUSE = HOUR

/**
 * How long nothing else is sent to a destination after a failure, ms; null: it is not paused. `failures`: those since its last
 * success, with this one.
 */
export function pauseAfter(failures: number, retryAfter: number | null): number | null {
  const own = failures < PAUSE_FROM ? 0 : Math.min(2 ** Math.min(failures - PAUSE_FROM, 20) * SECOND, LONGEST_PAUSE)
  const pause = Math.max(own, Math.min(retryAfter ?? 0, LONGEST_ASKED_PAUSE))
  return pause === 0 ? null : pause
}
