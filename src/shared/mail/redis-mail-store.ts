import { hash } from 'node:crypto'
import type { Redis } from 'ioredis'
import type { JobKeys } from '../jobs/record/job-keys.ts'
import type { Rate } from '../limits/rules/budget.ts'
import { takeToken, tokenArguments } from '../limits/token-script.ts'
import { redisNow } from '../redis/clock.ts'
import type { ConfirmationUse, MailStore } from './ports.ts'
import { addressKey } from './rules/address.ts'

const DAY_MS = 86_400_000
/** Per day, and at once. */
const CONFIRMATIONS: Record<ConfirmationUse, { perDay: number; burst: number }> = {
  request: { perDay: 6, burst: 3 },
  attempt: { perDay: 24, burst: 12 },
}

/** Addresses are kept as digests. */
const digestOf = (address: string): string => hash('sha256', addressKey(address), 'hex')

export function createRedisMailStore({
  redis,
  keys,
}: {
  redis: Redis
  keys: Pick<JobKeys, 'unsubscribed' | 'mailBudget' | 'confirmations'>
}): MailStore {
  const takeOf = async (key: string, rate: Rate): Promise<number> =>
    Number(await takeToken(redis, [key], tokenArguments(rate)))

  return {
    isUnsubscribed: async (tenant, address) =>
      (await redis.hexists(keys.unsubscribed(tenant), digestOf(address))) === 1,

    async unsubscribe(tenant, address) {
      await redis.hsetnx(keys.unsubscribed(tenant), digestOf(address), String(await redisNow(redis)))
    },

    async subscribe(tenant, address) {
      await redis.hdel(keys.unsubscribed(tenant), digestOf(address))
    },

    take: (tenant, perHour) => takeOf(keys.mailBudget(tenant), { perMinute: perHour / 60, burst: perHour }),

    async takeConfirmation(tenant, address, use) {
      const { perDay, burst } = CONFIRMATIONS[use]
      const key = keys.confirmations(tenant, use, digestOf(address))
      const wait = await takeOf(key, { perMinute: perDay / (24 * 60), burst })
      await redis.pexpire(key, 2 * DAY_MS)
      return wait
    },
  }
}
