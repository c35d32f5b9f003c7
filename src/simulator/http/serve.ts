import { makeCertificate } from '../certificate.ts'
import { redirectingFetch } from '../redirecting-fetch.ts'
import type { RequestLog } from '../request-log.ts'
import { trustingFetch } from '../trusting-fetch.ts'
import { type Answer, startHttpServer } from './server.ts'

export interface ServeOptions {
  /** Default 127.0.0.1. */
  host?: string
  /** 0: any free port. */
  port: number
  /** Serves HTTPS, with a certificate that is made at the start: see `Served.ca`. Default false. */
  tls?: boolean
  log?: (line: object) => void
}

/** What stands in for Replicate at an address. */
export interface Served {
  /** http://127.0.0.1:4010 */
  url: string
  /** The base URL for clients: `url` and `/v1`. */
  apiUrl: string
  port: number
  /** With `tls`: the authority that signed the certificate, in PEM, which clients have to trust. */
  ca: string | null
  /**
   * Sends requests for `https://api.replicate.com` and the hosts of output files to this address, and all others where they
   * want to go: `new Replicate({ auth, fetch: simulator.fetch })`.
   */
  fetch: typeof fetch
  stop(): Promise<void>
}

export async function serve(options: ServeOptions, answer: Answer, requests: RequestLog | null): Promise<Served> {
  const { host = '127.0.0.1', port, tls = false, log = () => undefined } = options
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
