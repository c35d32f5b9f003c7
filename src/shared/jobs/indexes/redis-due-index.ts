import type { Redis } from 'ioredis'
import { z } from 'zod'
import { clockLua } from '../../redis/clock.ts'
import { loadScript } from '../../redis/script.ts'
import { dueJob, parseDueMember } from '../record/due-member.ts'
import type { AccountRates } from '../../limits/rules/budget.ts'
import type { JobKeys } from '../record/job-keys.ts'
import type { DueIndex, JobLine, LastSweep, Retention } from '../ports.ts'
import type { Timings } from '../rules/timings.ts'

const lua = (name: string): URL => new URL(name, import.meta.url)
const claimLine = loadScript(lua('claim-line.lua'), { flags: ['allow-oom'], includes: [clockLua] })
const keepInLine = loadScript(lua('keep-in-line.lua'), { flags: ['allow-oom'], includes: [clockLua] })
const claimDue = loadScript(lua('claim-due.lua'), { flags: ['allow-oom'], includes: [clockLua] })

const claimedLine = z.tuple([z.number()], z.string())
const claimed = z.array(z.string())

export function createRedisDueIndex({
  redis,
  keys,
  accounts,
  timings,
  now,
}: {
  redis: Redis
  keys: JobKeys
  accounts: AccountRates
  timings: Pick<Timings, 'dueLease'>
  /** Approximate time of Redis, ms. */
  now: () => number
}): JobLine & DueIndex & LastSweep & Pick<Retention, 'claimRetention'> {
  /** Claims what is due in an index. */
  async function claim(index: string, limit: number): Promise<{ now: number; members: string[] }> {
    const names = [index, keys.swept, ...Object.keys(accounts).map(keys.account)]
    const [at = '0', ...members] = claimed.parse(
      await claimDue(redis, names, [String(timings.dueLease), String(limit)]),
    )
    return { now: Number(at), members }
  }

  return {
    async joinLine(jobs) {
      const [, claims, length] = await Promise.all([
        jobs.length === 0 ? 0 : redis.zadd(keys.line, ...jobs.flatMap((id) => ['0', id])),
        redis.get(keys.lineClaims),
        redis.zcard(keys.line),
      ])
      return { claims: Number(claims ?? 0), length }
    },

    async keepInLine(job, inMs) {
      await keepInLine(redis, [keys.line, keys.due], [job, dueJob(job).member, String(Math.round(inMs))])
    },

    async claimLine(limit, isFirst) {
      const args = [String(limit), String(timings.dueLease), isFirst ? '1' : '0']
      const [left, ...jobs] = claimedLine.parse(await claimLine(redis, [keys.line, keys.lineClaims, keys.due], args))
      return { jobs, left }
    },

    async claimDue(limit) {
      const due = await claim(keys.due, limit)
      return { now: due.now, members: due.members.flatMap(parseDueMember) }
    },

    async claimRetention(limit) {
      const due = await claim(keys.retention, limit)
      return { now: due.now, ids: due.members }
    },

    async sweptAgo() {
      const at = await redis.get(keys.swept)
      // A time in the future: the clock of Redis was set back, and the next sweep corrects it.
      return at === null ? null : Math.max(0, now() - Number(at))
    },

    async rearm({ member }, inMs) {
      await redis.zadd(keys.due, 'XX', String(Math.round(now() + inMs)), member)
    },

    async dropDue({ member }) {
      await redis.zrem(keys.due, member)
    },
  }
}
