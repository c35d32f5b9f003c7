import { createServer, request, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { buffer } from 'node:stream/consumers'
import { afterFile } from './after-file.ts'

/** What the outside does with a request. `pass` hands it on to the api; `changes` replaces parts of it. */
export type Fault = (
  incoming: IncomingMessage,
  outgoing: ServerResponse,
  pass: (changes?: { path?: string; headers?: IncomingMessage['headers']; body?: Buffer }) => void,
) => void | Promise<void>

export interface Outside {
  url: string
  port: number
  leadTo(url: string): void
  /** null: everything passes unchanged. */
  set(fault: Fault | null): void
}

/** The way from the internet to an api: a proxy that can do to requests what proxies, tunnels and gateways do to them. */
export async function startOutside(): Promise<Outside> {
  let target = ''
  let fault: Fault | null = null
  const server = createServer((incoming, outgoing) => {
    const pass: Parameters<Fault>[2] = ({ path = incoming.url, headers = incoming.headers, body } = {}) => {
      const { hostname, port } = new URL(target)
      const passed = request({ host: hostname, port, method: incoming.method, path, headers }, (answer) => {
        outgoing.writeHead(answer.statusCode ?? 502, answer.headers)
        answer.pipe(outgoing)
      })
      passed.on('error', () => outgoing.destroy())
      if (body) passed.end(body)
      else incoming.pipe(passed)
    }
    if (fault) void fault(incoming, outgoing, pass)
    else pass()
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  afterFile(() => {
    server.closeAllConnections()
    server.close()
  })
  const { port } = server.address() as AddressInfo
  return {
    url: `http://127.0.0.1:${port}`,
    port,
    leadTo(url) {
      target = url
    },
    set(next) {
      fault = next
    },
  }
}

const answers =
  (status: number, headers: Record<string, string> = {}, body = ''): Fault =>
  (incoming, outgoing) => {
    incoming.resume()
    outgoing.writeHead(status, headers).end(body)
  }

const withBody =
  (change: (body: Buffer) => Buffer): Fault =>
  async (incoming, _outgoing, pass) => {
    const body = change(await buffer(incoming))
    pass({ body, headers: { ...incoming.headers, 'content-length': String(body.length) } })
  }

/** What stands between Replicate and an api, and is not only a way. */
export const FAULTS = {
  answers,
  withBody,
  withoutQuery: ((incoming, _outgoing, pass) => pass({ path: incoming.url?.split('?')[0] ?? '/' })) as Fault,
  withoutWebhookHeaders: ((incoming, _outgoing, pass) =>
    pass({
      headers: Object.fromEntries(Object.entries(incoming.headers).filter(([name]) => !name.startsWith('webhook-'))),
    })) as Fault,
  /** Refuses larger bodies by what they announce. */
  limits:
    (bytes: number): Fault =>
    (incoming, outgoing, pass) =>
      Number(incoming.headers['content-length']) > bytes
        ? answers(413, { server: 'nginx', connection: 'close' }, '<h1>413</h1>')(incoming, outgoing, pass)
        : pass(),
  /** Cuts the connection of larger bodies while they arrive. */
  cuts:
    (bytes: number): Fault =>
    (incoming, _outgoing, pass) => {
      if (Number(incoming.headers['content-length']) > bytes) incoming.once('data', () => incoming.destroy())
      else pass()
    },
  /** Sends a response when it is complete. */
  buffers:
    (target: () => string): Fault =>
    async (incoming, outgoing) => {
      const body = await buffer(incoming)
      const answer = await fetch(new URL(incoming.url ?? '/', target()), {
        method: incoming.method ?? 'POST',
        headers: Object.entries(incoming.headers).flatMap(([name, value]): [string, string][] =>
          typeof value === 'string' && !/^(?:host|connection|content-length)$/.test(name) ? [[name, value]] : [],
        ),
        body: new Uint8Array(body),
      })
      outgoing.writeHead(answer.status, { 'content-type': answer.headers.get('content-type') ?? '' })
      outgoing.end(Buffer.from(await answer.arrayBuffer()))
    },
}
