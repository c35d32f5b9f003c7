import type {
  DeliveryAttempt,
  Endpoint,
  Notification,
  NotificationState,
  NotificationType,
} from '../../client/types.ts'
import type { Shape } from '../run-labels.ts'

/** Words and shapes of endpoints and notifications. */

export const STATES: Record<NotificationState, { label: string; shape: Shape }> = {
  pending: { label: 'Pending', shape: 'waiting' },
  delivered: { label: 'Delivered', shape: 'done' },
  failed: { label: 'Failed', shape: 'failed' },
  held: { label: 'Held', shape: 'stopping' },
}

export const isState = (text: string | null): text is NotificationState => text !== null && Object.hasOwn(STATES, text)

/** Every type, with what it means for a receiver. */
export const TYPES: Record<NotificationType, string> = {
  'job.succeeded': 'a run succeeded',
  'job.failed': 'a run failed',
  'job.canceled': 'a run was canceled',
  'job.started': 'a run started',
  'job.progress': 'progress of a run, not kept',
  'batch.finished': 'all runs of a batch are over',
  'credits.low': 'the balance is low',
  'credits.exhausted': 'a run was refused for lack of credits',
  'budget.alert': 'a budget reached a level',
  'artifact.at_risk': 'an output could not be copied yet',
  'endpoint.disabled': 'another endpoint was disabled',
}

const REASONS = {
  owner: 'Disabled',
  gone: 'Disabled: the receiver responded with 410',
  failing: 'Disabled: it only failed for five days',
}

export function stateOf(endpoint: Endpoint): { label: string; shape: Shape; bad: boolean } {
  const { disabled, health } = endpoint
  if (disabled !== null) return { label: REASONS[disabled.reason], shape: 'canceled', bad: disabled.reason !== 'owner' }
  if (isUnconfirmed(endpoint)) return { label: 'Waits for confirmation', shape: 'waiting', bad: false }
  if (health.failures > 0) return { label: 'Failing', shape: 'failed', bad: true }
  if (health.succeeded_at === null) return { label: 'Nothing delivered yet', shape: 'waiting', bad: false }
  return { label: 'Delivering', shape: 'done', bad: false }
}

/** The address of mail, or the metadata that names it; null: the URL is that of a webhook. */
export const mailOf = (url: string): string | null => (/^mailto:/i.test(url) ? url.slice('mailto:'.length) : null)

/** Each job or batch has another recipient. */
const isNamedByMetadata = (url: string): boolean => mailOf(url)?.startsWith('{') ?? false

/** Nothing but the question is sent to this address yet. */
export const isUnconfirmed = ({ kind, confirmed_at }: Endpoint): boolean => kind === 'email' && confirmed_at === null

/** A test has a recipient. */
export const isTestable = (endpoint: Endpoint): boolean => !isUnconfirmed(endpoint) && !isNamedByMetadata(endpoint.url)

const ALL_TYPES = Object.keys(TYPES).filter((type): type is NotificationType => Object.hasOwn(TYPES, type))

/** The types that can be sent to this URL. */
export function typesFor(url: string): NotificationType[] {
  if (mailOf(url) === null) return ALL_TYPES
  return ALL_TYPES.filter(
    (type) => type !== 'job.progress' && (!isNamedByMetadata(url) || /^(?:job|batch)\./.test(type)),
  )
}

/** `404`, or the reason why there was no response. */
export const answerOf = ({ status, error }: Pick<DeliveryAttempt, 'status' | 'error'>): string =>
  status === null ? (error ?? 'no response').replaceAll('_', ' ') : String(status)

/** What distinguishes receivers: the address of mail, or the host of a URL. */
export const hostOf = (url: string): string => mailOf(url) ?? (URL.canParse(url) ? new URL(url).host : url)

/** Where it goes: the endpoint's description or host, or that of the own webhook. */
export function receiverOf(notification: Notification, endpoints: readonly Endpoint[]): string {
  const endpoint = endpoints.find(({ id }) => id === notification.endpoint)
  if (endpoint) return endpoint.description || hostOf(endpoint.url)
  return notification.url === null ? 'a deleted endpoint' : hostOf(notification.url)
}

export const endpointPath = (id: string): string => `/notifications/endpoints/${encodeURIComponent(id)}`
export const notificationPath = (id: string): string => `/notifications/${encodeURIComponent(id)}`
