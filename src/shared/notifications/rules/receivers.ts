import type { JobRecord } from '../../jobs/rules/job.ts'
import type { Endpoint } from './endpoint.ts'
import type { EventType } from './event-types.ts'
import type { Notification } from './notification.ts'
import type { OwnWebhook } from './own-webhook.ts'

/** Who hears of an event, and what identifies each of them. */
export interface Receiver extends Pick<Notification, 'endpoint' | 'destination' | 'url' | 'shape'> {
  /** Short name, the last part of the ids of its notifications. */
  name: string
  /** Its endpoint is disabled. */
  isHeld: boolean
}

/** An event of a tenant. `job`: the job that it is about; null: none. */
export interface Happened {
  type: EventType
  tenant: string
  job: Pick<JobRecord, 'preset' | 'batch'> | null
  /** The own webhook of the job or batch. */
  webhook: OwnWebhook | null
  /** An endpoint that does not hear of it. */
  except?: string | undefined
}

/** The name of an own webhook as a receiver; endpoints have the end of their ids. */
const OWN = 'own'
export const receiverName = (endpoint: string): string => endpoint.replace(/^ep_/, '')

export function receiversOf(
  { type, tenant, job, webhook, except }: Happened,
  endpoints: readonly Endpoint[],
): Receiver[] {
  const all: Receiver[] = []
  const isInBatch = job !== null && job.batch !== null && type !== 'artifact.at_risk'
  if (webhook?.events.includes(type))
    all.push({
      name: OWN,
      endpoint: null,
      destination: `${tenant} ${new URL(webhook.url).origin}`,
      url: webhook.url,
      shape: webhook.shape === 'replicate' ? 'replicate' : 'thin',
      isHeld: false,
    })
  for (const endpoint of endpoints) {
    const { id, kind, events, presets, payload, confirmed_at, disabled } = endpoint
    const isConcerned = job === null || presets === null || (job.preset !== null && presets.includes(job.preset))
    if (id === except || !events.includes(type) || !isConcerned) continue
    // Nobody has confirmed that the address wants mail.
    if (kind === 'email' && confirmed_at === null) continue
    // One mail about the whole batch.
    if (kind === 'email' && isInBatch && events.includes('batch.finished')) continue
    const shape = payload === 'full' && job !== null ? 'full' : 'thin'
    all.push({ name: receiverName(id), endpoint: id, destination: id, url: null, shape, isHeld: disabled !== null })
  }
  return all
}
