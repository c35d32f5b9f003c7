import type { Batch } from './description/batches.ts'
import type { Job } from './description/jobs.ts'
import type { BatchRecord } from '../shared/batches/rules/batch.ts'
import { ServiceError } from '../shared/errors/service-error.ts'
import { compareIds, type EventHub, type JobChange } from '../shared/events/event-hub.ts'
import { isFinal, type JobRecord } from '../shared/jobs/rules/job.ts'
import type { JobReader } from '../shared/jobs/ports.ts'
import type { Logger } from '../shared/process/logger.ts'
import { spread } from '../shared/values/spread.ts'
import type { ApiResponse, EventSource } from './http.ts'
import { EVENT_ID } from './schemas.ts'

export interface EventStreamsOptions {
  hub: EventHub
  store: JobReader
  show: (job: JobRecord) => Promise<Job>
  /** Prefix of this deployment's event ids, which are invalid in other deployments. */
  epoch: string
  limits: { perTenant: number; total: number }
  log: Logger
}

interface Shown {
  job: JobRecord
  data: Job
}

/** Interval of reads without an event, because one can be lost while Redis is unreachable, ms. */
const READ_AGAIN_MS = 15_000

/** Limit of changed jobs that wait for a slow reader; above it, the reader gets a `reset`. */
const MAX_WAITING = 10_000

/**
 * Server-sent events. A job's stream sends the whole job, id = rev: register first, then read, drop older revisions.
 * A tenant's stream sends each changed job, id = `<epoch>-<stream id>`; a position that cannot be replayed gives a `reset`.
 * Several changes of one job while it is being read become one event with the newest state.
 */
export function createEventStreams({ hub, store, show, epoch, limits, log }: EventStreamsOptions) {
  const open = new Map<string, number>()
  let total = 0

  function enter(tenant: string): () => void {
    const mine = open.get(tenant) ?? 0
    if (total >= limits.total || mine >= limits.perTenant)
      throw new ServiceError('too_many_streams', `Too many event streams are open. The limit is ${limits.perTenant}.`, {
        retryAfter: 10,
      })
    total++
    open.set(tenant, mine + 1)
    let left = false
    return () => {
      if (left) return
      left = true
      total--
      const now = (open.get(tenant) ?? 1) - 1
      if (now === 0) open.delete(tenant)
      else open.set(tenant, now)
    }
  }

  /** Ends all open streams when Redis becomes silent, because an open stream implies that nothing changes. */
  const whileHeard =
    (source: EventSource): EventSource =>
    (send, end) => {
      const stopListening = hub.onSilence(end)
      const stop = source(send, end)
      return () => {
        stopListening()
        stop()
      }
    }

  /** Single-flight: many streams that request the same object in one turn of the event loop share one read. */
  const turn = new Map<string, Promise<Shown | null>>()
  async function readNow(id: string): Promise<Shown | null> {
    const job = await store.read(id)
    return job && { job, data: await show(job) }
  }
  function read(id: string): Promise<Shown | null> {
    const reading = turn.get(id) ?? readNow(id)
    if (turn.size === 0) setImmediate(() => turn.clear())
    turn.set(id, reading)
    return reading
  }

  /** Coalesces calls: runs `work`, and once more when calls arrived meanwhile. */
  function coalesce(work: () => Promise<void>): () => void {
    let running = false
    let again = false
    const run = async (): Promise<void> => {
      do {
        again = false
        await work()
      } while (again)
      running = false
    }
    return () => {
      again = true
      if (running) return
      running = true
      run().catch((error: unknown) => {
        running = false
        log.warn({ err: error }, 'an event could not be read')
      })
    }
  }

  return {
    /** Counts a stream of a tenant; returns a function that ends it. Throws `too_many_streams`. */
    enter,

    ofJob(tenant: string, id: string): ApiResponse {
      const leave = enter(tenant)
      return {
        events: whileHeard((send, end) => {
          let seen = ''
          const look = coalesce(async () => {
            const shown = await read(id)
            if (shown === null) return end()
            const { job, data } = shown
            const mark = `${job.rev}:${job.progress ?? ''}`
            if (mark !== seen) await send({ id: String(job.rev), event: 'job', data })
            seen = mark
            if (isFinal(job.phase)) end()
          })
          const stop = hub.onJob(id, look)
          // Periodic re-read, because an event can be lost while Redis is unreachable.
          const timer = setInterval(look, spread(READ_AGAIN_MS))
          look()
          return () => {
            clearInterval(timer)
            stop()
            leave()
          }
        }),
      }
    },

    /** Sends the whole batch at each change until it is over, coalescing changes; id = `<epoch>-<stream id>`. */
    ofBatch(
      tenant: string,
      id: string,
      read: (id: string) => Promise<BatchRecord | null>,
      show: (batch: BatchRecord) => Batch,
    ): ApiResponse {
      const leave = enter(tenant)
      return {
        events: whileHeard((send, end) => {
          let seen = ''
          let position = '0-0'
          const look = coalesce(async () => {
            const batch = await read(id)
            if (batch === null) return end()
            const { estimated_end_at: _end, ...shown } = show(batch)
            const mark = JSON.stringify(shown)
            if (mark !== seen) await send({ id: `${epoch}-${position}`, event: 'batch', data: show(batch) })
            seen = mark
            if (batch.completed_at !== null) end()
          })
          const stop = hub.onBatch(id, ({ stream }) => {
            position = stream ?? position
            look()
          })
          // Periodic re-read, because an event can be lost while Redis is unreachable.
          const timer = setInterval(look, spread(READ_AGAIN_MS))
          look()
          return () => {
            clearInterval(timer)
            stop()
            leave()
          }
        }),
      }
    },

    ofTenant(tenant: string, last: string | null): ApiResponse {
      const from = last === null ? null : parsePosition(last, epoch)
      const leave = enter(tenant)
      return {
        events: whileHeard((send, end) => {
          /** Changed jobs by their latest change; the id of an event covers all earlier ones. */
          const waiting = new Map<string, string | null>()
          let position = from ?? '0-0'
          let begun = false
          let left = false
          const idOf = (): string => `${epoch}-${position}`
          const flush = coalesce(async () => {
            while (waiting.size > 0 && !left) {
              const [entry] = waiting
              if (!entry) return
              const [id, stream] = entry
              waiting.delete(id)
              // Skipping it would lose it, so the stream ends and the reader resumes from its last id.
              const shown = await read(id).catch((error: unknown) => {
                end()
                throw error
              })
              if (stream !== null) position = stream
              if (shown?.job.tenant === tenant) await send({ id: idOf(), event: 'job', data: shown.data })
            }
          })
          const note = ({ job, stream }: Pick<JobChange, 'job' | 'stream'>): void => {
            // Seen before: the hub reads behind, and a reader that resumes gets missed changes first.
            if (stream !== null && compareIds(stream, position) <= 0) return
            if (stream !== null) waiting.delete(job)
            waiting.set(job, stream ?? waiting.get(job) ?? null)
            if (waiting.size > MAX_WAITING) end()
            else if (begun) flush()
          }
          const stop = hub.onTenant(tenant, note)
          const begin = async (): Promise<void> => {
            const missed = from === null ? null : await hub.since(tenant, from)
            if (missed === null) position = await hub.position()
            // A client with the position of another deployment must reload everything.
            await send({ id: idOf(), event: missed || last === null ? 'ready' : 'reset', data: {} })
            // Missed changes are sent before new ones.
            const meanwhile = [...waiting].map(([job, stream]) => ({ job, stream }))
            waiting.clear()
            for (const change of [...(missed ?? []), ...meanwhile]) note(change)
            begun = true
            flush()
          }
          begin().catch((error: unknown) => {
            log.warn({ err: error }, 'an event stream could not start')
            // The reader reloads everything and reconnects.
            void send({ id: '', event: 'reset', data: {} })
            end()
          })
          return () => {
            left = true
            stop()
            leave()
          }
        }),
      }
    },
  }
}

export type EventStreams = ReturnType<typeof createEventStreams>

/** Stream id in `<epoch>-<ms>-<sequence>`; null for another epoch. Throws for invalid text. */
function parsePosition(last: string, epoch: string): string | null {
  const match = EVENT_ID.exec(last)
  if (!match) throw new ServiceError('invalid_header', 'Last-Event-ID is not an id of this stream.')
  return match[1] === epoch ? (match[2] ?? null) : null
}
