import { expect } from 'vitest'

const RUNS = 3
const TRIES = 3
const STEP = 16
/** What is as much work in total takes the same time when it grows linearly, 16 times as long when it is quadratic. */
const BOUND = 6
/** Processor time is counted in ticks of up to 4 ms. Shorter times say nothing about growth, ms. */
const TICK = 4
const MEASURABLE = BOUND * TICK

/**
 * Expects work to grow with its size, not with the square of it. `prepare` makes the work of a size; work of 16 x `size` is
 * measured against 16 pieces of work of `size`, the best of three runs each, up to three times. Both last equally long when
 * it is linear, and processor time is measured, not elapsed time: so a busy machine does not matter.
 * Where the largest takes only a few milliseconds there is nothing to compare.
 */
export async function expectLinear(
  what: string,
  size: number,
  prepare: (size: number) => () => unknown,
): Promise<void> {
  const measured: string[] = []
  for (let i = 0; i < TRIES; i++) {
    const whole = await cpuTime(() => [prepare(size * STEP)], MEASURABLE)
    if (whole < MEASURABLE) return
    const pieces = await cpuTime(() => Array.from({ length: STEP }, () => prepare(size)))
    if (whole / Math.max(pieces, TICK) < BOUND) return
    measured.push(`${pieces.toFixed(0)} ms in pieces, ${whole.toFixed(0)} ms at once`)
  }
  expect.fail(`${what}: ${measured.join('; ')}`)
}

/** Processor time of this thread for all of the work, ms: the best of some runs, or the first below `enough`. */
export async function cpuTime(prepare: () => (() => unknown)[], enough = 0): Promise<number> {
  let least = Infinity
  for (let run = 0; run < RUNS && least >= enough; run++) {
    const works = prepare()
    const begun = process.threadCpuUsage()
    for (const work of works) await work()
    const { user, system } = process.threadCpuUsage(begun)
    least = Math.min(least, (user + system) / 1000)
  }
  return least
}
