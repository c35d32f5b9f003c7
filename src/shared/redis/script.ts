import { createHash } from 'node:crypto'
import { readFileSync } from 'node:fs'
import type { Redis } from 'ioredis'

export type ScriptFlag = 'allow-oom' | 'no-writes'

/**
 * A Lua file, after the files that it includes, as a function: one EVALSHA, and one EVAL when the server does not know
 * the script (after a restart or a SCRIPT FLUSH). Redis refuses a script at once when memory is full, unless it is
 * flagged `allow-oom` (Redis 7).
 */
export function loadScript(file: URL, flags: readonly ScriptFlag[] = [], includes: readonly URL[] = []) {
  const head = `#!lua${flags.length > 0 ? ` flags=${flags.join(',')}` : ''}`
  const source = [head, ...[...includes, file].map((part) => readFileSync(part, 'utf8'))].join('\n')
  const sha = createHash('sha1').update(source).digest('hex')
  return async (redis: Redis, keys: string[], args: string[]): Promise<unknown> => {
    try {
      return await redis.evalsha(sha, keys.length, ...keys, ...args)
    } catch (error) {
      if (!(error instanceof Error) || !error.message.startsWith('NOSCRIPT')) throw error
      return await redis.eval(source, keys.length, ...keys, ...args)
    }
  }
}
