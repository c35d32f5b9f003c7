import helmet from 'helmet'

type Directives = Record<string, string[] | null>

/**
 * Security headers of every page and response, with a content security policy of `directives` over `default-src 'self'`
 * and no frames.
 *
 * `Referrer-Policy: same-origin`, not helmet's `no-referrer`, under which a browser sends `Origin: null` with our own forms,
 * indistinguishable from a form in a sandbox. No HSTS: the proxy that terminates TLS decides whether a host name is only
 * for TLS.
 */
export const securityHeaders = (directives: Directives): ReturnType<typeof helmet> =>
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
