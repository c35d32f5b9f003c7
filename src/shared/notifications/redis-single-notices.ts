import type { Redis } from 'ioredis'
import { dueEffect, dueNotice } from '../jobs/record/due-member.ts'
import type { JobKeys } from '../jobs/record/job-keys.ts'
import { effectKey } from '../jobs/rules/job.ts'
import type { Timings } from '../jobs/rules/timings.ts'
import { clockLua } from '../redis/clock.ts'
import { loadScript } from '../redis/script.ts'
import type { SingleNotices } from './ports.ts'

/** Also when Redis is full: these events warn. */
const oweOnce = loadScript(new URL('owe-once.lua', import.meta.url), { flags: ['allow-oom'], includes: [clockLua] })

/** The field of an account that a grant removes (credits.lua). */
const EXHAUSTED = 'exhausted'

export function createRedisSingleNotices({
  redis,
  keys,
  timings,
}: {
  redis: Redis
  keys: Pick<JobKeys, 'notices' | 'outbox' | 'due' | 'subscribed' | 'credits' | 'job'>
  timings: Pick<Timings, 'ringAgain'>
}): SingleNotices {
  const after = String(timings.ringAgain.min)
  return {
    async oweExhausted(tenant, notice) {
      const names = [keys.notices(tenant), keys.due, keys.subscribed(tenant), keys.credits(tenant)]
      const { id, type } = notice
      const args = [id, JSON.stringify(notice), type, dueNotice(tenant, id).member, after, EXHAUSTED, '']
      return (await oweOnce(redis, names, args)) === 1
    },

    async oweOfJob({ id, tenant, webhook }, notice) {
      const names = [keys.outbox(id), keys.due, keys.subscribed(tenant), keys.job(id)]
      const { type } = notice
      const row = effectKey(notice)
      const own = webhook?.events.includes(type) ? '1' : ''
      const args = [row, JSON.stringify(notice), type, dueEffect(id, row).member, after, `owed_${type}`, own]
      return (await oweOnce(redis, names, args)) === 1
    },
  }
}
