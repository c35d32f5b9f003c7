import { join } from 'node:path'
import { ConfigError, isLoopback, type Config } from '../shared/settings/config.ts'
import { ownFolder } from '../shared/process/data-dir.ts'
import { childEnvironment } from '../shared/settings/environment.ts'
import { localCredentials } from '../shared/process/local-credentials.ts'
import type { Logger } from '../shared/process/logger.ts'
import type { Scope } from '../shared/process/scope.ts'
import { lockDataDir } from '../shared/redis/data-dir-lock.ts'
import { provideRedis } from '../shared/redis/provide-redis.ts'
import type { Simulator } from '#simulator'
import { SIMULATOR_TOKEN } from '../shared/replicate/simulator-token.ts'

/** Parts that role `all` provides in addition to the service, so that it runs on a bare machine. */
export interface LocalParts {
  redisUrl: string
  replicate: { token: string; baseUrl: string }
  simulator: Simulator | null
  devApiKey: string | null
  adminPassword: string | null
  /** Whether the greeting may contain generated credentials. */
  printsSecrets: boolean
  /** Whether this process may print a sign-in link for the development key. */
  signInLink: boolean
  /** Generated parts, for the greeting. */
  made: { apiKey: boolean; adminPassword: boolean }
}

/**
 * Provides Redis, simulator and credentials where the configuration does not name them. When `ended` aborts, the
 * start stops between two steps.
 */
export async function provideLocalParts(
  config: Config,
  log: Logger,
  scope: Scope,
  ended?: AbortSignal,
): Promise<LocalParts> {
  const provides = config.role === 'all'
  let { redisUrl } = config
  const embedded = provides && redisUrl === null
  if (provides) {
    const lock = await inDataDir(config.dataDir, async () => {
      await ownFolder(config.dataDir)
      return lockDataDir(config.dataDir)
    })
    scope.defer('data folder', lock.release)
    ended?.throwIfAborted()
  }
  if (redisUrl === null) {
    const redis = await provideRedis({
      dataDir: config.dataDir,
      ...(config.redisServerBin === null ? {} : { redisServerBin: config.redisServerBin }),
      env: childEnvironment(),
      ...(config.durability === 'strict' ? { extraFlags: ['--appendfsync', 'always'] } : {}),
      onProgress: (message) => log.info(message),
    })
    scope.defer('Redis server', () => redis.stop())
    redisUrl = redis.url
    ended?.throwIfAborted()
    log.info({ port: redis.port, adopted: redis.adopted }, 'Redis is running')
  }

  const local = embedded && isLoopback(config.host)
  const made = { apiKey: local && config.devApiKey === null, adminPassword: local && config.adminPassword === null }
  const configured = { apiKey: config.devApiKey, adminPassword: config.adminPassword }
  const { apiKey: devApiKey, adminPassword } = local ? await localCredentials(config.dataDir, configured) : configured

  let { token, baseUrl } = config.replicate
  let simulator: Simulator | null = null
  if (provides && token === null) {
    const { port, speed, createsPerMinute, readsPerMinute, burst } = config.simulator
    // Loaded on demand, which saves memory in processes without a simulator.
    const { startSimulator } = await import('#simulator')
    const begun = startSimulator({
      port,
      dataDir: join(config.dataDir, 'simulator'),
      speed,
      ...(createsPerMinute === null ? {} : { createsPerMinute }),
      ...(readsPerMinute === null ? {} : { readsPerMinute }),
      ...(burst === null ? {} : { burst }),
      log: (line) => log.debug(line, 'simulator'),
    })
    simulator = await begun.catch((error: unknown) => {
      const busy = error instanceof Error && error.message.includes('already in use')
      throw busy
        ? new ConfigError(
            `SIMULATOR_PORT: ${error.message}. Stop the other program, or set SIMULATOR_PORT to another port (0: any free one)`,
          )
        : error
    })
    scope.defer('simulator', simulator.stop)
    token = SIMULATOR_TOKEN
    baseUrl = simulator.apiUrl
  }
  if (token === null) throw new ConfigError('REPLICATE_API_TOKEN is not set')

  // With a real account or a public address, others may read the log of the start.
  const printsSecrets = simulator !== null && config.publicUrl === null && isLoopback(config.host)
  return {
    redisUrl,
    replicate: { token, baseUrl },
    simulator,
    devApiKey,
    adminPassword,
    printsSecrets,
    signInLink: printsSecrets && devApiKey !== null,
    made,
  }
}

/** Reports file system errors in the data folder with the name of the setting. */
async function inDataDir<T>(dataDir: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work()
  } catch (error) {
    const isOfFiles = error instanceof Error && 'syscall' in error && 'path' in error
    throw isOfFiles
      ? new ConfigError(
          `DATA_DIR: read ${JSON.stringify(dataDir)}, expected a folder that can be written: ${error.message}. Set DATA_DIR to a folder in which this user may create files`,
        )
      : error
  }
}
