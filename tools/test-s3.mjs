// `npm run test:s3` runs the tests against a real S3 server, which is downloaded when none is installed.
import { spawn } from 'node:child_process'
import { join } from 'node:path'

// The terminal sends Ctrl-C to vitest too; this process stays to report its exit code.
process.on('SIGINT', () => {})

const root = join(import.meta.dirname, '..')
const vitest = join(root, 'node_modules', 'vitest', 'vitest.mjs')
const child = spawn(process.execPath, [vitest, 'run', 'test/s3', ...process.argv.slice(2)], {
  cwd: root,
  stdio: 'inherit',
  env: { ...process.env, TEST_S3: 'true' },
})
child.on('close', (code) => (process.exitCode = code ?? 1))
