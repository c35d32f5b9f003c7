import { createLocalFetch } from '../api/local-fetch.ts'
import type { Route } from '../api/http.ts'
import type { McpDependencies } from '../api/routes/mcp.ts'
import { createClient } from '../client/client.ts'
import type { Logger } from '../shared/process/logger.ts'
import { VERSION } from '../shared/process/version.ts'

/**
 * Serves messages of MCP through the routes of the API, in this process: the tools of agents have a client, as on stdio, whose
 * `fetch` calls the handlers.
 */
export function createServeAgents(routes: readonly Route[], log: Logger): McpDependencies['serve'] {
  const onFailure = (error: Error): void => log.error({ err: error }, 'a request of an agent failed')
  const onError = (error: Error): void => log.debug({ err: error }, 'a message of an agent was not accepted')
  return async (request, { origin, http }) => {
    const { serveMcpRequest } = await import('../mcp/serve-request.ts')
    const fetch = createLocalFetch(routes, request, onFailure)
    const client = createClient({ baseUrl: origin, fetch, attempts: 1 })
    return serveMcpRequest({ request: http, body: request.body, client, version: VERSION, onError })
  }
}
