import { mkdtempSync, realpathSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

import { afterAll } from 'vitest'

import { stopLeftoverRedis } from '../../src/shared/redis/provide-redis.ts'

const made: string[] = []

afterAll(async () => {
  for (const folder of made.splice(0)) {
    // A service that a test killed may have left its Redis here.
    await stopLeftoverRedis(folder).catch(() => {})
    rmSync(folder, { recursive: true, force: true, maxRetries: 5 })
  }
})

/** A new folder, removed when the test file that imports this has ended; also good as a DATA_DIR. */
export function tempDir(): string {
  const folder = realpathSync(mkdtempSync(join(tmpdir(), 'genqueue-test-')))
  made.push(folder)
  return folder
}
