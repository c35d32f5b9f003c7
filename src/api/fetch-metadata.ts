import type { ApiRequest } from './http.ts'

/**
 * What the browser itself says about who made a request, in a header that no script can set (W3C Fetch Metadata).
 * `unsaid`: by no browser, by an old one, or over plain HTTP from another machine; `Origin` has to do then.
 */
export function requestedBy({ headers }: Pick<ApiRequest, 'headers'>): 'own page' | 'elsewhere' | 'unsaid' {
  const site = headers['sec-fetch-site']
  if (site === undefined) return 'unsaid'
  return site === 'same-origin' ? 'own page' : 'elsewhere'
}

/**
 * Whether a page of another origin loads this beside itself: by a script, a picture or a frame. A link that somebody
 * follows and an address that somebody types are not that.
 */
export const isLoadedByOtherPage = (request: Pick<ApiRequest, 'headers'>): boolean =>
  requestedBy(request) === 'elsewhere' &&
  request.headers['sec-fetch-site'] !== 'none' &&
  (request.headers['sec-fetch-mode'] !== 'navigate' || request.headers['sec-fetch-dest'] !== 'document')
