import type { ApiRequest } from './http.ts'

/**
 * Initiator of a request according to the browser, from a header that scripts cannot set (W3C Fetch Metadata).
 * `unsaid`: not sent by programs, by old browsers, and over plain HTTP from another machine; then `Origin` is used.
 */
export function requestedBy({ headers }: Pick<ApiRequest, 'headers'>): 'own page' | 'elsewhere' | 'unsaid' {
  const site = headers['sec-fetch-site']
  if (site === undefined) return 'unsaid'
  return site === 'same-origin' ? 'own page' : 'elsewhere'
}

/**
 * Whether a page of another origin loads this as a subresource: by a script, an image or a frame. Following a link or
 * typing the address does not count.
 */
export const isLoadedByOtherPage = (request: Pick<ApiRequest, 'headers'>): boolean =>
  requestedBy(request) === 'elsewhere' &&
  request.headers['sec-fetch-site'] !== 'none' &&
  (request.headers['sec-fetch-mode'] !== 'navigate' || request.headers['sec-fetch-dest'] !== 'document')
