import { ServiceError } from '../../shared/errors/service-error.ts'
import { isObject } from '../../shared/values/json.ts'
import { NO_KEY, type Auth } from '../auth.ts'
import { requestedBy } from '../fetch-metadata.ts'
import { originOf } from '../front/origin.ts'
import type { ApiRequest, ApiResponse, BodyLimits, OwnedRequest, Route } from '../http.ts'
import { BODY_LIMITS } from '../json-body.ts'
import { invalidRequest } from '../schemas.ts'

/** A message of JSON-RPC, files in it included. */
const BODY: BodyLimits = { ...BODY_LIMITS, bytes: 4 * 1024 * 1024 }

export interface McpDependencies {
  auth: Pick<Auth, 'hostAllowed' | 'requireOwnPage'>
  /** Serves one message for the caller, whose address of this service is `origin`. */
  serve: (request: OwnedRequest, message: { origin: string; http: Request }) => Promise<Response>
}

/** The Model Context Protocol for agents, by streamable HTTP without sessions: each message is a request of its tenant. */
export function mcpRoutes({ auth, serve }: McpDependencies): Route[] {
  /** A key is needed: no page of a signed-in browser can use this. Pages of other origins are refused even with a key. */
  function before(request: ApiRequest): void {
    const { origin, authorization } = request.headers
    if (!auth.hostAllowed(request))
      throw new ServiceError('cross_site', 'The service does not accept this host name for MCP.')
    if (origin !== undefined || requestedBy(request) !== 'unsaid') auth.requireOwnPage(request)
    if (authorization === undefined) throw new ServiceError('unauthenticated', NO_KEY)
  }

  async function handle(request: OwnedRequest): Promise<ApiResponse> {
    // A batch would make many requests of one that is counted.
    if (!isObject(request.body))
      throw invalidRequest([{ pointer: '', code: 'invalid_type', detail: 'Send one message of JSON-RPC, an object.' }])
    const origin = originOf(request)
    const headers = Object.entries(request.headers).flatMap(([name, value]): [string, string][] =>
      value === undefined ? [] : [[name, value]],
    )
    const http = new Request(`${origin}/mcp`, { method: 'POST', headers, signal: request.gone() })
    const response = await serve(request, { origin, http })
    const body = await response.text()
    const type = response.headers.get('content-type')
    return {
      status: response.status,
      ...(type === null ? {} : { headers: { 'content-type': type } }),
      ...(body === '' ? {} : { body }),
    }
  }

  return [{ method: 'POST', path: '/mcp', scope: 'jobs:read', body: BODY, before, handle }]
}
