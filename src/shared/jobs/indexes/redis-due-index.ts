import type { Redis } from 'ioredis'
import { z } from 'zod'
import { clockLua } from '../../redis/clock.ts'
import { loadScript } from '../../redis/script.ts'
import { parseDueMember } from '../record/due-member.ts'
import type { AccountRates } from '../../limits/rules/budget.ts'
import type { JobKeys } from '../record/job-keys.ts'
import type { DueIndex, LastSweep, Retention } from '../ports.ts'
import type { Timings } from '../rules/timings.ts'

const lua = (name: string): URL => new URL(name, import.meta.url)
const claimDue = loadScript(lua('claim-due.lua'), { flags: ['allow-oom'], includes: [clockLua] })

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
}): DueIndex & LastSweep & Pick<Retention, 'claimRetention'> {
  /** Claims what is due in an index. */
  async function claim(index: string, limit: number): Promise<{ now: number; members: string[] }> {
    const names = [index, keys.swept, ...Object.keys(accounts).map(keys.account)]
    const [at = '0', ...members] = claimed.parse(
      await claimDue(redis, names, [String(timings.dueLease), String(limit)]),
    )
    return { now: Number(at), members }
  }

  return {
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
