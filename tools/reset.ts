// `npm run reset` empties the data folder. Refuses while a process uses it.
import { readdir, realpath, rm } from 'node:fs/promises'
import { homedir } from 'node:os'
import { join, relative } from 'node:path'

import { loadConfig } from '../src/shared/settings/config.ts'
import { LOCK_FILE, lockDataDir } from '../src/shared/redis/data-dir-lock.ts'
import { stopLeftoverRedis } from '../src/shared/redis/provide-redis.ts'

async function reset(): Promise<void> {
  // The data folder belongs to role all, even if the settings name another role.
  const { dataDir } = loadConfig({ ROLE: 'all' })
  const folder = await realpath(dataDir).catch(() => undefined)
  if (folder === undefined) return console.log(`${dataDir} does not exist: nothing to do`)
  for (const precious of [process.cwd(), homedir()]) {
    if (isWithin(folder, await realpath(precious)))
      throw new Error(`${folder} contains ${precious}, so it is not a data folder.`)
  }

  const lock = await lockDataDir(folder)
  try {
    await stopLeftoverRedis(folder)
    for (const name of await readdir(folder)) {
      if (name !== LOCK_FILE) await rm(join(folder, name), { recursive: true, force: true, maxRetries: 5 })
    }
  } finally {
    await lock.release()
  }
  console.log(`${folder} is empty`)
}

function isWithin(folder: string, path: string): boolean {
  return !relative(folder, path).startsWith('..')
}

try {
  await reset()
} catch (error) {
  console.error(error instanceof Error ? error.message : error)
  process.exitCode = 1
}
