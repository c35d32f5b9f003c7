import type { Queue } from 'bullmq'
import type { Redis } from 'ioredis'

/**
 * Removes a doorbell whose data or options are not JSON. BullMQ fails to read it before a processor sees it, so it would stay
 * active and be retried for ever. Returns whether it was broken and is removed; the sweep rings again for its job.
 */
export async function removeBrokenDoorbell(redis: Redis, queue: Queue, id: string): Promise<boolean> {
  const [data, options] = await redis.hmget(queue.toKey(id), 'data', 'opts')
  if (isJson(data) && isJson(options)) return false
  // BullMQ takes it again immediately after each stall, and does not remove what is locked; no processor works on it.
  await redis.del(`${queue.toKey(id)}:lock`)
  return (await queue.remove(id)) === 1
}

/** Whether BullMQ can read it; a missing field counts as empty. */
function isJson(text: string | null | undefined): boolean {
  if (!text) return true
  try {
    JSON.parse(text)
    return true
  } catch {
    return false
  }
}
