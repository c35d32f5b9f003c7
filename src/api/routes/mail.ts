import type { Confirmations } from '../../shared/mail/confirmations.ts'
import type { MailStore } from '../../shared/mail/ports.ts'
import { MAIL_PATHS, type MailLinks } from '../../shared/mail/rules/mail-links.ts'
import type { ApiRequest, ApiResponse, Route } from '../http.ts'
import { MAIL_PAGE_STYLE, renderMailPage, type MailPage } from '../mail-page.ts'

export interface MailRoutesDependencies {
  links: Pick<MailLinks, 'readConfirm' | 'readUnsubscribe'>
  confirmations: Pick<Confirmations, 'look' | 'confirm'>
  store: Pick<MailStore, 'isUnsubscribed' | 'subscribe' | 'unsubscribe'>
  /** ms, the clock of Redis */
  now: () => Promise<number>
}

const SUBSCRIBE = 'subscribe'

/**
 * The pages of links in mails. Reading one changes nothing, because mail programs open links on their own; only a POST does.
 * That of the page to unsubscribe is also the one click of mail programs (RFC 8058), whatever its body.
 */
export function mailRoutes({ links, confirmations, store, now }: MailRoutesDependencies): Route[] {
  const tokenOf = ({ params: { token = '' } }: ApiRequest): string => token

  async function readConfirm(request: ApiRequest) {
    const claim = await links.readConfirm(tokenOf(request), await now())
    return claim === null ? null : { claim, state: await confirmations.look(claim) }
  }

  async function askToConfirm(request: ApiRequest): Promise<ApiResponse> {
    const found = await readConfirm(request)
    if (found === null || found.state === 'unknown') return page(404, GONE)
    const { address, tenant } = found.claim
    if (found.state === 'confirmed') return page(200, confirmed(address))
    return page(200, {
      title: 'Confirm your address',
      address,
      paragraphs: [`Mail about the runs of ${tenant} is sent to this address when you confirm it.`],
      action: 'Confirm',
    })
  }

  async function confirm(request: ApiRequest): Promise<ApiResponse> {
    const found = await readConfirm(request)
    if (found === null || !(await confirmations.confirm(found.claim))) return page(404, GONE)
    return page(200, confirmed(found.claim.address))
  }

  async function showSubscription(request: ApiRequest): Promise<ApiResponse> {
    const claim = await links.readUnsubscribe(tokenOf(request))
    if (claim === null) return page(404, GONE)
    const { tenant, address } = claim
    if (await store.isUnsubscribed(tenant, address)) return page(200, unsubscribed(address))
    return page(200, {
      title: 'No more mail?',
      address,
      paragraphs: [`This ends all mail of ${tenant} to this address.`],
      action: 'Unsubscribe',
    })
  }

  async function changeSubscription(request: ApiRequest): Promise<ApiResponse> {
    const claim = await links.readUnsubscribe(tokenOf(request))
    if (claim === null) return page(404, GONE)
    const { tenant, address } = claim
    if (request.query.get('do') !== SUBSCRIBE) {
      await store.unsubscribe(tenant, address)
      return page(200, unsubscribed(address))
    }
    await store.subscribe(tenant, address)
    return page(200, {
      title: 'You get mail again',
      address,
      paragraphs: ['You can unsubscribe by the link in each mail.'],
      action: null,
    })
  }

  const css = async (): Promise<ApiResponse> => ({
    status: 200,
    headers: { 'content-type': 'text/css; charset=utf-8', 'cache-control': 'no-cache' },
    body: MAIL_PAGE_STYLE,
  })
  const [confirmPath, unsubscribePath] = [`${MAIL_PATHS.confirm}/:token`, `${MAIL_PATHS.unsubscribe}/:token`]
  return [
    { method: 'GET', path: confirmPath, scope: null, handle: askToConfirm },
    { method: 'POST', path: confirmPath, scope: null, ignoresBody: true, handle: confirm },
    { method: 'GET', path: unsubscribePath, scope: null, handle: showSubscription },
    { method: 'POST', path: unsubscribePath, scope: null, ignoresBody: true, handle: changeSubscription },
    { method: 'GET', path: '/mail/style.css', scope: null, handle: css },
  ]
}

const page = (status: number, content: MailPage): ApiResponse => ({
  status,
  headers: { 'content-type': 'text/html; charset=utf-8', 'cache-control': 'no-store' },
  body: renderMailPage(content),
})

const GONE: MailPage = {
  title: 'This link does not work',
  address: null,
  paragraphs: ['It is not complete, or no longer valid. Ask for another mail.'],
  action: null,
}

const confirmed = (address: string): MailPage => ({
  title: 'Your address is confirmed',
  address,
  paragraphs: ['You can close this page. Each mail has a link to unsubscribe.'],
  action: null,
})

const unsubscribed = (address: string): MailPage => ({
  title: 'You get no more mail',
  address,
  paragraphs: ['You can change your mind here.'],
  action: 'Get mail again',
  value: SUBSCRIBE,
})
