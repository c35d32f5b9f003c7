// `npm run reset`: empties the data folder. Refuses while something works in it.
import { readdir, rm } from 'node:fs/promises'
import { join, parse, resolve } from 'node:path'

import { lockDataDir } from '../src/shared/redis/data-dir-lock.ts'
import { stopLeftoverRedis } from '../src/shared/redis/provide-redis.ts'

const dataDir = resolve(process.env['DATA_DIR'] ?? '.data')

try {
  if (dataDir === parse(dataDir).root) throw new Error(`${dataDir} is no data folder`)
  const lock = await lockDataDir(dataDir)
  await stopLeftoverRedis(dataDir)
  const entries = await readdir(dataDir)
  await Promise.all(
    entries
      .filter((name) => name !== 'genqueue.lock')
      .map((name) => rm(join(dataDir, name), { recursive: true, force: true, maxRetries: 5 })),
  )
  await lock.release()
  console.log(`${dataDir} is empty`)
} catch (error) {
  console.error(error instanceof Error ? error.message : error)
  process.exitCode = 1
}
