import { Redis } from 'ioredis'
import { withDeadline } from '../deadline.ts'
import type { Logger } from '../logger.ts'
import { loadScript } from './script.ts'

/**
 * Two kinds of connection (docs/design.md, "Redis"): producers answer a person and fail fast; consumers wait for Redis
 * to come back. The one who opens a connection closes it.
 */

/** An address that swallows packets is reported after this time, not after ioredis' ten seconds. */
const CONNECT_MS = 3_000

function attend(redis: Redis, name: string, log: Logger): Redis {
  let down = false
  redis.on('error', (error) => {
    if (!down)
      log.error(
        { err: error, connection: name, host: redis.options.host, port: redis.options.port },
        'Redis does not answer',
      )
    down = true
  })
  redis.on('ready', () => {
    if (down) log.info({ connection: name }, 'Redis answers again')
    down = false
  })
  return redis
}

/**
 * All commands of a turn of the event loop leave in one write: a system call costs more than what it carries. They wait
 * for nothing but the callbacks that are due already.
 */
function gatherWrites(redis: Redis): Redis {
  redis.on('connect', () => {
    const { stream } = redis
    const write = stream.write.bind(stream)
    let isCorked = false
    // ioredis only ever gives the bytes.
    stream.write = (bytes: string | Uint8Array): boolean => {
      if (!isCorked) {
        isCorked = true
        stream.cork()
        setImmediate(() => {
          isCorked = false
          stream.uncork()
        })
      }
      return write(bytes)
    }
  })
  return redis
}

/**
 * A connection whose server stays silent for this long, ms, although something was asked, is given up: another server may
 * answer behind the same address. Above the five seconds that blocking reads wait.
 */
const SILENT_MS = 8_000
/**
 * Every call settles. Without a deadline ioredis never settles what is asked while a handshake breaks; above the ten
 * seconds that BullMQ's blocking reads wait at most.
 */
const CONSUMER_CALL_MS = 30_000

/** Commands fail at once when Redis is down, and after two seconds when it is silent. */
export function producerConnection(url: string, log: Logger): Redis {
  return attend(
    gatherWrites(
      new Redis(url, {
        enableOfflineQueue: false,
        maxRetriesPerRequest: 1,
        commandTimeout: 2000,
        socketTimeout: SILENT_MS,
        connectTimeout: CONNECT_MS,
        connectionName: 'genqueue-producer',
        retryStrategy: (times) => Math.min(times * 100, 1000),
      }),
    ),
    'producer',
    log,
  )
}

/** For blocking reads and BullMQ workers: commands wait half a minute for Redis to come back. */
export function consumerConnection(url: string, name: string, log: Logger): Redis {
  return attend(
    new Redis(url, {
      maxRetriesPerRequest: null,
      commandTimeout: CONSUMER_CALL_MS,
      socketTimeout: SILENT_MS,
      connectTimeout: CONNECT_MS,
      connectionName: `genqueue-${name}`,
      retryStrategy: (times) => Math.min(times * 100, 2000),
    }),
    name,
    log,
  )
}

/** Resolves when the connection can be used; rejects with what Redis said when it cannot within `timeoutMs`. */
export async function untilReady(redis: Redis, timeoutMs: number): Promise<void> {
  if (redis.status === 'ready') return
  await new Promise<void>((resolve, reject) => {
    let last: Error | undefined
    const onError = (error: Error): void => {
      last = error
    }
    const timer = setTimeout(() => {
      redis.off('error', onError)
      const { host, port } = redis.options
      reject(
        new Error(`Redis at ${host}:${port} does not answer${last ? `: ${last.message}` : ''}. Check REDIS_URL.`, {
          cause: last,
        }),
      )
    }, timeoutMs)
    redis.on('error', onError)
    redis.once('ready', () => {
      clearTimeout(timer)
      redis.off('error', onError)
      resolve()
    })
  })
}

export interface RedisHealth {
  ok: boolean
  problems: string[]
}

const tryWrite = loadScript(new URL('try-write.lua', import.meta.url), { flags: ['allow-oom'] })

/** Tries what an accept and an intent need: a write by a script, and the right to load one. null: Redis takes both. */
async function refusal(redis: Redis, key: string): Promise<string | null> {
  try {
    await tryWrite(redis, [key], [])
    await redis.script('LOAD', 'return 1')
    return null
  } catch (error) {
    return `Redis refuses writes or scripts: ${error instanceof Error ? error.message : String(error)}`
  }
}

/**
 * What Redis must be for the promises to hold: 7.0 or newer, never evicting, writing its files, taking writes and scripts.
 * `key`: of a string that is written to try it.
 */
export async function checkRedis(redis: Redis, key: string): Promise<RedisHealth> {
  const info = await redis.info()
  const field = (name: string): string => new RegExp(`^${name}:(.*)$`, 'm').exec(info)?.[1]?.trim() ?? ''
  const problems: string[] = []
  const version = field('redis_version')
  if (Number.parseInt(version, 10) < 7) problems.push(`Redis ${version} is too old: 7.0 or newer is needed`)
  const policy = field('maxmemory_policy')
  if (policy !== 'noeviction')
    problems.push(`maxmemory-policy is ${policy}: set it to noeviction, or Redis will silently drop jobs`)
  if (field('aof_enabled') !== '1')
    problems.push('appendonly is off: a restart of Redis would lose accepted jobs; set appendonly yes')
  const refused = await refusal(redis, key)
  if (refused !== null) problems.push(refused)
  return { ok: problems.length === 0, problems }
}

const QUIT_WITHIN_MS = 1_000

/** Ends a connection without waiting for a Redis that does not answer. */
export async function closeConnection(redis: Redis): Promise<void> {
  try {
    if (redis.status === 'ready') await withDeadline(redis.quit(), QUIT_WITHIN_MS, 'QUIT')
    else redis.disconnect()
  } catch {
    redis.disconnect()
  }
}
