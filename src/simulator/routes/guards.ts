import { accountOf } from '../accounts.ts'
import type { StatusFault } from '../faults.ts'
import {
  forbidden,
  insufficientCredit,
  notFound,
  otherStatus,
  reducedLimit,
  type RetryHint,
  serverError,
  shortNotFound,
  throttled,
  titledNotFound,
  unauthenticated,
} from '../http/problem.ts'
import { cut, html, json, type Reply } from '../http/reply.ts'
import type { Handler } from '../http/router.ts'
import { tokenOf } from './request-headers.ts'
import type { Services } from './services.ts'

/** Wrappers around a handler: `authenticated(services, limited(services, 'reads', faulty(services, 'get', handler)))`. */

/** Requires a valid token. */
export const authenticated =
  ({ habits }: Services, handler: Handler): Handler =>
  (request) => {
    const { authorization = '' } = request.headers
    if (authorization === '') return unauthenticated('no token')
    const token = tokenOf(request.headers)
    const account = token === null ? null : accountOf(token, habits.current)
    return account === null ? unauthenticated('invalid token') : handler({ ...request, account })
  }

export const limited =
  (services: Services, kind: 'creates' | 'reads' | 'gets', handler: Handler): Handler =>
  async (request) => {
    const { budgets, book, habits } = services
    const reason = kind === 'creates' ? reasonOfReducedLimit(services) : undefined
    const separate = kind === 'gets' && habits.current.prediction_gets_per_minute === null ? 'reads' : kind
    const bucket = reason === undefined ? separate : 'lowCredit'
    const { allowed, remaining, resetSeconds } = budgets.of(request.account)[bucket].take()
    const headers = { 'ratelimit-remaining': String(remaining), 'ratelimit-reset': String(Math.max(1, resetSeconds)) }
    if (allowed) return withHeaders(await handler(request), headers)
    book.count('throttled')
    const hints: RetryHint[] = habits.current.retry_after_header ? ['body', 'header'] : ['body']
    return withHeaders(throttled(Math.max(1, resetSeconds), hints, reason), headers)
  }

/** Refuses creates without credit. */
export const paid =
  ({ book }: Services, handler: Handler): Handler =>
  (request) =>
    book.credit.granted !== null && book.credit.left <= 0 ? insufficientCredit() : handler(request)

function reasonOfReducedLimit({ book, habits }: Services): string | undefined {
  const { low_credit_usd: limit, low_credit_creates_per_minute: perMinute } = habits.current
  const { granted, left, paymentMethod } = book.credit
  if (!paymentMethod) return reducedLimit(perMinute, null)
  return granted !== null && left < limit ? reducedLimit(perMinute, limit) : undefined
}

/** The body of a 404, by the habit `not_found_body`. */
export const asUnknown =
  ({ habits }: Services, handler: Handler): Handler =>
  async (request) => {
    const reply = await handler(request)
    if (reply.kind !== 'json' || reply.status !== 404) return reply
    const { not_found_body: body } = habits.current
    if (body === 'detail') return reply
    return withHeaders(NOT_FOUND_BODIES[body](), reply.headers)
  }

const NOT_FOUND_BODIES = {
  titled: titledNotFound,
  short: shortNotFound,
  html: () => html(404, '404 Not Found'),
}

/** Faults of the whole API: a token that is refused, a server that is away. */
export const shaken =
  (services: Services, handler: Handler): Handler =>
  async (request) => {
    const { faults } = services
    const delay = faults.strike('api', 'delay')
    if (delay !== null) await pause(services, delay.seconds)
    if (faults.strike('api', 'cut') !== null) return cut
    const status = faults.strike('api', 'status')
    return status === null ? handler(request) : statusReply(status)
  }

/** Groups of faults that apply to every response of a route. */
export type AnswerGroup = 'get' | 'list' | 'cancel' | 'secret' | 'account' | 'models' | 'uploads' | 'trainings'

export const faulty =
  (services: Services, group: AnswerGroup, handler: Handler): Handler =>
  async (request) => {
    const { faults } = services
    const delay = faults.strike(group, 'delay')
    if (delay !== null) await pause(services, delay.seconds)
    if (faults.strike(group, 'cut') !== null) return cut
    if (group === 'get' && faults.strike('get', 'not_found') !== null) return notFound()
    const status = faults.strike(group, 'status')
    if (status !== null) return statusReply(status)
    const reply = await handler(request)
    if (faults.strike(group, 'garbage') !== null) return garbage(200)
    const odd = faults.strike(group, 'odd_status')
    const shown = odd === null ? reply : rewritten(reply, 'status', odd.word)
    return faults.strike(group, 'hide_webhook') === null ? shown : withoutWebhooks(shown)
  }

export const pause = (services: Services, seconds: number): Promise<void> =>
  services.clock.sleep(seconds * 1000, services.stopping)

/** A 2xx with an unreadable body. */
export const garbage = (status: number): Reply => ({
  kind: 'bytes',
  status,
  body: '{"id": "h57pag03m5rm',
  headers: { 'content-type': 'application/json' },
})

const HTML_TITLES: Record<number, string> = {
  502: '502 Bad Gateway',
  503: '503 Service Temporarily Unavailable',
  504: '504 Gateway Time-out',
}

export function statusReply({ code, html: asPage, hint, retry_after: seconds }: StatusFault): Reply {
  if (asPage ?? HTML_TITLES[code] !== undefined) return html(code, HTML_TITLES[code] ?? `${code} Error`)
  switch (code) {
    case 401:
      return unauthenticated()
    case 402:
      return insufficientCredit()
    case 403:
      return forbidden()
    case 404:
      return notFound()
    case 429:
      return throttled(seconds, hint === 'header' ? ['header'] : [hint])
    default:
      return code >= 500 ? serverError(code) : otherStatus(code)
  }
}

export const withoutWebhooks = (reply: Reply): Reply => rewritten(reply, 'webhook', undefined)

/** Sets every field of this name to `value`; undefined removes it. */
function rewritten(reply: Reply, field: string, value: string | undefined): Reply {
  if (reply.kind !== 'json') return reply
  const body = JSON.parse(JSON.stringify(reply.body, (key, old: unknown) => (key === field ? value : old)))
  return json(reply.status, body, reply.headers)
}

function withHeaders(reply: Reply, headers: Record<string, string>): Reply {
  if (reply.kind === 'cut') return reply
  return { ...reply, headers: { ...headers, ...reply.headers } }
}
