import { randomUUID } from 'node:crypto'
import { mkdir, readFile, realpath, rename, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'

import { type FindOptions, type RedisServer, findRedisBinary, findRedisImage } from './find-redis-server.ts'
import { processIdentity } from './process-identity.ts'
import { freePort, launchRedis, probe, shutdownRedis, waitUntilReady } from './redis-process.ts'

export interface ProvideRedisOptions extends FindOptions {
  dataDir: string
  /** Added to the server's command line; for tests. */
  extraFlags?: string[]
  /** How long a Redis of ours may be silent before that is an error, in milliseconds (10,000). */
  patience?: number
}

export interface ProvidedRedis {
  url: string
  embedded: true
  /** It was already running for this folder: the one who started it died. */
  adopted: boolean
  /** Ends Redis with its files written, and waits until it is gone. Repeating it is harmless. */
  stop: () => Promise<void>
}

/** What is kept in the folder, so that the next start finds the server, or at least its port. */
interface Instance {
  port: number
  pid: number
  identity: string
}

/** How often it is looked after, and the longest wait between attempts to start it again; milliseconds. */
const CHECK_INTERVAL = 1_000
const MAX_PAUSE = 30_000

const CURES = [
  'docker compose up       (everything in containers)',
  'brew install redis      (macOS)',
  'apt install redis-server (Debian, Ubuntu; 7.0 or newer)',
  'REDIS_SERVER_BIN=<path of a redis-server>',
  'REDIS_URL=<a Redis of your own>',
]

/**
 * A Redis of our own for a data folder, its files in `<dataDir>/redis`: the one that already runs for it, or a new one.
 * The caller holds the folder's lock (data-dir-lock.ts): two servers on one append-only file would ruin it.
 */
export async function provideRedis(options: ProvideRedisOptions): Promise<ProvidedRedis> {
  const folder = join(options.dataDir, 'redis')
  await mkdir(folder, { recursive: true })
  const dir = await realpath(folder)

  const running = await findRunning(dir, options.patience)
  return keepAlive(dir, running ?? (await start(dir, options)), running !== undefined, options)
}

/** Where the Redis of a data folder listens, whoever started it; null when none runs. */
export async function runningRedisUrl(dataDir: string): Promise<string | null> {
  const dir = await realpath(join(dataDir, 'redis')).catch(() => undefined)
  const running = dir === undefined ? undefined : await findRunning(dir)
  return running === undefined ? null : `redis://127.0.0.1:${running.port}`
}

/** Ends the Redis that a dead owner left running for this folder; false when there is none. */
export async function stopLeftoverRedis(dataDir: string): Promise<boolean> {
  const dir = await realpath(join(dataDir, 'redis')).catch(() => undefined)
  const running = dir === undefined ? undefined : await findRunning(dir)
  if (dir === undefined || running === undefined) return false
  await stopInstance(dir, running)
  return true
}

/** Nobody else restarts this Redis when it dies: out of memory, or killed by mistake. Its files hold what it promised. */
function keepAlive(dir: string, first: Instance, adopted: boolean, options: ProvideRedisOptions): ProvidedRedis {
  const say = options.onProgress ?? (() => {})
  const stopping = new AbortController()
  let current = first

  const restart = async () => {
    for (let pause = 100; !stopping.signal.aborted; pause = Math.min(2 * pause, MAX_PAUSE)) {
      try {
        current = await start(dir, options, first.port)
        return say('Redis had ended and was started again')
      } catch (error) {
        say(`Redis has ended and does not start: ${error instanceof Error ? error.message : String(error)}`)
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
    url: `redis://127.0.0.1:${first.port}`,
    embedded: true,
    adopted,
    async stop() {
      stopping.abort()
      await watching
      await stopInstance(dir, current)
    },
  }
}

/** Does not keep the process alive. */
async function pauseFor(milliseconds: number, signal: AbortSignal): Promise<void> {
  await delay(milliseconds, undefined, { signal, ref: false }).catch(() => {})
}

async function chooseServer(options: ProvideRedisOptions): Promise<RedisServer> {
  const server = (await findRedisBinary(options)) ?? (await findRedisImage(options))
  if (server) return server
  throw new Error(
    `No Redis 7.0 or newer was found, and none could be provided. One of these helps:\n  ${CURES.join('\n  ')}`,
  )
}

async function findRunning(dir: string, patience = 10_000): Promise<Instance | undefined> {
  const kept = await readInstance(dir)
  if (!kept) return undefined
  for (let deadline = performance.now() + patience; ; await delay(50)) {
    const state = await probe(kept.port)
    if (state.answers && state.dir === dir) {
      if (!state.loading) return kept
      // Reading a long append-only file takes as long as it takes.
      deadline = performance.now() + patience
    } else if (await isGone(kept)) {
      return undefined
    } else if (performance.now() > deadline) {
      // It lives but is silent (stopped, or stuck): a second server on its files would ruin them.
      throw new Error(
        `Redis (pid ${kept.pid}, port ${kept.port}) holds ${dir} but does not answer: end that process first`,
      )
    }
  }
}

async function start(dir: string, options: ProvideRedisOptions, onPort?: number): Promise<Instance> {
  const server = await chooseServer(options)
  const kept = await readInstance(dir)
  for (let tries = 1; ; tries++) {
    const port = onPort ?? (await freePort(kept?.port))
    const redis = await launchRedis({
      server,
      dir,
      port,
      ...(options.extraFlags && { extraFlags: options.extraFlags }),
      ...(options.env && { env: options.env }),
    })
    const instance = { port, pid: redis.pid, identity: (await processIdentity(redis.pid)) ?? '' }
    // Written before it answers: if we die now, the next start still finds it.
    await writeInstance(dir, instance)
    try {
      await waitUntilReady(redis, port)
      return instance
    } catch (error) {
      const portWasTaken =
        error instanceof Error && /address already in use|port is already allocated/i.test(error.message)
      if (!portWasTaken || onPort !== undefined || tries === 3) throw error
    }
  }
}

async function stopInstance(dir: string, instance: Instance): Promise<void> {
  for (const deadline = performance.now() + 15_000; !(await isGone(instance));) {
    // Whoever else listens there by now is not ours to stop.
    const state = await probe(instance.port)
    if (state.answers && state.dir === dir) await shutdownRedis(instance.port)
    if (performance.now() > deadline) throw new Error(`Redis (pid ${instance.pid}) does not end`)
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

async function writeInstance(dir: string, instance: Instance): Promise<void> {
  const draft = join(dir, `instance.${randomUUID()}`)
  await writeFile(draft, JSON.stringify(instance))
  await rename(draft, join(dir, 'instance.json'))
}
