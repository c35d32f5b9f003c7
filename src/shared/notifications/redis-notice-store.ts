import type { Redis } from 'ioredis'
import { dueEffect, dueNotice } from '../jobs/record/due-member.ts'
import type { JobKeys } from '../jobs/record/job-keys.ts'
import { effectKey } from '../jobs/rules/job.ts'
import type { Timings } from '../jobs/rules/timings.ts'
import { clockLua } from '../redis/clock.ts'
import { loadScript } from '../redis/script.ts'
import type { NoticeStore } from './ports.ts'
import { tenantNoticeSchema } from './rules/notice.ts'

const oweNotice = loadScript(new URL('owe-notice.lua', import.meta.url), {
  flags: ['allow-oom'],
  includes: [clockLua],
})

export interface RedisNoticeStoreOptions {
  redis: Redis
  keys: Pick<JobKeys, 'notices' | 'outbox' | 'due' | 'subscribed'>
  timings: Pick<Timings, 'ringAgain'>
}

/** Commits write notices themselves (jobs/commit); this is for those of no commit, and for their distribution. */
export function createRedisNoticeStore({ redis, keys, timings }: RedisNoticeStoreOptions): NoticeStore {
  /** Removes a row and its member of the due index. */
  async function remove(outbox: string, field: string, member: string): Promise<void> {
    const results = (await redis.multi().hdel(outbox, field).zrem(keys.due, member).exec()) ?? []
    for (const [error] of results) if (error) throw error
  }

  return {
    async owe(tenant, notice) {
      const { id, type } = notice
      const names = [keys.notices(tenant), keys.due, keys.subscribed(tenant)]
      const member = dueNotice(tenant, id).member
      const args = [id, JSON.stringify(notice), type, member, String(timings.ringAgain.min)]
      return (await oweNotice(redis, names, args)) === 1
    },

    async owed(tenant, id) {
      const text = await redis.hget(keys.notices(tenant), id)
      return text === null ? null : tenantNoticeSchema.parse(JSON.parse(text))
    },

    distributed: (tenant, id) => remove(keys.notices(tenant), id, dueNotice(tenant, id).member),

    async announce(tenant, announcement) {
      await redis.publish(keys.subscribed(tenant), JSON.stringify(announcement))
    },

    async distributedOf(job, id) {
      const key = effectKey({ v: 2, kind: 'notice', id, type: 'job.succeeded' })
      await remove(keys.outbox(job), key, dueEffect(job, key).member)
    },
  }
}
