import type { RequestHandler } from 'express'
import helmet from 'helmet'
import { IncomingMessage, ServerResponse } from 'node:http'
import { Socket } from 'node:net'

export type Directives = Record<string, string[] | null>

/**
 * Security headers of every page and response, with a content security policy of `directives` over `default-src 'self'`
 * and no frames.
 *
 * `Referrer-Policy: same-origin`, not helmet's `no-referrer`, under which a browser sends `Origin: null` with our own forms,
 * indistinguishable from a form in a sandbox. No HSTS: the proxy that terminates TLS decides whether a host name is only
 * for TLS.
 */
export const helmetOf = (directives: Directives): ReturnType<typeof helmet> =>
  helmet({
    contentSecurityPolicy: {
      directives: {
        'default-src': ["'self'"],
        'object-src': ["'none'"],
        'base-uri': ["'none'"],
        'form-action': ["'self'"],
        'frame-ancestors': ["'none'"],
        'upgrade-insecure-requests': null,
        ...directives,
      },
    },
    referrerPolicy: { policy: 'same-origin' },
    strictTransportSecurity: false,
  })

/** Notes the headers that are set. */
class Sample extends ServerResponse {
  readonly headers: [name: string, value: string][] = []
  override setHeader(name: string, value: number | string | readonly string[]): this {
    this.headers.push([name, String(value)])
    return this
  }
}

/** Sets the headers that helmet sets. They are the same for every response, so helmet's dozen of handlers runs only once. */
export function securityHeaders(directives: Directives): RequestHandler {
  const request = new IncomingMessage(new Socket())
  const sample = new Sample(request)
  helmetOf(directives)(request, sample, (error: unknown) => {
    if (error !== undefined) throw error
  })
  return (_request, response, next) => {
    for (const [name, value] of sample.headers) response.setHeader(name, value)
    next()
  }
}
