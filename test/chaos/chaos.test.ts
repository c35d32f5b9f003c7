import { expect, test } from 'vitest'
import { runChaos, tellReport } from './run-chaos.ts'

/**
 * The promises under random faults against real processes. The seed decides load and faults; TEST_CHAOS_SEED, _JOBS and
 * _SECONDS choose another run (`npm run chaos -- --jobs 10000 --seed 7 --minutes 5`).
 */

const number = (name: string, fallback: number): number => Number(process.env[name] ?? fallback)
const seed = number('TEST_CHAOS_SEED', 7)
const jobs = number('TEST_CHAOS_JOBS', 200)
const seconds = number('TEST_CHAOS_SECONDS', 15)
const settle = Math.max(90, seconds)

test(
  `${jobs} jobs under faults of seed ${seed} end once, paid once, and every book agrees`,
  async () => {
    const report = await runChaos({
      seed,
      jobs,
      seconds,
      settle,
      say: (text) => void process.stdout.write(`${text}\n`),
    })
    process.stdout.write(tellReport(seed, report))
    expect(report.violations).toEqual([])
    expect(report.losses).toBe(0)
  },
  (seconds + 2 * settle + 60) * 1000,
)
