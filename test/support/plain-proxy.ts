import { createServer, request, type Server } from 'node:http'
import { onTestFinished } from 'vitest'

/**
 * What nginx does with nothing but `proxy_pass http://127.0.0.1:<port>;`: `Host` becomes the address of the upstream, the
 * connection is closed, and no header shows the proxy. `headers` are set as `proxy_set_header` would.
 */
export async function plainProxy(upstream: string, headers: Record<string, string> = {}): Promise<string> {
  const { hostname, port } = new URL(upstream)
  const server: Server = createServer((incoming, outgoing) => {
    const passed = request(
      {
        host: hostname,
        port,
        method: incoming.method,
        path: incoming.url,
        headers: { ...incoming.headers, host: hostname, connection: 'close', ...headers },
      },
      (answer) => {
        const { connection: _hop, ...kept } = answer.headers
        outgoing.writeHead(answer.statusCode ?? 502, kept)
        answer.pipe(outgoing)
      },
    )
    passed.on('error', () => outgoing.destroy())
    incoming.pipe(passed)
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  onTestFinished(() => {
    server.closeAllConnections()
    server.close()
  })
  const address = server.address()
  return `http://127.0.0.1:${typeof address === 'object' && address !== null ? address.port : 0}`
}
