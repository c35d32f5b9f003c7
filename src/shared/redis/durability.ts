import type { Redis } from 'ioredis'
import { z } from 'zod'

/** A write was not confirmed to be on disk in time; it may or may not survive a loss of power. */
export class NotDurableError extends Error {
  override name = 'NotDurableError'
}

const CONFIRM_WITHIN_MS = 500
/** Consecutive writes that must be confirmed in time at startup: a server with `appendfsync everysec` fails this. */
const TRIES = 3

const settingsReply = z.array(z.string()).transform((flat) => ({
  appendonly: flat[flat.indexOf('appendonly') + 1],
  appendfsync: flat[flat.indexOf('appendfsync') + 1],
}))
const confirmedReply = z.tuple([z.coerce.number(), z.coerce.number()])

/**
 * Strict durability: a write, on any connection, is on disk before a response or an action depends on it. With
 * `appendfsync always` Redis replies only after the fsync. Where the settings cannot be read, WAITAOF (Redis 7.2) confirms
 * it, preceded by a write on this connection, so that it covers the writes of other connections. Throws, naming the
 * settings to change, when the server does neither.
 */
export async function strictDurability(redis: Pick<Redis, 'call' | 'set'>, key: string): Promise<() => Promise<void>> {
  const settings = await redis.call('CONFIG', 'GET', 'appendonly', 'appendfsync').then(
    (reply) => settingsReply.parse(reply),
    (error: unknown) => {
      if (isRefused(error)) return null
      throw error
    },
  )
  if (settings?.appendonly === 'yes' && settings.appendfsync === 'always') return () => Promise.resolve()
  if (settings)
    throw new Error(
      `DURABILITY: strict requires appendonly yes and appendfsync always; this Redis has appendonly ${settings.appendonly} and appendfsync ${settings.appendfsync}`,
    )
  const confirm = async (): Promise<void> => {
    const [, reply] = await Promise.all([redis.set(key, ''), redis.call('WAITAOF', 1, 0, CONFIRM_WITHIN_MS)]).catch(
      (error: unknown) => {
        throw new NotDurableError('Redis could not confirm that the write is on disk', { cause: error })
      },
    )
    if (confirmedReply.parse(reply)[0] < 1)
      throw new NotDurableError('Redis did not confirm in time that the write is on disk')
  }
  try {
    for (let tries = 0; tries < TRIES; tries++) await confirm()
  } catch (error) {
    throw new Error(
      'DURABILITY: strict requires appendfsync always, and CONFIG GET or WAITAOF (Redis 7.2) to verify it; this Redis does not confirm its writes in time',
      { cause: error },
    )
  }
  return confirm
}

/** Whether the user may not run the command, or the server does not know it. */
const isRefused = (error: unknown): boolean =>
  error instanceof Error && /^(NOPERM|ERR unknown|ERR .*not (allowed|permitted|supported))/i.test(error.message)
