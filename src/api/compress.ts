import compression from 'compression'
import type { RequestHandler } from 'express'

/** What compresses well: pages, styles, scripts and JSON. Never event streams, which would wait for a full block. */
const COMPRESSED = /^(?:text\/(?:html|css|javascript)|application\/(?:json|javascript|problem\+json|x-ndjson))(?:;|$)/

/** Where answers hold little but secrets; and event streams, which pass untouched. */
const AS_THEY_ARE = /^\/v1\/(?:session|admin)(?:\/|$)|^\/v1\/(?:.*\/)?events$/i

/**
 * Compresses answers to GET on their way.
 *
 * An answer that holds a secret beside text that somebody else chooses tells, by its compressed size, whether the two are
 * alike (BREACH). To measure that, one must make the browser of the person who owns the secret ask again and again with
 * other texts. No page of another origin can: sessions are refused to it (auth.ts), and without credentials there is no
 * secret in an answer. Keys and tokens are made by POST and never compressed, administration neither.
 *
 * Stored files leave as they are: their `ETag`, `Content-Length` and ranges are of the bytes.
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
