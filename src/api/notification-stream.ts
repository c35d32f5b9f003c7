import type { BatchRecord } from '../shared/batches/rules/batch.ts'
import type { EventHub } from '../shared/events/event-hub.ts'
import { isFinal, type JobRecord } from '../shared/jobs/rules/job.ts'
import type { EventType } from '../shared/notifications/rules/event-types.ts'
import { jobEventsOf } from '../shared/notifications/rules/job-events.ts'
import type { Announcement } from '../shared/notifications/rules/notice.ts'
import { jobData, payloadText } from '../shared/notifications/rules/payload.ts'
import { signedHeaders } from '../shared/notifications/rules/signature.ts'
import type { Logger } from '../shared/process/logger.ts'
import type { SigningSecretStore } from '../shared/tenants/ports.ts'
import type { JsonObject } from '../shared/values/json.ts'
import { batchView } from './batch-view.ts'
import type { StreamedNotification } from './description/notifications.ts'
import { endUnavailable, type EventStreams } from './event-streams.ts'
import type { ApiResponse, EventSource, ServerEvent } from './http.ts'

export interface NotificationStreamOptions {
  streams: Pick<EventStreams, 'ofMany' | 'requireHeard'>
  hub: Pick<EventHub, 'onAnnouncement'>
  readBatch: (id: string) => Promise<BatchRecord | null>
  secrets: Pick<SigningSecretStore, 'read'>
  now: () => Promise<number>
  log: Logger
}

/** Events that a stream remembers, so that it sends each once. */
const REMEMBERED = 10_000

interface Happened {
  type: EventType
  /** ULID of its job, batch or notice. */
  of: string
  at: number
  data: JsonObject
}

/**
 * The events of a tenant as they are sent to a receiver of the tenant's default secret: with the exact body and its signature.
 * Those of jobs and batches are derived from changes of jobs: an event has the same id each time that it is derived. The others
 * are announced while somebody listens. Nothing is stored.
 */
export function createNotificationStream(options: NotificationStreamOptions) {
  const { streams, hub, readBatch, secrets, now, log } = options

  /** A job that changed while it was processing has nothing new to say, so each of these is sent once. */
  async function happenedTo(job: JobRecord, isProgress: boolean): Promise<Happened[]> {
    const of = job.id.slice('job_'.length)
    const data = jobData(job)
    if (isProgress) return [{ type: 'job.progress', of, at: await now(), data }]
    const started = job.started_at ?? job.updated_at
    const own = jobEventsOf(job).map((type): Happened => ({
      type,
      of,
      at: type === 'job.started' ? started : (job.completed_at ?? started),
      data,
    }))
    const batch = job.batch !== null && isFinal(job.phase) ? await readBatch(job.batch) : null
    if (batch === null || batch.completed_at === null) return own
    const finished = { type: 'batch.finished', of: batch.id.slice('bat_'.length), at: batch.completed_at } as const
    return [...own, { ...finished, data: { batch: { ...batchView(batch) } } }]
  }

  async function signed({ type, of, at, data }: Happened, tenant: string): Promise<StreamedNotification> {
    const body = payloadText(type, at, data)
    const id = `ntf_${of}_listen-${type.replaceAll(/[._]/g, '-')}`
    return { type, headers: signedHeaders(await secrets.read(tenant), { id, at: await now(), body }), body }
  }

  /** Listens for announced events; returns a function that adds them to a source. They have no position: none is sent again. */
  async function announced(tenant: string, eventsFor: (happened: Happened[]) => Promise<Unplaced[]>) {
    let take: (announcement: Announcement) => void = () => undefined
    const leave = await hub.onAnnouncement(tenant, (announcement) => take(announcement))
    const beside =
      (source: EventSource): EventSource =>
      (send, end) => {
        const sendAll = async ({ id, ...happened }: Announcement): Promise<void> => {
          for (const event of await eventsFor([{ of: id, ...happened }])) await send({ id: '', ...event })
        }
        take = (announcement) => {
          sendAll(announcement).catch((error: unknown) => {
            log.warn({ err: error }, 'an announced event could not be read')
            endUnavailable(send, end)
          })
        }
        const stop = source(send, end)
        return () => {
          leave()
          stop()
        }
      }
    return { beside, leave }
  }

  return async (tenant: string, last: string | null, types: readonly EventType[]): Promise<ApiResponse> => {
    const sent = new Set<string>()
    const isNew = ({ type, of }: Happened): boolean => {
      if (type === 'job.progress') return true
      const name = `${of} ${type}`
      if (sent.has(name)) return false
      sent.add(name)
      const [oldest] = sent
      if (sent.size > REMEMBERED && oldest !== undefined) sent.delete(oldest)
      return true
    }
    const eventsFor = async (happened: Happened[]): Promise<Unplaced[]> => {
      const wanted = happened.filter(({ type }) => types.includes(type)).filter(isNew)
      return Promise.all(wanted.map(async (one) => ({ event: 'notification', data: await signed(one, tenant) })))
    }
    streams.requireHeard()
    const { beside, leave } = await announced(tenant, eventsFor)
    try {
      const { events } = await streams.ofMany({
        of: tenant,
        reader: tenant,
        last,
        isWanted: () => true,
        eventsOf: async (job, isProgress) => eventsFor(await happenedTo(job, isProgress)),
      })
      return { events: beside(events) }
    } catch (error) {
      leave()
      throw error
    }
  }
}

/** An event without its position in a stream. */
type Unplaced = Pick<ServerEvent, 'event' | 'data'>

export type NotificationStream = ReturnType<typeof createNotificationStream>
