import corsMiddleware from 'cors'
import type { RequestHandler } from 'express'
import { ServiceError } from '../shared/errors/service-error.ts'
import type { TenantStore } from '../shared/tenants/ports.ts'
import type { ApiRequest } from './http.ts'

const METHODS = ['GET', 'HEAD', 'POST', 'PATCH', 'DELETE']
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
/** Response headers that scripts can read in addition to the safelisted ones. */
const ANSWER_HEADERS = [
  'Accept-Ranges',
  'Content-Disposition',
  'Content-Range',
  'Date',
  'ETag',
  'Idempotent-Replayed',
  'Location',
  'Preference-Applied',
  'RateLimit',
  'RateLimit-Limit',
  'RateLimit-Policy',
  'RateLimit-Remaining',
  'RateLimit-Reset',
  'Retry-After',
]
/** s; browsers cache a preflight for two hours at most. */
const PREFLIGHT_S = 7200

/** Routes without CORS: sign-in and administration are only for this service's pages. */
const OWN_PAGES_ONLY = /^\/v1\/(session|admin)(\/|$)/i

export interface CorsOptions {
  /** CORS_ORIGINS. Empty: no page of another origin can read anything. */
  origins: readonly string[]
  tenants: Pick<TenantStore, 'tenant'>
}

/**
 * CORS for pages of other origins that use the API with a token or a key. CORS_ORIGINS applies to the preflight, where the
 * tenant is unknown; the tenant's list narrows it for the request itself. Never sends `Access-Control-Allow-Credentials`,
 * so no such page can use a browser session.
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

  /** Middleware before the routes, so that every response has the headers. */
  const middleware: RequestHandler = (request, response, next) => {
    const isOpen = known.size > 0 && /^\/v1\//i.test(request.path) && !OWN_PAGES_ONLY.test(request.path)
    if (!isOpen || (request.method === 'OPTIONS' && request.headers.origin === undefined)) next()
    else handle(request, response, next)
  }

  return {
    middleware,

    /** Throws `origin_not_allowed` for a page whose origin the tenant has not listed. */
    async require({ headers: { origin } }: Pick<ApiRequest, 'headers'>, tenant: string): Promise<void> {
      if (origin === undefined || !known.has(origin)) return
      const own = (await tenants.tenant(tenant))?.cors_origins ?? null
      if (own !== null && !own.includes(origin))
        throw new ServiceError(
          'origin_not_allowed',
          `Pages of ${origin} are not allowed for this tenant. An operator can add it to the tenant's cors_origins.`,
        )
    },
  }
}

export type Cors = ReturnType<typeof createCors>
