import { ulid } from 'ulid'
import { ServiceError } from '../errors/service-error.ts'
import { makeSecret, withSecret } from '../tenants/rules/signing-secret.ts'
import { mailTargetOf, metadataKeyOf } from '../mail/rules/address.ts'
import type { EndpointStore, NotificationStore } from './ports.ts'
import { MOST_ENDPOINTS, type Endpoint } from './rules/endpoint.ts'
import type { EndpointChange, NewEndpoint } from './rules/endpoint-requests.ts'
import { USUAL_CUSTOMER_TYPES, USUAL_TYPES } from './rules/event-types.ts'

export interface EndpointsOptions {
  store: EndpointStore
  notifications: Pick<NotificationStore, 'resume' | 'hold' | 'abandon'>
  /** ms, the clock of Redis */
  now: () => Promise<number>
}

/**
 * The endpoints of tenants, as their owners manage them. A change of the endpoint is written first and what it means for its
 * notifications follows, so each of these can be repeated after a crash between the two.
 */
export function createEndpoints({ store, notifications, now }: EndpointsOptions) {
  const absent = (): ServiceError => new ServiceError('not_found', 'The endpoint does not exist.')

  async function changed(tenant: string, id: string, change: (was: Endpoint) => Endpoint): Promise<Endpoint> {
    const endpoint = await store.change(tenant, id, change)
    if (endpoint === null) throw absent()
    return endpoint
  }

  return {
    /** Throws `too_many_endpoints`. */
    async create(tenant: string, request: NewEndpoint): Promise<Endpoint> {
      const at = await now()
      const { url, ...rest } = request
      const target = mailTargetOf(url)
      const isNamedByMetadata = target !== null && metadataKeyOf(target) !== null
      const usual = isNamedByMetadata ? USUAL_CUSTOMER_TYPES : USUAL_TYPES
      const endpoint: Endpoint = {
        v: 1,
        id: `ep_${ulid(at)}`,
        tenant,
        kind: target === null ? 'webhook' : 'email',
        to: target ?? url,
        ...rest,
        // With the job, a mail finds its picture as long as it is owed.
        payload: target === null ? rest.payload : 'full',
        events: rest.events ?? [...usual],
        secrets: target === null ? { current: { key: makeSecret(), created_at: at }, previous: [] } : null,
        // The operator answers for these addresses.
        confirmed_at: isNamedByMetadata ? at : null,
        created_at: at,
        disabled: null,
      }
      if (!(await store.create(endpoint, MOST_ENDPOINTS)))
        throw new ServiceError('too_many_endpoints', `The tenant has ${MOST_ENDPOINTS} endpoints, which is the limit.`)
      return endpoint
    },

    change(tenant: string, id: string, to: EndpointChange): Promise<Endpoint> {
      const { url, description, events, presets, payload } = to
      return changed(tenant, id, (was) => ({
        ...was,
        // An address of mail is never changed: it was asked.
        to: was.kind === 'email' ? was.to : (url ?? was.to),
        description: description ?? was.description,
        events: events ?? was.events,
        presets: presets === undefined ? was.presets : presets,
        payload: was.kind === 'email' ? was.payload : (payload ?? was.payload),
      }))
    },

    /** Replaces the secret; the replaced one signs too for `graceMs`. */
    async rotate(tenant: string, id: string, graceMs: number): Promise<Endpoint> {
      const made = { key: makeSecret(), created_at: await now() }
      return changed(tenant, id, (was) => {
        if (was.secrets === null) throw new ServiceError('wrong_endpoint_kind', 'Mail is not signed: it has no secret.')
        return { ...was, secrets: withSecret(was.secrets, made, graceMs) }
      })
    },

    /** Sends what was held for it. */
    async enable(tenant: string, id: string): Promise<{ endpoint: Endpoint; resumed: number }> {
      const endpoint = await changed(tenant, id, (was) => ({ ...was, disabled: null }))
      return { endpoint, resumed: await notifications.resume(tenant, id) }
    },

    /** Keeps its events until it is enabled. */
    async disable(tenant: string, id: string): Promise<Endpoint> {
      const at = await now()
      const endpoint = await changed(tenant, id, (was) => ({
        ...was,
        disabled: was.disabled ?? { at, reason: 'owner' as const },
      }))
      await notifications.hold(tenant, id)
      return endpoint
    },

    /** What it still waits for has failed. */
    async remove(tenant: string, id: string): Promise<void> {
      if (!(await store.remove(tenant, id))) throw absent()
      await notifications.abandon(tenant, id, 'endpoint_removed')
    },
  }
}

export type Endpoints = ReturnType<typeof createEndpoints>
