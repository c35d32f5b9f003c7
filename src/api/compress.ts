import compression from 'compression'
import type { RequestHandler } from 'express'

/** Compressible types: pages, styles, scripts and JSON. Event streams are excluded, because they would wait for a full block. */
const COMPRESSED = /^(?:text\/(?:html|css|javascript)|application\/(?:json|javascript|problem\+json|x-ndjson))(?:;|$)/

/** Uncompressed paths: responses with secrets, and event streams. */
const AS_THEY_ARE = /^\/v1\/(?:session|admin)(?:\/|$)|^\/v1\/(?:.*\/)?(?:events|output)$/i

/**
 * Compresses responses to GET.
 *
 * BREACH: the compressed size of a response with a secret and an attacker's text reveals whether the two are similar. The
 * attack needs the victim's browser to repeat the request with many texts. Pages of other origins cannot do that: they
 * cannot use a session (auth.ts), and without credentials a response contains no secret. Keys and tokens are created by
 * POST, which is never compressed; administration is not compressed either.
 *
 * Stored files are not compressed, because their `ETag`, `Content-Length` and ranges refer to the bytes.
 */
export function compressAnswers(): RequestHandler {
  const compress = compression({
    threshold: 1024,
    filter: (_request, response) =>
      COMPRESSED.test(String(response.getHeader('content-type') ?? '')) && !response.hasHeader('accept-ranges'),
  })
  return (request, response, next) => {
    if (request.method === 'GET' && !AS_THEY_ARE.test(request.path)) compress(request, response, next)
    else next()
  }
}
