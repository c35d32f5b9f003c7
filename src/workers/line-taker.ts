import { setImmediate as nextTurn } from 'node:timers/promises'
import { dueJob } from '../shared/jobs/record/due-member.ts'
import { NewerRecordError } from '../shared/jobs/record/record-codec.ts'
import type { Doorbells, DueTimes, JobLine } from '../shared/jobs/ports.ts'
import type { Place } from '../shared/jobs/rules/place.ts'
import type { Timings } from '../shared/jobs/rules/timings.ts'
import type { Logger } from '../shared/process/logger.ts'

/** What the line learns of a job in hand. */
export interface InHand {
  /** The lease of this process on the job; absent: none. */
  lease?: string
  /** Whether the job waits for its intent. It does not while its files are uploaded, or once its request may be sent. */
  waits(isWaiting: boolean): void
  /** The budget has a token every `everyMs`, and none now; 0: it had one at once. */
  limited(everyMs: number): void
  /** The lease ends: the job has to wait for something else, or (`isOver`) never comes back into line. */
  release(isOver: boolean): Promise<void>
}

export interface LineTakerOptions {
  store: Pick<JobLine, 'claimLine' | 'renewLeases' | 'endLease' | 'lease'> & DueTimes
  doorbells: Pick<Doorbells, 'submit' | 'line'>
  submit: (job: string, stopping: AbortSignal, inHand: InHand) => Promise<void>
  /** Jobs at the same time. */
  atOnce: number
  timings: Timings
  log: Logger
  stopping: AbortSignal
}

/** Time for which the jobs that wait for a token may wait, ms: a job that comes later may be of a tenant whose turn is next. */
const AHEAD_MS = 500

/**
 * Takes jobs from the line: as many as this process has room for, until the line is empty. A taken job has a lease, which is
 * renewed, so a job of a killed process comes back into the line by the sweep.
 *
 * Jobs that wait for a token of the budget are no longer in the order, so only as many are taken as get one soon.
 */
export function createLineTaker({ store, doorbells, submit, atOnce, timings, log, stopping }: LineTakerOptions) {
  /** `place`: null for a doorbell of an earlier release. */
  const inHand = new Map<string, { place: Place | null; done: Promise<void> }>()
  const again = new Map<string, Place | null>()
  const waiting = new Set<string>()
  /** Jobs that may wait for a token. */
  let ahead = atOnce
  /** A job has ended, or waits no more, or the process ends. */
  let moved = Promise.withResolvers<void>()
  stopping.addEventListener('abort', () => moved.resolve())

  const renewal = setInterval(() => {
    const leased = [...inHand].flatMap(([id, { place }]) => (place ? [id] : []))
    store.renewLeases(leased).catch((error: unknown) => {
      log.debug({ err: error }, 'could not renew the leases of jobs in hand')
    })
  }, timings.dueLease / 3)
  renewal.unref()

  const room = (): number => Math.min(atOnce - inHand.size, ahead - waiting.size)

  function move(): void {
    moved.resolve()
    moved = Promise.withResolvers()
  }

  async function untilRoom(): Promise<void> {
    while (room() <= 0 && !stopping.aborted) await moved.promise
    // Jobs that end in the same turn make room together.
    await nextTurn()
    stopping.throwIfAborted()
  }

  const seenOf = (id: string, isLeased: boolean): InHand => ({
    ...(isLeased ? { lease: store.lease } : {}),
    waits(isWaiting) {
      if (isWaiting) waiting.add(id)
      else if (waiting.delete(id)) move()
    },
    limited(everyMs) {
      ahead = Math.min(atOnce, everyMs > 0 ? Math.max(1, Math.floor(AHEAD_MS / everyMs)) : ahead + 1)
    },
    async release(isOver) {
      if (isLeased) await store.endLease(id, isOver)
    },
  })

  async function handle(id: string, place: Place | null): Promise<void> {
    waiting.add(id)
    try {
      await submit(id, stopping, seenOf(id, place !== null))
    } catch (error) {
      await giveBack(id, place, error).catch((failure: unknown) => {
        log.warn({ err: failure, job: id }, 'could not put a job back in line; the sweep does it when its lease ends')
      })
    } finally {
      waiting.delete(id)
    }
  }

  async function giveBack(id: string, place: Place | null, error: unknown): Promise<void> {
    if (stopping.aborted) return place === null ? undefined : doorbells.submit(place)
    // The sweep leaves it to a worker of the newer release.
    if (error instanceof NewerRecordError) return store.rearm(dueJob(id), timings.sweepInterval)
    log.warn(
      { err: error, job: id },
      'a job could not be submitted; the sweep puts it back in line when its lease ends',
    )
  }

  /**
   * A job that comes back into line while it is in hand is handled again afterwards: what it waited for may have happened
   * after this process had looked.
   */
  async function handleAll(id: string, place: Place | null): Promise<void> {
    await handle(id, place)
    for (let next = again.get(id); next !== undefined; next = again.get(id)) {
      again.delete(id)
      await handle(id, next)
    }
    inHand.delete(id)
    move()
  }

  function begin(id: string, place: Place | null): void {
    if (inHand.has(id)) again.set(id, place)
    else inHand.set(id, { place, done: handleAll(id, place) })
  }

  return {
    /** Serves a doorbell of the line. Rings for the other workers when there is more than this process can take now. */
    async take(): Promise<void> {
      for (let isFirst = true; ; isFirst = false) {
        await untilRoom()
        const { places, waiting: others } = await store.claimLine(room(), isFirst)
        for (const place of places) begin(place.job, place)
        if (others === 0) return
        if (isFirst) await doorbells.line()
      }
    },

    /** Serves a doorbell of an earlier release, which names one job. */
    async takeOne(id: string): Promise<void> {
      await untilRoom()
      begin(id, null)
    },

    /** Resolves when no job is in hand. */
    async idle(): Promise<void> {
      while (inHand.size > 0) await Promise.all([...inHand.values()].map(({ done }) => done))
      clearInterval(renewal)
    },
  }
}
