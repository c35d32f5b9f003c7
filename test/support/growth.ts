import { expect } from 'vitest'

const RUNS = 3
const TRIES = 3
const STEP = 4
/** Sixteen times as much takes 16 times as long when it is linear, 256 times when it is quadratic. */
const BOUND = 100
/** Shorter times say nothing about growth, ms. */
const MEASURABLE = 10

/**
 * Expects work to grow with its size, not with the square of it. `prepare` makes the work of a size; it is measured at
 * `size`, 4 x `size` and 16 x `size`, the best of three runs each, up to three times, so that a busy machine does not matter.
 * Where the largest takes only a few milliseconds there is nothing to compare.
 */
export async function expectLinear(
  what: string,
  size: number,
  prepare: (size: number) => () => unknown,
): Promise<void> {
  const measured: string[] = []
  for (let i = 0; i < TRIES; i++) {
    const times: number[] = []
    for (const n of [size, size * STEP, size * STEP * STEP]) times.push(await best(() => prepare(n)))
    const [small = 0, , large = 0] = times
    if (large < MEASURABLE || large / Math.max(small, 0.2) < BOUND) return
    measured.push(times.map((ms) => `${ms.toFixed(2)} ms`).join(', '))
  }
  expect.fail(`${what}: ${measured.join('; ')}`)
}

async function best(prepare: () => () => unknown): Promise<number> {
  let least = Infinity
  for (let run = 0; run < RUNS; run++) {
    const work = prepare()
    const begun = performance.now()
    await work()
    least = Math.min(least, performance.now() - begun)
  }
  return least
}
