import { randomBytes } from 'node:crypto'
import type { Redis } from 'ioredis'
import { z } from 'zod'
import { clockLua } from '../../redis/clock.ts'
import { loadScript } from '../../redis/script.ts'
import { dueJob } from '../record/due-member.ts'
import type { JobKeys } from '../record/job-keys.ts'
import { flightMember, flowOf, lineMember, ofScope, parseFlightMember, parseLineMember } from '../record/line-member.ts'
import type { AccountRoom, JobLine } from '../ports.ts'
import { accountScope, placeOf } from '../rules/place.ts'
import type { Timings } from '../rules/timings.ts'
import { ORDER_LUA, orderKeys } from './line-keys.ts'

const script = (name: string) =>
  loadScript(new URL(name, import.meta.url), { flags: ['allow-oom'], includes: [clockLua, ORDER_LUA] })
const claimLine = script('claim-line.lua')
const joinLine = script('join-line.lua')
const keepInLine = script('keep-in-line.lua')
const parkLane = script('park-lane.lua')
const renewLeases = script('renew-leases.lua')
const wakeLanes = script('wake-lanes.lua')

const joined = z.tuple([z.number(), z.number()])
const claimedLine = z.tuple([z.number()], z.string())

/** Before the scope for which a lane is parked (order.lua, `heads`). */
const PARKED = 'parked '
const HOLDERS_AT_ONCE = 1000
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
}): JobLine & AccountRoom {
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

    async standAside(place, scope) {
      await parkLane(redis, order, [lineMember(place), scope])
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

    async hasRoom(account) {
      const scope = accountScope(account)
      const { first, after } = ofScope(scope)
      const [paused, limit, held] = await Promise.all([
        redis.hexists(keys.pauses, scope),
        redis.hget(keys.limits, `concurrency ${scope}`),
        redis.zlexcount(keys.flight, first, after),
      ])
      return paused === 0 && (limit === null || limit === '' || held < Number(limit))
    },

    async renewLeases(jobs) {
      if (jobs.length > 0) await renewLeases(redis, [keys.places], [leaseMs, lease, ...jobs])
    },

    async endLease(job, isOver) {
      if (isOver) await redis.hdel(keys.places, job)
      else await renewLeases(redis, [keys.places], ['0', lease, job])
    },

    async holders() {
      const scopes = new Set<string>()
      for (let from = '-'; scopes.size < WAKES_AT_ONCE;) {
        const [member] = await redis.zrange(keys.parked, from, '+', 'BYLEX', 'LIMIT', '0', '1')
        if (member === undefined) break
        const [scope = ''] = member.split(' ')
        scopes.add(scope)
        from = ofScope(scope).after
      }
      const held = await Promise.all(
        [...scopes].map((scope) => {
          const { first, after } = ofScope(scope)
          return redis.zrange(keys.flight, first, after, 'BYLEX', 'LIMIT', '0', String(HOLDERS_AT_ONCE))
        }),
      )
      return held.flat().map(parseFlightMember)
    },

    async freeSlot({ scope, job }) {
      await redis.zrem(keys.flight, flightMember(scope, job))
    },

    async wakeLanes() {
      return Number(await wakeLanes(redis, order, [String(WAKES_AT_ONCE)]))
    },
  }
}
