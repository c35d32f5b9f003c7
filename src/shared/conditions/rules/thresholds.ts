import type { Timings } from '../../jobs/rules/timings.ts'

/** Values beyond which something is wrong. */

/** Share of the maxmemory of Redis from which new work is refused; the rest is reserved for accepted jobs. */
export const REDIS_FULL_FROM = 0.75
/** Number of missed heartbeats (`workerBeat`) after which no worker counts as running. */
const BEATS = 10
/** Margin above `timings.clockSkew`, ms, because the `Date` of a response has whole seconds, and the response took time. */
const CLOCK_MARGIN_MS = 2_000

/** Time without a heartbeat after which no worker counts as running, ms. */
export const workerSilence = ({ workerBeat }: Pick<Timings, 'workerBeat'>): number => BEATS * workerBeat

/** Which clocks differ too much; null: none. Both in ms, of this machine; `upstream` null: unknown. */
export function clockDifference(
  { clockSkew }: Pick<Timings, 'clockSkew'>,
  ahead: { redis: number; upstream: number | null },
): string | null {
  const most = clockSkew + CLOCK_MARGIN_MS
  const seconds = (ms: number): string => `${Math.round(Math.abs(ms) / 1000)} s`
  const { redis, upstream } = ahead
  const wrong = [
    Math.abs(redis) > most ? `this machine and Redis differ by ${seconds(redis)}` : null,
    upstream !== null && Math.abs(redis - upstream) > most
      ? `Redis and Replicate differ by ${seconds(redis - upstream)}`
      : null,
  ].filter((text) => text !== null)
  return wrong.length === 0 ? null : wrong.join('; ')
}
