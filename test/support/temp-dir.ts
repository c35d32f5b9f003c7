import { mkdtempSync, realpathSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

import { stopLeftoverRedis } from '../../src/shared/redis/provide-redis.ts'
import { afterFile } from './after-file.ts'

/** A new folder, removed when the test file that imports this has ended; also good as a DATA_DIR. */
export function tempDir(): string {
  const folder = realpathSync(mkdtempSync(join(tmpdir(), 'genqueue-test-')))
  afterFile(async () => {
    // A service that a test killed may have left its Redis here.
    await stopLeftoverRedis(folder).catch(() => {})
    rmSync(folder, { recursive: true, force: true, maxRetries: 5 })
  })
  return folder
}
