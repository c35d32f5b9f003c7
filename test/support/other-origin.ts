import { createServer, type Server } from 'node:http'
import { afterAll, onTestFinished } from 'vitest'

function serve(html: string): Promise<{ server: Server; origin: string }> {
  const server = createServer((_request, response) =>
    response.setHeader('content-type', 'text/html; charset=utf-8').end(html),
  )
  return new Promise((resolve) =>
    server.listen(0, '127.0.0.1', () => {
      const address = server.address()
      const port = typeof address === 'object' && address !== null ? address.port : 0
      resolve({ server, origin: `http://127.0.0.1:${port}` })
    }),
  )
}

function close(server: Server): void {
  server.closeAllConnections()
  server.close()
}

/** A page of another origin, until the test has ended. Returns the origin. */
export async function otherOrigin(html: string): Promise<string> {
  const { server, origin } = await serve(html)
  onTestFinished(() => close(server))
  return origin
}

/** The same until the test file has ended. */
export async function listenAsOrigin(html: string): Promise<string> {
  const { server, origin } = await serve(html)
  afterAll(() => close(server))
  return origin
}
