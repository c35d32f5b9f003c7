import { execFile } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { describe, expect, test } from 'vitest'
import { findPython } from '../support/find-python.ts'
import { startService, TEST_KEY } from '../support/start-service.ts'

const run = promisify(execFile)
const ROOT = join(import.meta.dirname, '../..')
const CLIENT = join(ROOT, 'clients/python')

test('the client for Python has the version of the service', () => {
  const { version } = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8')) as { version: string }
  expect(readFileSync(join(CLIENT, 'pyproject.toml'), 'utf8')).toContain(`\nversion = "${version}"\n`)
  expect(readFileSync(join(CLIENT, 'src/genqueue/__init__.py'), 'utf8')).toContain(`__version__ = "${version}"`)
})

const python = await findPython()
if (python)
  describe('the client for Python', () => {
    test('passes its tests against a service', async () => {
      const service = await startService()
      const { stderr } = await run(
        python.file,
        ['-W', 'error', '-m', 'unittest', 'discover', '--start-directory', 'tests', '--top-level-directory', '.'],
        {
          cwd: CLIENT,
          env: {
            ...python.env,
            PATH: process.env['PATH'],
            PYTHONPATH: 'src',
            PYTHONDONTWRITEBYTECODE: '1',
            GENQUEUE_URL: service.url,
            GENQUEUE_API_KEY: TEST_KEY,
          },
        },
      )
      await service.stop()
      expect(stderr).toMatch(/^Ran (?:[2-9]\d) tests in .*\n\nOK\n$/m)
    })
  })
