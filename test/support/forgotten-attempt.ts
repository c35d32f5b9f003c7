import type { Job } from '../../src/client/types.ts'
import type { TestService } from './start-service.ts'

/**
 * Leaves behind what a crash does that loses the last moments of Redis: a running job is in the line, and nothing of its first
 * attempt is known. `account`: that of the attempt. The job is in the account of new jobs.
 */
export async function forgetAttempt(
  { keys, redis }: Pick<TestService, 'keys' | 'redis'>,
  running: Pick<Job, 'id' | 'phase' | 'status' | 'prediction_id'>,
  account: string,
): Promise<void> {
  const { id, phase, status } = running
  await redis
    .multi()
    .hset(keys.job(id), 'phase', 'queued', 'status', 'queued', 'attempt', '0', 'prediction_id', '', 'rev', '1')
    .hset(keys.job(id), 'account', 'default', 'v', '1')
    .hdel(keys.job(id), 'submitted_at', 'prediction_created_at', 'started_at')
    .hdel(keys.job(id), ...(await redis.hkeys(keys.job(id))).filter((field) => field.startsWith('1.')))
    .del(keys.prediction(account, running.prediction_id ?? ''))
    .srem(keys.open(account), `${id}:1`)
    .zrem(keys.due, `attempt:${id}:1`)
    .hincrby(keys.phases, phase, -1)
    .hincrby(keys.phases, 'queued', 1)
    .zrem(keys.tenantStatus('default', status), id)
    .zadd(keys.tenantStatus('default', 'queued'), 0, id)
    .zadd(keys.due, 0, `job:${id}`)
    .script('FLUSH')
    .exec()
}
