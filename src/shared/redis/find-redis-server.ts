import { execFile } from 'node:child_process'
import { homedir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'

import { unpackPackage } from '../process/unpack-package.ts'

const run = promisify(execFile)

const NAMES = ['redis-server', 'valkey-server']
const WELL_KNOWN = ['/opt/homebrew/bin', '/usr/local/bin', '/usr/bin', '/snap/bin']
const OLDEST_MAJOR = 7

/** A way to run a Redis server here. */
export type RedisServer = { kind: 'binary'; file: string; libraryPath?: string } | { kind: 'docker'; image: string }

export interface FindOptions {
  /** REDIS_SERVER_BIN: used or refused, never replaced silently. */
  redisServerBin?: string
  /** Default: `genqueue` in XDG_CACHE_HOME of `env`, or in `~/.cache`. */
  cacheDir?: string
  /** Environment of the child processes; default: the one of this process. */
  env?: NodeJS.ProcessEnv
  onProgress?: (message: string) => void
}

/** Finds a Redis (or Valkey) server of 7.0 or newer: configured, installed, or unpacked into the cache folder. */
export async function findRedisBinary(options: FindOptions): Promise<RedisServer | undefined> {
  const say = options.onProgress ?? (() => {})

  if (options.redisServerBin !== undefined) {
    const version = await versionOf(options.redisServerBin)
    if (version === undefined)
      throw new Error(`REDIS_SERVER_BIN=${options.redisServerBin} is not a Redis server that runs on this machine`)
    if (!isNewEnough(version)) {
      throw new Error(
        `REDIS_SERVER_BIN=${options.redisServerBin} is version ${version}. genqueue requires Redis 7.0 or newer`,
      )
    }
    return { kind: 'binary', file: options.redisServerBin }
  }

  for (const file of await installedServers(options.env)) {
    const version = await versionOf(file)
    if (version === undefined) continue
    if (isNewEnough(version)) return { kind: 'binary', file }
    say(`${file} is version ${version}: skipped, because genqueue requires Redis 7.0 or newer`)
  }

  const unpacked = await unpackPackage({
    name: 'redis-server',
    title: 'Redis',
    program: 'usr/bin/redis-server',
    cacheDir: options.cacheDir ?? join(cacheHome(options.env), 'genqueue'),
    isUsable: async (file, libraryPath) => {
      const version = await versionOf(file, libraryPath)
      return version !== undefined && isNewEnough(version)
    },
    onProgress: say,
    ...(options.env && { env: options.env }),
  })
  return unpacked && { kind: 'binary', ...unpacked }
}

/** Finds a container image, where a Docker engine responds. */
export async function findRedisImage(options: FindOptions): Promise<RedisServer | undefined> {
  try {
    await run('docker', ['version', '--format', '{{.Server.Version}}'], {
      timeout: 5_000,
      ...(options.env && { env: options.env }),
    })
    return { kind: 'docker', image: 'redis:8' }
  } catch {
    return undefined
  }
}

export function cacheHome(env: NodeJS.ProcessEnv | undefined): string {
  return env?.['XDG_CACHE_HOME'] || join(env?.['HOME'] || homedir(), '.cache')
}

async function installedServers(env: NodeJS.ProcessEnv | undefined): Promise<string[]> {
  const script = NAMES.map((name) => `command -v ${name}`).join('; ')
  const onPath = await run('/bin/sh', ['-c', `${script}; true`], env ? { env } : {}).then(
    ({ stdout }) => stdout.split('\n').filter((line) => line.startsWith('/')),
    () => [],
  )
  const wellKnown = WELL_KNOWN.flatMap((folder) => NAMES.map((name) => join(folder, name)))
  return [...new Set([...onPath, ...wellKnown])]
}

/** "Redis server v=7.0.15 sha=..." and "Valkey server v=8.1.1 sha=...". */
async function versionOf(file: string, libraryPath?: string): Promise<string | undefined> {
  try {
    const { stdout } = await run(file, ['--version'], { timeout: 5_000, env: serverEnv(libraryPath) })
    return /\bserver v=(\d[\w.-]*)/i.exec(stdout)?.[1]
  } catch {
    return undefined
  }
}

function isNewEnough(version: string): boolean {
  return Number.parseInt(version, 10) >= OLDEST_MAJOR
}

/** Environment of the server: without the secrets of this process. */
export function serverEnv(libraryPath?: string): NodeJS.ProcessEnv {
  return { PATH: '/usr/bin:/bin', ...(libraryPath !== undefined && { LD_LIBRARY_PATH: libraryPath }) }
}
