import {
  createMcpHandler,
  isLegacyRequest,
  WebStandardStreamableHTTPServerTransport,
} from '@modelcontextprotocol/server'
import type { Client } from '../client/client.ts'
import { createAgentServer } from './agent-server.ts'

export interface RequestToServe {
  request: Request
  /** The parsed body of the request. */
  body: unknown
  client: Client
  version: string
  /** Reports a message that was not accepted. */
  onError: (error: Error) => void
}

/** Serves one message of streamable HTTP, of every revision of the protocol, without a session. The response is JSON. */
export async function serveMcpRequest({ request, body, client, version, onError }: RequestToServe): Promise<Response> {
  if (!(await isLegacyRequest(request, body))) {
    const handler = createMcpHandler(() => createAgentServer(client, version), {
      legacy: 'reject',
      // Nothing that a client could subscribe to ever changes.
      maxSubscriptions: 0,
      onerror: onError,
    })
    return handler.fetch(request, { parsedBody: body })
  }
  const server = createAgentServer(client, version)
  const transport = new WebStandardStreamableHTTPServerTransport({ enableJsonResponse: true })
  await server.connect(transport)
  const close = (): void => void server.close().catch(onError)
  request.signal.addEventListener('abort', close, { once: true })
  try {
    return await transport.handleRequest(request, { parsedBody: body })
  } finally {
    close()
  }
}
