import type { Redis } from 'ioredis'
import { z } from 'zod'

/** A write could not be confirmed to be on disk in time; it may or may not survive a loss of power. */
export class NotDurableError extends Error {
  override name = 'NotDurableError'
}

const CONFIRM_WITHIN_MS = 500

/**
 * Strict durability: what was just written on this connection is on disk before anybody is told, or acts on it. WAITAOF
 * (Redis 7.2) confirms it; an older Redis must write with `appendfsync always`. Throws, with what to set, when the
 * server can do neither.
 */
export async function strictDurability(redis: Redis): Promise<() => Promise<void>> {
  const server = await redis.info('server')
  const [major = 0, minor = 0] = (/^redis_version:(\d+)\.(\d+)/m.exec(server) ?? []).slice(1).map(Number)
  if (major > 7 || (major === 7 && minor >= 2))
    return async () => {
      const reply = z
        .tuple([z.coerce.number(), z.coerce.number()])
        .parse(await redis.call('WAITAOF', 1, 0, CONFIRM_WITHIN_MS))
      if (reply[0] < 1) throw new NotDurableError('Redis did not confirm in time that the write is on disk')
    }
  const [, policy] = z.array(z.string()).parse(await redis.config('GET', 'appendfsync'))
  if (policy === 'always') return () => Promise.resolve()
  throw new Error(
    `DURABILITY: strict needs Redis 7.2 or newer, or appendfsync always; this is ${major}.${minor} with appendfsync ${policy ?? 'unknown'}`,
  )
}
