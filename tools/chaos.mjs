// `npm run chaos -- --jobs 10000 --seed 7 --minutes 5` runs the chaos test for longer. All options are optional; without --seed
// a random seed is used and printed. The seed also selects the make-up of the deployment, unless these options set it:
// `--apis 2`, `--polling-only`, `--strict`, `--upstream-dies`, and the last three with `--no-`.
// `npm run chaos -- --soak` runs the scenarios that take minutes.
import { spawn } from 'node:child_process'
import { randomInt } from 'node:crypto'
import { join } from 'node:path'
import { parseArgs } from 'node:util'

const { values } = parseArgs({
  allowNegative: true,
  options: {
    jobs: { type: 'string', default: '2000' },
    seed: { type: 'string', default: String(randomInt(1, 1_000_000)) },
    minutes: { type: 'string', default: '2' },
    apis: { type: 'string' },
    'polling-only': { type: 'boolean' },
    strict: { type: 'boolean' },
    'upstream-dies': { type: 'boolean' },
    soak: { type: 'boolean', default: false },
  },
})
const wrong = ['jobs', 'seed', 'minutes'].filter((name) => !(Number(values[name]) > 0))
for (const name of wrong) console.error(`--${name}: read "${values[name]}", expected a number above 0`)
const apis = values.apis === undefined ? undefined : Number(values.apis)
if (apis !== undefined && apis !== 1 && apis !== 2) {
  wrong.push('apis')
  console.error(`--apis: read "${values.apis}", expected 1 or 2`)
}
if (wrong.length > 0) process.exit(1)

const pollingOnly = values['polling-only']
const variant = {
  apis,
  webhooks: pollingOnly === undefined ? undefined : !pollingOnly,
  strict: values.strict,
  upstreamDies: values['upstream-dies'],
}

const root = join(import.meta.dirname, '..')
const what = values.soak ? ['--config', 'test/chaos/soak.config.ts', '--root', root] : ['test/chaos/chaos.test.ts']
const child = spawn(process.execPath, [join(root, 'node_modules', 'vitest', 'vitest.mjs'), 'run', ...what], {
  cwd: root,
  stdio: 'inherit',
  env: {
    ...process.env,
    TEST_CHAOS_JOBS: values.jobs,
    TEST_CHAOS_SEED: values.seed,
    TEST_CHAOS_SECONDS: String(Number(values.minutes) * 60),
    TEST_CHAOS_VARIANT: JSON.stringify(variant),
  },
})
// The terminal sends Ctrl-C to vitest too; this process stays to report its exit code.
process.on('SIGINT', () => {})
child.on('close', (code) => (process.exitCode = code ?? 1))
