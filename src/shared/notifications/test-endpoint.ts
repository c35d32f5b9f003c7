import { ulid } from 'ulid'
import { ServiceError } from '../errors/service-error.ts'
import { metadataKeyOf } from '../mail/rules/address.ts'
import type { JsonObject } from '../values/json.ts'
import type { Endpoint, EndpointKind } from './rules/endpoint.ts'
import { TEST_TYPE } from './rules/event-types.ts'
import type { DeliveryAttempt } from './rules/notification.ts'
import { payloadOf } from './rules/payload.ts'
import type { Transport } from './transport-port.ts'

export interface TestedEndpoint {
  attempt: DeliveryAttempt
  /** The event; a mail says it in words. */
  body: JsonObject
}

export const mailNotConfigured = (): ServiceError =>
  new ServiceError('mail_not_configured', 'This service sends no mail. The operator sets SMTP_URL and MAIL_FROM.')

/**
 * Sends a test event to an endpoint now, once, by the way of every other notification; nothing is recorded. Throws
 * `mail_not_configured`, `wrong_endpoint_kind` when only a job names its recipient, `rate_limited` when the tenant may send no mail
 * now, and when `signal` aborts.
 */
export function createTestEndpoint(transports: Record<EndpointKind, Transport | null>, now: () => Promise<number>) {
  return async (endpoint: Endpoint, signal: AbortSignal): Promise<TestedEndpoint> => {
    const transport = transports[endpoint.kind]
    if (transport === null) throw mailNotConfigured()
    if (endpoint.kind === 'email' && metadataKeyOf(endpoint.to) !== null)
      throw new ServiceError('wrong_endpoint_kind', 'The metadata of a job names the recipient, so a test has none.')
    const at = await now()
    const data = { endpoint: { id: endpoint.id } }
    const body = payloadOf(TEST_TYPE, at, data)
    const began = performance.now()
    const result = await transport.send(
      {
        notification: {
          v: 1,
          id: `ntf_${ulid(at)}_test`,
          tenant: endpoint.tenant,
          type: TEST_TYPE,
          endpoint: endpoint.id,
          destination: endpoint.id,
          url: null,
          shape: 'thin',
          job: null,
          batch: null,
          data,
          created_at: at,
          state: 'pending',
          next_at: at,
          tries: 0,
          rev: 0,
          attempts: [],
        },
        to: endpoint.to,
        body: JSON.stringify(body),
        secrets: endpoint.secrets,
        at,
      },
      signal,
    )
    if ('postponed' in result)
      throw new ServiceError('rate_limited', 'The tenant has sent as many mails as it may within an hour.', {
        limit: 'mails_per_hour',
        retryAfter: result.postponed / 1000,
      })
    const { status, error, detail } = result
    return { attempt: { at, duration: Math.round(performance.now() - began), status, error, detail }, body }
  }
}
