import { ulid } from 'ulid'
import type { JsonObject } from '../values/json.ts'
import type { Endpoint } from './rules/endpoint.ts'
import { TEST_TYPE } from './rules/event-types.ts'
import type { DeliveryAttempt } from './rules/notification.ts'
import { payloadOf } from './rules/payload.ts'
import type { SendResult, Transport } from './transport-port.ts'

export interface TestedEndpoint {
  attempt: DeliveryAttempt
  /** What was sent. */
  body: JsonObject
}

/**
 * Sends a test event to an endpoint now, once, by the way of every other notification; nothing is recorded. Rejects only when
 * `signal` aborts.
 */
export function createTestEndpoint(transport: Transport<SendResult>, now: () => Promise<number>) {
  return async (endpoint: Endpoint, signal: AbortSignal): Promise<TestedEndpoint> => {
    const at = await now()
    const data = { endpoint: { id: endpoint.id } }
    const body = payloadOf(TEST_TYPE, at, data)
    const began = performance.now()
    const { status, error, detail } = await transport.send(
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
    return { attempt: { at, duration: Math.round(performance.now() - began), status, error, detail }, body }
  }
}
