import { Redis } from 'ioredis'
import { afterAll } from 'vitest'
import { closeQueues, createDoorbells, createQueues } from '../../src/queues/producer.ts'
import { createLogger } from '../../src/shared/process/logger.ts'
import { startWorkers, type Processors } from '../../src/workers/start-workers.ts'
import type { JobScene } from './job-scene.ts'
import { freshPrefix, testRedisUrl } from './redis.ts'

const log = createLogger({ level: 'silent', readable: false })
const nothing = (): Promise<void> => Promise.resolve()
const IDLE: Processors = {
  submit: nothing,
  sweep: nothing,
  poll: nothing,
  cancel: nothing,
  adopt: nothing,
  doctor: nothing,
  window: nothing,
  store: nothing,
  jobNotice: nothing,
  tenantNotice: nothing,
  send: nothing,
  progress: nothing,
}

/** Queues with doorbells for the jobs of a scene, and real workers on them. */
export function queueScene({ store, timings }: Pick<JobScene, 'store' | 'timings'>) {
  const prefix = `{${freshPrefix()}}:queue`
  const redis = new Redis(testRedisUrl(), { maxRetriesPerRequest: null })
  const queues = createQueues(redis, prefix, log)
  const doorbells = createDoorbells(queues, store)
  const running = new Set<{ stop(): Promise<void> }>()
  afterAll(async () => {
    await Promise.all([...running].map((one) => one.stop()))
    await closeQueues(queues)
    redis.disconnect()
  })
  return {
    queues,
    doorbells,
    /** Starts a worker process; it does nothing with the doorbells of other queues. */
    async worker(processors: Partial<Processors>) {
      const worker = await startWorkers({
        redis,
        prefix,
        queues,
        doorbells,
        store,
        timings,
        creating: () => false,
        stopWithin: 1000,
        log,
        processors: { ...IDLE, ...processors },
      })
      running.add(worker)
      return {
        async stop(): Promise<void> {
          running.delete(worker)
          await worker.stop()
        },
      }
    },
  }
}
