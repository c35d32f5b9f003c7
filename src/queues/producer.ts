import { Queue } from 'bullmq'
import type { Redis } from 'ioredis'
import { effectKey } from '../shared/jobs/rules/job.ts'
import type { CopyTurns, Doorbells, JobLine } from '../shared/jobs/ports.ts'
import type { Place } from '../shared/jobs/rules/place.ts'
import type { Logger } from '../shared/process/logger.ts'
import {
  ADOPT,
  CANCEL,
  DOCTOR,
  doorbellId,
  forEachQueue,
  JOB_NOTICE,
  POLL,
  PRIORITY,
  PROGRESS,
  SEND,
  TENANT_NOTICE,
  WINDOW,
  type QueueName,
} from './contracts.ts'

export type Queues = Record<QueueName, Queue>

/** The sweep re-rings a lost doorbell; a kept one would block that. */
const ONCE = { removeOnComplete: true, removeOnFail: true, attempts: 1 } as const

/** Length of BullMQ's event streams, which have no readers. Redis trims whole nodes, so a smaller number saves nothing. */
const KEPT_QUEUE_EVENTS = 100

/**
 * The queues for producers. With both skip flags an add fails immediately while Redis is down, and works again afterwards
 * (docs/design.md, "Redis").
 */
export function createQueues(redis: Redis, prefix: string, log: Logger): Queues {
  const open = (name: QueueName): Queue => {
    const queue = new Queue(name, {
      connection: redis,
      prefix,
      skipWaitingForReady: true,
      skipVersionCheck: true,
      defaultJobOptions: ONCE,
      streams: { events: { maxLen: KEPT_QUEUE_EVENTS } },
    })
    queue.on('error', (error) => log.debug({ err: error, queue: name }, 'queue error'))
    return queue
  }
  return forEachQueue(open)
}

export async function closeQueues(queues: Queues): Promise<void> {
  await Promise.all(Object.values(queues).map((queue) => queue.close()))
}

export function createDoorbells(queues: Queues, line: Pick<JobLine, 'joinLine'> & CopyTurns): Doorbells {
  /** Jobs that come while a ring is under way, which the next ring is for. */
  let next: { places: Map<string, Place>; rung: PromiseWithResolvers<void> } | undefined
  let isRinging = false

  /**
   * The number is read after the jobs joined, and each doorbell counts when it claims. So a doorbell of this number has not
   * claimed yet and will find the jobs, and BullMQ ignores a second one of the same id; without one, this is it. At most
   * one doorbell of the line waits at a time.
   */
  async function ringAll(): Promise<void> {
    isRinging = true
    for (let ring = next; ring; ring = next) {
      next = undefined
      try {
        const { claims, waiting } = await line.joinLine([...ring.places.values()])
        if (waiting > 0) await queues.submit.add('line', { v: 2 }, { ...ONCE, jobId: doorbellId.line(claims) })
        ring.rung.resolve()
      } catch (error) {
        ring.rung.reject(error)
      }
    }
    isRinging = false
  }

  function ringFor(places: readonly Place[]): Promise<void> {
    if (next === undefined) {
      next = { places: new Map(), rung: Promise.withResolvers() }
      if (!isRinging) setImmediate(() => void (isRinging || ringAll()))
    }
    for (const place of places) next.places.set(place.job, place)
    return next.rung.promise
  }

  return {
    submit: (...places) => ringFor(places),
    line: () => ringFor([]),
    async poll(job, attempt, soon) {
      const priority = soon ? PRIORITY.expiring : PRIORITY.poll
      const options = { ...ONCE, jobId: doorbellId.poll(job, attempt), priority }
      await queues.poll.add(POLL, { v: 1, job, attempt }, options)
    },
    async adopt(account) {
      const options = { ...ONCE, jobId: doorbellId.adopt(account), priority: PRIORITY.adopt }
      await queues.poll.add(ADOPT, { v: 1, account }, options)
    },
    async window(account, { after, before }, soon, due) {
      const priority = soon ? PRIORITY.expiring : PRIORITY.poll
      const options = { ...ONCE, jobId: doorbellId.window(account, after, soon), priority }
      await queues.poll.add(WINDOW, { v: 1, account, after, before, due }, options)
    },
    async notice(tenant, id) {
      const options = { ...ONCE, jobId: doorbellId.tenantNotice(tenant, id) }
      await queues.notify.add(TENANT_NOTICE, { v: 1, tenant, id }, options)
    },
    async progress(job) {
      await queues.notify.add(PROGRESS, { v: 1, job }, { ...ONCE, jobId: doorbellId.progress(job) })
    },
    async send() {
      await queues.notify.add(SEND, { v: 1 }, { ...ONCE, jobId: doorbellId.send() })
    },
    async store({ id: job, tenant }, { attempt, expires_at }) {
      const id = doorbellId.store(job, attempt)
      const names = { key: queues.store.toKey(id), waiting: queues.store.toKey('prioritized') }
      const priority = await line.queueCopy({ id, ...names, tenant, expiresAt: expires_at })
      if (priority !== null) await queues.store.add('store', { v: 1, job, attempt }, { ...ONCE, jobId: id, priority })
    },
    async effect(job, effect) {
      if (effect.kind === 'notice') {
        const key = effectKey(effect)
        const options = { ...ONCE, jobId: doorbellId.jobNotice(job, key) }
        await queues.notify.add(JOB_NOTICE, { v: 1, job, effect: key }, options)
      } else {
        const key = effectKey(effect)
        const options = { ...ONCE, jobId: doorbellId.cancel(job, key), priority: PRIORITY.cancel }
        await queues.poll.add(CANCEL, { v: 1, job, effect: key }, options)
      }
    },
  }
}

/** Asks a worker for the checks of a run of the doctor. */
export const createDoctorBell = (queues: Pick<Queues, 'poll'>) => ({
  async ring(run: string): Promise<void> {
    const options = { ...ONCE, jobId: doorbellId.doctor(run), priority: PRIORITY.cancel }
    await queues.poll.add(DOCTOR, { v: 2, run }, options)
  },
  /** Takes a request back that no worker has taken. */
  async unring(run: string): Promise<void> {
    await queues.poll.remove(doorbellId.doctor(run))
  },
})
