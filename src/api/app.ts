import express, { type Express, type NextFunction, type Request, type RequestHandler, type Response } from 'express'
import { ServiceError, type ErrorCode } from '../shared/errors/service-error.ts'
import type { Logger } from '../shared/process/logger.ts'
import type { Metrics } from '../shared/metrics/metrics.ts'
import { pointerSegment } from '../shared/values/json-pointer.ts'
import { WEBHOOK_PATH } from '../shared/replicate/rules/webhook-token.ts'
import type { ArrivalRules } from './arrival.ts'
import type { Auth } from './auth.ts'
import { compressAnswers } from './compress.ts'
import type { Cors } from './cors.ts'
import { errorResponse, toServiceError } from './error-response.ts'
import { createBodyBudget, type BodyShare, type BudgetSizes } from './body-budget.ts'
import { noSuchResource, notServed } from './front/not-served.ts'
import { rateHeaders } from './rate-headers.ts'
import { isFront } from './front/path.ts'
import { replicateResponse } from './front/replicate-error.ts'
import type { ApiRequest, ApiResponse, BodyLimits, OwnedRequest, Route } from './http.ts'
import { BODY_LIMITS, parseScanned } from './json-body.ts'
import { createJsonScan } from './json-scan.ts'
import { dropBody, readBody, refuseCompressed } from './read-body.ts'
import { adminRouter } from './routes/admin.ts'
import { answerProbe } from './answer-probe.ts'
import type { WebhookReceiver } from './routes/webhooks.ts'
import type { Principal } from './principal.ts'
import { invalidRequest } from './schemas.ts'
import { securityHeaders } from './security-headers.ts'
import { sendEvents } from './send-events.ts'
import type { Throttle } from './throttle.ts'
import { mountStudio } from './mount-studio.ts'
import { namesTwoHosts, readRequest } from './read-request.ts'
import { withoutWebhooks } from './without-webhooks.ts'

export interface AppOptions {
  routes: Route[]
  auth: Auth
  /** null: no CORS. */
  cors: Cors | null
  throttle: Throttle
  /** null: this listener accepts no webhooks. */
  webhooks: WebhookReceiver | null
  /** null: the board is closed. */
  board: RequestHandler | null
  /** Folder of the built page; null when it was not built. */
  studioDir: string | null
  /** Trusted proxies, for the origin of a request. */
  arrival: ArrivalRules
  /** Further origins of file links. */
  fileOrigins?: string[]
  /** ms without a byte after which reading is aborted. */
  bodyIdleMs?: number
  metrics: Metrics
  log: Logger
}

/** Refusals that are counted, because they can be guessing. */
const REFUSALS = new Set<ErrorCode>(['unauthenticated', 'too_many_attempts', 'rate_limited', 'tenant_suspended'])

export const BOARD_PATH = '/admin/queues'

const MIB = 1024 * 1024

/** Limit of a webhook, which contains logs, input and text output. */
const MAX_WEBHOOK_BYTES = 8 * MIB

/** Limits of an unauthenticated body: a key to sign in with. */
const OPEN_BODY: BodyLimits = { bytes: 4 * 1024, values: 100 }

/** Memory budgets of bodies, by tenant, by attempt of a webhook, and by address for sign-in. A parsed JSON body takes about
 * the same again. */
const TENANT_BODY_BUDGET: BudgetSizes = { small: 48 * MIB, large: 192 * MIB, share: 1 / 2 }
const WEBHOOK_BODY_BUDGET: BudgetSizes = { small: 32 * MIB, large: 64 * MIB, share: 1 / 4 }
const OPEN_BODY_BUDGET: BudgetSizes = { small: 2 * MIB, large: 0, share: 1 / 4 }

/** ms without a byte after which reading is aborted. */
const BODY_IDLE_MS = 30_000

/** Express edge: the handlers inside use plain requests and responses. */
export function createApp(options: AppOptions): Express {
  const { auth, cors, log, metrics, fileOrigins = [], bodyIdleMs: idleMs = BODY_IDLE_MS } = options
  const app = express()
  app.disable('x-powered-by')
  app.disable('etag')
  app.set('query parser', false)
  const toRequest = (request: Request): ApiRequest => readRequest(request, options.arrival)

  /** How many requests of the caller may follow. */
  const showRate = (response: Response, { rate }: Principal): void => {
    if (rate !== null && !isFront(response.req.path))
      for (const [name, value] of Object.entries(rateHeaders(rate))) response.setHeader(name, value)
  }

  const sendError = (response: Response, error: unknown, page?: (message: string) => string): void => {
    const known = toServiceError(error)
    if (known.code === 'internal') log.error({ err: error }, 'a request failed')
    if (REFUSALS.has(known.code)) metrics.refused(known.code)
    if (response.headersSent) {
      response.destroy()
      return
    }
    const { status, headers, body } = isFront(response.req.path) ? replicateResponse(known) : errorResponse(known)
    response.status(status).set(headers)
    if (page === undefined) response.send(Buffer.from(JSON.stringify(body)))
    else response.type('html').send(page(known.message))
    dropBody(response.req)
  }

  app.use(measure(metrics))
  app.use(
    securityHeaders({
      'img-src': ["'self'", 'data:', 'blob:', ...fileOrigins],
      'media-src': ["'self'", ...fileOrigins],
      'style-src': ["'self'"],
      'script-src': ["'self'"],
      'connect-src': ["'self'"],
    }),
  )
  if (cors) app.use(cors.middleware)
  app.use(compressAnswers())

  app.use((request, response, next) => {
    const [path = ''] = request.originalUrl.split('?', 1)
    if (namesTwoHosts(request))
      sendError(response, new ServiceError('invalid_header', 'The request has more than one Host header. Send one.'))
    // Express treats `//` as `/`; a proxy in front may not.
    else if (path.includes('//')) sendError(response, noRoute())
    else next()
  })

  const { webhooks } = options
  const webhookBodies = createBodyBudget(WEBHOOK_BODY_BUDGET)
  if (webhooks)
    app.post(WEBHOOK_PATH, async (request, response) => {
      let share: BodyShare | undefined
      try {
        const { query, headers, ip } = toRequest(request)
        const receive = await webhooks({ query, ip })
        share = webhookBodies.enter(receive.holder)
        const body = await readBody(request, { maxBytes: MAX_WEBHOOK_BYTES, idleMs, look: reserveIn(share) })
        const answer = await receive.take({ headers, body })
        if (typeof answer === 'number') response.status(answer).end()
        else await answerProbe(response, answer)
      } catch (error) {
        sendError(response, error)
      } finally {
        share?.leave()
      }
    })

  const openBodies = createBodyBudget(OPEN_BODY_BUDGET)
  if (options.board)
    app.use(
      adminRouter({
        idleMs,
        bodies: openBodies,
        auth,
        throttle: options.throttle,
        board: options.board,
        boardPath: BOARD_PATH,
        toRequest,
        sendError,
      }),
    )

  const bodies = createBodyBudget(TENANT_BODY_BUDGET)
  for (const route of options.routes) {
    const path = route.path
    const handle = async (request: Request, response: Response): Promise<void> => {
      let share: BodyShare | undefined
      try {
        const asked = toRequest(request)
        let principal: Principal | null = null
        let answer: ApiResponse
        if (route.scope === null) {
          route.before?.(asked)
          refuseUnknownQuery(route, asked)
          if (route.ignoresBody) dropBody(request)
          else if (route.method === 'POST') {
            share = openBodies.enter(asked.ip)
            asked.body = await readJson(request, { share, idleMs, limits: OPEN_BODY })
          }
          answer = await route.handle(asked)
        } else if (route.streams) {
          principal = await auth.require(asked, route.scope)
          showRate(response, principal)
          await cors?.require(asked, principal.tenant)
          refuseUnknownQuery(route, asked)
          refuseCompressed(request)
          share = bodies.enter(principal.tenant)
          answer = await route.handle({ ...asked, principal, stream: request, share, idleMs })
        } else {
          if (route.method !== 'QUERY') route.before?.(asked)
          principal = await auth.require(asked, route.scope, route.tokenOpens)
          showRate(response, principal)
          await cors?.require(asked, principal.tenant)
          if (route.tokenOpens) asked.query.delete('token')
          refuseUnknownQuery(route, asked)
          share = bodies.enter(principal.tenant)
          const owned: OwnedRequest = { ...asked, principal, bodyDone: share.leave }
          if (route.method === 'POST' || route.method === 'PATCH')
            owned.body = await readJson(request, { share, idleMs, limits: route.body })
          if (route.method === 'QUERY') owned.body = await readText(request, { share, idleMs })
          answer = await route.handle(owned)
        }
        if (principal !== null && principal.only !== null) answer = withoutWebhooks(answer)
        if (principal !== null && 'events' in answer) answer = { events: auth.whileValid(principal, answer.events) }
        sendAnswer(response, answer, log)
      } catch (error) {
        sendError(response, error)
      } finally {
        share?.leave()
      }
    }
    if (route.method === 'GET') app.get(path, handle)
    else if (route.method === 'POST') app.post(path, handle)
    else if (route.method === 'PATCH') app.patch(path, handle)
    else if (route.method === 'QUERY')
      app.route(path).all((request, response, next) => {
        if (request.method === 'QUERY') void handle(request, response)
        else next()
      })
    else app.delete(path, handle)
  }
  const paths = [...new Set(options.routes.map(({ path }) => path))]
  for (const path of paths)
    // Not `app.all`, which makes a layer for each of 35 methods.
    app.route(path).all((request, response) => {
      const absent = notServed(request.method, request.path)
      if (absent) return sendError(response, absent)
      const allowed = options.routes.filter((route) => route.path === path).map(({ method }) => method)
      response.setHeader('allow', allowed.join(', '))
      sendError(
        response,
        new ServiceError(
          'method_not_allowed',
          `The route does not support ${request.method}. It supports ${allowed.join(', ')}.`,
        ),
      )
    })

  app.use((request, response, next) => {
    if (isFront(request.path)) sendError(response, notServed(request.method, request.path) ?? noSuchResource())
    else next()
  })
  mountStudio(app, options.studioDir)

  app.use((_request, response) => {
    sendError(response, noRoute())
  })
  app.use((error: unknown, _request: Request, response: Response, _next: NextFunction) => {
    sendError(response, edgeError(error))
  })
  return app
}

function sendAnswer(response: Response, answer: ApiResponse, log: Logger): void {
  if ('events' in answer) {
    sendEvents(response, answer.events)
    return
  }
  response.status(answer.status)
  if (!('stream' in answer)) response.setHeader('cache-control', 'no-store')
  for (const [name, value] of Object.entries(answer.headers ?? {})) response.set(name, value)
  if ('stream' in answer) {
    const { stream } = answer
    stream.on('error', (error) => {
      log.error({ err: error }, 'a file could not be read')
      response.destroy()
    })
    response.on('close', () => stream.destroy())
    // Also closes the file when the client disconnected while it was being opened.
    if (response.destroyed) stream.destroy()
    else stream.pipe(response)
    return
  }
  if (answer.body === undefined) response.end()
  else if (typeof answer.body === 'string') response.send(answer.body)
  else {
    // Sends the headers and the text in one write.
    const text = JSON.stringify(answer.body)
    response.setHeader('content-type', 'application/json; charset=utf-8')
    response.setHeader('content-length', Buffer.byteLength(text))
    response.end(text)
  }
}

function refuseUnknownQuery({ path, query: known = [] }: Route, { query }: ApiRequest): void {
  if (!path.startsWith('/v1/')) return
  const unknown = [...new Set(query.keys())].filter((name) => !known.some((one) => isNamed(name, one)))
  if (unknown.length === 0) return
  const takes = known.length === 0 ? 'This route takes none.' : `This route takes ${known.join(', ')}.`
  throw invalidRequest(
    unknown.map((name) => ({
      pointer: pointerSegment(name),
      code: 'unknown_field',
      detail: `Unknown query parameter. ${takes}`,
    })),
  )
}

/** Whether a parameter has this name; `a.*` names every parameter that begins with `a.`. */
const isNamed = (name: string, known: string): boolean =>
  known.endsWith('.*') ? name.length >= known.length && name.startsWith(known.slice(0, -1)) : name === known

/** Charges each chunk of a body to the budget. */
const reserveIn =
  (share: BodyShare) =>
  (chunk: Buffer): void =>
    share.take(chunk.length)

async function readJson(
  request: Request,
  { share, idleMs, limits = BODY_LIMITS }: { share: BodyShare; idleMs: number; limits?: BodyLimits | undefined },
): Promise<unknown> {
  const scan = createJsonScan(limits)
  const isJson = saysJson(request.headers['content-type'] ?? '')
  const look = (chunk: Buffer): void => {
    if (!isJson) throw new ServiceError('unsupported_media_type', 'Send Content-Type: application/json, in UTF-8.')
    share.take(chunk.length)
    scan(chunk)
  }
  const body = await readBody(request, { maxBytes: limits.bytes, idleMs, look })
  if (body === null)
    throw new ServiceError('body_too_large', `The request body exceeds the limit of ${limits.bytes} bytes.`)
  return body.length === 0 ? undefined : parseScanned(body, scan)
}

/** Limit of the text of a QUERY, bytes. */
const MAX_TEXT_BYTES = 4 * 1024

async function readText(request: Request, { share, idleMs }: { share: BodyShare; idleMs: number }): Promise<string> {
  const body = await readBody(request, { maxBytes: MAX_TEXT_BYTES, idleMs, look: reserveIn(share) })
  if (body === null)
    throw new ServiceError('body_too_large', `The request body exceeds the limit of ${MAX_TEXT_BYTES} bytes.`)
  return body.toString('utf8')
}

function saysJson(contentType: string): boolean {
  const [type = '', ...parameters] = contentType.toLowerCase().split(';')
  const charset = parameters.map((part) => part.trim()).find((part) => part.startsWith('charset='))
  return type.trim() === 'application/json' && (!charset || /^charset="?utf-8"?$/.test(charset))
}

const noRoute = (): ServiceError => new ServiceError('not_found', 'This route does not exist.')

/** Converts errors of Express and the board. */
function edgeError(error: unknown): unknown {
  if (!(error instanceof Error) || !('status' in error)) return error
  if (error instanceof URIError) return noRoute()
  switch (error.status) {
    case 400:
      return new ServiceError('invalid_json', 'The body could not be read.')
    case 413:
      return new ServiceError('body_too_large', 'The body is too large.')
    case 415:
      return new ServiceError('unsupported_media_type', 'The body is not of an accepted type.')
    default:
      return error
  }
}

function measure(metrics: Metrics) {
  return (request: Request, response: Response, next: NextFunction): void => {
    const begun = performance.now()
    response.on('finish', () => {
      const route: unknown = (request as { route?: { path?: unknown } }).route?.path
      const labels = {
        method: request.method,
        route: typeof route === 'string' ? route : 'other',
        status: `${Math.floor(response.statusCode / 100)}xx`,
      }
      metrics.request(labels, (performance.now() - begun) / 1000)
    })
    next()
  }
}
