import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { runTimeBucket, runTimeQuantile } from '../../src/shared/jobs/rules/run-times.ts'
import { examples } from '../support/property-seed.ts'

const HOUR = 3_600_000
const digest = (runs: readonly number[]): Record<string, number> => {
  const buckets: Record<string, number> = {}
  for (const ms of runs) buckets[runTimeBucket(ms)] = (buckets[runTimeBucket(ms)] ?? 0) + 1
  return buckets
}
/** The smallest run that so large a share of all runs does not exceed. */
const exact = (runs: readonly number[], quantile: number): number =>
  runs.toSorted((a, b) => a - b)[Math.max(Math.ceil(runs.length * quantile - 1e-9) - 1, 0)] ?? Number.NaN

const runs = fc.array(fc.integer({ min: 1, max: HOUR }), { minLength: 5, maxLength: 200 })

describe('a digest of run times', () => {
  test('returns every quantile within 15 %', () => {
    fc.assert(
      fc.property(runs, fc.constantFrom(0.1, 0.25, 0.5, 0.75, 0.9, 0.99, 1), (times, quantile) => {
        const estimate = runTimeQuantile(digest(times), quantile) ?? Number.NaN
        expect(Math.abs(estimate / exact(times, quantile) - 1)).toBeLessThanOrEqual(0.15)
      }),
      { numRuns: examples(1000) },
    )
  })

  test('of a longer run is never in a smaller bucket, and an hour needs few buckets', () => {
    fc.assert(
      fc.property(fc.nat(HOUR), fc.nat(HOUR), (a, b) => {
        expect(runTimeBucket(Math.min(a, b))).toBeLessThanOrEqual(runTimeBucket(Math.max(a, b)))
      }),
    )
    expect(runTimeBucket(HOUR)).toBeLessThan(120)
  })

  test('of few runs returns nothing', () => {
    expect(runTimeQuantile({}, 0.9)).toBeNull()
    expect(runTimeQuantile(digest([1000, 1000, 1000, 1000]), 0.9)).toBeNull()
    expect(runTimeQuantile(digest([1000, 1000, 1000, 1000, 1000]), 0.9)).toBeCloseTo(1000, -2)
  })

  test.each([0, -5, 0.3])('takes a run of %s ms', (ms) => {
    expect(runTimeBucket(ms)).toBe(0)
    expect(runTimeQuantile(digest(Array.from({ length: 5 }, () => ms)), 0.9)).toBe(1)
  })
})
