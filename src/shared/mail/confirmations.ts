import { ulid } from 'ulid'
import { ServiceError } from '../errors/service-error.ts'
import type { EndpointStore, NotificationStore } from '../notifications/ports.ts'
import type { Endpoint } from '../notifications/rules/endpoint.ts'
import { CONFIRMATION_TYPE } from '../notifications/rules/event-types.ts'
import { receiverName } from '../notifications/rules/receivers.ts'
import type { MailStore } from './ports.ts'
import type { ConfirmClaim } from './rules/mail-links.ts'

export interface ConfirmationsDependencies {
  endpoints: Pick<EndpointStore, 'read' | 'change'>
  notifications: Pick<NotificationStore, 'add'>
  store: Pick<MailStore, 'takeConfirmation'>
  /** Notifications are due. */
  wake: () => Promise<void>
  /** ms, the clock of Redis */
  now: () => Promise<number>
}

/** The mail that asks whether an address wants mail, and its answer. The mail is a notification, so it is sent and shown like one. */
export function createConfirmations({ endpoints, notifications, store, wake, now }: ConfirmationsDependencies) {
  return {
    /** Throws `confirmation_limited`. */
    async require(tenant: string, address: string): Promise<void> {
      const wait = await store.takeConfirmation(tenant, address, 'request')
      if (wait > 0)
        throw new ServiceError(
          'confirmation_limited',
          'This address was asked several times. Wait before you ask again.',
          {
            retryAfter: wait / 1000,
          },
        )
    },

    /** Asks. Without `require` before, nothing limits it. */
    async ask({ id, tenant, to }: Endpoint): Promise<void> {
      const at = await now()
      await notifications.add({
        id: `ntf_${ulid(at)}_${receiverName(id)}`,
        tenant,
        type: CONFIRMATION_TYPE,
        endpoint: id,
        destination: id,
        url: null,
        shape: 'thin',
        job: null,
        batch: null,
        data: { endpoint: { id, address: to } },
        created_at: at,
        state: 'pending',
      })
      await wake()
    },

    /** `unknown`: the endpoint is gone, or has another address. */
    async look({ tenant, endpoint, address }: ConfirmClaim): Promise<'asked' | 'confirmed' | 'unknown'> {
      const found = await endpoints.read(tenant, endpoint)
      if (found?.kind !== 'email' || found.to !== address) return 'unknown'
      return found.confirmed_at === null ? 'asked' : 'confirmed'
    },

    async confirm({ tenant, endpoint, address }: ConfirmClaim): Promise<boolean> {
      const at = await now()
      const changed = await endpoints.change(tenant, endpoint, (was) =>
        was.kind === 'email' && was.to === address && was.confirmed_at === null ? { ...was, confirmed_at: at } : was,
      )
      return changed?.kind === 'email' && changed.to === address
    },
  }
}

export type Confirmations = ReturnType<typeof createConfirmations>
