import { z } from 'zod'
import { endpointChangeSchema, newEndpointSchema } from '../../../shared/notifications/rules/endpoint-requests.ts'
import {
  notificationListSchema,
  notificationStreamSchema,
  redeliverySchema,
  replaySchema,
} from '../../../shared/notifications/rules/notification-requests.ts'
import { EVENT_ID } from '../../schemas.ts'
import { secretRotationSchema } from '../../../shared/tenants/rules/tenant-requests.ts'
import {
  enabledEndpoint,
  endpoint,
  endpointId,
  endpointPage,
  endpointTest,
  newEndpoint,
  notification,
  notificationDetail,
  notificationId,
  notificationPage,
  redelivered,
  streamedNotification,
} from '../notifications.ts'
import { created, EVENT_STREAM, eventOf, OWNED, POSTED, unavailableEvent, type Operations } from './operation.ts'

const params = z.object({ id: endpointId })
const notificationParams = z.object({ id: notificationId })

export const notificationOperations = {
  createEndpoint: {
    method: 'post',
    path: '/v1/endpoints',
    tag: 'Notifications',
    summary: 'Create an endpoint',
    description:
      'From now on, events of the tenant are sent to this URL, signed with the secret of the response, which is shown only here. An address of mail gets a mail that asks for its confirmation, and nothing else before. Two requests create two endpoints.',
    body: {
      required: true,
      schema: newEndpointSchema,
      example: { url: 'https://shop.example.com/genqueue', description: 'orders' },
    },
    answers: { 201: { description: 'The endpoint with its secret.', schema: newEndpoint, headers: created } },
    errors: [...POSTED, 'too_many_endpoints', 'mail_not_configured', 'confirmation_limited'],
  },
  listEndpoints: {
    method: 'get',
    path: '/v1/endpoints',
    tag: 'Notifications',
    summary: 'List endpoints',
    description: 'All endpoints of the tenant, oldest first.',
    answers: { 200: { description: 'The list.', schema: endpointPage } },
    errors: OWNED,
  },
  getEndpoint: {
    method: 'get',
    path: '/v1/endpoints/{id}',
    tag: 'Notifications',
    summary: 'Get an endpoint',
    params,
    answers: { 200: { description: 'The endpoint.', schema: endpoint } },
    errors: [...OWNED, 'not_found'],
  },
  changeEndpoint: {
    method: 'patch',
    path: '/v1/endpoints/{id}',
    tag: 'Notifications',
    summary: 'Change an endpoint',
    description: 'Absent fields are unchanged. Applies to events that are sent from now on.',
    params,
    body: { required: true, schema: endpointChangeSchema, example: { events: ['job.succeeded', 'job.failed'] } },
    answers: { 200: { description: 'The changed endpoint.', schema: endpoint } },
    errors: [...POSTED, 'not_found'],
  },
  deleteEndpoint: {
    method: 'delete',
    path: '/v1/endpoints/{id}',
    tag: 'Notifications',
    summary: 'Delete an endpoint',
    description: 'What still waits for it has failed. Its notifications stay in the log.',
    params,
    answers: { 204: { description: 'The endpoint is deleted.', schema: null } },
    errors: [...OWNED, 'not_found'],
  },
  rotateEndpoint: {
    method: 'post',
    path: '/v1/endpoints/{id}/rotate',
    tag: 'Notifications',
    summary: 'Rotate the secret of an endpoint',
    description:
      'Makes a new secret, which is shown only here. The replaced one signs too for the grace period, so that the receiver can be changed meanwhile.',
    params,
    body: { required: false, schema: secretRotationSchema },
    answers: { 200: { description: 'The endpoint with its new secret.', schema: newEndpoint } },
    errors: [...POSTED, 'not_found', 'wrong_endpoint_kind'],
  },
  confirmEndpoint: {
    method: 'post',
    path: '/v1/endpoints/{id}/confirmation',
    tag: 'Notifications',
    summary: 'Send another confirmation mail',
    description: 'For an address of mail that is not confirmed yet. The log shows whether the mail was sent.',
    params,
    answers: { 202: { description: 'The endpoint. The mail is sent soon.', schema: endpoint } },
    errors: [...POSTED, 'not_found', 'wrong_endpoint_kind', 'mail_not_configured', 'confirmation_limited'],
  },
  disableEndpoint: {
    method: 'post',
    path: '/v1/endpoints/{id}/disable',
    tag: 'Notifications',
    summary: 'Disable an endpoint',
    description: 'Its events are held until it is enabled.',
    params,
    answers: { 200: { description: 'The disabled endpoint.', schema: endpoint } },
    errors: [...POSTED, 'not_found'],
  },
  enableEndpoint: {
    method: 'post',
    path: '/v1/endpoints/{id}/enable',
    tag: 'Notifications',
    summary: 'Enable an endpoint',
    description: 'Also sends what was held while it was disabled. Repeating it changes nothing.',
    params,
    answers: { 200: { description: 'The enabled endpoint.', schema: enabledEndpoint } },
    errors: [...POSTED, 'not_found'],
  },
  testEndpoint: {
    method: 'post',
    path: '/v1/endpoints/{id}/test',
    tag: 'Notifications',
    summary: 'Send a test to an endpoint',
    description:
      'Sends an event `endpoint.test` now, once, also to a disabled endpoint, and returns what the receiver answered and what to do. It is not in the log. An address of mail gets a mail, which counts against `mails_per_hour`.',
    params,
    answers: { 200: { description: 'The attempt.', schema: endpointTest } },
    errors: [...POSTED, 'not_found', 'wrong_endpoint_kind', 'mail_not_configured'],
  },
  replayEndpoint: {
    method: 'post',
    path: '/v1/endpoints/{id}/replay',
    tag: 'Notifications',
    summary: 'Send what an endpoint missed',
    description:
      'Sends its failed and held notifications of the range again, at most 1,000 with each request. Repeat it while `more` is true.',
    params,
    body: { required: false, schema: replaySchema, example: { created_after: '2026-01-31T00:00:00Z' } },
    answers: { 200: { description: 'The number of notifications.', schema: redelivered } },
    errors: [...POSTED, 'not_found', 'endpoint_disabled'],
  },
  listNotifications: {
    method: 'get',
    path: '/v1/notifications',
    tag: 'Notifications',
    summary: 'List notifications',
    description: 'The log of what was sent and will be sent, newest first. It keeps 30 days.',
    query: notificationListSchema,
    answers: { 200: { description: 'A page of the list.', schema: notificationPage } },
    errors: OWNED,
  },
  // These two are before the path with an id, which matches them too.
  streamNotifications: {
    method: 'get',
    path: '/v1/notifications/stream',
    tag: 'Notifications',
    summary: 'Follow events as they would be sent',
    description:
      'For development: each event with the exact body and the headers that sign it with the default secret of the tenant, as its own webhook would get it. `genqueue listen` forwards them to a program on your machine. Nothing is stored for it. With `Last-Event-ID` the events of jobs and batches since that one are sent first; `reset` means that some are no longer available. Those of credits, files at risk and endpoints come only while the client is connected.',
    headers: z.object({
      'Last-Event-ID': z
        .string()
        .regex(EVENT_ID)
        .optional()
        .describe('The id of the last event that the client received.'),
    }),
    query: notificationStreamSchema,
    answers: {
      200: {
        description: 'The event stream. It ends when the client disconnects or the service stops.',
        schema: z.string(),
        media: EVENT_STREAM,
        item: z.union([
          eventOf('ready', z.object({}), z.string()),
          eventOf('reset', z.object({}), z.string()),
          eventOf('notification', streamedNotification, z.string()),
          eventOf('alive', z.object({}), z.string()),
          unavailableEvent,
        ]),
      },
    },
    errors: [...OWNED, 'too_many_streams'],
  },
  redeliverNotifications: {
    method: 'post',
    path: '/v1/notifications/redeliver',
    tag: 'Notifications',
    summary: 'Send failed notifications again',
    description:
      'Sends all failed notifications of the range again, at most 1,000 with each request. Repeat it while `more` is true. Those whose endpoint is disabled or deleted stay failed.',
    body: { required: false, schema: redeliverySchema, example: { created_after: '2026-01-31T00:00:00Z' } },
    answers: { 200: { description: 'The number of notifications.', schema: redelivered } },
    errors: POSTED,
  },
  getNotification: {
    method: 'get',
    path: '/v1/notifications/{id}',
    tag: 'Notifications',
    summary: 'Get a notification',
    description: 'With its attempts and the body that is sent.',
    params: notificationParams,
    answers: { 200: { description: 'The notification.', schema: notificationDetail } },
    errors: [...OWNED, 'not_found'],
  },
  redeliverNotification: {
    method: 'post',
    path: '/v1/notifications/{id}/redeliver',
    tag: 'Notifications',
    summary: 'Send a notification again',
    description: 'In any state, with the same `webhook-id`. The schedule of attempts begins again.',
    params: notificationParams,
    answers: { 202: { description: 'It is sent.', schema: notification } },
    errors: [...POSTED, 'not_found', 'endpoint_disabled'],
  },
} satisfies Operations
