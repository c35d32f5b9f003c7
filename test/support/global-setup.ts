import { existsSync } from 'node:fs'
import { mkdtemp, readdir, realpath, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

import type { TestProject } from 'vitest/node'

import { type RedisServer, findRedisBinary, findRedisImage } from '../../src/shared/redis/find-redis-server.ts'
import { LOCK_FILE, dataDirHolder, lockDataDir } from '../../src/shared/redis/data-dir-lock.ts'
import { provideRedis, stopLeftoverRedis } from '../../src/shared/redis/provide-redis.ts'
import { fillCompileCache } from './compile-cache.ts'
import { OPENAPI, parsedDocument, REPLICATE_OPENAPI } from './parsed-document.ts'
import { bundlePrograms } from './programs.ts'

declare module 'vitest' {
  interface ProvidedContext {
    /** One Redis for all test files: each keeps to its own key prefix. */
    redisUrl: string
    /** How test/support/redis.ts starts its own servers. */
    redisServer: RedisServer | null
    /** The bundles of the programs that tests start; absent where only rules are tested. */
    programs?: Record<string, string>
  }
}

/** A developer's settings must not steer the tests, nor the tests spend real money. TEST_* are the ways in. */
const OURS =
  /^(CORS|REPLICATE|SIMULATOR|REDIS|TENANT|S3|AWS|VITE|MAX|UPLOAD)_|^(ROLE|HOST|PORT|HEALTH_PORT|DATA_DIR|KEY_PREFIX|ARTIFACT_STORE|PUBLIC_URL|DEV_API_KEY|ADMIN_PASSWORD|LOG_LEVEL)$/

const FOLDER = 'genqueue-tests-'

export default async function setup(project: TestProject): Promise<() => Promise<void>> {
  const cacheDir = process.env['XDG_CACHE_HOME']
  for (const name of Object.keys(process.env)) if (OURS.test(name)) delete process.env[name]

  const options = { onProgress: say, ...(cacheDir !== undefined && { cacheDir: join(cacheDir, 'genqueue') }) }
  for (const file of [OPENAPI, REPLICATE_OPENAPI]) parsedDocument(file)
  const { programs, parts } = await bundlePrograms()
  project.provide('programs', programs)
  const compiled = fillCompileCache(parts)
  const binary = await findRedisBinary(options)
  const server = binary ?? (await findRedisImage(options)) ?? null
  project.provide('redisServer', server)
  await compiled

  const given = process.env['TEST_REDIS_URL']
  if (given !== undefined) {
    project.provide('redisUrl', given)
    return async () => {}
  }
  if (server?.kind === 'docker') {
    const { GenericContainer } = await import('testcontainers')
    const container = await new GenericContainer(server.image)
      .withCommand(['redis-server', '--bind', '0.0.0.0', '--protected-mode', 'no', '--maxmemory-policy', 'noeviction'])
      .withExposedPorts(6379)
      .start()
    project.provide('redisUrl', `redis://${container.getHost()}:${container.getMappedPort(6379)}`)
    return async () => void (await container.stop())
  }

  await sweepLeftovers()
  const dataDir = await realpath(await mkdtemp(join(tmpdir(), FOLDER)))
  const lock = await lockDataDir(dataDir)
  const redis = await provideRedis({
    ...options,
    dataDir,
    ...(binary?.kind === 'binary' && binary.libraryPath === undefined && { redisServerBin: binary.file }),
    extraFlags: ['--enable-debug-command', 'local'],
  })
  project.provide('redisUrl', redis.url)
  return async () => {
    await redis.stop()
    await lock.release()
    await rm(dataDir, { recursive: true, force: true })
  }
}

/** A run that was killed leaves its Redis behind; its lock shows that no process needs it any more. */
async function sweepLeftovers(): Promise<void> {
  for (const name of await readdir(tmpdir())) {
    const dataDir = join(tmpdir(), name)
    if (!name.startsWith(FOLDER) || !existsSync(join(dataDir, LOCK_FILE)) || (await dataDirHolder(dataDir))) continue
    await stopLeftoverRedis(dataDir).catch(() => {})
    await rm(dataDir, { recursive: true, force: true })
  }
}

function say(message: string): void {
  process.stderr.write(`tests: ${message}\n`)
}
