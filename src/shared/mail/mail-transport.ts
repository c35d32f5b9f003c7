import type { EndpointStore } from '../notifications/ports.ts'
import { CONFIRMATION_TYPE } from '../notifications/rules/event-types.ts'
import type { RecipientError } from '../notifications/rules/mail-errors.ts'
import type { Message, SendResult, Transport } from '../notifications/transport-port.ts'
import { isObject } from '../values/json.ts'
import type { ComposeMail } from './compose-mail.ts'
import type { Mailer, MailStore } from './ports.ts'
import { isAddress, metadataKeyOf } from './rules/address.ts'
import type { MailLinks } from './rules/mail-links.ts'
import { renderHtml, renderText, subjectOf } from './rules/mail-text.ts'

export interface MailRules {
  /** null: no limit. */
  perHour: number | null
  /** Whether the tenant may write to addresses of the metadata. */
  toMetadata: boolean
}

export interface MailTransportDependencies {
  mailer: Mailer
  store: Pick<MailStore, 'isUnsubscribed' | 'take' | 'takeConfirmation'>
  endpoints: Pick<EndpointStore, 'read'>
  rulesOf: (tenant: string) => Promise<MailRules>
  compose: ComposeMail
  links: Pick<MailLinks, 'confirmPath' | 'unsubscribePath'>
  /** Where recipients reach this service. */
  origin: () => string
}

type Sent = Message['notification']

/** Longest time after which a tenant's rate is looked at again, ms: it may have been raised. */
const LOOK_AGAIN_MS = 60_000
const PICTURE = 'picture@genqueue'

/** Sends notifications as mails: to addresses that were confirmed, and to those that the metadata of a job names. */
export function createMailTransport(dependencies: MailTransportDependencies): Transport {
  const { mailer, store, endpoints, rulesOf, compose, links, origin } = dependencies

  async function waitFor(address: string, { tenant, type }: Sent, perHour: number | null): Promise<number> {
    const own = type === CONFIRMATION_TYPE ? await store.takeConfirmation(tenant, address, 'attempt') : 0
    if (own > 0) return own
    return perHour === null ? 0 : store.take(tenant, perHour)
  }

  return {
    kind: 'email',
    async send({ notification, to, at }, signal) {
      const { tenant, type } = notification
      const asksForConfirmation = type === CONFIRMATION_TYPE
      const endpoint = notification.endpoint === null ? null : await endpoints.read(tenant, notification.endpoint)
      if (endpoint === null || (endpoint.confirmed_at === null && !asksForConfirmation))
        return refused('not_confirmed', 'Nobody has confirmed the address.')
      const { perHour, toMetadata } = await rulesOf(tenant)
      const key = metadataKeyOf(to)
      const address = key === null ? to : addressIn(notification, key, toMetadata)
      if (typeof address !== 'string') return address
      if (await store.isUnsubscribed(tenant, address))
        return refused('unsubscribed', `${address} wants no mail of this tenant.`)
      const wait = await waitFor(address, notification, perHour)
      if (wait > 0) return { postponed: Math.min(wait, LOOK_AGAIN_MS) }

      const claim = { tenant, endpoint: endpoint.id, address }
      const unsubscribe = asksForConfirmation ? null : origin() + links.unsubscribePath(claim)
      const { text, picture } = await compose(notification, {
        isCustomer: key !== null,
        confirm: asksForConfirmation ? origin() + links.confirmPath(claim, at) : null,
      })
      const result = await mailer.send(
        {
          id: notification.id,
          to: address,
          subject: subjectOf(text),
          text: renderText(text, unsubscribe),
          html: renderHtml(text, { unsubscribe, picture: picture && `cid:${PICTURE}` }),
          picture: picture && { cid: PICTURE, jpeg: picture },
          unsubscribe,
        },
        signal,
      )
      const shown = { ...result, detail: `To ${address}: ${result.detail}` }
      // One recipient of many: the others are not held up.
      return key === null ? shown : { ...shown, ofDestination: false }
    },
  }
}

/** The address that the metadata of the job or batch names, or why there is none. */
function addressIn({ data }: Sent, key: string, isAllowed: boolean): string | SendResult {
  if (!isAllowed)
    return refused('metadata_not_allowed', 'The tenant may not write to addresses of the metadata of its jobs.')
  const about = data['job'] ?? data['batch']
  const metadata = isObject(about) ? about['metadata'] : undefined
  const value = isObject(metadata) ? metadata[key] : undefined
  if (value === undefined || value === null || value === '')
    return refused('no_recipient', `The metadata has no ${key}.`)
  if (typeof value !== 'string' || !isAddress(value))
    return refused('invalid_recipient', `${key} of the metadata is not an address of mail.`)
  return value
}

const refused = (error: RecipientError, detail: string): SendResult => ({
  status: null,
  error,
  detail,
  retryAfter: null,
  ofDestination: false,
})
