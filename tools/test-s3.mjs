// `npm run test:s3`: the tests against a real S3 server, which is fetched when none is at hand.
import { spawn } from 'node:child_process'
import { join } from 'node:path'

// Ctrl-C reaches vitest by itself; we stay to report.
process.on('SIGINT', () => {})

const root = join(import.meta.dirname, '..')
const vitest = join(root, 'node_modules', 'vitest', 'vitest.mjs')
const child = spawn(process.execPath, [vitest, 'run', 'test/s3', ...process.argv.slice(2)], {
  cwd: root,
  stdio: 'inherit',
  env: { ...process.env, TEST_S3: 'true' },
})
child.on('close', (code) => (process.exitCode = code ?? 1))
