import type { Session } from '../../client/types.ts'
import { ServiceError } from '../../shared/errors.ts'
import type { TenantAdmin } from '../../shared/tenants/tenant-admin.ts'
import type { Auth } from '../auth.ts'
import type { ApiRequest, ApiResponse, Route } from '../http.ts'
import { parseBody, signInSchema } from '../schemas.ts'

/** Signing in with a key: Studio keeps no key, only the cookie that it is exchanged for. */
export function sessionRoutes(auth: Auth, tenants: Pick<TenantAdmin, 'tenant'>): Route[] {
  function requireOwnPage(request: ApiRequest): void {
    if (!auth.fromOwnPage(request)) throw new ServiceError('cross_site', 'A session only works from its own page.')
  }

  async function signIn(request: ApiRequest): Promise<ApiResponse> {
    requireOwnPage(request)
    const { key } = parseBody(signInSchema, request.body)
    return { status: 204, headers: { 'set-cookie': await auth.signIn(request, key) } }
  }

  async function signOut(request: ApiRequest): Promise<ApiResponse> {
    requireOwnPage(request)
    return { status: 204, headers: { 'set-cookie': auth.signOut(request.secure) } }
  }

  /** Who asks: with a cookie, which tells a page nothing, or with a key. */
  async function show(request: ApiRequest): Promise<ApiResponse> {
    const { tenant, scopes, keyId, until } = await auth.identify(request)
    const { title } = await tenants.tenant(tenant)
    const body: Session = {
      tenant: { id: tenant, title },
      scopes: [...scopes],
      key_id: keyId,
      expires_at: until === null ? null : new Date(until).toISOString(),
    }
    return { status: 200, body }
  }

  return [
    { method: 'GET', path: '/v1/session', scope: null, handle: show },
    { method: 'POST', path: '/v1/session', scope: null, before: requireOwnPage, handle: signIn },
    { method: 'DELETE', path: '/v1/session', scope: null, handle: signOut },
  ]
}
