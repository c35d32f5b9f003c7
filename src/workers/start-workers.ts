import { setTimeout as delay } from 'node:timers/promises'
import { DelayedError, WaitingError, Worker, type Job } from 'bullmq'
import type { Redis } from 'ioredis'
import {
  ADOPT,
  adoptPayload,
  CANCEL,
  cancelPayload,
  forEachQueue,
  pollPayload,
  QUEUES,
  storePayload,
  submitPayload,
  WINDOW,
  windowPayload,
  type QueueName,
} from '../queues/contracts.ts'
import type { Queues } from '../queues/producer.ts'
import { withDeadline } from '../shared/deadline.ts'
import { NewerRecordError } from '../shared/jobs/record-codec.ts'
import type { Timings } from '../shared/jobs/timings.ts'
import type { Logger } from '../shared/logger.ts'

export interface Processors {
  submit: (job: string, stopping: AbortSignal) => Promise<void>
  sweep: (stopping: AbortSignal) => Promise<void>
  poll: (job: string, attempt: number, stopping: AbortSignal) => Promise<void>
  cancel: (job: string, effect: string, stopping: AbortSignal) => Promise<void>
  adopt: (account: string, stopping: AbortSignal) => Promise<void>
  window: (
    account: string,
    window: { after: number; before: number; due: { job: string; attempt: number }[] },
    stopping: AbortSignal,
  ) => Promise<void>
  store: (job: string, attempt: number, stopping: AbortSignal) => Promise<void>
}

export interface StartWorkersOptions {
  /** Waits for Redis as long as it takes; BullMQ opens blocking connections beside it. */
  redis: Redis
  prefix: string
  queues: Queues
  processors: Processors
  timings: Timings
  /** Creates of this process are under way: what becomes of them must be written. */
  creating: () => boolean
  /** ms that running work has to end when the workers stop */
  stopWithin: number
  log: Logger
}

export interface RunningWorkers {
  /**
   * Queues in which doorbells wait although this process has free hands and has taken none since it was asked before. Now
   * and then that is chance; for a minute it is not.
   */
  neglected(): Promise<QueueName[]>
  /** Puts the scheduler of the sweep back, if it is gone. */
  restoreSweep(): Promise<void>
  stop(): Promise<void>
}

/** However often a killed worker's job starts again, it says nothing about the customer's job: the record decides. */
const MAX_STALLED = 1_000_000

const SCHEDULER = 'sweep'
/** A Redis that does not answer for so long is not waited for when the workers stop. */
const AWAY_MS = 1_000

const isNewer = (data: unknown): boolean =>
  typeof data === 'object' && data !== null && 'v' in data && typeof data.v === 'number' && data.v > 1

/**
 * ms until a doorbell that this release cannot serve is rung again, for workers of a newer one. While there are none it
 * rings ever less often, so that it costs little.
 */
const untilOtherHands = (taken: number, { sweepInterval }: Timings): number =>
  sweepInterval * Math.min(Math.max(taken / 10, 1), 10)

/** The only place that makes BullMQ workers. */
export async function startWorkers(options: StartWorkersOptions): Promise<RunningWorkers> {
  const { redis, prefix, queues, processors, timings, log } = options
  /** Ends every wait at once: for the budget, for a pause. */
  const waits = new AbortController()
  /** Ends running work too. */
  const work = new AbortController()
  const hands = forEachQueue(() => ({ busy: 0, taken: 0, takenBefore: 0 }))
  const open = (name: QueueName, run: (job: Job) => Promise<void>): Worker => {
    const processor = async (job: Job, token?: string): Promise<void> => {
      hands[name].taken++
      hands[name].busy++
      try {
        if (isNewer(job.data)) throw new NewerRecordError('a doorbell of a newer release')
        await run(job)
      } catch (error) {
        if (error instanceof NewerRecordError) {
          await job.moveToDelayed(Date.now() + untilOtherHands(job.attemptsStarted, timings), token)
          throw new DelayedError()
        }
        if (waits.signal.aborted) {
          await job.moveToWait(token)
          throw new WaitingError()
        }
        throw error
      } finally {
        hands[name].busy--
      }
    }
    const worker = new Worker(name, processor, {
      connection: redis,
      prefix,
      concurrency: QUEUES[name].concurrency,
      lockDuration: timings.doorbellLock,
      stalledInterval: timings.doorbellCheck,
      maxStalledCount: MAX_STALLED,
    })
    worker.on('error', (error) => log.debug({ err: error, queue: name }, 'worker error'))
    worker.on('failed', (job, error) => {
      log.warn({ err: error, queue: name, doorbell: job?.id }, 'a doorbell failed; the sweep rings again')
    })
    return worker
  }

  const workers = [
    open('submit', async ({ data }) => {
      const { job } = submitPayload.parse(data)
      await processors.submit(job, waits.signal)
    }),
    open('sweep', () => processors.sweep(waits.signal)),
    open('poll', async ({ name, data }) => {
      if (name === CANCEL) {
        const { job, effect } = cancelPayload.parse(data)
        await processors.cancel(job, effect, waits.signal)
      } else if (name === ADOPT) {
        await processors.adopt(adoptPayload.parse(data).account, waits.signal)
      } else if (name === WINDOW) {
        const { account, ...window } = windowPayload.parse(data)
        await processors.window(account, window, waits.signal)
      } else {
        const { job, attempt } = pollPayload.parse(data)
        await processors.poll(job, attempt, waits.signal)
      }
    }),
    open('store', async ({ data }) => {
      const { job, attempt } = storePayload.parse(data)
      await processors.store(job, attempt, work.signal)
    }),
  ]
  // An upsert also repairs a chain whose job was lost.
  const restoreSweep = async (): Promise<void> => {
    await queues.sweep.upsertJobScheduler(
      SCHEDULER,
      { every: timings.sweepInterval },
      { name: 'sweep', data: {}, opts: { removeOnComplete: true, removeOnFail: true } },
    )
  }
  try {
    await Promise.all(workers.map((worker) => worker.waitUntilReady()))
    await restoreSweep()
  } catch (error) {
    waits.abort(error)
    work.abort(error)
    await Promise.allSettled(workers.map((worker) => worker.close(true)))
    throw error
  }

  async function isNeglected(name: QueueName): Promise<boolean> {
    const { busy, taken, takenBefore } = hands[name]
    hands[name].takenBefore = taken
    if (busy >= QUEUES[name].concurrency || taken !== takenBefore) return false
    if (await queues[name].isPaused()) return false
    const { waiting = 0, prioritized = 0 } = await queues[name].getJobCounts('waiting', 'prioritized')
    return waiting + prioritized > 0
  }

  /** Redis is away and no create is under way: nothing can be handed back, and nothing is lost. */
  async function untilPointless(signal: AbortSignal): Promise<void> {
    const isAway = (): Promise<boolean> =>
      withDeadline(redis.ping(), AWAY_MS, 'PING').then(
        () => false,
        () => true,
      )
    while (!signal.aborted) {
      if (!options.creating() && (await isAway()) && !options.creating()) {
        log.info('Redis does not answer: the workers end without it')
        return
      }
      await delay(AWAY_MS, undefined, { signal, ref: false }).catch(() => undefined)
    }
    await new Promise<never>(() => undefined)
  }

  return {
    restoreSweep,
    async neglected() {
      const names = Object.values(forEachQueue((name) => name))
      const found = await Promise.all(names.map(isNeglected))
      return names.filter((_name, i) => found[i])
    },
    async stop() {
      waits.abort(new Error('the worker stops'))
      const closed = Promise.all(workers.map((worker) => worker.close()))
      const deadline = setTimeout(() => work.abort(new Error('the worker stops')), options.stopWithin)
      const ended = new AbortController()
      try {
        await Promise.race([closed, untilPointless(ended.signal)])
      } finally {
        ended.abort()
        clearTimeout(deadline)
      }
    },
  }
}
