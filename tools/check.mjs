// `npm run check`, also the first part of `npm test`: lint, format, types and dead code.
import { spawn } from 'node:child_process'
import { existsSync } from 'node:fs'
import { join } from 'node:path'

const root = join(import.meta.dirname, '..')

const checks = [
  { name: 'lint', tool: 'oxlint', args: ['--type-aware', '--deny-warnings'] },
  // Each checker looks at declarations of others again: the four of tsc's default take 40% more processor time than two.
  { name: 'types', tool: 'tsc', args: ['-p', '.', '--checkers', '2'] },
  { name: 'types of the page', tool: 'tsc', args: ['-p', 'src/studio'], needs: 'src/studio/tsconfig.json' },
  { name: 'dead code', tool: 'knip', args: ['--no-progress'] },
  { name: 'format', tool: 'oxfmt', args: ['--check'] },
]

const queue = checks.filter(({ needs }) => needs === undefined || existsSync(join(root, needs)))
const failed = []

/** Runs checks from the queue, one at a time. Each check uses about one core, so two of these run at once. */
async function worker() {
  for (let check = queue.shift(); check; check = queue.shift()) {
    const { name, tool, args } = check
    const begun = performance.now()
    const { code, output } = await run(tool, args)
    const seconds = ((performance.now() - begun) / 1000).toFixed(1)
    console.log(`${code === 0 ? 'ok    ' : 'FAILED'} ${name} (${seconds} s)`)
    if (code !== 0) {
      failed.push(name)
      console.log(output.trimEnd())
    }
  }
}

function run(tool, args) {
  return new Promise((resolve) => {
    const bin = join(root, 'node_modules', '.bin', tool)
    const child = spawn(bin, args, {
      cwd: root,
      stdio: ['ignore', 'pipe', 'pipe'],
      shell: process.platform === 'win32',
    })
    let output = ''
    for (const stream of [child.stdout, child.stderr]) stream.on('data', (chunk) => (output += chunk))
    child.on('error', (error) => resolve({ code: 1, output: error.message }))
    child.on('close', (code) => resolve({ code, output }))
  })
}

await Promise.all([worker(), worker()])
if (failed.length > 0) {
  console.log(`\nchecks failed: ${failed.join(', ')}`)
  process.exitCode = 1
}
