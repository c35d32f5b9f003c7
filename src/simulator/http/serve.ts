import { makeCertificate } from '../certificate.ts'
import { redirectingFetch } from '../redirecting-fetch.ts'
import type { RequestLog } from '../request-log.ts'
import type { Served, ServeOptions } from '../served.ts'
import { trustingFetch } from '../trusting-fetch.ts'
import { type Answer, startHttpServer } from './server.ts'

export async function serve(options: ServeOptions, answer: Answer, requests: RequestLog | null): Promise<Served> {
  const { host = '127.0.0.1', port = 0, tls = false, log = () => undefined } = options
  const certificate = tls ? await makeCertificate(host) : null
  const server = await startHttpServer({ host, port, tls: certificate }, answer, requests, log)
  const trusting = certificate === null ? null : trustingFetch(certificate.ca)
  const url = `${certificate === null ? 'http' : 'https'}://${host.includes(':') ? `[${host}]` : host}:${server.port}`
  return {
    url,
    apiUrl: `${url}/v1`,
    port: server.port,
    ca: certificate?.ca ?? null,
    fetch: redirectingFetch({ to: url, ...(trusting === null ? {} : { fetch: trusting.fetch }) }),
    async stop() {
      await server.stop()
      await trusting?.stop()
    },
  }
}
