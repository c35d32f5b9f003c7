import type { Redis } from 'ioredis'
import type { JobKeys } from '../record/job-keys.ts'
import type { JobFigures, PredictionIndex } from '../ports.ts'
import type { Timings } from '../rules/timings.ts'

export function createRedisPredictionIndex({
  redis,
  keys,
  timings,
  now,
}: {
  redis: Redis
  keys: JobKeys
  timings: Pick<Timings, 'outputLifetime'>
  /** Approximate time of Redis, ms. */
  now: () => number
}): PredictionIndex & Pick<JobFigures, 'openPredictions'> {
  return {
    async unknownAttempts(account) {
      const flat = await redis.zrangebyscore(keys.unknown(account), '-inf', '+inf', 'WITHSCORES')
      return Array.from({ length: flat.length / 2 }, (_, i) => {
        const [job = '', n] = (flat[2 * i] ?? '').split(':')
        return { job, attempt: Number(n), intended_at: Number(flat[2 * i + 1]) }
      })
    },

    async unowned(account, predictions) {
      if (predictions.length === 0) return []
      const [owners, foreign] = await Promise.all([
        redis.mget(predictions.map((id) => keys.prediction(account, id))),
        redis.zmscore(keys.foreign(account), predictions),
      ])
      return predictions.filter((_id, i) => owners[i] === null && foreign[i] === null)
    },

    async openOwners(account, predictions) {
      const owners = new Map<string, { job: string; attempt: number }>()
      if (predictions.length === 0) return owners
      const members = await redis.mget(predictions.map((id) => keys.prediction(account, id)))
      const known = predictions.flatMap((id, i) => (members[i] ? [{ id, member: members[i] }] : []))
      if (known.length === 0) return owners
      const open = await redis.smismember(keys.open(account), ...known.map(({ member }) => member))
      for (const [i, { id, member }] of known.entries()) {
        const [job = '', n] = member.split(':')
        if (open[i] === 1) owners.set(id, { job, attempt: Number(n) })
      }
      return owners
    },

    async isForeign(account, prediction) {
      return (await redis.zscore(keys.foreign(account), prediction)) !== null
    },

    async rememberForeign(account, prediction) {
      const at = now()
      await redis
        .pipeline()
        .zadd(keys.foreign(account), String(at), prediction)
        .zremrangebyscore(keys.foreign(account), '-inf', String(at - 2 * timings.outputLifetime))
        .exec()
    },

    openPredictions: (account) => redis.scard(keys.open(account)),
  }
}
