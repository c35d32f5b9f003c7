import { hash, timingSafeEqual } from 'node:crypto'
import type { Redis } from 'ioredis'
import { LOGIN_CODE_S, newLoginCode, type LoginCodes } from './login-codes.ts'
import type { TenantKeys } from './tenant-keys.ts'

const CODE = /^[0-9a-f]{32}$/

/**
 * Codes that an operator asks for are kept in Redis as digests until they are used or expire; whoever can write there can
 * make API keys as well. `first`: a code that lives in this process alone; null for none.
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
