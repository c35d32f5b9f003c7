import { randomBytes, randomUUID } from 'node:crypto'
import { readFile, realpath, rename, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'

import { ownFolder } from '../process/data-dir.ts'
import { type FindOptions, type RedisServer, findRedisBinary, findRedisImage } from './find-redis-server.ts'
import { processIdentity } from './process-identity.ts'
import { freePort, launchRedis, lockRedis, probe, shutdownRedis, waitUntilReady } from './redis-process.ts'
import { hasCode, messageOf } from '../values/error-text.ts'

export interface ProvideRedisOptions extends FindOptions {
  dataDir: string
  /** Added to the server's command line; for tests. */
  extraFlags?: string[]
  /** Longest silence of a provided Redis, ms (10,000). */
  patience?: number
}

export interface ProvidedRedis {
  /** URL with the password: a secret. */
  url: string
  port: number
  embedded: true
  /** Whether it was already running for this folder, because its former owner died. */
  adopted: boolean
  /** Shuts Redis down, which writes its files, and waits for its exit. Idempotent. */
  stop: () => Promise<void>
}

/** Content of `instance.json`, by which the next start finds the server, or at least its port. */
interface Instance {
  port: number
  pid: number
  identity: string
}

/** Interval of the watchdog, and the longest pause between restarts, ms. */
const CHECK_INTERVAL = 1_000
const MAX_PAUSE = 30_000

const CURES = [
  'docker compose up       (everything in containers)',
  'brew install redis      (macOS)',
  'apt install redis-server (Debian, Ubuntu; 7.0 or newer)',
  'REDIS_SERVER_BIN=<path of a redis-server>',
  'REDIS_URL=<URL of your Redis>',
]

/**
 * Provides a Redis for a data folder, with its files in `<dataDir>/redis`: the one that already runs for it, or a new one.
 * The caller holds the folder's lock (data-dir-lock.ts): two servers on one append-only file would corrupt it.
 */
export async function provideRedis(options: ProvideRedisOptions): Promise<ProvidedRedis> {
  const folder = join(options.dataDir, 'redis')
  await ownFolder(folder)
  const dir = await realpath(folder)
  const password = (await readPassword(dir)) ?? (await makePassword(dir))

  const running = await findRunning(dir, password, options.patience)
  // Started by a release without passwords.
  if (running?.open) await lockRedis(running.port, password)
  const first = running ?? (await start(dir, password, options))
  return keepAlive(dir, first, password, running !== undefined, options)
}

const urlOf = (port: number, password: string | undefined): string =>
  `redis://${password === undefined ? '' : `:${password}@`}127.0.0.1:${port}`

/** URL of the Redis that runs for a data folder, also one of another process; null when none runs. */
export async function runningRedisUrl(dataDir: string): Promise<string | null> {
  const found = await findForeign(dataDir)
  return found === undefined ? null : urlOf(found.running.port, found.running.open ? undefined : found.password)
}

/** Shuts down the Redis that a dead owner left running for this folder; false when there is none. */
export async function stopLeftoverRedis(dataDir: string): Promise<boolean> {
  const found = await findForeign(dataDir)
  if (found === undefined) return false
  await stopInstance(found.dir, found.running, found.password)
  return true
}

/** Finds the Redis of a folder that another process may own; one of an earlier release has no password. */
async function findForeign(
  dataDir: string,
): Promise<{ dir: string; running: Running; password: string | undefined } | undefined> {
  const dir = await realpath(join(dataDir, 'redis')).catch(() => undefined)
  if (dir === undefined) return undefined
  const password = await readPassword(dir)
  const running = await findRunning(dir, password)
  return running && { dir, running, password }
}

/** Watchdog: restarts Redis when it dies (out of memory, or killed by mistake). Its files hold the data. */
function keepAlive(
  dir: string,
  first: Instance,
  password: string,
  adopted: boolean,
  options: ProvideRedisOptions,
): ProvidedRedis {
  const say = options.onProgress ?? (() => {})
  const stopping = new AbortController()
  let current = first

  const restart = async () => {
    for (let pause = 100; !stopping.signal.aborted; pause = Math.min(2 * pause, MAX_PAUSE)) {
      try {
        current = await start(dir, password, options, first.port)
        return say('Redis had exited and was restarted')
      } catch (error) {
        say(`Redis has exited and does not start: ${messageOf(error)}`)
        await pauseFor(pause, stopping.signal)
      }
    }
  }
  const watch = async () => {
    while (!stopping.signal.aborted) {
      if (await isGone(current)) await restart()
      else await pauseFor(CHECK_INTERVAL, stopping.signal)
    }
  }

  const watching = watch()
  return {
    url: urlOf(first.port, password),
    port: first.port,
    embedded: true,
    adopted,
    async stop() {
      stopping.abort()
      await watching
      await stopInstance(dir, current, password)
    },
  }
}

/** Pause that does not keep the process alive. */
async function pauseFor(milliseconds: number, signal: AbortSignal): Promise<void> {
  await delay(milliseconds, undefined, { signal, ref: false }).catch(() => {})
}

async function chooseServer(options: ProvideRedisOptions): Promise<RedisServer> {
  const server = (await findRedisBinary(options)) ?? (await findRedisImage(options))
  if (server) return server
  throw new Error(
    `No Redis 7.0 or newer was found, and none could be unpacked. Use one of these:\n  ${CURES.join('\n  ')}`,
  )
}

/** `open`: it requires no password. */
type Running = Instance & { open: boolean }

async function findRunning(dir: string, password: string | undefined, patience = 10_000): Promise<Running | undefined> {
  const kept = await readInstance(dir)
  if (!kept) return undefined
  for (let deadline = performance.now() + patience; ; await delay(50)) {
    const state = await probe(kept.port, password)
    if (state.answers && state.dir === dir) {
      if (!state.loading) return { ...kept, open: state.open }
      // Loading a long append-only file has no time limit.
      deadline = performance.now() + patience
    } else if (await isGone(kept)) {
      return undefined
    } else if (!state.answers && state.refused) {
      throw new Error(
        `Redis (pid ${kept.pid}, port ${kept.port}) holds ${dir} and refuses the password in ${passwordFile(dir)}. Stop that process first`,
      )
    } else if (performance.now() > deadline) {
      // It runs but is silent (suspended, or stuck): a second server on its files would corrupt them.
      throw new Error(
        `Redis (pid ${kept.pid}, port ${kept.port}) holds ${dir} but does not respond. Stop that process first`,
      )
    }
  }
}

async function start(dir: string, password: string, options: ProvideRedisOptions, onPort?: number): Promise<Instance> {
  const server = await chooseServer(options)
  const kept = await readInstance(dir)
  for (let tries = 1; ; tries++) {
    const port = onPort ?? (await freePort(kept?.port))
    const redis = await launchRedis({
      server,
      dir,
      port,
      configFile: passwordFile(dir),
      ...(options.extraFlags && { extraFlags: options.extraFlags }),
      ...(options.env && { env: options.env }),
    })
    const instance = { port, pid: redis.pid, identity: (await processIdentity(redis.pid)) ?? '' }
    // Written before it responds: if this process dies now, the next start still finds it.
    await writeInstance(dir, instance)
    try {
      await waitUntilReady(redis, port, password)
      return instance
    } catch (error) {
      const portWasTaken =
        error instanceof Error && /address already in use|port is already allocated/i.test(error.message)
      if (!portWasTaken || onPort !== undefined || tries === 3) throw error
    }
  }
}

async function stopInstance(dir: string, instance: Instance, password: string | undefined): Promise<void> {
  for (const deadline = performance.now() + 15_000; !(await isGone(instance));) {
    // Another server that listens there by now is left running.
    const state = await probe(instance.port, password)
    if (state.answers && state.dir === dir) await shutdownRedis(instance.port, password)
    if (performance.now() > deadline) throw new Error(`Redis (pid ${instance.pid}) does not exit`)
    await delay(10)
  }
}

async function isGone(instance: Instance): Promise<boolean> {
  return (await processIdentity(instance.pid)) !== instance.identity
}

async function readInstance(dir: string): Promise<Instance | undefined> {
  const text = await readFile(join(dir, 'instance.json'), 'utf8').catch(() => '{}')
  try {
    const value: unknown = JSON.parse(text)
    if (typeof value !== 'object' || value === null) return undefined
    const { port, pid, identity } = value as Partial<Record<keyof Instance, unknown>>
    if (typeof port !== 'number' || typeof pid !== 'number' || typeof identity !== 'string') return undefined
    return { port, pid, identity }
  } catch {
    return undefined
  }
}

/** Configuration file with the password: the process list, which every user can read, shows only the file's name. */
const passwordFile = (dir: string): string => join(dir, 'redis.conf')

/** undefined: the folder is new, or from a release without passwords. */
async function readPassword(dir: string): Promise<string | undefined> {
  const text = await readFile(passwordFile(dir), 'utf8').catch((error: unknown) => {
    if (hasCode(error, 'ENOENT')) return null
    throw error
  })
  if (text === null) return undefined
  const password = /^requirepass ([0-9a-f]{64})$/m.exec(text)?.[1]
  if (password === undefined)
    throw new Error(`${passwordFile(dir)} holds no password. Stop genqueue and remove the file.`)
  return password
}

async function makePassword(dir: string): Promise<string> {
  const password = randomBytes(32).toString('hex')
  const draft = `${passwordFile(dir)}.${randomUUID()}`
  await writeFile(draft, `requirepass ${password}\n`, { mode: 0o600 })
  await rename(draft, passwordFile(dir))
  return password
}

async function writeInstance(dir: string, instance: Instance): Promise<void> {
  const draft = join(dir, `instance.${randomUUID()}`)
  await writeFile(draft, JSON.stringify(instance), { mode: 0o600 })
  await rename(draft, join(dir, 'instance.json'))
}
