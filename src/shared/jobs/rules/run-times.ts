/**
 * Digest of the durations of a model's runs: a histogram with five buckets for each doubling, so that a quantile is accurate
 * to within 15 %.
 */

const STEPS_PER_DOUBLING = 5
const MIN_RUNS = 5
/** Number of runs above which the older half is dropped, because models become faster or slower. */
export const MAX_RUNS = 1000

export const runTimeBucket = (ms: number): number =>
  Math.max(0, Math.round(Math.log2(Math.max(ms, 1)) * STEPS_PER_DOUBLING))

/** `buckets`: bucket -> number of runs. null when fewer than five runs are known. */
export function runTimeQuantile(buckets: Record<string, number>, quantile: number): number | null {
  const sorted = Object.entries(buckets)
    .map(([bucket, count]) => [Number(bucket), count] as const)
    .sort(([a], [b]) => a - b)
  const total = sorted.reduce((sum, [, count]) => sum + count, 0)
  if (total < MIN_RUNS) return null
  let seen = 0
  for (const [bucket, count] of sorted) {
    seen += count
    if (seen >= total * quantile) return 2 ** (bucket / STEPS_PER_DOUBLING)
  }
  return null
}

/** From the hash of a digest, bucket -> number of runs; null as above. */
export function runTimeRange(hash: Record<string, string>): { p50: number; p90: number } | null {
  const buckets = Object.fromEntries(Object.entries(hash).map(([bucket, count]) => [bucket, Number(count)]))
  const [p50, p90] = [runTimeQuantile(buckets, 0.5), runTimeQuantile(buckets, 0.9)]
  return p50 === null || p90 === null ? null : { p50, p90 }
}
