import { createHash, createHmac, randomBytes, timingSafeEqual } from 'node:crypto'
import { z } from 'zod'
import { isLoopback } from '../shared/config.ts'
import { ServiceError } from '../shared/errors.ts'
import type { ApiRequest } from './http.ts'

export const SCOPES = ['jobs:read', 'jobs:write', 'admin'] as const
export type Scope = (typeof SCOPES)[number]

export interface Principal {
  tenant: string
  scopes: readonly Scope[]
}

/** The development key and its sessions: the tenant `default` with every scope. */
const OWNER: Principal = { tenant: 'default', scopes: SCOPES }

export const SESSION_COOKIE = 'gq_session'
export const ADMIN_COOKIE = 'gq_admin'
const SESSION_S = 12 * 3600

const digest = (text: string): Buffer => createHash('sha256').update(text).digest()
const sameText = (a: string, b: string): boolean => timingSafeEqual(digest(a), digest(b))

const ticketSchema = z.object({ kind: z.string(), expires: z.number() })

export interface AuthOptions {
  devApiKey: string | null
  /** null: the board is closed. */
  adminPassword: string | null
  /** Signs session cookies; the same in every process of the deployment. */
  key: Buffer
  /** Host names under which a browser may use a session; null: any. */
  allowedHosts: ReadonlySet<string> | null
}

/**
 * Who is asking. A key in the Authorization header, or a session cookie; a cookie counts only for requests that a page
 * of ours made (same origin, allowed Host), because the browser sends it by itself.
 */
export function createAuth({ devApiKey, adminPassword, key, allowedHosts }: AuthOptions) {
  const sign = (text: string): string => createHmac('sha256', key).update(`session:${text}`).digest('base64url')

  function ticket(kind: 'studio' | 'admin'): string {
    const payload = {
      kind,
      expires: Math.floor(Date.now() / 1000) + SESSION_S,
      nonce: randomBytes(9).toString('base64url'),
    }
    const text = Buffer.from(JSON.stringify(payload)).toString('base64url')
    return `${text}.${sign(text)}`
  }

  function validTicket(kind: 'studio' | 'admin', value: string | undefined): boolean {
    const [text, signature, ...rest] = value?.split('.') ?? []
    if (!text || !signature || rest.length > 0 || !sameText(signature, sign(text))) return false
    const parsed = ticketSchema.safeParse(JSON.parse(Buffer.from(text, 'base64url').toString('utf8')))
    return parsed.success && parsed.data.kind === kind && parsed.data.expires > Date.now() / 1000
  }

  const cookie = (name: string, value: string, path: string, maxAge: number, secure: boolean): string =>
    `${name}=${value}; Path=${path}; Max-Age=${maxAge}; HttpOnly; SameSite=Strict${secure ? '; Secure' : ''}`

  const hostAllowed = (request: ApiRequest): boolean =>
    allowedHosts === null || allowedHosts.has(hostname(request.headers.host))

  /** Whether a page of this very origin made the request. Safe methods need no proof: the cookie is SameSite=Strict. */
  function fromOwnPage(request: ApiRequest): boolean {
    if (!hostAllowed(request)) return false
    if (request.method === 'GET' || request.method === 'HEAD') return true
    const { origin, host } = request.headers
    return origin !== undefined && URL.canParse(origin) && new URL(origin).host === host
  }

  return {
    hostAllowed,
    fromOwnPage,

    /** A browser on this very machine, with nobody in between: the only one that is let in without a key. */
    isLocalBrowser: ({ headers }: ApiRequest): boolean =>
      isLoopback(hostname(headers.host)) &&
      !Object.keys(headers).some((name) => name === 'forwarded' || name === 'via' || name.startsWith('x-forwarded-')),

    /** Who asks; throws `unauthenticated`, `cross_site` or `forbidden`. */
    require(request: ApiRequest, scope: Scope): Principal {
      const { authorization } = request.headers
      if (authorization !== undefined) {
        const given = /^Bearer ([A-Za-z0-9_-]{1,200})$/.exec(authorization)?.[1]
        if (given === undefined || devApiKey === null || !sameText(given, devApiKey))
          throw new ServiceError('unauthenticated', 'The API key is not valid.')
        return allow(OWNER, scope)
      }
      if (!validTicket('studio', cookieOf(request, SESSION_COOKIE)) || !hostAllowed(request))
        throw new ServiceError('unauthenticated', 'Send an API key: Authorization: Bearer <key>.')
      if (!fromOwnPage(request)) throw new ServiceError('cross_site', 'A session only works from its own page.')
      return allow(OWNER, scope)
    },

    /** The session cookie for a right key, else null. */
    signIn(given: string, secure: boolean): string | null {
      if (devApiKey === null || !sameText(given, devApiKey)) return null
      return cookie(SESSION_COOKIE, ticket('studio'), '/', SESSION_S, secure)
    },
    hasSession: (request: ApiRequest): boolean => validTicket('studio', cookieOf(request, SESSION_COOKIE)),
    openSession: (secure: boolean): string => cookie(SESSION_COOKIE, ticket('studio'), '/', SESSION_S, secure),
    signOut: (secure: boolean): string => cookie(SESSION_COOKIE, '', '/', 0, secure),

    boardOpen: adminPassword !== null,
    adminSignIn(password: string, secure: boolean): string | null {
      if (adminPassword === null || !sameText(password, adminPassword)) return null
      return cookie(ADMIN_COOKIE, ticket('admin'), '/admin', SESSION_S, secure)
    },
    isAdmin: (request: ApiRequest): boolean =>
      hostAllowed(request) && validTicket('admin', cookieOf(request, ADMIN_COOKIE)),
    adminSignOut: (secure: boolean): string => cookie(ADMIN_COOKIE, '', '/admin', 0, secure),
  }
}

export type Auth = ReturnType<typeof createAuth>

function allow(principal: Principal, scope: Scope): Principal {
  if (!principal.scopes.includes(scope)) throw new ServiceError('forbidden', `The key lacks the scope ${scope}.`)
  return principal
}

export function hostname(host: string | undefined): string {
  const url = `http://${host ?? ''}`
  return host && URL.canParse(url) ? new URL(url).hostname : ''
}

function cookieOf(request: ApiRequest, name: string): string | undefined {
  for (const part of request.headers.cookie?.split(';') ?? []) {
    const at = part.indexOf('=')
    if (at !== -1 && part.slice(0, at).trim() === name) return part.slice(at + 1).trim()
  }
  return undefined
}
