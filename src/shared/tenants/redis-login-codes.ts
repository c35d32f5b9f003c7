import { hash, timingSafeEqual } from 'node:crypto'
import type { Redis } from 'ioredis'
import { LOGIN_CODE_S, newLoginCode, type LoginCodes } from './login-codes.ts'
import type { TenantKeys } from './tenant-keys.ts'

const CODE = /^[0-9a-f]{32}$/

/**
 * Stores the digests of codes in Redis until the codes are used or expire. Write access to Redis also allows the creation of
 * API keys, so this adds no risk. `first`: a code known to this process only; null for none.
 */
export function createRedisLoginCodes(redis: Redis, keys: TenantKeys, first: string | null = null): LoginCodes {
  const digest = (code: string): string => hash('sha256', code, 'hex')
  let ofProcess = first === null ? null : Buffer.from(digest(first))
  return {
    async make() {
      const code = newLoginCode()
      await redis.set(keys.loginCode(digest(code)), '1', 'EX', LOGIN_CODE_S)
      return code
    },
    async redeem(code) {
      if (!CODE.test(code)) return false
      const given = digest(code)
      if (ofProcess !== null && timingSafeEqual(Buffer.from(given), ofProcess)) {
        ofProcess = null
        return true
      }
      return (await redis.getdel(keys.loginCode(given))) !== null
    },
  }
}
