import type { Redis } from 'ioredis'
import { z } from 'zod'

/** Redis's clock, by which all stored times are measured. Included by scripts as `clock_ms()` and `clock_us()`. */
export const clockLua = new URL('clock.lua', import.meta.url)

/** Reply to TIME, also within a transaction, as ms since 1970. */
export const timeReply = z
  .tuple([z.coerce.number(), z.coerce.number()])
  .transform(([seconds, micros]) => seconds * 1000 + Math.floor(micros / 1000))

/** ms since 1970. */
export const redisNow = async (redis: Pick<Redis, 'time'>): Promise<number> => timeReply.parse(await redis.time())

/** Microseconds since 1970, the unit of the rate limits. */
export async function redisMicros(redis: Pick<Redis, 'time'>): Promise<number> {
  const [seconds, micros] = await redis.time()
  return Number(seconds) * 1_000_000 + Number(micros)
}
