import type { Redis } from 'ioredis'
import type { JobStore } from '../../src/shared/jobs/ports.ts'
import { redisRun } from '../../src/shared/redis/script.ts'

/** Lets creates begin without a recovery: where nothing runs upstream there is nothing to recover. */
export async function openGate(redis: Redis, store: JobStore): Promise<void> {
  if (!(await store.allowIntents(await redisRun(redis)))) throw new Error('Redis was started anew meanwhile')
}
