import { expect } from 'vitest'

const RUNS = 5
const STEP = 4
/** Sixteen times as much takes 16 times as long when it is linear, 256 times when it is quadratic. */
const BOUND = 100
/** Shorter times say nothing about growth, ms. */
const MEASURABLE = 10

/**
 * Expects work to grow with its size, not with the square of it. `prepare` makes the work of a size; it is measured at
 * `size`, 4 x `size` and 16 x `size`, the best of five runs each, so that a busy machine does not matter. Where the largest
 * takes only a few milliseconds there is nothing to compare.
 */
export async function expectLinear(
  what: string,
  size: number,
  prepare: (size: number) => () => unknown,
): Promise<void> {
  const times: number[] = []
  for (const n of [size, size * STEP, size * STEP * STEP]) {
    let best = Infinity
    for (let run = 0; run < RUNS; run++) {
      const work = prepare(n)
      const begun = performance.now()
      await work()
      best = Math.min(best, performance.now() - begun)
    }
    times.push(best)
  }
  const [small = 0, , large = 0] = times
  const told = `${what}: ${times.map((ms) => `${ms.toFixed(2)} ms`).join(', ')}`
  expect(large < MEASURABLE || large / Math.max(small, 0.2) < BOUND, told).toBe(true)
}
