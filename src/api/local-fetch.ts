import { Readable } from 'node:stream'
import { ServiceError } from '../shared/errors/service-error.ts'
import { errorResponse, toServiceError } from './error-response.ts'
import type { ApiResponse, OwnedRequest, Route } from './http.ts'
import { requireScope } from './principal.ts'

/**
 * `fetch` for a client inside of this service: calls the handlers of the routes, in the name of an authorized request and with
 * its scopes, which were counted and checked once. What fails inside is passed to `onError`.
 */
export function createLocalFetch(routes: readonly Route[], request: OwnedRequest, onError: (error: Error) => void) {
  const handlers = routes.map((route) => ({ route, pattern: patternOf(route.path) }))

  async function call(url: URL, { method = 'GET', headers, body, signal }: RequestInit): Promise<ApiResponse> {
    for (const { route, pattern } of handlers) {
      const params = route.method === method ? pattern.exec(url.pathname)?.groups : undefined
      if (params === undefined) continue
      // A body that is no JSON text, such as an upload.
      if (route.streams) break
      const named = Object.entries(params).map(([name, value]) => [name, decodeURIComponent(value)])
      const asked: OwnedRequest = {
        ...request,
        method,
        path: url.pathname,
        params: Object.fromEntries(named),
        query: url.searchParams,
        headers: Object.fromEntries(new Headers(headers)),
        body: typeof body === 'string' ? JSON.parse(body) : undefined,
        gone: () => signal ?? request.gone(),
      }
      if (route.scope === null) return route.handle(asked)
      requireScope(asked.principal, route.scope)
      return route.handle(asked)
    }
    throw new ServiceError('not_found', 'This route does not exist.')
  }

  return async (input: string | URL | Request, init: RequestInit = {}): Promise<Response> => {
    const url = new URL(input instanceof Request ? input.url : input)
    try {
      return responseOf(await call(url, init))
    } catch (error) {
      const known = toServiceError(error)
      if (known.code === 'internal' && error instanceof Error) onError(error)
      const { status, headers, body } = errorResponse(known)
      return Response.json(body, { status, headers })
    }
  }
}

/** `/v1/jobs/:id` as a pattern with a group for each parameter. */
const patternOf = (path: string): RegExp => new RegExp(`^${path.replaceAll(/:(\w+)/g, '(?<$1>[^/]+)')}(?<rest>)$`)

function responseOf(answer: ApiResponse): Response {
  if ('events' in answer) throw new Error('an event stream has no place here')
  const { status, headers = {} } = answer
  if ('stream' in answer) return new Response(Readable.toWeb(answer.stream), { status, headers })
  return Response.json(answer.body ?? null, { status, headers })
}
