import { createServer, type RequestListener, type Server } from 'node:http'

export interface RunningServer {
  port: number
  /** Takes no new connection, lets requests end for `withinMs`, then cuts what is left (event streams). */
  stop(withinMs: number): Promise<void>
}

/** Listens with limits on slow and endless clients. A busy port is an error that names it. */
export async function startServer(
  handler: RequestListener,
  options: { host: string; port: number; portVariable: string },
): Promise<RunningServer> {
  const server: Server = createServer(
    {
      headersTimeout: 10_000,
      // Large files take their time; whoever reads a body ends what is too slow long before (read-body.ts).
      requestTimeout: 60 * 60_000,
      connectionsCheckingInterval: 5_000,
      keepAliveTimeout: 65_000,
    },
    handler,
  )
  server.maxHeadersCount = 100
  await new Promise<void>((resolve, reject) => {
    server.once('error', (error: NodeJS.ErrnoException) => {
      reject(
        error.code === 'EADDRINUSE'
          ? new Error(
              `${options.portVariable}: port ${options.port} on ${options.host} is in use; stop the other program or set ${options.portVariable} to another port (0: any free one)`,
            )
          : error,
      )
    })
    server.listen(options.port, options.host, resolve)
  })
  const address = server.address()
  return {
    port: typeof address === 'object' && address !== null ? address.port : options.port,
    async stop(withinMs) {
      const closed = new Promise<void>((resolve) => server.close(() => resolve()))
      server.closeIdleConnections()
      const timer = setTimeout(() => server.closeAllConnections(), withinMs)
      await closed
      clearTimeout(timer)
    },
  }
}
