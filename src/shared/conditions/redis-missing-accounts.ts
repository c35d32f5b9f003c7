import type { Redis } from 'ioredis'

/** Remembers the accounts that were ever configured, and finds those that are missing although something of them is open. */
export function createMissingAccounts({
  redis,
  key,
  configured,
  openIn,
}: {
  redis: Redis
  /** Set of the names. */
  key: string
  configured: readonly string[]
  /** Open predictions of an account, and creates with an unknown outcome. */
  openIn: (account: string) => Promise<number>
}): () => Promise<string | null> {
  let isNoted = false
  return async () => {
    if (!isNoted) await redis.sadd(key, ...configured)
    isNoted = true
    const others = (await redis.smembers(key)).filter((name) => !configured.includes(name))
    const counts = await Promise.all(others.map(async (name) => ({ name, open: await openIn(name) })))
    const missing = counts.filter(({ open }) => open > 0)
    return missing.length === 0 ? null : missing.map(({ name, open }) => `${name}: ${open}`).join(', ')
  }
}
