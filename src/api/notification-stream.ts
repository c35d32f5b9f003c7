import type { BatchRecord } from '../shared/batches/rules/batch.ts'
import { isFinal, type JobRecord } from '../shared/jobs/rules/job.ts'
import { jobEventsOf } from '../shared/notifications/rules/job-events.ts'
import type { StreamedType } from '../shared/notifications/rules/notification-requests.ts'
import { jobData, payloadText } from '../shared/notifications/rules/payload.ts'
import { signedHeaders } from '../shared/notifications/rules/signature.ts'
import type { SigningSecretStore } from '../shared/tenants/ports.ts'
import type { JsonObject } from '../shared/values/json.ts'
import { batchView } from './batch-view.ts'
import type { StreamedNotification } from './description/notifications.ts'
import type { EventStreams } from './event-streams.ts'
import type { ApiResponse, ServerEvent } from './http.ts'

export interface NotificationStreamOptions {
  streams: Pick<EventStreams, 'ofMany'>
  readBatch: (id: string) => Promise<BatchRecord | null>
  secrets: Pick<SigningSecretStore, 'read'>
  now: () => Promise<number>
}

/** Events that a stream remembers, so that it sends each once. */
const REMEMBERED = 10_000

interface Happened {
  type: StreamedType
  /** ULID of its job or batch. */
  of: string
  at: number
  data: JsonObject
}

/**
 * The events of a tenant as they are sent to a receiver of the tenant's default secret: with the exact body and its signature.
 * They are derived from changes of jobs, and nothing is stored: an event has the same id each time that it is derived.
 */
export function createNotificationStream({ streams, readBatch, secrets, now }: NotificationStreamOptions) {
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
    const id = `ntf_${of}_listen-${type.replace('.', '-')}`
    return { type, headers: signedHeaders(await secrets.read(tenant), { id, at: await now(), body }), body }
  }

  return async (tenant: string, last: string | null, types: readonly StreamedType[]): Promise<ApiResponse> => {
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
    const eventsOf = async (job: JobRecord, isProgress: boolean): Promise<Pick<ServerEvent, 'event' | 'data'>[]> => {
      const wanted = (await happenedTo(job, isProgress)).filter(({ type }) => types.includes(type)).filter(isNew)
      return Promise.all(wanted.map(async (one) => ({ event: 'notification', data: await signed(one, tenant) })))
    }
    return streams.ofMany({ of: tenant, reader: tenant, last, isWanted: () => true, eventsOf })
  }
}

export type NotificationStream = ReturnType<typeof createNotificationStream>
