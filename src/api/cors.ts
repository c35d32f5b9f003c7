import corsMiddleware from 'cors'
import type { RequestHandler } from 'express'
import { ServiceError } from '../shared/errors.ts'
import type { TenantStore } from '../shared/tenants/ports.ts'
import type { ApiRequest } from './http.ts'

const METHODS = ['GET', 'HEAD', 'POST', 'DELETE']
const REQUEST_HEADERS = [
  'Authorization',
  'Content-Type',
  'Idempotency-Key',
  'If-None-Match',
  'If-Range',
  'Last-Event-ID',
  'Prefer',
  'Range',
]
/** What a script may read beside the few headers that it always may. */
const ANSWER_HEADERS = [
  'Accept-Ranges',
  'Content-Disposition',
  'Content-Range',
  'Date',
  'ETag',
  'Idempotent-Replayed',
  'Location',
  'Preference-Applied',
  'RateLimit-Limit',
  'RateLimit-Policy',
  'RateLimit-Remaining',
  'RateLimit-Reset',
  'Retry-After',
]
/** s; browsers keep a preflight for two hours at most. */
const PREFLIGHT_S = 7200

/** Only pages of our own sign in, and operators work on no page of a product. */
const OWN_PAGES_ONLY = /^\/v1\/(session|admin)(\/|$)/i

export interface CorsOptions {
  /** CORS_ORIGINS. Empty: no page of another origin may read anything. */
  origins: readonly string[]
  tenants: Pick<TenantStore, 'tenant'>
}

/**
 * Which pages of other origins may use the API with a token or a key. CORS_ORIGINS is judged at the preflight, where no
 * tenant is known; a tenant's own list narrows it when the request itself is there. Never with
 * `Access-Control-Allow-Credentials`: no such page uses the session of a browser.
 */
export function createCors({ origins, tenants }: CorsOptions) {
  const known = new Set(origins)
  const handle = corsMiddleware({
    origin: [...origins],
    methods: METHODS,
    allowedHeaders: REQUEST_HEADERS,
    exposedHeaders: ANSWER_HEADERS,
    maxAge: PREFLIGHT_S,
  })

  /** Before the routes, so that the headers stand on every answer, whatever comes of the request. */
  const middleware: RequestHandler = (request, response, next) => {
    const isOpen = known.size > 0 && /^\/v1\//i.test(request.path) && !OWN_PAGES_ONLY.test(request.path)
    if (!isOpen || (request.method === 'OPTIONS' && request.headers.origin === undefined)) next()
    else handle(request, response, next)
  }

  return {
    middleware,

    /** Throws `origin_not_allowed` when a page asks whose origin the tenant has not listed. */
    async require({ headers: { origin } }: Pick<ApiRequest, 'headers'>, tenant: string): Promise<void> {
      if (origin === undefined || !known.has(origin)) return
      const own = (await tenants.tenant(tenant))?.cors_origins ?? null
      if (own !== null && !own.includes(origin))
        throw new ServiceError(
          'origin_not_allowed',
          `Pages of ${origin} are not allowed for this tenant. An operator lists it in the tenant's cors_origins.`,
        )
    },
  }
}

export type Cors = ReturnType<typeof createCors>
