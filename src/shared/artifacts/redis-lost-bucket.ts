import type { Redis } from 'ioredis'
import type { StorageCheck } from './artifact-store.ts'

/** What is wrong while a deployment that kept files in a bucket runs without one; null: nothing. */
export type LostBucket = () => Promise<string | null>

/**
 * Each process that has a bucket writes its name to Redis. A process without one finds the name there: what was stored in
 * that bucket is out of reach until S3_BUCKET is set again.
 *
 * `configured`: the bucket of this process, or null.
 */
export const createLostBucket =
  (redis: Pick<Redis, 'get' | 'set'>, key: string, configured: string | null): LostBucket =>
  async () => {
    if (configured !== null) {
      await redis.set(key, configured)
      return null
    }
    const known = await redis.get(key)
    return known === null ? null : `files in the bucket ${known} are out of reach: S3_BUCKET is not set`
  }

/** Adds it to what a check says. New files can be stored all the same, so `ok` stays. */
export const withLostBucket =
  (check: () => Promise<StorageCheck>, lost: LostBucket) => async (): Promise<StorageCheck> => {
    const { ok, detail } = await check()
    const words = await lost().catch(() => null)
    return { ok, detail: words === null ? detail : `${detail}; ${words}` }
  }
