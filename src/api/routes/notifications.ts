import { ServiceError } from '../../shared/errors/service-error.ts'
import type { NotificationQuery, NotificationStore } from '../../shared/notifications/ports.ts'
import { redeliverAll } from '../../shared/notifications/redelivery.ts'
import type { Notification as NotificationRecord } from '../../shared/notifications/rules/notification.ts'
import {
  notificationListSchema,
  notificationStreamSchema,
  redeliverySchema,
} from '../../shared/notifications/rules/notification-requests.ts'
import { jsonObject } from '../../shared/jobs/rules/job.ts'
import type { NotificationDetail, NotificationPage } from '../description/notifications.ts'
import type { ApiResponse, OwnedRequest, Route } from '../http.ts'
import type { NotificationStream } from '../notification-stream.ts'
import { notificationView } from '../notification-view.ts'
import { createOwned } from '../owned.ts'
import { fieldsOf, parseWith, queryObject } from '../schemas.ts'

export interface NotificationRoutesDependencies {
  store: Pick<NotificationStore, 'read' | 'list' | 'redeliver'>
  /** The exact text that an attempt would send now, JSON. */
  bodyOf: (notification: NotificationRecord) => Promise<string>
  stream: NotificationStream
}

/** The log of the notifications of the caller's tenant. */
export function notificationRoutes({ store, bodyOf, stream }: NotificationRoutesDependencies): Route[] {
  const owned = createOwned<NotificationRecord>({
    kind: 'notification',
    read: (id, { tenant }) => store.read(tenant, id),
    subjectOf: (notification) => notification,
  })

  async function list({ principal, query }: OwnedRequest): Promise<ApiResponse> {
    const { cursor, ...wanted } = parseWith(notificationListSchema, queryObject(query))
    const { notifications, last } = await store.list(principal.tenant, { ...wanted, before: cursor })
    const body: NotificationPage = { data: notifications.map(notificationView), next_cursor: last }
    return { status: 200, body }
  }

  async function get(request: OwnedRequest): Promise<ApiResponse> {
    const found = await owned(request)
    const body: NotificationDetail = {
      ...notificationView(found),
      body: jsonObject.parse(JSON.parse(await bodyOf(found))),
    }
    return { status: 200, body }
  }

  async function redeliver(request: OwnedRequest): Promise<ApiResponse> {
    const { tenant, id } = await owned(request)
    if (!(await store.redeliver(tenant, id)))
      throw new ServiceError('endpoint_disabled', 'Its endpoint is disabled or was deleted. Enable the endpoint first.')
    const now = await store.read(tenant, id)
    return { status: 202, body: notificationView(now ?? (await owned(request))) }
  }

  async function redeliverFailed({ principal, body }: OwnedRequest): Promise<ApiResponse> {
    const query: Omit<NotificationQuery, 'limit'> = parseWith(redeliverySchema, body ?? {})
    return { status: 200, body: await redeliverAll(store, principal.tenant, query, ['failed']) }
  }

  return [
    {
      method: 'GET',
      path: '/v1/notifications',
      query: fieldsOf(notificationListSchema),
      scope: 'webhooks',
      handle: list,
    },
    {
      method: 'GET',
      path: '/v1/notifications/stream',
      query: fieldsOf(notificationStreamSchema),
      scope: 'webhooks',
      handle: async ({ principal, query, headers }) => {
        const { events, since = null } = parseWith(notificationStreamSchema, queryObject(query))
        return stream(principal.tenant, headers['last-event-id'] ?? since, events)
      },
    },
    { method: 'POST', path: '/v1/notifications/redeliver', scope: 'webhooks', handle: redeliverFailed },
    { method: 'GET', path: '/v1/notifications/:id', scope: 'webhooks', handle: get },
    { method: 'POST', path: '/v1/notifications/:id/redeliver', scope: 'webhooks', handle: redeliver },
  ]
}
