import type { Redis } from 'ioredis'
import type { FormerGenerations, Presence } from './presence.ts'
import { clockLua, redisNow } from './clock.ts'
import type { Generation } from './generation.ts'
import { loadScript } from './script.ts'

const beat = loadScript(new URL('beat.lua', import.meta.url), { flags: ['allow-oom'], includes: [clockLua] })

const PROCESS = 'worker:'
/** Field prefix from releases in which a generation was a run of the server; older workers read it. */
const GENERATION = 'run:'

/** Presence in one hash: a field per process, removed at shutdown and left behind by a killed process. */
export function createRedisPresence(
  redis: Redis,
  hash: string,
  generation: Pick<Generation, 'look' | 'unlistedSince'>,
): Presence {
  async function read(): Promise<{
    now: number
    processes: { field: string; run: string; at: number }[]
    runs: Map<string, number>
  }> {
    const [now, fields] = await Promise.all([redisNow(redis), redis.hgetall(hash)])
    const entries = Object.entries(fields)
    return {
      now,
      processes: entries.flatMap(([field, value]) => {
        const [run = '', at = '0'] = value.split(' ')
        return field.startsWith(PROCESS) ? [{ field, run, at: Number(at) }] : []
      }),
      runs: new Map(
        entries.flatMap(([field, at]): [string, number][] =>
          field.startsWith(GENERATION) ? [[field.slice(GENERATION.length), Number(at)]] : [],
        ),
      ),
    }
  }

  return {
    look: () => generation.look(),
    unlistedSince: (id, account, unlisted, from) => generation.unlistedSince(id, account, unlisted, from),

    async beat(process, run) {
      await beat(redis, [hash], [process, run])
    },

    async leave(process) {
      await redis.hdel(hash, PROCESS + process)
    },

    async former(run): Promise<FormerGenerations> {
      const { now, processes, runs } = await read()
      // The clock of Redis was set back since: times in its future count as now.
      const ahead = [
        ...processes.flatMap(({ field, run: at, at: ms }) => (ms > now ? [field, `${at} ${now}`] : [])),
        ...[...runs].flatMap(([other, ms]) => (ms > now ? [GENERATION + other, String(now)] : [])),
      ]
      if (ahead.length > 0) await redis.hset(hash, ...ahead)
      const seen = [...runs].flatMap(([other, at]) => (other === run ? [] : [at]))
      return {
        processes: processes.filter((one) => one.run !== run).map(({ at }) => Math.max(0, now - at)),
        seen: seen.length === 0 ? null : Math.max(0, now - Math.max(...seen)),
      }
    },

    async seenAgo() {
      const { now, processes } = await read()
      return processes.length === 0 ? null : now - Math.max(...processes.map(({ at }) => at))
    },

    async forget(run, ms) {
      const { now, processes, runs } = await read()
      const gone = [
        ...processes.filter((one) => one.run !== run || now - one.at >= ms).map(({ field }) => field),
        ...[...runs.keys()].filter((other) => other !== run).map((other) => GENERATION + other),
      ]
      if (gone.length > 0) await redis.hdel(hash, ...gone)
    },
  }
}
