// `npm run soak -- --minutes 30` repeats randomized tests of `npm test`, with a new seed in each round, until the time is over.
// A round consists of all property tests with twenty times their examples, and a chaos run. `--seed N` repeats only that round.
// Exits with 1 at the first failed round, and prints the command that repeats the round.
import { spawn } from 'node:child_process'
import { randomInt } from 'node:crypto'
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { parseArgs } from 'node:util'

const { values } = parseArgs({
  options: {
    minutes: { type: 'string', default: '10' },
    seed: { type: 'string' },
    jobs: { type: 'string', default: '400' },
  },
})
const wrong = Object.entries(values).filter(([, value]) => !(Number(value) > 0))
for (const [name, value] of wrong) console.error(`--${name} is "${value}". It must be a number above 0.`)
if (wrong.length > 0) process.exit(1)

const root = join(import.meta.dirname, '..')
const vitest = join(root, 'node_modules', 'vitest', 'vitest.mjs')
const PROPERTY_TIMES = 20

const propertyTests = readdirSync(join(root, 'test'), { recursive: true, encoding: 'utf8' })
  .filter((name) => name.endsWith('.test.ts'))
  .map((name) => join('test', name))
  .filter((file) => readFileSync(join(root, file), 'utf8').includes("from 'fast-check'"))

// The terminal sends Ctrl-C to vitest too; this process stays to report the result.
process.on('SIGINT', () => {})

const until = performance.now() + Number(values.minutes) * 60_000
let rounds = 0
do {
  const seed = values.seed ?? String(randomInt(1, 1_000_000))
  console.log(`round ${rounds + 1}, seed ${seed}`)
  const env = { TEST_PROPERTY_SEED: seed, TEST_PROPERTY_TIMES: String(PROPERTY_TIMES) }
  const code =
    (await run([vitest, 'run', '--testTimeout=600000', ...propertyTests], env)) ||
    (await run([join(root, 'tools', 'chaos.mjs'), '--jobs', values.jobs, '--seed', seed, '--minutes', '1'], {}))
  if (code !== 0) {
    console.error(`Failed. To repeat this round: npm run soak -- --seed ${seed} --jobs ${values.jobs}`)
    process.exit(1)
  }
  rounds++
} while (values.seed === undefined && performance.now() < until)
console.log(`${rounds} ${rounds === 1 ? 'round' : 'rounds'} passed`)

function run(args, env) {
  return new Promise((resolve) => {
    const child = spawn(process.execPath, args, { cwd: root, stdio: 'inherit', env: { ...process.env, ...env } })
    child.on('error', () => resolve(1))
    child.on('close', (code) => resolve(code ?? 1))
  })
}
