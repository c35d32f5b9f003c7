import helmet from 'helmet'

type Directives = Record<string, string[] | null>

/**
 * The headers that every page and answer carries, with a content security policy of `directives` over `default-src 'self'`
 * and no frames.
 *
 * `Referrer-Policy: same-origin`, not helmet's `no-referrer`: under that one a browser sends `Origin: null` with our own
 * forms, which cannot be told from a form of a sandboxed stranger. No HSTS: whether a host name is for TLS only is the
 * business of the proxy that ends TLS.
 */
export function securityHeaders(directives: Directives): ReturnType<typeof helmet> {
  return helmet({
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
}
