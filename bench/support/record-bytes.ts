import type { Fleet } from '../../test/support/start-processes.ts'

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
    sum.payload += JSON.stringify(job?.input).length + JSON.stringify(job?.output).length
  }
  const mean = (bytes: number): number => Math.round(bytes / ids.length)
  return {
    record: mean(sum.own - sum.payload),
    parts: Object.fromEntries([...parts].map(([part, bytes]) => [part, mean(bytes)])),
    payload: mean(sum.payload),
    beside: mean(sum.beside),
  }
}

/** Goal for `record` of a finished job, bytes. */
export const FINISHED_RECORD_GOAL = 500
