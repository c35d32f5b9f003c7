import type { Batch } from './description/batches.ts'
import type { Job } from './description/jobs.ts'
import type { BatchRecord } from '../shared/batches/rules/batch.ts'
import { ServiceError } from '../shared/errors/service-error.ts'
import { compareIds, type EventHub, type JobChange, type Unsubscribe } from '../shared/events/event-hub.ts'
import { isFinal, type JobRecord } from '../shared/jobs/rules/job.ts'
import type { JobReader } from '../shared/jobs/ports.ts'
import type { Logger } from '../shared/process/logger.ts'
import { spread } from '../shared/values/spread.ts'
import type { ApiResponse, EventSource, ServerEvent } from './http.ts'
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

/** A stream of many jobs. */
export interface ManyJobs {
  /** Tenant whose jobs it shows; null: all tenants. */
  of: string | null
  /** Tenant of the reader, for whom the stream counts. */
  reader: string
  /** Id of the last event that the reader received; null: from now on. */
  last: string | null
  isWanted: (job: JobRecord) => boolean
  /** Only jobs of this batch, whose changes are known without a read. */
  batch?: string | undefined
  /** What a change of a job sends, in order; default: the job. `isProgress`: nothing else changed. */
  eventsOf?: (job: JobRecord, isProgress: boolean) => Promise<Pick<ServerEvent, 'event' | 'data'>[]>
}

interface Shown {
  job: JobRecord
  data: Job
}

/** Interval of reads without an event, because one can be lost while Redis is unreachable, ms. */
const READ_AGAIN_MS = 15_000
/** Time until a read that failed is repeated, ms, and the number of failures in a row that end a stream. */
const RETRY_MS = 1_000
const MOST_FAILURES = 5

/** Longest interval between two events of a stream of many jobs, ms. */
const ALIVE_MS = 15_000

/** Limit of changed jobs that wait for a slow reader; above it, the reader gets a `reset`. */
const MAX_WAITING = 10_000

const UNAVAILABLE: ServerEvent = {
  id: '',
  event: 'unavailable',
  data: { detail: 'Changes cannot be read at the moment, so the stream ends. Reconnect to continue.' },
}

type Send = Parameters<EventSource>[0]

/** Ends a stream in a way that its reader cannot take for one in which nothing happens. */
export function endUnavailable(send: Send, end: () => void): void {
  void send(UNAVAILABLE)
  end()
}

/**
 * Server-sent events. A job's stream sends the whole job, id = rev: register first, then read, drop older revisions.
 * A stream of many jobs sends each changed job, id = `<epoch>-<stream id>`; a position that cannot be replayed gives a `reset`.
 * Several changes of one job while it is being read become one event with the newest state.
 *
 * A stream ends with `unavailable` when changes cannot be read, because an open stream implies that nothing changed.
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

  /** Throws `unavailable` while Redis is silent. */
  function requireHeard(): void {
    if (hub.isSilent())
      throw new ServiceError('unavailable', 'Changes cannot be read at the moment.', { retryAfter: 2 })
  }

  /** Ends a stream when Redis becomes silent. */
  const whileHeard =
    (source: EventSource): EventSource =>
    (send, end) => {
      const stopListening = hub.onSilence(() => endUnavailable(send, end))
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

  /** Coalesces calls: runs `work`, and once more when calls arrived meanwhile. `failed` is called when it rejects. */
  function coalesce(work: () => Promise<void>, failed: () => void): () => void {
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
        failed()
      })
    }
  }

  /** The stream of one object, which is read at each change, and periodically because an event can be lost. */
  const ofOne = (
    leave: () => void,
    onChange: (look: () => void) => Unsubscribe,
    lookOf: (send: Send, end: () => void) => () => Promise<void>,
  ): EventSource =>
    whileHeard((send, end) => {
      const work = lookOf(send, end)
      let failures = 0
      let hasBegun = false
      let retry: NodeJS.Timeout | undefined
      const look = coalesce(
        async () => {
          await work()
          hasBegun = true
          failures = 0
        },
        () => {
          if (!hasBegun || ++failures === MOST_FAILURES) endUnavailable(send, end)
          else retry = setTimeout(look, RETRY_MS)
        },
      )
      const stop = onChange(look)
      const timer = setInterval(look, spread(READ_AGAIN_MS))
      look()
      return () => {
        clearInterval(timer)
        clearTimeout(retry)
        stop()
        leave()
      }
    })

  return {
    /** Counts a stream of a tenant; returns a function that ends it. Throws `too_many_streams`. */
    enter,
    requireHeard,
    whileHeard,

    ofJob(tenant: string, id: string): ApiResponse {
      requireHeard()
      const lookOf = (send: Send, end: () => void): (() => Promise<void>) => {
        let seen = ''
        return async () => {
          const shown = await read(id)
          if (shown === null) return end()
          const { job, data } = shown
          const mark = `${job.rev}:${job.progress ?? ''}:${job.partial?.length ?? ''}`
          if (mark !== seen) await send({ id: String(job.rev), event: 'job', data })
          seen = mark
          if (isFinal(job.phase)) end()
        }
      }
      return { events: ofOne(enter(tenant), (look) => hub.onJob(id, look), lookOf) }
    },

    /** Sends the whole batch at each change until it is over, coalescing changes; id = `<epoch>-<stream id>`. */
    ofBatch(
      tenant: string,
      id: string,
      readBatch: (id: string) => Promise<BatchRecord | null>,
      showBatch: (batch: BatchRecord) => Batch,
    ): ApiResponse {
      requireHeard()
      let position = '0-0'
      const onChange = (look: () => void): Unsubscribe =>
        hub.onBatch(id, ({ stream }) => {
          position = stream ?? position
          look()
        })
      const lookOf = (send: Send, end: () => void): (() => Promise<void>) => {
        let seen = ''
        return async () => {
          const batch = await readBatch(id)
          if (batch === null) return end()
          const { estimated_end_at: _end, ...shown } = showBatch(batch)
          const mark = JSON.stringify(shown)
          if (mark !== seen) await send({ id: `${epoch}-${position}`, event: 'batch', data: showBatch(batch) })
          seen = mark
          if (batch.completed_at !== null) end()
        }
      }
      return { events: ofOne(enter(tenant), onChange, lookOf) }
    },

    /**
     * Sends each changed job that is wanted. Its beginning is read before the response, which is an error if that fails. At
     * least every 15 seconds an event comes while changes can be read, and moves the position of a reader that wants few.
     */
    async ofMany(many: ManyJobs): Promise<{ events: EventSource }> {
      const { of: tenant, reader, last, isWanted, batch, eventsOf } = many
      const from = last === null ? null : parsePosition(last, epoch)
      requireHeard()
      const leave = enter(reader)
      /** Changed jobs by their latest change; the id of an event covers all earlier ones. */
      const waiting = new Map<string, string | null>()
      let position = from ?? '0-0'
      let changed = (): void => undefined
      const note = ({ job, stream, batch: its }: JobChange): void => {
        // Seen before: the hub reads behind, and a reader that resumes gets missed changes first.
        if (stream !== null && compareIds(stream, position) <= 0) return
        // Progress does not name its batch.
        if (batch !== undefined && stream !== null && its !== batch) return
        // Replayed and notified: ids must not go back.
        const known = waiting.get(job) ?? null
        if (stream !== null && known !== null && compareIds(stream, known) <= 0) return
        if (stream !== null) waiting.delete(job)
        waiting.set(job, stream ?? known)
        changed()
      }
      const meanwhile: JobChange[] = []
      let take = (change: JobChange): void => void meanwhile.push(change)
      const stopListening = hub.onTenant(tenant, (change) => take(change))
      const stop = (): void => {
        stopListening()
        leave()
      }
      let missed: JobChange[] | null
      try {
        missed = from === null ? null : await hub.since(tenant, from)
        if (missed === null) position = await hub.position()
      } catch (error) {
        stop()
        throw error
      }
      const idOf = (): string => `${epoch}-${position}`
      // A client with the position of another deployment must reload everything.
      const beginning: ServerEvent = { id: idOf(), event: missed || last === null ? 'ready' : 'reset', data: {} }
      // Missed changes are sent before new ones.
      for (const change of [...(missed ?? []), ...meanwhile]) note(change)
      take = note

      const source: EventSource = (send, end) => {
        let left = false
        let isAliveDue = false
        const flush = coalesce(
          async () => {
            while (waiting.size > 0 && !left) {
              const [entry] = waiting
              if (!entry) return
              const [id, stream] = entry
              waiting.delete(id)
              const shown = await read(id)
              const isTheirs = shown && (tenant === null || shown.job.tenant === tenant) && isWanted(shown.job)
              const events = !isTheirs
                ? []
                : eventsOf
                  ? await eventsOf(shown.job, stream === null)
                  : [{ event: 'job', data: shown.data }]
              if (stream !== null) position = stream
              // Only the last event of a change moves the position, so that a reader that resumes misses none.
              for (const [at, event] of events.entries())
                await send({ id: at === events.length - 1 ? idOf() : '', ...event })
            }
            if (!isAliveDue || left) return
            isAliveDue = false
            // Nothing waits, so everything up to here was sent or is not wanted.
            if (compareIds(hub.seen(), position) > 0) position = hub.seen()
            await send({ id: idOf(), event: 'alive', data: {} })
          },
          // Skipping a change would lose it, so the stream ends and the reader resumes from its last id.
          () => endUnavailable(send, end),
        )
        changed = () => {
          if (waiting.size > MAX_WAITING) end()
          else flush()
        }
        const timer = setInterval(() => {
          if (hub.isSilent()) return
          isAliveDue = true
          flush()
        }, spread(ALIVE_MS))
        void send(beginning)
        changed()
        return () => {
          left = true
          clearInterval(timer)
          stop()
        }
      }
      return { events: whileHeard(source) }
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
