import { createServer, type RequestListener, type Server } from 'node:http'

export interface RunningServer {
  port: number
  /** Graceful shutdown: refuses new connections, waits `withinMs` for requests, then closes the rest (event streams). */
  stop(withinMs: number): Promise<void>
}

/** Starts a listener with limits for slow clients. Throws an error that names a busy port. */
export async function startServer(
  handler: RequestListener,
  options: { host: string; port: number; portVariable: string },
): Promise<RunningServer> {
  const server: Server = createServer(
    {
      headersTimeout: 10_000,
      // Long, for large files; readers of bodies abort stalled requests much earlier (read-body.ts).
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
              `${options.portVariable}: port ${options.port} on ${options.host} is in use. Stop the other program, or set ${options.portVariable} to another port (0: any free one)`,
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
