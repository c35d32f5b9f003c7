import type { StreamEvent } from './event-stream.ts'
import type { PagedList, PageOptions } from './options.ts'
import type { CallOptions } from './signals.ts'
import { subscribeTo, type Source, type StreamOptions, type SubscribedIterable } from './subscription.ts'
import type { Call } from './transport.ts'
import type {
  EnabledEndpoint,
  Endpoint,
  EndpointChange,
  EndpointRequest,
  EndpointTest,
  NewEndpoint,
  Notification,
  NotificationDetail,
  NotificationState,
  Page,
  Redelivered,
  StreamedNotification,
  WebhookSecret,
} from './types.ts'

/** A range of events. */
export interface EventRange {
  /** A date, or a time in RFC 3339. */
  createdAfter?: Date | string | undefined
  createdBefore?: Date | string | undefined
}

export interface NotificationOptions extends EventRange, PageOptions, CallOptions {
  endpoint?: string | undefined
  job?: string | undefined
  state?: NotificationState | undefined
}

/** `reset`: events were missed. */
export type StreamedChange = ({ kind: 'notification' } & StreamedNotification) | { kind: 'reset' }

export interface ListenOptions extends StreamOptions {
  /** Types of events; all except `job.started` and `job.progress` by default. */
  events?: readonly StreamedNotification['type'][] | undefined
}

export interface RedeliverOptions extends EventRange, CallOptions {
  /** Only those for this endpoint. */
  endpoint?: string | undefined
}

/** Endpoints and the log of notifications (docs/notifications.md). Requires the scope `webhooks`. */
export interface NotificationClient {
  /** The secret of the response is shown only once. */
  createEndpoint(request: EndpointRequest, options?: CallOptions): Promise<NewEndpoint>
  /** Oldest first. */
  endpoints(options?: CallOptions): Promise<Endpoint[]>
  endpoint(id: string, options?: CallOptions): Promise<Endpoint>
  /** Absent fields are unchanged. */
  changeEndpoint(id: string, change: EndpointChange, options?: CallOptions): Promise<Endpoint>
  deleteEndpoint(id: string, options?: CallOptions): Promise<void>
  /** Makes another secret; the replaced one signs too for `grace` seconds, a day by default. */
  rotateEndpoint(id: string, grace?: number, options?: CallOptions): Promise<NewEndpoint>
  /** Sends another mail that asks to confirm the address of an endpoint. */
  confirmEndpoint(id: string, options?: CallOptions): Promise<Endpoint>
  /** Also sends what was held for it. */
  enableEndpoint(id: string, options?: CallOptions): Promise<EnabledEndpoint>
  /** Sends a test event now, once, and returns the answer of the receiver or of the mail server. */
  testEndpoint(id: string, options?: CallOptions): Promise<EndpointTest>
  disableEndpoint(id: string, options?: CallOptions): Promise<Endpoint>
  /** Sends what failed or was held for it again; repeat it while `more` is true. */
  replayEndpoint(id: string, options?: EventRange & CallOptions): Promise<Redelivered>
  /** Newest first. `await` gives one page, `for await` the notifications of all pages. */
  notifications(options?: NotificationOptions): PagedList<Notification>
  notification(id: string, options?: CallOptions): Promise<NotificationDetail>
  /** Sends a notification again, in any state. */
  redeliver(id: string, options?: CallOptions): Promise<Notification>
  /** Sends everything that failed again; repeat it while `more` is true. */
  redeliverFailed(options?: RedeliverOptions): Promise<Redelivered>
  /**
   * The events of the tenant, with the exact body and the headers that a receiver would get; nothing is stored. Leaving the loop
   * closes the connection.
   */
  listen(options?: ListenOptions): SubscribedIterable<StreamedChange>
  /** The default secret, which signs own webhooks of jobs and batches. Requires the scope `jobs:write`. */
  webhookSecret(options?: CallOptions): Promise<WebhookSecret>
}

export interface NotificationTransport {
  call: <T>(path: string, options: CallOptions, request?: Call) => Promise<T>
  paged: <T>(path: string, query: object, options: CallOptions, map: (one: T) => T) => PagedList<T>
  sent: (method: 'POST' | 'PATCH', content: unknown) => Call
  stream: <T>(path: string, read: (event: StreamEvent) => T | null, isLast: (news: T) => boolean) => Source<T>
  timeOf: (time: Date | string | undefined) => string | undefined
}

/** A mail server may take 45 s to answer, ms. */
const TEST_MS = 60_000

export function createNotificationCalls({
  call,
  paged,
  sent,
  stream,
  timeOf,
}: NotificationTransport): NotificationClient {
  const endpointPath = (id: string): string => `/v1/endpoints/${encodeURIComponent(id)}`
  const notificationPath = (id: string): string => `/v1/notifications/${encodeURIComponent(id)}`
  const rangeOf = ({ createdAfter, createdBefore }: EventRange) => ({
    created_after: timeOf(createdAfter),
    created_before: timeOf(createdBefore),
  })
  /** A change that may be repeated: doing it again has the same result. */
  const again = (content: unknown = {}): Call => ({ ...sent('POST', content), repeatable: true })

  return {
    createEndpoint: (request, options = {}) => call('/v1/endpoints', options, sent('POST', request)),
    endpoints: async (options = {}) => (await call<Page<Endpoint>>('/v1/endpoints', options)).data,
    endpoint: (id, options = {}) => call(endpointPath(id), options),
    changeEndpoint: (id, change, options = {}) =>
      call(endpointPath(id), options, { ...sent('PATCH', change), repeatable: true }),
    deleteEndpoint: (id, options = {}) => call(endpointPath(id), options, { method: 'DELETE' }),
    rotateEndpoint: (id, grace, options = {}) => call(`${endpointPath(id)}/rotate`, options, sent('POST', { grace })),
    confirmEndpoint: (id, options = {}) => call(`${endpointPath(id)}/confirmation`, options, sent('POST', {})),
    enableEndpoint: (id, options = {}) => call(`${endpointPath(id)}/enable`, options, again()),
    disableEndpoint: (id, options = {}) => call(`${endpointPath(id)}/disable`, options, again()),
    testEndpoint: (id, options = {}) =>
      call(`${endpointPath(id)}/test`, options, { ...sent('POST', {}), timeout: TEST_MS }),
    replayEndpoint: (id, { signal, timeout, ...range } = {}) =>
      call(`${endpointPath(id)}/replay`, { signal, timeout }, again(rangeOf(range))),
    notifications: ({ signal, timeout, createdAfter, createdBefore, ...query } = {}) =>
      paged<Notification>(
        '/v1/notifications',
        { ...query, ...rangeOf({ createdAfter, createdBefore }) },
        { signal, timeout },
        (one) => one,
      ),
    notification: (id, options = {}) => call(notificationPath(id), options),
    redeliver: (id, options = {}) => call(`${notificationPath(id)}/redeliver`, options, sent('POST', {})),
    redeliverFailed: ({ signal, timeout, endpoint, ...range } = {}) =>
      call('/v1/notifications/redeliver', { signal, timeout }, again({ endpoint, ...rangeOf(range) })),
    listen: ({ events, ...options } = {}) =>
      subscribeTo(
        stream(
          `/v1/notifications/stream${events === undefined ? '' : `?events=${events.join(',')}`}`,
          ({ type, data }): StreamedChange | null => {
            if (type === 'reset') return { kind: 'reset' }
            if (type !== 'notification') return null
            const notification: StreamedNotification = JSON.parse(data)
            return { kind: 'notification', ...notification }
          },
          () => false,
        ),
        { onNews: undefined },
        options,
      ),
    webhookSecret: (options = {}) => call('/v1/webhook-secret', options),
  }
}
