import { randomBytes } from 'node:crypto'
import type { Redis } from 'ioredis'
import { z } from 'zod'
import { clockLua } from '../../redis/clock.ts'
import { loadScript } from '../../redis/script.ts'
import { dueJob } from '../record/due-member.ts'
import type { JobKeys } from '../record/job-keys.ts'
import { flowOf, lineMember, parseLineMember } from '../record/line-member.ts'
import type { JobLine } from '../ports.ts'
import { placeOf } from '../rules/place.ts'
import type { Timings } from '../rules/timings.ts'
import { ORDER_LUA, orderKeys } from './line-keys.ts'

const script = (name: string) =>
  loadScript(new URL(name, import.meta.url), { flags: ['allow-oom'], includes: [clockLua, ORDER_LUA] })
const claimLine = script('claim-line.lua')
const joinLine = script('join-line.lua')
const keepInLine = script('keep-in-line.lua')
const renewLeases = script('renew-leases.lua')
const wakeLanes = script('wake-lanes.lua')

const joined = z.tuple([z.number(), z.number()])
const claimedLine = z.tuple([z.number()], z.string())

/** Before the scope for which a lane is parked (order.lua, `heads`). */
const PARKED = 'parked '
/** Scopes of parked lanes, and lanes of each, that are looked at together. */
const WAKES_AT_ONCE = 100

export function createRedisJobLine({
  redis,
  keys,
  timings,
}: {
  redis: Redis
  keys: JobKeys
  timings: Pick<Timings, 'dueLease'>
}): JobLine {
  const order = orderKeys(keys)
  /** Names the leases of this process. */
  const lease = randomBytes(9).toString('base64url')
  const leaseMs = String(timings.dueLease)

  return {
    lease,

    async joinLine(places) {
      const [claims, waiting] = joined.parse(await joinLine(redis, [...order, keys.lineClaims], places.map(lineMember)))
      return { claims, waiting }
    },

    async keepInLine(job, inMs) {
      const args = [lineMember(placeOf(job)), job.id, dueJob(job.id).member, String(Math.round(inMs)), leaseMs]
      await keepInLine(redis, [...order, keys.due], args)
    },

    async claimLine(limit, isFirst) {
      const args = [String(limit), leaseMs, lease, isFirst ? '1' : '0']
      const names = [...order, keys.lineClaims, keys.due]
      const [waiting, ...members] = claimedLine.parse(await claimLine(redis, names, args))
      return { places: members.map(parseLineMember), waiting }
    },

    async blockedBy(job) {
      const head = await redis.hget(keys.laneHeads, flowOf(placeOf(job)))
      return head?.startsWith(PARKED) ? (head.split(' ')[1] ?? null) : null
    },

    async renewLeases(jobs) {
      if (jobs.length > 0) await renewLeases(redis, [keys.places], [leaseMs, lease, ...jobs])
    },

    async wakeLanes() {
      return Number(await wakeLanes(redis, order, [String(WAKES_AT_ONCE)]))
    },
  }
}
