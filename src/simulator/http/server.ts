import { createServer, type IncomingMessage, type RequestListener, type Server, type ServerResponse } from 'node:http'
import { createServer as createTlsServer } from 'node:https'
import { pipeline } from 'node:stream/promises'
import { Readable } from 'node:stream'
import { TLSSocket } from 'node:tls'
import { ORIGIN_HEADER } from '../redirecting-fetch.ts'
import { methodNotAllowed, notFound, serverError } from './problem.ts'
import { REPLICATE_API } from '../replicate-hosts.ts'
import type { RequestLog } from '../request-log.ts'
import type { Reply } from './reply.ts'
import { createRouter, type Route, type SimulatorRequest } from './router.ts'

export interface HttpServer {
  port: number
  stop(): Promise<void>
}

export interface Listening {
  host: string
  port: number
  /** In PEM; null: plain HTTP. */
  tls: { key: string; cert: string } | null
}

export type Answer = (request: SimulatorRequest) => Reply | Promise<Reply>

/** Answers by the first route that fits. */
export function routed(routes: readonly Route[]): Answer {
  const match = createRouter(routes)
  return (request) => {
    const found = match(request.method, request.path)
    if (found === null) return notFound()
    if ('allowed' in found) return methodNotAllowed(request.method, found.allowed)
    return found.handler({ ...request, params: found.params })
  }
}

/** Listens and writes replies. The only file that handles sockets. */
export async function startHttpServer(
  { host, port, tls }: Listening,
  answer: Answer,
  requests: RequestLog | null,
  log: (line: object) => void,
): Promise<HttpServer> {
  const onRequest: RequestListener = (request, response) => {
    respond(request, response).catch((error: unknown) => {
      if (hasLeft(error)) return
      log({ event: 'request_failed', url: request.url, error: error instanceof Error ? error.stack : String(error) })
      if (!response.headersSent) void write(request, response, serverError(500))
      else response.destroy()
    })
  }
  const server = tls === null ? createServer(onRequest) : createTlsServer(tls, onRequest)
  server.keepAliveTimeout = 65_000

  async function respond(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const method = request.method ?? 'GET'
    const url = URL.parse(`http://simulator${request.url ?? '/'}`)
    if (url === null) return write(request, response, notFound())
    const asked: SimulatorRequest = {
      method,
      path: url.pathname,
      params: {},
      query: url.searchParams,
      headers: request.headers,
      account: '',
      origin: originOf(request),
      readBody: (limit) => readBody(request, limit),
    }
    // The simulator's own routes are no part of the API.
    if (url.pathname.startsWith('/_sim')) return write(request, response, await answer(asked))
    const seen = requests?.begin(asked)
    const reply = await answer(seen?.request ?? asked)
    await seen?.end(reply)
    return write(request, response, reply)
  }

  await listen(server, host, port)
  return {
    port: portOf(server),
    stop: () =>
      new Promise((resolve) => {
        server.close(() => resolve())
        server.closeAllConnections()
      }),
  }
}

/** A client that disconnects during a response is not an error. */
const hasLeft = (error: unknown) =>
  error instanceof Error && 'code' in error && error.code === 'ERR_STREAM_PREMATURE_CLOSE'

function listen(server: Server, host: string, port: number): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', (error: NodeJS.ErrnoException) => {
      const busy = error.code === 'EADDRINUSE'
      reject(busy ? new Error(`port ${port} on ${host} is already in use`, { cause: error }) : error)
    })
    server.listen(port, host, () => {
      server.removeAllListeners('error')
      resolve()
    })
  })
}

function portOf(server: Server): number {
  const address = server.address()
  if (address === null || typeof address === 'string') throw new Error('the server listens on no port')
  return address.port
}

const HOST = /^[a-z0-9.\-_[\]:]+$/i

/** The origin that the client used; URLs in responses are built on it. Respects a proxy's https, and a redirected client's. */
function originOf({ headers, socket }: IncomingMessage): string {
  const simulated = headers[ORIGIN_HEADER]
  if (typeof simulated === 'string') return REPLICATE_API
  const host = headers.host
  const scheme = socket instanceof TLSSocket || headers['x-forwarded-proto'] === 'https' ? 'https' : 'http'
  if (host !== undefined && HOST.test(host)) return `${scheme}://${host}`
  const address = socket.localAddress ?? '127.0.0.1'
  return `${scheme}://${address.includes(':') ? `[${address}]` : address}:${socket.localPort}`
}

async function readBody(request: IncomingMessage, limit: number): Promise<Buffer | 'too large'> {
  if (Number(request.headers['content-length'] ?? 0) > limit) return 'too large'
  const chunks: Buffer[] = []
  let size = 0
  for await (const chunk of request as AsyncIterable<Buffer>) {
    size += chunk.length
    if (size > limit) return 'too large'
    chunks.push(chunk)
  }
  return Buffer.concat(chunks)
}

async function write(request: IncomingMessage, response: ServerResponse, reply: Reply): Promise<void> {
  const isHead = request.method === 'HEAD'
  switch (reply.kind) {
    case 'cut':
      return cutOff(request, response, reply)
    case 'empty':
      response.writeHead(reply.status, closing(request, reply.headers)).end()
      return
    case 'json': {
      const type = reply.problem ? 'application/problem+json' : 'application/json'
      const body = `${JSON.stringify(reply.body)}${reply.problem ? '\n' : ''}`
      const headers = { 'content-type': type, 'content-length': String(Buffer.byteLength(body)), ...reply.headers }
      response.writeHead(reply.status, closing(request, headers)).end(isHead ? undefined : body)
      return
    }
    case 'bytes': {
      const length: Record<string, string> =
        reply.body instanceof Readable ? {} : { 'content-length': String(Buffer.byteLength(reply.body)) }
      response.writeHead(reply.status, closing(request, { ...length, ...reply.headers }))
      if (isHead) response.end()
      else if (reply.body instanceof Readable) {
        // Sends the headers at once: a stream's first event may come much later.
        response.flushHeaders()
        await pipeline(reply.body, response)
      } else response.end(reply.body)
    }
  }
}

/** The rest of an unread body would be parsed as the next request. */
const closing = (request: IncomingMessage, headers: Record<string, string>): Record<string, string> =>
  request.complete || request.method === 'GET' || request.method === 'HEAD'
    ? headers
    : { ...headers, connection: 'close' }

function cutOff(request: IncomingMessage, response: ServerResponse, { after }: Extract<Reply, { kind: 'cut' }>): void {
  const reset = () => void request.socket.resetAndDestroy()
  if (after === undefined) return reset()
  response.writeHead(after.status, after.headers)
  response.write(after.part, () => setImmediate(reset))
}
