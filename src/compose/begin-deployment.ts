import { setTimeout as delay } from 'node:timers/promises'
import type { Redis } from 'ioredis'
import { ConfigError, type Config } from '../shared/settings/config.ts'
import type { Logger } from '../shared/process/logger.ts'
import { findDeployment, loadDeployment, type Deployment } from '../shared/redis/deployment.ts'
import { readMark, writeMark } from '../shared/redis/deployment-mark.ts'

/** Wait for an api that starts at the same time and creates the deployment. */
const MADE_WITHIN_MS = 30_000
const LOOK_MS = 250

/**
 * Loads the deployment that Redis holds under the prefix. Creates one only where none was known: an emptied Redis would
 * otherwise look like a first start, and repeated requests would be paid for again. DATA_DIR remembers the deployment, and
 * a worker never creates one.
 */
export async function beginDeployment(redis: Redis, hash: string, config: Config, log: Logger): Promise<Deployment> {
  const { dataDir, keyPrefix } = config
  const remember = async (deployment: Deployment): Promise<Deployment> => {
    await writeMark(dataDir, keyPrefix, deployment.id).catch((error: unknown) =>
      log.warn(
        { err: error },
        'DATA_DIR could not store the id of the deployment; an emptied Redis would look like a first start',
      ),
    )
    return deployment
  }
  // Read before Redis: a process that starts at the same time creates the deployment first and stores its id then.
  const known = await readMark(dataDir, keyPrefix)
  const found = await findDeployment(redis, hash)
  if (found) return remember(found)
  if (known !== null && !config.newDeployment)
    throw new ConfigError(
      `REDIS_URL: Redis holds no deployment ${keyPrefix}, but DATA_DIR ${dataDir} belongs to one (${known}). Its data were lost, or the address is wrong. Restore Redis, or start once with NEW_DEPLOYMENT=yes to create an empty deployment`,
    )
  if (config.role === 'worker') {
    const began = performance.now()
    while (performance.now() - began < MADE_WITHIN_MS) {
      await delay(LOOK_MS)
      const made = await findDeployment(redis, hash)
      if (made) return remember(made)
    }
    throw new ConfigError(
      `REDIS_URL: Redis holds no deployment ${keyPrefix}, and a worker does not create one. Start an api first, or correct the address`,
    )
  }
  log.warn({ prefix: keyPrefix }, 'Redis holds no deployment; creating a new one')
  return remember(await loadDeployment(redis, hash))
}
