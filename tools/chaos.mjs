// `npm run chaos -- --jobs 10000 --seed 7 --minutes 5`: the chaos test at length. All are optional; without --seed a new
// one is drawn, and printed.
import { spawn } from 'node:child_process'
import { randomInt } from 'node:crypto'
import { join } from 'node:path'
import { parseArgs } from 'node:util'

const { values } = parseArgs({
  options: {
    jobs: { type: 'string', default: '2000' },
    seed: { type: 'string', default: String(randomInt(1, 1_000_000)) },
    minutes: { type: 'string', default: '2' },
  },
})
const wrong = Object.entries(values).filter(([, value]) => !(Number(value) > 0))
if (wrong.length > 0) {
  for (const [name, value] of wrong) console.error(`--${name}: read "${value}", expected a number above 0`)
  process.exit(1)
}

const root = join(import.meta.dirname, '..')
const child = spawn(
  process.execPath,
  [join(root, 'node_modules', 'vitest', 'vitest.mjs'), 'run', 'test/chaos/chaos.test.ts'],
  {
    cwd: root,
    stdio: 'inherit',
    env: {
      ...process.env,
      TEST_CHAOS_JOBS: values.jobs,
      TEST_CHAOS_SEED: values.seed,
      TEST_CHAOS_SECONDS: String(Number(values.minutes) * 60),
    },
  },
)
// Ctrl-C reaches vitest by itself; we stay to report.
process.on('SIGINT', () => {})
child.on('close', (code) => (process.exitCode = code ?? 1))
