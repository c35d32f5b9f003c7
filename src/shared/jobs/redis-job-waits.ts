import type { Redis } from 'ioredis'
import { z } from 'zod'
import type { Logger } from '../process/logger.ts'
import type { JobWaits } from './job-waits.ts'

/** Time to live of a note, longer than the interval of retries, ms */
const KEPT_MS = 5 * 60_000

const waitSchema = z.object({
  reason: z.enum(['files', 'copy', 'storage', 'recovery']),
  detail: z.string(),
  until: z.number().optional(),
})

/** One string with a time to live for each job. */
export function createRedisJobWaits(redis: Redis, keyOf: (job: string) => string, log: Logger): JobWaits {
  return {
    async note(job, wait) {
      try {
        if (wait === null) await redis.del(keyOf(job))
        else await redis.set(keyOf(job), JSON.stringify(wait), 'PX', KEPT_MS)
      } catch (error) {
        log.debug({ err: error, job }, 'could not record what a job waits for')
      }
    },
    async of(job) {
      const text = await redis.get(keyOf(job))
      return text === null ? null : waitSchema.parse(JSON.parse(text))
    },
  }
}
