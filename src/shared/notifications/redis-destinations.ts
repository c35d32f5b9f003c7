import type { Redis } from 'ioredis'
import { z } from 'zod'
import type { JobKeys } from '../jobs/record/job-keys.ts'
import { clockLua, redisNow } from '../redis/clock.ts'
import { loadScript } from '../redis/script.ts'
import type { DestinationHealth, NotificationStore } from './ports.ts'

const beside = (name: string): URL => new URL(name, import.meta.url)
/** What a script needs that changes what waits for a destination. */
export const ranked = { flags: ['allow-oom'], includes: [clockLua, beside('rank-destination.lua')] } as const
const beginDestination = loadScript(beside('begin-destination.lua'), ranked)
const takeNotifications = loadScript(beside('take-notifications.lua'), ranked)
const claimDestinations = loadScript(beside('claim-destinations.lua'), { flags: ['allow-oom'], includes: [clockLua] })

const takenReply = z.tuple([z.coerce.number(), z.enum(['0', '1'])], z.string())
const namesReply = z.array(z.string())
const hashReply = z.array(z.string().nullable())

/** Notifications of a page. */
const PAGE = 100
const HEALTH_FIELDS = ['failures', 'failing_since', 'paused_until', 'succeeded_at', 'tenant'] as const

const numberOf = (text: string | null | undefined): number | null =>
  text === null || text === undefined ? null : Number(text)

/** The order in which destinations are served, how they do, and what waits for each. */
export function createRedisDestinations(redis: Redis, keys: JobKeys) {
  async function read(destination: string): Promise<{ tenant: string; health: DestinationHealth }> {
    const values = await redis.hmget(keys.destination(destination), ...HEALTH_FIELDS)
    const [failures, failing_since, paused_until, succeeded_at, tenant] = hashReply.parse(values)
    const health = {
      failures: Number(failures ?? 0),
      failing_since: numberOf(failing_since),
      paused_until: numberOf(paused_until),
      succeeded_at: numberOf(succeeded_at),
    }
    return { tenant: tenant ?? '', health }
  }

  /** The keys of the scripts that put a destination in order. */
  const keysOf = (destination: string): string[] => [
    keys.waitingNotifications(destination),
    keys.destinations,
    keys.destination(destination),
  ]

  return {
    /** Those that may be served, under a lease. */
    async claim(limit: number, leaseMs: number): ReturnType<NotificationStore['claimDestinations']> {
      const reply = await claimDestinations(redis, [keys.destinations], [String(limit), String(leaseMs)])
      const names = namesReply.parse(reply)
      return Promise.all(names.map(async (destination) => ({ destination, ...(await read(destination)) })))
    },

    /** The ids of what is due, under a lease; `more`: further ones are due; `now`: ms. */
    async take(destination: string, limit: number, leaseMs: number) {
      const args = [destination, String(limit), String(leaseMs)]
      const [now, more, ...ids] = takenReply.parse(await takeNotifications(redis, keysOf(destination), args))
      return { ids, more: more === '1', now }
    },

    health: async (destination: string): Promise<DestinationHealth> => (await read(destination)).health,

    /** Forgets its failures. */
    async begin(destination: string): Promise<void> {
      await beginDestination(redis, keysOf(destination), [destination])
    },

    /** What waits for it, in pages, as long as what is done with a page takes it from there. */
    async *waiting(destination: string): AsyncGenerator<string[]> {
      let last = ''
      for (;;) {
        const ids = await redis.zrange(keys.waitingNotifications(destination), '0', String(PAGE - 1))
        const page = ids.join()
        // The page before stayed: something else changes it at the same time, or it cannot be read.
        if (ids.length === 0 || page === last) return
        last = page
        yield ids
      }
    },

    /** For how long the first one is due, ms; null: none is. */
    async lateBy(): Promise<number | null> {
      const [now, [, score]] = await Promise.all([
        redisNow(redis),
        redis.zrange(keys.destinations, '0', '0', 'WITHSCORES'),
      ])
      return score === undefined || Number(score) > now ? null : now - Number(score)
    },
  }
}
