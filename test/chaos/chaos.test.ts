import { expect, test } from 'vitest'
import { runChaos, formatReport } from './run-chaos.ts'
import type { Variant } from './variant.ts'

/**
 * The promises under random faults against real processes. The seed decides load, faults and how the deployment is made
 * up; TEST_CHAOS_SEED, _JOBS, _SECONDS and _VARIANT choose another run (`npm run chaos -- --jobs 10000 --seed 7`).
 */

const number = (name: string, fallback: number): number => Number(process.env[name] ?? fallback)
const seed = number('TEST_CHAOS_SEED', 7)
const jobs = number('TEST_CHAOS_JOBS', 150)
const seconds = number('TEST_CHAOS_SECONDS', 12)
const variant = JSON.parse(process.env['TEST_CHAOS_VARIANT'] ?? '{}') as Partial<Variant>
const settle = Math.max(90, seconds)

test(
  `${jobs} jobs under faults of seed ${seed} end once, paid once, and every book agrees`,
  async () => {
    const report = await runChaos({
      seed,
      jobs,
      seconds,
      settle,
      variant,
      say: (text) => void process.stdout.write(`${text}\n`),
    })
    process.stdout.write(formatReport(seed, report))
    expect(report.violations).toEqual([])
    expect(report.losses).toBe(0)
  },
  (seconds + 6 * settle + 60) * 1000,
)
