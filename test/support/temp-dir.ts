import { mkdtempSync, realpathSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

import { afterAll } from 'vitest'

const made: string[] = []

afterAll(() => {
  for (const folder of made.splice(0)) rmSync(folder, { recursive: true, force: true, maxRetries: 5 })
})

/** A folder of its own, removed when the test file that imports this has ended. */
export function tempDir(): string {
  const folder = realpathSync(mkdtempSync(join(tmpdir(), 'genqueue-test-')))
  made.push(folder)
  return folder
}
