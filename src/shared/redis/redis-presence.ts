import type { Redis } from 'ioredis'
import type { FormerRuns, Presence } from '../presence.ts'
import { loadScript, redisRun } from './script.ts'

const beat = loadScript(new URL('beat.lua', import.meta.url), { flags: ['allow-oom'] })

const PROCESS = 'worker:'
const RUN = 'run:'

/** In one hash: a process is a field while it lives, and a field that stays when it is killed. */
export function createRedisPresence(redis: Redis, hash: string): Presence {
  async function read(): Promise<{
    now: number
    processes: { field: string; run: string; at: number }[]
    runs: Map<string, number>
  }> {
    const [[seconds, micros], fields] = await Promise.all([redis.time(), redis.hgetall(hash)])
    const entries = Object.entries(fields)
    return {
      now: Number(seconds) * 1000 + Math.floor(Number(micros) / 1000),
      processes: entries.flatMap(([field, value]) => {
        const [run = '', at = '0'] = value.split(' ')
        return field.startsWith(PROCESS) ? [{ field, run, at: Number(at) }] : []
      }),
      runs: new Map(
        entries.flatMap(([field, at]): [string, number][] =>
          field.startsWith(RUN) ? [[field.slice(RUN.length), Number(at)]] : [],
        ),
      ),
    }
  }

  return {
    run: () => redisRun(redis),

    async beat(process, run) {
      await beat(redis, [hash], [process, run])
    },

    async leave(process) {
      await redis.hdel(hash, PROCESS + process)
    },

    async former(run): Promise<FormerRuns> {
      const { now, processes, runs } = await read()
      const seen = [...runs].flatMap(([other, at]) => (other === run ? [] : [at]))
      return {
        processes: processes.filter((one) => one.run !== run).map(({ at }) => now - at),
        seen: seen.length === 0 ? null : now - Math.max(...seen),
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
        ...[...runs.keys()].filter((other) => other !== run).map((other) => RUN + other),
      ]
      if (gone.length > 0) await redis.hdel(hash, ...gone)
    },
  }
}
