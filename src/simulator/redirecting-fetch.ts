import { isReplicateHost } from './replicate-hosts.ts'

export interface RedirectOptions {
  /**
   * What stands in for `https://api.replicate.com`, with or without `/v1`: `http://127.0.0.1:4010`, or a base with a path,
   * `https://queue.example/replicate`.
   */
  to: string
  /** What sends the requests. Default: the `fetch` of this process at the time of this call. */
  fetch?: typeof fetch
}

/** The origin that the client asked. The simulator then builds its URLs on Replicate's. */
export const ORIGIN_HEADER = 'x-simulated-origin'

/**
 * A `fetch` that sends requests for Replicate's hosts to another one, and all others where they want to go. A client with it
 * needs no base URL and gets `https://` URLs, of which official clients make `FileOutput` objects:
 *
 *     new Replicate({ auth, fetch: redirectingFetch({ to: 'http://127.0.0.1:4010' }) })
 *
 * As `globalThis.fetch = redirectingFetch({ to })` it also redirects libraries that take neither.
 */
export function redirectingFetch({ to, fetch: send = globalThis.fetch }: RedirectOptions): typeof fetch {
  const base = to.replace(/\/+$/, '').replace(/\/v1$/, '')
  if (!/^https?:\/\/./.test(base)) throw new Error(`redirectingFetch: "to" is "${to}", expected a URL`)
  return (input, init) => {
    const url = new URL(input instanceof Request ? input.url : input)
    if (url.protocol !== 'https:' || !isReplicateHost(url.hostname)) return send(input, init)
    const target = `${base}${url.pathname}${url.search}`
    const headers = new Headers(init?.headers ?? (input instanceof Request ? input.headers : undefined))
    headers.set(ORIGIN_HEADER, url.origin)
    return send(input instanceof Request ? new Request(target, input) : target, { ...init, headers })
  }
}
