import type { Redis } from 'ioredis'
import { z } from 'zod'
import { clockLua, redisNow } from '../redis/clock.ts'
import { loadScript } from '../redis/script.ts'
import { singleFlight } from '../values/single-flight.ts'
import { isConditionName, type ConditionBoard, type ConditionName } from './rules/condition.ts'

const reportConditions = loadScript(new URL('report-conditions.lua', import.meta.url), {
  flags: ['allow-oom'],
  includes: [clockLua],
})

const reportSchema = z.array(z.object({ name: z.string(), since: z.number(), detail: z.string() }))

/** One hash with a field for each process that reports a condition. `staleAfter`: ms until an unrepeated report is ignored. */
export function createRedisConditionBoard(redis: Redis, hash: string, staleAfter: number): ConditionBoard {
  // Every view of a waiting job reads the conditions.
  const read = singleFlight(async (key) => {
    const fields = Object.entries(await redis.hgetall(key))
    // The usual case: nothing is wrong in any process.
    if (fields.length === 0) return []
    const now = await redisNow(redis)
    return fields.flatMap(([process, value]) => {
      const space = value.indexOf(' ')
      if (now - Number(value.slice(0, space)) > staleAfter) return []
      const reports = reportSchema.safeParse(parseJson(value.slice(space + 1))).data ?? []
      return reports.flatMap(({ name, ...rest }) => (isConditionName(name) ? [{ process, name, ...rest }] : []))
    })
  })

  return {
    async report(process, reports) {
      const text = reports.length === 0 ? '' : JSON.stringify(reports)
      await reportConditions(redis, [hash], [process, text, String(staleAfter)])
    },
    read: async (): Promise<{ process: string; name: ConditionName; since: number; detail: string }[]> =>
      (await read(hash)).result,
  }
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}
