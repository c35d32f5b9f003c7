import { setImmediate as nextTurn } from 'node:timers/promises'
import { dueJob } from '../shared/jobs/record/due-member.ts'
import { NewerRecordError } from '../shared/jobs/record/record-codec.ts'
import type { Doorbells, DueTimes, JobLine } from '../shared/jobs/ports.ts'
import type { Timings } from '../shared/jobs/rules/timings.ts'
import type { Logger } from '../shared/process/logger.ts'

export interface LineTakerOptions {
  store: Pick<JobLine, 'claimLine'> & DueTimes
  doorbells: Pick<Doorbells, 'submit' | 'line'>
  submit: (job: string, stopping: AbortSignal) => Promise<void>
  /** Jobs at the same time. */
  atOnce: number
  timings: Timings
  log: Logger
  stopping: AbortSignal
}

/**
 * Takes jobs from the line: as many as this process has room for, until the line is empty. A taken job has a lease in the
 * due index, so a job of a killed process comes back into the line by the sweep.
 */
export function createLineTaker({ store, doorbells, submit, atOnce, timings, log, stopping }: LineTakerOptions) {
  const inHand = new Map<string, Promise<void>>()
  const again = new Set<string>()
  /** The end of the next job, or of the process. */
  let ended = Promise.withResolvers<void>()
  stopping.addEventListener('abort', () => ended.resolve())

  async function untilRoom(): Promise<void> {
    while (inHand.size >= atOnce && !stopping.aborted) await ended.promise
    // Jobs that end in the same turn make room together.
    await nextTurn()
    stopping.throwIfAborted()
  }

  async function handle(id: string): Promise<void> {
    try {
      await submit(id, stopping)
    } catch (error) {
      await giveBack(id, error).catch((failure: unknown) => {
        log.warn({ err: failure, job: id }, 'could not put a job back in line; the sweep does it when its lease ends')
      })
    }
  }

  async function giveBack(id: string, error: unknown): Promise<void> {
    if (stopping.aborted) return doorbells.submit(id)
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
  async function handleAll(id: string): Promise<void> {
    do await handle(id)
    while (again.delete(id))
    inHand.delete(id)
    ended.resolve()
    ended = Promise.withResolvers()
  }

  function begin(id: string): void {
    if (inHand.has(id)) again.add(id)
    else inHand.set(id, handleAll(id))
  }

  return {
    /** Serves a doorbell of the line. Rings for the other workers when there is more than this process can take now. */
    async take(): Promise<void> {
      for (let isFirst = true; ; isFirst = false) {
        await untilRoom()
        const { jobs, left } = await store.claimLine(atOnce - inHand.size, isFirst)
        for (const id of jobs) begin(id)
        if (left === 0) return
        if (isFirst) await doorbells.line()
      }
    },

    /** Serves a doorbell of an earlier release, which names one job. */
    async takeOne(id: string): Promise<void> {
      await untilRoom()
      begin(id)
    },

    /** Resolves when no job is in hand. */
    async idle(): Promise<void> {
      while (inHand.size > 0) await Promise.all(inHand.values())
    },
  }
}
