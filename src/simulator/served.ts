export interface ServeOptions {
  /** Default 127.0.0.1. */
  host?: string
  /** Default 0: any free port. */
  port?: number
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
