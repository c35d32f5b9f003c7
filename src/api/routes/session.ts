import { ServiceError } from '../../shared/errors.ts'
import type { Auth } from '../auth.ts'
import type { ApiRequest, ApiResponse, Route } from '../http.ts'
import { parseBody, signInSchema } from '../schemas.ts'

/** Signing in with a key: Studio keeps no key, only the cookie that it is exchanged for. */
export function sessionRoutes(auth: Auth): Route[] {
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

  return [
    { method: 'POST', path: '/v1/session', scope: null, handle: signIn },
    { method: 'DELETE', path: '/v1/session', scope: null, handle: signOut },
  ]
}
