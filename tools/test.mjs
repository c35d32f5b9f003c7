// `npm test` runs the checks, then all tests. With arguments (`npm test -- test/unit`) it runs only vitest, with these arguments.
import { spawn } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

// The terminal sends Ctrl-C to vitest too; this process stays to report the result.
process.on('SIGINT', () => {})

const root = join(import.meta.dirname, '..')
const wishes = process.argv.slice(2)

const checksOk = wishes.length > 0 || (await run([join(root, 'tools', 'check.mjs')])) === 0

const folder = mkdtempSync(join(tmpdir(), 'genqueue-report-'))
const report = join(folder, 'report.json')
const vitest = join(root, 'node_modules', 'vitest', 'vitest.mjs')
const code = await run([
  vitest,
  'run',
  '--reporter=default',
  '--reporter=json',
  `--outputFile.json=${report}`,
  ...wishes,
])
const { passed, failed, skipped } = count(report)
rmSync(folder, { recursive: true, force: true })

// Skipped tests fail only in CI; on a developer's machine a test may be skipped temporarily.
const tooFew = process.env.CI === 'true' && skipped > 0
if (!checksOk) console.log('The checks failed, see above.')
if (tooFew) console.log(`${skipped} skipped. With CI=true no test may be skipped.`)
console.log(`${passed} passed, ${failed} failed`)
process.exitCode = checksOk && code === 0 && failed === 0 && passed > 0 && !tooFew ? 0 : 1

/** Numbers of tests by result. A file that could not be loaded counts as one failed test. */
function count(file) {
  try {
    const { testResults } = JSON.parse(readFileSync(file, 'utf8'))
    const tests = testResults.flatMap(({ assertionResults, status }) =>
      assertionResults.length === 0 && status === 'failed' ? [{ status: 'failed' }] : assertionResults,
    )
    const having = (...wanted) => tests.filter(({ status }) => wanted.includes(status)).length
    return {
      passed: having('passed'),
      failed: having('failed'),
      skipped: having('skipped', 'pending', 'todo', 'disabled'),
    }
  } catch {
    return { passed: 0, failed: 1, skipped: 0 }
  }
}

function run(args) {
  return new Promise((resolve) => {
    const child = spawn(process.execPath, args, { cwd: root, stdio: 'inherit' })
    child.on('error', () => resolve(1))
    child.on('close', (code) => resolve(code ?? 1))
  })
}
