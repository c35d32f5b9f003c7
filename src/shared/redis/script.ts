import { createHash } from 'node:crypto'
import { readFileSync } from 'node:fs'
import type { Redis } from 'ioredis'

export type ScriptFlag = 'allow-oom' | 'no-writes'

export interface ScriptOptions {
  flags?: readonly ScriptFlag[]
  /** Lua files that are placed before it. */
  includes?: readonly URL[]
}

export interface GuardedScript {
  /** Throws ScriptUnknownError when the server does not know the script. */
  run(redis: Redis, keys: string[], args: string[]): Promise<unknown>
  /** Loads the script between two checks, over one connection that never reconnects; false when a check fails. */
  load(redis: Redis, checks: { before: ServerCheck; after: ServerCheck }): Promise<boolean>
}

type ServerCheck = (redis: Redis) => Promise<boolean>

/** The server does not know a guarded script, so it is another run of Redis than the one that loaded it. */
export class ScriptUnknownError extends Error {
  override name = 'ScriptUnknownError'
}

function readScript(
  file: URL,
  { flags = [], includes = [] }: ScriptOptions,
  remark = '',
): { source: string; sha: string } {
  const head = `#!lua${flags.length > 0 ? ` flags=${flags.join(',')}` : ''}`
  const parts = [...includes, file].map((part) => readFileSync(part, 'utf8'))
  const source = [head, ...parts, remark].join('\n')
  return { source, sha: createHash('sha1').update(source).digest('hex') }
}

const isUnknown = (error: unknown): boolean => error instanceof Error && error.message.startsWith('NOSCRIPT')

/**
 * Function that runs a Lua file, preceded by its includes: one EVALSHA, and one EVAL when the server does not know the
 * script (after a restart or a SCRIPT FLUSH). Redis refuses a script at once when memory is full, unless it is flagged
 * `allow-oom` (Redis 7).
 */
export function loadScript(file: URL, options: ScriptOptions = {}) {
  const { source, sha } = readScript(file, options)
  return async (redis: Redis, keys: string[], args: string[]): Promise<unknown> => {
    try {
      return await redis.evalsha(sha, keys.length, ...keys, ...args)
    } catch (error) {
      if (!isUnknown(error)) throw error
      return await redis.eval(source, keys.length, ...keys, ...args)
    }
  }
}

/**
 * The same without automatic loading. Redis keeps scripts in memory only, so a server that does not know the script was
 * restarted, or is another one: the caller acts on that, then loads it.
 */
export function guardedScript(file: URL, options: ScriptOptions = {}): GuardedScript {
  const { source, sha } = readScript(file, options, '-- guarded')
  return {
    async run(redis, keys, args) {
      try {
        return await redis.evalsha(sha, keys.length, ...keys, ...args)
      } catch (error) {
        if (isUnknown(error)) throw new ScriptUnknownError('Redis does not know the script', { cause: error })
        throw error
      }
    },
    async load(redis, { before, after }) {
      // Never reconnects: the server that passes the first check also loads the script, or none does.
      const once = redis.duplicate({ lazyConnect: true, retryStrategy: () => null })
      once.on('error', () => undefined)
      try {
        await once.connect()
        if (!(await before(once))) return false
        await once.script('LOAD', source)
        return await after(once)
      } finally {
        once.disconnect()
      }
    },
  }
}
