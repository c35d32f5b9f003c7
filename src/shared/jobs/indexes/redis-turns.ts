import type { Redis } from 'ioredis'
import { z } from 'zod'
import { loadScript } from '../../redis/script.ts'
import { briefly } from '../../values/briefly.ts'
import type { JobKeys } from '../record/job-keys.ts'
import { classLetter, lineMember } from '../record/line-member.ts'
import type { Turns } from '../ports.ts'
import type { Priority } from '../rules/job.ts'
import { MAX_RUNS, runTimeBucket, runTimeRange } from '../rules/run-times.ts'
import type { Rival, Slots } from '../rules/turn.ts'
import { ORDER_LUA, orderKeys, REMEMBER_RUN } from './line-keys.ts'

const script = (name: string) =>
  loadScript(new URL(name, import.meta.url), { flags: ['no-writes'], includes: [ORDER_LUA] })
const readCrowd = script('read-crowd.lua')
const readTurn = script('read-turn.lua')
const rememberRun = loadScript(REMEMBER_RUN)

const texts = z.array(z.string())
/** Tenants, and parked lanes, that are looked at together. */
const CROWD_AT_ONCE = 100
const LANES_AT_ONCE = 20
/** Many jobs share what is known of the others that wait. */
const CROWD_FRESH_MS = 1000
/** Errors are kept as whole thousandths, in the buckets of run times. */
const PARTS = 1000

/** Lists of four texts. */
function* fours(list: readonly string[]): Generator<[string, number, number, number]> {
  for (let at = 0; at + 3 < list.length; at += 4)
    yield [list[at] ?? '', Number(list[at + 1]), Number(list[at + 2]), Number(list[at + 3])]
}

export function createRedisTurns({ redis, keys }: { redis: Redis; keys: JobKeys }): Turns {
  const order = orderKeys(keys)

  const crowdOf = briefly(CROWD_FRESH_MS, async (priority: Priority) => {
    const reply = texts.parse(await readCrowd(redis, order, [classLetter(priority), String(CROWD_AT_ONCE)]))
    const [inHand = 0, turns = 0, otherClass = 0, moreRivals = 0] = reply.slice(0, 4).map(Number)
    const rivals: Rival[] = [...fours(reply.slice(4))].map(([tenant, tag, jobs, step]) => ({ tenant, tag, jobs, step }))
    return { inHand, turns, otherClass, moreRivals, rivals }
  })

  const errorsOf = briefly(CROWD_FRESH_MS, async (priority: Priority) => {
    const parts = runTimeRange(await redis.hgetall(keys.forecasts(priority)))
    return parts && { p50: parts.p50 / PARTS, p90: parts.p90 / PARTS }
  })

  return {
    async turnOf(place) {
      const { priority, tenant } = place
      const [crowd, reply] = await Promise.all([
        crowdOf(priority),
        readTurn(redis, order, [lineMember(place), String(LANES_AT_ONCE)]),
      ])
      const [ahead = '', tag = '', step = '', chosen, paused, blocked = '', ...limits] = texts.parse(reply)
      const slots: Slots[] = [...fours(limits)].map(([scope, limit, held, before]) => ({
        scope,
        limit,
        held,
        ahead: before,
      }))
      return {
        ...crowd,
        priority,
        tenant,
        tag: Number(tag),
        step: Number(step),
        ahead: Number(ahead),
        isChosen: chosen === '1',
        isPaused: paused === '1',
        blocked: blocked === '' ? null : blocked,
        slots,
      }
    },

    forecastErrors: errorsOf,

    async rememberError(priority, error) {
      await rememberRun(
        redis,
        [keys.forecasts(priority)],
        [String(MAX_RUNS), String(runTimeBucket(error * PARTS)), '1'],
      )
    },
  }
}
