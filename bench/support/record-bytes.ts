import type { Fleet } from '../../test/support/start-processes.ts'
import { waitFor } from '../../test/support/wait-for.ts'

/** Bytes of Redis for each of these jobs, means of `MEMORY USAGE`. */
export interface RecordBytes {
  /** Its own keys: those whose names begin with that of its record, without the payload. */
  record: number
  /** Each of its own keys, with the payload: `hash`, or the end of the name. */
  parts: Record<string, number>
  /** JSON of its input and output. */
  payload: number
  /** Other keys with its id in their names, such as its attempts. */
  beside: number
}

export async function recordBytes({ redis, keys, clients }: Fleet, ids: readonly string[]): Promise<RecordBytes> {
  const sum = { own: 0, beside: 0, payload: 0 }
  const parts = new Map<string, number>()
  const wanted = new Set(ids)
  for await (const page of redis.scanStream({ match: `${keys.tag}:*job_*`, count: 1000 })) {
    for (const key of page as string[]) {
      const id = /job_[0-9A-Z]+/.exec(key)?.[0] ?? ''
      if (!wanted.has(id)) continue
      const bytes = (await redis.memory('USAGE', key)) ?? 0
      const isOwn = key.startsWith(keys.job(id))
      sum[isOwn ? 'own' : 'beside'] += bytes
      const part = key.slice(keys.job(id).length + 1) || 'hash'
      if (isOwn) parts.set(part, (parts.get(part) ?? 0) + bytes)
    }
  }
  for (const id of ids) {
    const job = await clients[0]?.get(id)
    // A removed payload takes nothing.
    for (const value of [job?.input, job?.output]) sum.payload += value === null ? 0 : JSON.stringify(value).length
  }
  const mean = (bytes: number): number => Math.round(bytes / ids.length)
  return {
    record: mean(sum.own - sum.payload),
    parts: Object.fromEntries([...parts].map(([part, bytes]) => [part, mean(bytes)])),
    payload: mean(sum.payload),
    beside: mean(sum.beside),
  }
}

/** Moves the completion of jobs a day back, and waits until their payload is removed and their records are folded. */
export async function cleanUpPayloads({ redis, keys }: Fleet, ids: readonly string[]): Promise<void> {
  for (const id of ids) {
    await redis.hset(keys.job(id), 'completed_at', String(Date.now() - 25 * 3_600_000))
    await redis.zadd(keys.retention, 'XX', 0, id)
  }
  await waitFor('the records to be folded', async () => {
    const versions = await Promise.all(ids.map((id) => redis.hget(keys.job(id), 'v')))
    return versions.every((version) => version === '2')
  })
}

/** Goal for `record` of a finished job, bytes. */
export const FINISHED_RECORD_GOAL = 500
