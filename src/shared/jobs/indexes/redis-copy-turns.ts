import type { Redis } from 'ioredis'
import { clockLua } from '../../redis/clock.ts'
import { loadScript } from '../../redis/script.ts'
import type { CopyTurns } from '../ports.ts'
import type { JobKeys } from '../record/job-keys.ts'

const queueCopy = loadScript(new URL('queue-copy.lua', import.meta.url), { flags: ['allow-oom'], includes: [clockLua] })

export function createRedisCopyTurns({ redis, keys }: { redis: Redis; keys: JobKeys }): CopyTurns {
  return {
    async queueCopy({ id, key, waiting, tenant, expiresAt }) {
      const names = [key, waiting, keys.copyShares, keys.limits]
      return Number(await queueCopy(redis, names, [id, tenant, String(expiresAt)])) || null
    },
  }
}
