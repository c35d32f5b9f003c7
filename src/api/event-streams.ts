import type { Batch, Job } from '../client/types.ts'
import type { BatchRecord } from '../shared/batches/batch.ts'
import { ServiceError } from '../shared/errors.ts'
import type { EventHub, JobChange } from '../shared/events/event-hub.ts'
import { isFinal, type JobRecord } from '../shared/jobs/job.ts'
import type { JobStore } from '../shared/jobs/ports.ts'
import type { Logger } from '../shared/logger.ts'
import type { ApiResponse } from './http.ts'

export interface EventStreamsOptions {
  hub: EventHub
  store: JobStore
  /** Marks the ids of this deployment's stream: another deployment's ids mean nothing here. */
  epoch: string
  limits: { perTenant: number; total: number }
  log: Logger
}

type Show = (job: JobRecord) => Promise<Job>

/**
 * Server-sent events. A job's stream sends the whole job, id = rev: register first, then read, drop what is not newer.
 * A tenant's stream sends each changed job, id = `<epoch>-<stream id>`; what cannot be replayed is a `reset`. Several
 * changes of one job while it is being read are one event: what is sent is always the newest state.
 */
export function createEventStreams({ hub, store, epoch, limits, log }: EventStreamsOptions) {
  const open = new Map<string, number>()
  let total = 0

  function enter(tenant: string): () => void {
    const mine = open.get(tenant) ?? 0
    if (total >= limits.total || mine >= limits.perTenant)
      throw new ServiceError('too_many_streams', `At most ${limits.perTenant} event streams may be open.`, {
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

  /** Runs `work` once for any number of calls that come while it runs, and once more when some did. */
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
    ofJob(tenant: string, id: string, show: Show): ApiResponse {
      const leave = enter(tenant)
      return {
        events(send, end) {
          let seen = ''
          const look = coalesce(async () => {
            const job = await store.read(id)
            if (job === null) return end()
            const mark = `${job.rev}:${job.progress ?? ''}`
            if (mark !== seen) send({ id: String(job.rev), event: 'job', data: await show(job) })
            seen = mark
            if (isFinal(job.phase)) end()
          })
          const stop = hub.onJob(id, look)
          // A second look now and then: an event may be lost while Redis is away.
          const timer = setInterval(look, 15_000)
          look()
          return () => {
            clearInterval(timer)
            stop()
            leave()
          }
        },
      }
    },

    /** The whole batch at each change, as often as it can be read, until it is over; id = `<epoch>-<stream id>`. */
    ofBatch(
      tenant: string,
      id: string,
      read: (id: string) => Promise<BatchRecord | null>,
      show: (batch: BatchRecord) => Batch,
    ): ApiResponse {
      const leave = enter(tenant)
      return {
        events(send, end) {
          let seen = ''
          let position = '0-0'
          const look = coalesce(async () => {
            const batch = await read(id)
            if (batch === null) return end()
            const { estimated_end_at: _end, ...shown } = show(batch)
            const mark = JSON.stringify(shown)
            if (mark !== seen) send({ id: `${epoch}-${position}`, event: 'batch', data: show(batch) })
            seen = mark
            if (batch.completed_at !== null) end()
          })
          const stop = hub.onBatch(id, ({ stream }) => {
            position = stream ?? position
            look()
          })
          // A second look now and then: an event may be lost while Redis is away.
          const timer = setInterval(look, 15_000)
          look()
          return () => {
            clearInterval(timer)
            stop()
            leave()
          }
        },
      }
    },

    ofTenant(tenant: string, last: string | null, show: Show): ApiResponse {
      const from = last === null ? null : parsePosition(last, epoch)
      const leave = enter(tenant)
      return {
        events(send) {
          const waiting = new Map<string, string | null>()
          let position = from ?? '0-0'
          const idOf = (): string => `${epoch}-${position}`
          const flush = coalesce(async () => {
            while (waiting.size > 0) {
              const [entry] = waiting
              if (!entry) return
              const [id, stream] = entry
              waiting.delete(id)
              if (stream !== null) position = stream
              const job = await store.read(id)
              if (job !== null && job.tenant === tenant) send({ id: idOf(), event: 'job', data: await show(job) })
            }
          })
          const note = ({ job, stream }: JobChange): void => {
            waiting.set(job, stream ?? waiting.get(job) ?? null)
            flush()
          }
          const stop = hub.onTenant(tenant, note)
          const begin = async (): Promise<void> => {
            if (from === null) {
              position = await hub.position()
              // A client that brought a position of somewhere else must read everything anew.
              send({ id: idOf(), event: last === null ? 'ready' : 'reset', data: {} })
              return
            }
            const missed = await hub.since(tenant, from)
            if (missed === null) {
              position = await hub.position()
              send({ id: idOf(), event: 'reset', data: {} })
            } else {
              send({ id: idOf(), event: 'ready', data: {} })
              for (const change of missed) note(change)
            }
          }
          begin().catch((error: unknown) => {
            log.warn({ err: error }, 'an event stream could not begin')
            send({ id: '', event: 'reset', data: {} })
          })
          return () => {
            stop()
            leave()
          }
        },
      }
    },
  }
}

export type EventStreams = ReturnType<typeof createEventStreams>

/** The stream id of `<epoch>-<ms>-<sequence>`; null when it is of another epoch. Garbage is refused. */
function parsePosition(last: string, epoch: string): string | null {
  const match = /^([a-z0-9]{1,64})-(\d{1,15}-\d{1,15})$/.exec(last)
  if (!match) throw new ServiceError('invalid_header', 'Last-Event-ID is not one of this stream.')
  return match[1] === epoch ? (match[2] ?? null) : null
}
