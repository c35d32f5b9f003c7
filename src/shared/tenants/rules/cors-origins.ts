/** Origins whose pages may use the API (docs/api.md#from-a-page-of-yours), in the form that operators write. */

export const MAX_ORIGINS = 50

/** Describes the problem of an origin and its fix; null when it is valid. */
export function originProblem(text: string): string | null {
  if (text.includes('*')) return `${text} is a pattern. List each origin`
  const [, scheme = '', host = ''] = /^([A-Za-z][A-Za-z0-9+.-]*):\/\/([^/?#@\s,]+)/.exec(text) ?? []
  if (host === '' || ['file', 'data', 'blob', 'javascript', 'about'].includes(scheme.toLowerCase()))
    return `${text} is not an origin. Write scheme and host, such as https://app.example.com`
  const isWeb = /^https?$/i.test(scheme)
  if (isWeb && !URL.canParse(`${scheme}://${host}`)) return `${text} is not an origin: ${host} is not a valid host`
  // A web page's origin in the form that browsers send; an app's web view (capacitor://localhost) as given.
  const origin = isWeb ? new URL(`${scheme}://${host}`).origin : `${scheme}://${host}`.toLowerCase()
  return text === origin ? null : `${text} is not in the form that browsers send. Write ${origin}`
}

/** Describes the problem of a list of origins; null when it is valid. */
export function originsProblem(origins: readonly string[]): string | null {
  if (origins.length > MAX_ORIGINS) return `the list has ${origins.length} origins. The limit is ${MAX_ORIGINS}`
  return origins.map(originProblem).find((problem) => problem !== null) ?? null
}

/** Splits a list such as `https://a.example, https://b.example`, without duplicates. */
export const splitOrigins = (text: string): string[] => [
  ...new Set(
    text
      .split(',')
      .map((part) => part.trim())
      .filter((part) => part !== ''),
  ),
]
