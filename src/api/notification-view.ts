import type { DestinationHealth } from '../shared/notifications/ports.ts'
import { mailUrl } from '../shared/mail/rules/address.ts'
import { adviceOf } from '../shared/notifications/rules/advice.ts'
import type { Endpoint as EndpointRecord } from '../shared/notifications/rules/endpoint.ts'
import type {
  DeliveryAttempt as AttemptRecord,
  Notification as NotificationRecord,
} from '../shared/notifications/rules/notification.ts'
import type { DeliveryAttempt, Endpoint, Notification } from './description/notifications.ts'

/** Representations of endpoints and notifications in the API. */

const time = (ms: number): string => new Date(ms).toISOString()
const timeOrNull = (ms: number | null): string | null => (ms === null ? null : time(ms))

export function endpointView(endpoint: EndpointRecord, health: DestinationHealth): Endpoint {
  const { id, kind, to, confirmed_at, description, events, presets, payload, disabled, secrets, created_at } = endpoint
  return {
    id,
    kind,
    url: kind === 'email' ? mailUrl(to) : to,
    description,
    events,
    presets,
    payload,
    confirmed_at: kind === 'email' ? timeOrNull(confirmed_at) : null,
    state: disabled === null ? 'enabled' : 'disabled',
    disabled: disabled && { at: time(disabled.at), reason: disabled.reason },
    secret: secrets && {
      created_at: time(secrets.current.created_at),
      previous: secrets.previous.map((one) => ({
        created_at: time(one.created_at),
        expires_at: time(one.expires_at),
      })),
    },
    health: {
      failures: health.failures,
      failing_since: timeOrNull(health.failing_since),
      paused_until: timeOrNull(health.paused_until),
      succeeded_at: timeOrNull(health.succeeded_at),
    },
    created_at: time(created_at),
  }
}

export const attemptView = (attempt: AttemptRecord): DeliveryAttempt => ({
  at: time(attempt.at),
  duration: attempt.duration / 1000,
  status: attempt.status,
  error: attempt.error,
  detail: attempt.detail,
  advice: adviceOf(attempt),
})

export const notificationView = (record: NotificationRecord): Notification => ({
  id: record.id,
  type: record.type,
  endpoint: record.endpoint,
  url: record.url,
  job: record.job,
  batch: record.batch,
  state: record.state,
  created_at: time(record.created_at),
  next_attempt_at: timeOrNull(record.next_at),
  attempts: record.attempts.map(attemptView),
})
