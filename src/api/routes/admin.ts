import { Router, type Request, type RequestHandler, type Response } from 'express'
import { z } from 'zod'
import type { Auth } from '../auth.ts'
import type { BodyBudget, BodyShare } from '../body-budget.ts'
import { escapeHtml } from '../../shared/values/escape-html.ts'
import { requestedBy } from '../fetch-metadata.ts'
import { readBody } from '../read-body.ts'
import type { ApiRequest } from '../http.ts'
import { securityHeaders } from '../security-headers.ts'
import type { Throttle } from '../throttle.ts'
import { ServiceError } from '../../shared/errors/service-error.ts'

export interface AdminRouterOptions {
  auth: Auth
  throttle: Throttle
  /** Budget for sign-in bodies, by address. */
  bodies: BodyBudget
  /** ms without a byte after which reading is aborted. */
  idleMs: number
  board: RequestHandler
  boardPath: string
  toRequest: (request: Request) => ApiRequest
  /** Sends a problem document, or the page that `page` makes of the error. */
  sendError: (response: Response, error: unknown, page?: (message: string) => string) => void
}

const MAX_LOGIN_BYTES = 2048
const bodySchema = z.object({ password: z.string().min(1).max(200) })

const page = (message: string): string => `<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark"><title>genqueue admin</title>
<link rel="stylesheet" href="/admin/login.css"></head>
<body><main><h1>genqueue queues</h1>${message ? `<p role="alert">${escapeHtml(message)}</p>` : ''}
<form method="post" action="/admin/login"><label for="password">Admin password</label>
<input id="password" name="password" type="password" autocomplete="current-password" required autofocus>
<button type="submit">Sign in</button></form></main></body></html>`

const STYLE = `body{font:16px/1.5 system-ui,sans-serif;margin:0;min-height:100vh;display:grid;place-items:center}
main{width:min(22rem,90vw)}h1{font-size:1.25rem}label{display:block;margin-bottom:.5rem}
input,button{font:inherit;width:100%;box-sizing:border-box;padding:.625rem .75rem;border-radius:.5rem;border:1px solid #8888}
button{margin-top:1rem;background:#4f46e5;color:#fff;border:0;cursor:pointer}p[role=alert]{color:#c2410c}
@media (prefers-color-scheme:dark){body{background:#111214;color:#e8e8ea}p[role=alert]{color:#fdba74}}`

/** Field `password` of a form or of JSON; null for any other body. */
async function passwordOf(request: Request, share: BodyShare, idleMs: number): Promise<string | null> {
  const look = (chunk: Buffer): void => share.take(chunk.length)
  const body = await readBody(request, { maxBytes: MAX_LOGIN_BYTES, idleMs, look })
  if (body === null)
    throw new ServiceError('body_too_large', `The request body exceeds the limit of ${MAX_LOGIN_BYTES} bytes.`)
  const text = body.toString('utf8')
  const fields = request.is('application/json') ? parsed(text) : Object.fromEntries(new URLSearchParams(text))
  return bodySchema.safeParse(fields).data?.password ?? null
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return null
  }
}

const wantsPage = (request: Request): boolean => (request.headers.accept ?? '').includes('text/html')

/** Login and Bull Board: a separate session, read-only queues, and no access without the session. */
export function adminRouter(options: AdminRouterOptions): Router {
  const { auth, throttle, bodies, idleMs, board, boardPath, toRequest, sendError } = options
  const router = Router()

  router.get('/admin/login.css', (_request, response) => {
    response.type('css').send(STYLE)
  })

  router.get('/admin/login', (_request, response) => {
    response.type('html').send(page(''))
  })

  router.post('/admin/login', async (request, response) => {
    let share: BodyShare | undefined
    try {
      const asked = toRequest(request)
      const isFromProgram = requestedBy(asked) === 'unsaid' && asked.headers.origin === undefined
      if (!auth.hostAllowed(asked) || (!isFromProgram && !auth.fromOwnPage(asked)))
        throw new ServiceError('cross_site', 'The login only works from its own page.')
      // Counted as a failure until it succeeds, so that parallel attempts are throttled too.
      const succeeded = throttle.reserve(asked.ip)
      share = bodies.enter(asked.ip)
      const password = await passwordOf(request, share, idleMs)
      const cookie = password === null ? null : auth.adminSignIn(password, asked.secure)
      if (cookie === null) {
        throw new ServiceError('unauthenticated', 'The password is wrong.')
      }
      succeeded()
      response.setHeader('set-cookie', cookie)
      response.redirect(303, boardPath)
    } catch (error) {
      // After an error a browser gets the form again, a program a problem document.
      sendError(response, error, wantsPage(request) ? page : undefined)
    } finally {
      share?.leave()
    }
  })

  router.use(
    boardPath,
    (request, response, next) => {
      const asked = toRequest(request)
      if (!auth.isAdmin(asked)) {
        if (request.method === 'GET' && wantsPage(request)) response.redirect(303, '/admin/login')
        else sendError(response, new ServiceError('unauthenticated', 'Sign in at /admin/login.'))
        return
      }
      if (!auth.fromOwnPage(asked)) {
        sendError(response, new ServiceError('cross_site', 'The board only works from its own page.'))
        return
      }
      // One check for all routes, because the board's read-only mode is per route and some return 200.
      if (request.method !== 'GET' && request.method !== 'HEAD') {
        response.setHeader('allow', 'GET, HEAD')
        sendError(
          response,
          new ServiceError('method_not_allowed', 'The board is read-only. Use the API to change jobs.'),
        )
        return
      }
      next()
    },
    securityHeaders({
      // The board's page has inline styles and a <base>; scripts are limited to this origin.
      'base-uri': ["'self'"],
      'style-src': ["'self'", "'unsafe-inline'"],
      'font-src': ["'self'", 'data:'],
      'img-src': ["'self'", 'data:'],
      'script-src': ["'self'"],
      'worker-src': ["'self'"],
      'connect-src': ["'self'"],
    }),
    board,
  )
  return router
}
