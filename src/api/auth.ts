import { hash, timingSafeEqual } from 'node:crypto'
import { deploymentLost, ServiceError } from '../shared/errors/service-error.ts'
import { isSigned, sign, type SigningKeys } from '../shared/values/signing-keys.ts'
import { KEY_ID, keyDigest, keyIdOf } from '../shared/tenants/rules/api-key.ts'
import { createJobTokens, TOKEN_PREFIX, type TokenGrant } from '../shared/tenants/rules/job-token.ts'
import type { LoginCodes } from '../shared/tenants/login-codes.ts'
import type { Caller, TenantStore } from '../shared/tenants/ports.ts'
import { DEFAULT_TENANT, type Scope } from '../shared/tenants/rules/tenant.ts'
import { createCredentialWatch } from './credential-watch.ts'
import { isLoadedByOtherPage, requestedBy } from './fetch-metadata.ts'
import { isFront } from './front/path.ts'
import type { ApiRequest, EventSource } from './http.ts'
import { limitOf, rateHeaders } from './rate-headers.ts'
import { requireScope, type Principal } from './principal.ts'
import { createThrottle } from './throttle.ts'
import { createTickets } from './tickets.ts'

const SESSION_COOKIE = 'gq_session'
const ADMIN_COOKIE = 'gq_admin'
const SESSION_S = 12 * 3600

/** What is wrong with the credentials of a request. */
export const NO_KEY = 'Send an API key: Authorization: Bearer <key>.'
export const WRONG_KEY = 'The API key is not valid.'

const DEV_HOLDER = 'dev.'
const HOLDER_BYTES = 12

/** Limit of wrong credentials of one network, or for one key id, per process. */
const FAILURES_PER_MINUTE = 100
/** Limit per job or batch in addition to the tenant's: a token's holder first slows down the others with the same token. */
const TOKEN_REQUESTS_PER_MINUTE = 300

const digest = (text: string): Buffer => hash('sha256', text, 'buffer')

/** Constant-time comparison; false when there is no expected text. */
function sameAs(secret: string | null): (text: string) => boolean {
  if (secret === null) return () => false
  const wanted = digest(secret)
  return (text) => timingSafeEqual(digest(text), wanted)
}

export interface AuthOptions {
  store: Pick<TenantStore, 'admit'>
  devApiKey: string | null
  /** null: the board is closed. */
  adminPassword: string | null
  /** Keys for session cookies and job tokens, shared by all processes of the deployment. */
  keys: SigningKeys
  /** Host names under which sessions work, unless a trusted proxy forwarded another one; null: any. */
  allowedHosts: ReadonlySet<string> | null
  /** Origin of PUBLIC_URL, whose pages belong to this service whatever `Host` a proxy sends. null: none. */
  publicOrigin: string | null
  /** Codes of sign-in links; null: none is accepted. */
  loginCodes: Pick<LoginCodes, 'redeem'> | null
}

/** Presented credentials, before they are verified. */
interface Credentials {
  caller: Caller
  keyId: string | null
  only: string | null
  until: number | null
}

/**
 * Authentication by a key or a job token in the Authorization header, a job token in the query, or a session cookie. A
 * cookie is only accepted for requests of this service's pages (same origin, allowed Host), because browsers send it
 * automatically. A client's address grants nothing (docs/adr/0006-no-session-by-address.md).
 *
 * Credentials are verified first, and only failures are counted and throttled: a valid key always works, even when other
 * clients guess behind the same proxy. Guessing gains nothing by that, because the secrets have 256 bits; docs/tenants.md
 * describes the purpose of the throttle.
 */
export function createAuth(options: AuthOptions) {
  const { store, devApiKey, adminPassword, keys, allowedHosts, publicOrigin, loginCodes } = options
  const isDevKey = sameAs(devApiKey)
  const isAdminPassword = sameAs(adminPassword)
  const tickets = createTickets(keys)
  const tokens = createJobTokens(keys)
  const networks = createThrottle({ failuresPerMinute: FAILURES_PER_MINUTE })
  const keyIds = createThrottle({ failuresPerMinute: FAILURES_PER_MINUTE })
  const watch = createCredentialWatch(
    async (id) => (await store.admit({ by: 'holder', key: id }, null)).status === 'admitted',
  )

  /** Identifies the development key in signed values, so that changing it ends its sessions and tokens. */
  const claim = `holder:${devApiKey ?? ''}`
  const devHolder = (): string => (devApiKey === null ? '' : `${DEV_HOLDER}${sign(keys, claim, HOLDER_BYTES)}`)
  const isDevHolder = (holder: string): boolean =>
    devApiKey !== null &&
    holder.startsWith(DEV_HOLDER) &&
    isSigned(keys, claim, HOLDER_BYTES, holder.slice(DEV_HOLDER.length))
  const developer: Pick<Credentials, 'caller' | 'keyId'> = {
    caller: { by: 'tenant', tenant: DEFAULT_TENANT },
    keyId: null,
  }

  /** Counts a failure and returns its error. */
  function refusal({ ip }: ApiRequest, keyId: string | null, detail: string): ServiceError {
    networks.check(ip)
    if (keyId !== null) keyIds.check(keyId)
    networks.fail(ip)
    if (keyId !== null) keyIds.fail(keyId)
    return new ServiceError('unauthenticated', detail)
  }

  /** Caller that a signed holder names; null: another development key than the current one. */
  function holderOf(holder: string): Pick<Credentials, 'caller' | 'keyId'> | null {
    if (isDevHolder(holder)) return developer
    return KEY_ID.test(holder) ? { caller: { by: 'holder', key: holder }, keyId: holder } : null
  }

  function ofKey(request: ApiRequest, text: string): Credentials {
    if (isDevKey(text)) return { ...developer, only: null, until: null }
    const keyId = keyIdOf(text)
    if (keyId === null) throw refusal(request, null, WRONG_KEY)
    return { caller: { by: 'key', key: keyId, digest: keyDigest(text) }, keyId, only: null, until: null }
  }

  function ofToken(request: ApiRequest, text: string): Credentials {
    const grant = tokens.read(text)
    const holder = grant && holderOf(grant.holder)
    if (!holder) throw refusal(request, null, 'The token is not valid.')
    if (grant.expires * 1000 <= Date.now()) throw refusal(request, null, 'The token has expired.')
    return { ...holder, only: grant.subject, until: grant.expires * 1000 }
  }

  function sessionOf(request: ApiRequest): Credentials | null {
    const ticket = tickets.read('studio', cookieOf(request, SESSION_COOKIE))
    const holder = ticket && holderOf(ticket.holder)
    return holder && { ...holder, only: null, until: ticket.expires * 1000 }
  }

  function ofSession(request: ApiRequest): Credentials {
    const session = sessionOf(request)
    if (session === null || !hostAllowed(request)) throw new ServiceError('unauthenticated', NO_KEY)
    requireOwnPage(request)
    return session
  }

  function presented(request: ApiRequest, tokenOpens: boolean): Credentials {
    const { authorization } = request.headers
    const inQuery = tokenOpens ? request.query.get('token') : null
    if (authorization === undefined) return inQuery === null ? ofSession(request) : ofToken(request, inQuery)
    // Older clients of Replicate say `Token`.
    const scheme = isFront(request.path)
      ? /^(?:Bearer|Token) ([A-Za-z0-9_-]{1,200})$/i
      : /^Bearer ([A-Za-z0-9_-]{1,200})$/
    const given = scheme.exec(authorization)?.[1]
    if (given === undefined) throw refusal(request, null, /^Bearer /i.test(authorization) ? WRONG_KEY : NO_KEY)
    return given.startsWith(TOKEN_PREFIX) ? ofToken(request, given) : ofKey(request, given)
  }

  /** Verifies the key in Redis, which also counts the request against the tenant's limit per minute. */
  async function admit(request: ApiRequest, credentials: Credentials): Promise<Principal> {
    const { caller, keyId, only, until } = credentials
    const admission = await store.admit(
      caller,
      only === null ? { to: 'tenant' } : { to: 'token', subject: only, perMinute: TOKEN_REQUESTS_PER_MINUTE },
    )
    switch (admission.status) {
      case 'admitted': {
        const { tenant, limits, keep, rate } = admission
        const scopes: readonly Scope[] = only === null ? admission.scopes : ['jobs:read']
        return { tenant, scopes, keyId, limits, keep, only, until, rate }
      }
      case 'lost':
        throw deploymentLost()
      case 'unknown':
        throw refusal(request, keyId, WRONG_KEY)
      case 'revoked':
        throw refusal(request, keyId, 'The API key was revoked.')
      case 'expired':
        throw refusal(request, keyId, 'The API key has expired.')
      case 'suspended':
        throw new ServiceError('tenant_suspended', 'The tenant of this key is suspended.')
      case 'limited': {
        const { rate, waitMs } = admission
        throw new ServiceError('rate_limited', `Too many requests. The limit is ${rate.perMinute} per minute.`, {
          limit: limitOf(rate),
          retryAfter: waitMs / 1000,
          headers: rateHeaders(rate),
        })
      }
    }
  }

  async function identify(request: ApiRequest, tokenOpens: boolean): Promise<Principal> {
    const principal = await admit(request, presented(request, tokenOpens))
    if (principal.only !== null && !tokenOpens)
      throw new ServiceError('forbidden', 'A job token can only read its own job or batch.')
    return principal
  }

  const cookie = (name: string, value: string, path: string, maxAge: number, secure: boolean): string =>
    `${name}=${value}; Path=${path}; Max-Age=${maxAge}; HttpOnly; SameSite=Strict${secure ? '; Secure' : ''}`
  const sessionCookie = (holder: string, secure: boolean): string =>
    cookie(SESSION_COOKIE, tickets.issue('studio', holder, SESSION_S), '/', SESSION_S, secure)

  const hostAllowed = ({ host, proxied }: ApiRequest): boolean =>
    allowedHosts === null || proxied || allowedHosts.has(hostname(host))

  /**
   * Whether a page of the same origin made the request. Safe methods need no proof, because the cookie is SameSite=Strict
   * and other origins cannot read the response; subresources of their pages are refused.
   */
  function fromOwnPage(request: ApiRequest): boolean {
    if (request.method === 'GET' || request.method === 'HEAD')
      return hostAllowed(request) && !isLoadedByOtherPage(request)
    const by = requestedBy(request)
    if (by === 'elsewhere') return false
    const { origin } = request.headers
    const page = origin !== undefined && URL.canParse(origin) ? new URL(origin) : null
    // Accepts pages of PUBLIC_URL, also where a proxy does not forward its host.
    if (page !== null && page.origin === publicOrigin) return true
    if (!hostAllowed(request)) return false
    if (by === 'own page') return true
    if (page === null || (request.secure && page.protocol !== 'https:')) return false
    const own = `${page.protocol}//${request.host ?? ''}`
    return URL.canParse(own) && new URL(own).host === page.host
  }

  function requireOwnPage(request: ApiRequest): void {
    if (fromOwnPage(request)) return
    const { origin = 'none' } = request.headers
    throw new ServiceError(
      'cross_site',
      `A session only works from a page of this service. The origin of the page is ${clipped(origin)}, the host of the request ${clipped(request.host ?? '')}. Behind a proxy, forward the Host header or set PUBLIC_URL.`,
    )
  }

  return {
    hostAllowed,
    fromOwnPage,
    /** Throws `cross_site` unless `fromOwnPage`. */
    requireOwnPage,

    /**
     * Returns the caller; throws `unauthenticated`, `too_many_attempts`, `cross_site`, `tenant_suspended`, `rate_limited`,
     * `deployment_lost` or `forbidden`. `tokenOpens`: the route accepts job tokens and checks their subject (owned.ts).
     */
    async require(request: ApiRequest, scope: Scope, tokenOpens = false): Promise<Principal> {
      const principal = await identify(request, tokenOpens)
      requireScope(principal, scope)
      return principal
    },

    /** Returns the caller without a check of scopes; throws like `require`, and `forbidden` for a job token. */
    identify: (request: ApiRequest): Promise<Principal> => identify(request, false),

    /** Whether the request has credentials, valid or not. */
    hasCredentials: (request: ApiRequest): boolean =>
      request.headers.authorization !== undefined || request.query.has('token') || sessionOf(request) !== null,

    /** Creates a token for one job or batch that the principal may read. */
    issueToken({ keyId }: Principal, subject: string, lifeS: number): { token: string; expires: number } {
      const expires = Math.floor(Date.now() / 1000) + lifeS
      const grant: TokenGrant = { subject, holder: keyId ?? devHolder(), expires }
      return { token: tokens.issue(grant), expires }
    },

    /** Ends an event stream soon after its credentials have ended. */
    whileValid: (principal: Principal, source: EventSource): EventSource => watch.guard(principal, source),

    /** Session cookie for a key; throws like `require`. */
    async signIn(request: ApiRequest, text: string): Promise<string> {
      const { keyId } = await admit(request, ofKey(request, text))
      return sessionCookie(keyId ?? devHolder(), request.secure)
    },
    /** Session cookie for the code of a sign-in link, which it consumes; throws like `require`. */
    async signInWithCode(request: ApiRequest, code: string): Promise<string> {
      if (loginCodes === null || devApiKey === null || !(await loginCodes.redeem(code)))
        throw refusal(request, null, 'The sign-in link was used or has expired. `npx genqueue login` prints a new one.')
      await admit(request, { ...developer, only: null, until: null })
      return sessionCookie(devHolder(), request.secure)
    },
    signOut: (secure: boolean): string => cookie(SESSION_COOKIE, '', '/', 0, secure),

    boardOpen: adminPassword !== null,
    adminSignIn(password: string, secure: boolean): string | null {
      if (!isAdminPassword(password)) return null
      return cookie(ADMIN_COOKIE, tickets.issue('admin', 'admin', SESSION_S), '/admin', SESSION_S, secure)
    },
    isAdmin: (request: ApiRequest): boolean =>
      hostAllowed(request) && tickets.read('admin', cookieOf(request, ADMIN_COOKIE)) !== null,
    adminSignOut: (secure: boolean): string => cookie(ADMIN_COOKIE, '', '/admin', 0, secure),

    stop: watch.stop,
  }
}

export type Auth = ReturnType<typeof createAuth>

/** Untrusted text, shortened for an error message. */
const clipped = (text: string): string => (text === '' ? 'nothing' : text.slice(0, 100))

function hostname(host: string | undefined): string {
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
