import { setTimeout as delay } from 'node:timers/promises'
import { DelayedError, WaitingError, Worker, type Job } from 'bullmq'
import type { Redis } from 'ioredis'
import {
  ADOPT,
  adoptPayload,
  CANCEL,
  cancelPayload,
  DOCTOR,
  doctorPayload,
  forEachQueue,
  JOB_NOTICE,
  jobNoticePayload,
  pollPayload,
  PROGRESS,
  progressPayload,
  QUEUES,
  storePayload,
  submitPayload,
  SUBMITS_AT_ONCE,
  TENANT_NOTICE,
  tenantNoticePayload,
  WINDOW,
  windowPayload,
  type QueueName,
} from '../queues/contracts.ts'
import type { Queues } from '../queues/producer.ts'
import { withDeadline } from '../shared/values/deadline.ts'
import { NewerRecordError } from '../shared/jobs/record/record-codec.ts'
import type { Timings } from '../shared/jobs/rules/timings.ts'
import type { DeadLetters, Doorbells, DueTimes, JobLine } from '../shared/jobs/ports.ts'
import type { Logger } from '../shared/process/logger.ts'
import { createLineTaker, type InHand } from './line-taker.ts'
import { removeBrokenDoorbell } from './broken-doorbell.ts'

export interface Processors {
  submit: (job: string, stopping: AbortSignal, inHand: InHand) => Promise<void>
  sweep: (stopping: AbortSignal) => Promise<void>
  poll: (job: string, attempt: number, stopping: AbortSignal) => Promise<void>
  cancel: (job: string, effect: string, stopping: AbortSignal) => Promise<void>
  adopt: (account: string, stopping: AbortSignal) => Promise<void>
  /** The checks of a worker for a run of the doctor. */
  doctor: (run: string) => Promise<void>
  window: (
    account: string,
    window: { after: number; before: number; due: { job: string; attempt: number }[] },
    stopping: AbortSignal,
  ) => Promise<void>
  store: (job: string, attempt: number, stopping: AbortSignal) => Promise<void>
  /** Distributes a row of a job's outbox to receivers; `effect`: its key. */
  jobNotice: (job: string, effect: string, stopping: AbortSignal) => Promise<void>
  /** The same for a row of a tenant's outbox. */
  tenantNotice: (tenant: string, id: string, stopping: AbortSignal) => Promise<void>
  /** Sends the progress of a job, where somebody hears of it. */
  progress: (job: string, stopping: AbortSignal) => Promise<void>
  /** Sends notifications that are due. */
  send: (stopping: AbortSignal) => Promise<void>
}

export interface StartWorkersOptions {
  /** Retries commands without a limit; BullMQ opens further connections for blocking reads. */
  redis: Redis
  prefix: string
  queues: Queues
  store: Pick<JobLine, 'claimLine' | 'renewLeases' | 'endLease' | 'lease'> & DueTimes & DeadLetters
  processors: Processors
  timings: Timings
  doorbells: Pick<Doorbells, 'submit' | 'line'>
  /** Whether creates of this process are in flight, whose outcomes must be written. */
  creating: () => boolean
  /** Time for running work to complete when the workers stop, ms */
  stopWithin: number
  log: Logger
}

export interface RunningWorkers {
  /**
   * Queues in which doorbells wait although this process has free capacity and has taken none since the previous call. A
   * single occurrence may be chance; a minute of them is not.
   */
  neglected(): Promise<QueueName[]>
  /** Restores the scheduler of the sweep, if it is missing. */
  restoreSweep(): Promise<void>
  stop(): Promise<void>
}

/** Effectively unlimited: a doorbell that stalls with a killed worker says nothing about the job, whose record decides. */
const MAX_STALLED = 1_000_000

const SCHEDULER = 'sweep'
/** Timeout of a PING during shutdown; Redis then counts as unreachable, ms */
const AWAY_MS = 1_000
/** Time for connections to close when the work of a stopping process is over, ms */
const CONNECTIONS_WITHIN_MS = 3_000
const BUSY_NAP_MS = 50

const isNewer = (name: QueueName, data: unknown): boolean =>
  typeof data === 'object' &&
  data !== null &&
  'v' in data &&
  typeof data.v === 'number' &&
  data.v > QUEUES[name].version

/**
 * ms until a doorbell that this release cannot serve is rung again, for workers of a newer release. The backoff keeps this
 * cheap while there are none.
 */
const untilNewerRelease = (taken: number, { sweepInterval }: Timings): number =>
  sweepInterval * Math.min(Math.max(taken / 10, 1), 10)

/** Starts the BullMQ workers; the only place that creates them. */
export async function startWorkers(options: StartWorkersOptions): Promise<RunningWorkers> {
  const { redis, prefix, queues, processors, timings, log } = options
  /** Aborts every wait immediately: for the budget, for a pause. */
  const waits = new AbortController()
  /** Aborts running work too. */
  const work = new AbortController()
  const load = forEachQueue(() => ({ busy: 0, taken: 0, takenBefore: 0 }))
  /** A stalled doorbell is that of a killed worker, or one that BullMQ cannot read. */
  async function parkBroken(name: QueueName, id: string): Promise<void> {
    if (!(await removeBrokenDoorbell(redis, queues[name], id))) return
    log.error(
      { queue: name, doorbell: id },
      'a queue entry was damaged in Redis and is removed; the sweep queues its job again',
    )
    const job = /job_[0-9A-HJKMNP-TV-Z]{26}/.exec(id)?.[0] ?? ''
    await options.store.deadLetter({ reason: 'broken_doorbell', job, prediction: '', webhook_id: '' })
  }
  const open = (name: QueueName, run: (job: Job) => Promise<void>): Worker => {
    const processor = async (job: Job, token?: string): Promise<void> => {
      load[name].taken++
      load[name].busy++
      try {
        if (isNewer(name, job.data)) throw new NewerRecordError('the queue entry was written by a newer release')
        await run(job)
      } catch (error) {
        if (error instanceof NewerRecordError) {
          await job.moveToDelayed(Date.now() + untilNewerRelease(job.attemptsStarted, timings), token)
          throw new DelayedError()
        }
        if (waits.signal.aborted) {
          await job.moveToWait(token)
          throw new WaitingError()
        }
        throw error
      } finally {
        load[name].busy--
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
      log.warn({ err: error, queue: name, doorbell: job?.id }, 'a queue entry failed; the sweep queues its job again')
    })
    worker.on('stalled', (id) => {
      parkBroken(name, id).catch((error: unknown) => {
        log.warn(
          { err: error, queue: name, doorbell: id },
          'a stalled queue entry could not be checked; it is checked again when it stalls next',
        )
      })
    })
    return worker
  }

  const line = createLineTaker({
    store: options.store,
    doorbells: options.doorbells,
    submit: processors.submit,
    atOnce: SUBMITS_AT_ONCE,
    timings,
    log,
    stopping: waits.signal,
  })
  const workers = [
    open('submit', async ({ data }) => {
      const payload = submitPayload.parse(data)
      await (payload.v === 1 ? line.takeOne(payload.job) : line.take())
    }),
    open('sweep', () => processors.sweep(waits.signal)),
    open('poll', async ({ name, data }) => {
      if (name === CANCEL) {
        const { job, effect } = cancelPayload.parse(data)
        await processors.cancel(job, effect, waits.signal)
      } else if (name === ADOPT) {
        await processors.adopt(adoptPayload.parse(data).account, waits.signal)
      } else if (name === DOCTOR) {
        await processors.doctor(doctorPayload.parse(data).run)
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
    open('notify', async ({ name, data }) => {
      if (name === JOB_NOTICE) {
        const { job, effect } = jobNoticePayload.parse(data)
        await processors.jobNotice(job, effect, waits.signal)
      } else if (name === TENANT_NOTICE) {
        const { tenant, id } = tenantNoticePayload.parse(data)
        await processors.tenantNotice(tenant, id, waits.signal)
      } else if (name === PROGRESS) await processors.progress(progressPayload.parse(data).job, waits.signal)
      else await processors.send(work.signal)
    }),
  ]
  // An upsert also repairs a scheduler whose next job was lost.
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
    const { busy, taken, takenBefore } = load[name]
    load[name].takenBefore = taken
    if (busy >= QUEUES[name].concurrency || taken !== takenBefore) return false
    if (await queues[name].isPaused()) return false
    const { waiting = 0, prioritized = 0 } = await queues[name].getJobCounts('waiting', 'prioritized')
    return waiting + prioritized > 0
  }

  /** Resolves when Redis is unreachable and no create is in flight: no doorbell can be returned, and nothing is lost. */
  async function untilRedisAway(signal: AbortSignal): Promise<void> {
    const isAway = (): Promise<boolean> =>
      withDeadline(redis.ping(), AWAY_MS, 'PING').then(
        () => false,
        () => true,
      )
    while (!signal.aborted) {
      if (!options.creating() && (await isAway()) && !options.creating()) {
        log.info('Redis does not respond: the workers stop without it')
        return
      }
      await delay(AWAY_MS, undefined, { signal, ref: false }).catch(() => undefined)
    }
    await new Promise<never>(() => undefined)
  }

  /**
   * Resolves some time after the last work ended. BullMQ waits without a limit for the end of its connection for blocking
   * reads, which never comes while that one waits to connect again.
   */
  async function untilWorkOver(signal: AbortSignal): Promise<void> {
    const nap = (ms: number): Promise<unknown> => delay(ms, undefined, { signal }).catch(() => undefined)
    await line.idle()
    while (!signal.aborted && Object.values(load).some(({ busy }) => busy > 0)) await nap(BUSY_NAP_MS)
    await nap(CONNECTIONS_WITHIN_MS)
  }

  return {
    restoreSweep,
    async neglected() {
      const names = Object.values(forEachQueue((name) => name))
      const found = await Promise.all(names.map(isNeglected))
      return names.filter((_name, i) => found[i])
    },
    async stop() {
      waits.abort(new Error('the worker is stopping'))
      const closed = Promise.all([...workers.map((worker) => worker.close()), line.idle()])
      const deadline = setTimeout(() => work.abort(new Error('the worker is stopping')), options.stopWithin)
      const ended = new AbortController()
      try {
        await Promise.race([closed, untilRedisAway(ended.signal), untilWorkOver(ended.signal)])
      } finally {
        ended.abort()
        clearTimeout(deadline)
      }
    },
  }
}
