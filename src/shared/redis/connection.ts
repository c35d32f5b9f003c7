import { Redis } from 'ioredis'
import { withDeadline } from '../values/deadline.ts'
import type { Logger } from '../process/logger.ts'
import { loadScript } from './script.ts'
import { redisRefusal } from './trouble.ts'
import { messageOf } from '../values/error-text.ts'

/**
 * Two kinds of connection (docs/design.md, "Redis"): producers serve requests and fail fast; consumers wait for Redis to
 * come back. The opener of a connection closes it.
 */

/** Limit of a connect, ms: an address that drops packets is reported earlier than after ioredis's ten seconds. */
const CONNECT_MS = 3_000

function attend(redis: Redis, name: string, log: Logger): Redis {
  let down = false
  redis.on('error', (error) => {
    if (!down)
      log.error(
        { err: error, connection: name, host: redis.options.host, port: redis.options.port },
        'Redis does not respond; reconnecting',
      )
    down = true
  })
  redis.on('ready', () => {
    if (down) log.info({ connection: name }, 'Redis responds again')
    down = false
  })
  return redis
}

/**
 * Writes all commands of one event-loop turn in one system call, which costs more than the bytes. The delay is limited to
 * the callbacks that are already due.
 */
function gatherWrites(redis: Redis): Redis {
  redis.on('connect', () => {
    const { stream } = redis
    const write = stream.write.bind(stream)
    let isCorked = false
    // ioredis passes only the bytes.
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
 * Longest silence of a server with a command in flight, ms; then the connection is closed, because another server may
 * respond at the same address. Above the five seconds that blocking reads wait.
 */
const SILENT_MS = 8_000
/**
 * Limit of a consumer's command, ms. Without one, ioredis never settles a command that is sent while a handshake breaks.
 * Above the ten seconds that BullMQ's blocking reads wait at most.
 */
const CONSUMER_CALL_MS = 30_000

/** Connection whose commands fail at once when Redis is down, and after two seconds when it is silent. */
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

/** Connection for blocking reads and BullMQ workers: commands wait half a minute for Redis to come back. */
export function consumerConnection(url: string, name: string, log: Logger): Redis {
  return attend(
    gatherWrites(
      new Redis(url, {
        maxRetriesPerRequest: null,
        commandTimeout: CONSUMER_CALL_MS,
        socketTimeout: SILENT_MS,
        connectTimeout: CONNECT_MS,
        connectionName: `genqueue-${name}`,
        retryStrategy: (times) => Math.min(times * 100, 2000),
      }),
    ),
    name,
    log,
  )
}

/** Resolves when the connection is ready; rejects with Redis's last error after `timeoutMs`. */
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
        new Error(`Redis at ${host}:${port} does not respond${last ? `: ${last.message}` : ''}. Check REDIS_URL.`, {
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

/** Limit of a check, ms: below that of `/readyz`. */
const PING_MS = 2_000

/** Why Redis cannot be used at all; null: it responds. */
export async function redisSilence(redis: Redis): Promise<string | null> {
  try {
    await withDeadline(redis.ping(), PING_MS, 'PING')
    return null
  } catch (error) {
    const at = `Redis at ${redis.options.host}:${redis.options.port}`
    const refusal = redisRefusal(error)
    return refusal === null ? `${at} does not respond` : `${at} refuses commands: ${refusal}`
  }
}

export interface RedisHealth {
  ok: boolean
  problems: string[]
}

const tryWrite = loadScript(new URL('try-write.lua', import.meta.url), { flags: ['allow-oom'] })

/** Tries the two things that an accept and an intent need: writing from a script and loading one. null: both work. */
export async function writeRefusal(redis: Redis, key: string): Promise<string | null> {
  try {
    await tryWrite(redis, [key], [])
    await redis.script('LOAD', 'return 1')
    return null
  } catch (error) {
    return `Redis refuses writes or scripts: ${messageOf(error)}`
  }
}

/** What `INFO` says of a server. */
export interface RedisFacts {
  version: string
  role: string
  policy: string
  /** Bytes; `maxmemory` 0: no limit. */
  usedMemory: number
  maxmemory: number
  isAppendOnly: boolean
  /** Whether the last write of the append-only file succeeded. */
  isAppendOnlyWritten: boolean
}

export async function redisFacts(redis: Redis): Promise<RedisFacts> {
  const info = await redis.info()
  const field = (name: string): string => new RegExp(`^${name}:(.*)$`, 'm').exec(info)?.[1]?.trim() ?? ''
  return {
    version: field('redis_version'),
    role: field('role'),
    policy: field('maxmemory_policy'),
    usedMemory: Number(field('used_memory')),
    maxmemory: Number(field('maxmemory')),
    isAppendOnly: field('aof_enabled') === '1',
    isAppendOnlyWritten: field('aof_last_write_status') !== 'err',
  }
}

/** Requirements that the facts violate: 7.0 or newer, no eviction, append-only file. */
export function unfitFacts({ version, policy, isAppendOnly }: RedisFacts): string[] {
  const problems: string[] = []
  if (Number.parseInt(version, 10) < 7) problems.push(`Redis ${version} is too old. 7.0 or newer is required`)
  if (policy !== 'noeviction')
    problems.push(`maxmemory-policy is ${policy}: set it to noeviction, or Redis will silently drop jobs`)
  if (!isAppendOnly) problems.push('appendonly is off: a restart of Redis would lose accepted jobs; set appendonly yes')
  return problems
}

/**
 * Checks the requirements on Redis: those of `unfitFacts`, and that it accepts writes and scripts. `key`: a string that is
 * written as a test.
 */
export async function checkRedis(redis: Redis, key: string): Promise<RedisHealth> {
  const problems = unfitFacts(await redisFacts(redis))
  const refused = await writeRefusal(redis, key)
  if (refused !== null) problems.push(refused)
  return { ok: problems.length === 0, problems }
}

const QUIT_WITHIN_MS = 1_000

/** Closes a connection without waiting for an unresponsive Redis. */
export async function closeConnection(redis: Redis): Promise<void> {
  try {
    if (redis.status === 'ready') await withDeadline(redis.quit(), QUIT_WITHIN_MS, 'QUIT')
    else redis.disconnect()
  } catch {
    redis.disconnect()
  }
}
