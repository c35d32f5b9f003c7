import { Agent, createServer, request as httpRequest, type IncomingMessage, type ServerResponse } from 'node:http'
import { buffer } from 'node:stream/consumers'
import { freePort } from '../../test/support/free-port.ts'

/** A request on its way through. */
export interface Passing {
  method: string
  path: string
  body: Buffer
  /** When its head arrived, by `performance.now()` of this process. */
  arrived: number
}

/**
 * An address of this process that passes requests on to `target`, and responses back. A request goes on when the promise of
 * `pass` is fulfilled, so the caller can take the time of its arrival and of its departure by one clock.
 */
export async function startTimedProxy(
  target: string,
  pass: (passing: Passing) => Promise<void>,
): Promise<{ url: string; stop: () => void }> {
  const agent = new Agent({ keepAlive: true })
  async function forward(incoming: IncomingMessage, outgoing: ServerResponse): Promise<void> {
    const arrived = performance.now()
    const { method = 'GET', url: path = '/', headers } = incoming
    const body = await buffer(incoming)
    await pass({ method, path, body, arrived })
    const answer = await new Promise<IncomingMessage>((resolve, reject) => {
      httpRequest(new URL(path, target), { method, headers, agent }, resolve).on('error', reject).end(body)
    })
    outgoing.writeHead(answer.statusCode ?? 502, answer.headers)
    answer.pipe(outgoing)
  }
  const server = createServer((incoming, outgoing) => {
    forward(incoming, outgoing).catch(() => incoming.socket.destroy())
  })
  const port = await freePort()
  await new Promise<void>((resolve) => void server.listen(port, '127.0.0.1', resolve))
  return {
    url: `http://127.0.0.1:${port}`,
    stop() {
      server.close()
      server.closeAllConnections()
      agent.destroy()
    },
  }
}
