import type { Redis } from 'ioredis'
import { z } from 'zod'
import { clockLua, redisNow } from '../redis/clock.ts'
import { loadScript } from '../redis/script.ts'
import type { SigningSecretStore } from './ports.ts'
import { makeSecret, MOST_PREVIOUS, type SigningSecrets } from './rules/signing-secret.ts'
import type { TenantKeys } from './tenant-keys.ts'

const signingSecrets = loadScript(new URL('signing-secrets.lua', import.meta.url), { includes: [clockLua] })

const secretsSchema = z
  .array(z.object({ key: z.string(), created_at: z.coerce.number(), expires_at: z.coerce.number() }))
  .min(1)

export function createRedisSigningSecrets(redis: Redis, keys: TenantKeys): SigningSecretStore {
  async function write(tenant: string, graceMs: string): Promise<SigningSecrets> {
    const args = [tenant, makeSecret(), graceMs, String(MOST_PREVIOUS)]
    return decode(String(await signingSecrets(redis, [keys.signingSecrets], args)))
  }

  async function decode(text: string): Promise<SigningSecrets> {
    const [current, ...replaced] = secretsSchema.parse(JSON.parse(text))
    if (current === undefined) throw new Error('a tenant has no signing secret')
    const now = replaced.length === 0 ? 0 : await redisNow(redis)
    return {
      current: { key: current.key, created_at: current.created_at },
      previous: replaced.filter(({ expires_at }) => expires_at > now),
    }
  }

  return {
    async read(tenant) {
      const known = await redis.hget(keys.signingSecrets, tenant)
      return known === null ? write(tenant, '') : decode(known)
    },
    rotate: (tenant, graceMs) => write(tenant, String(graceMs)),
  }
}
