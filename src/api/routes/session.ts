import type { Session } from '../description/tenants.ts'
import type { TenantAdmin } from '../../shared/tenants/tenant-admin.ts'
import type { Auth } from '../auth.ts'
import type { ApiRequest, ApiResponse, Route } from '../http.ts'
import { parseBody, signInSchema } from '../schemas.ts'

/** Sign-in with a key or the code of a sign-in link. Studio stores neither, only the session cookie. */
export function sessionRoutes(auth: Auth, tenants: Pick<TenantAdmin, 'tenant'>): Route[] {
  async function signIn(request: ApiRequest): Promise<ApiResponse> {
    const { key, code } = parseBody(signInSchema, request.body)
    const cookie = key === undefined ? auth.signInWithCode(request, code ?? '') : auth.signIn(request, key)
    return { status: 204, headers: { 'set-cookie': await cookie } }
  }

  async function signOut(request: ApiRequest): Promise<ApiResponse> {
    auth.requireOwnPage(request)
    return { status: 204, headers: { 'set-cookie': auth.signOut(request.secure) } }
  }

  /** The caller, by a cookie, which a page cannot read, or by a key. */
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
    { method: 'POST', path: '/v1/session', scope: null, before: auth.requireOwnPage, handle: signIn },
    { method: 'DELETE', path: '/v1/session', scope: null, handle: signOut },
  ]
}
