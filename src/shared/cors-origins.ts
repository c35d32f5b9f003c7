/** The origins whose pages may use the API (docs/api.md#from-a-page-of-yours), as operators write them. */

const MAX_ORIGINS = 50

/** What is wrong with an origin, and what to write; null when it is one. */
export function originProblem(text: string): string | null {
  if (text.includes('*')) return `${text}: write each origin; a pattern would let in pages that nobody named`
  const [, scheme = '', host = ''] = /^([A-Za-z][A-Za-z0-9+.-]*):\/\/([^/?#@\s,]+)/.exec(text) ?? []
  if (host === '' || ['file', 'data', 'blob', 'javascript', 'about'].includes(scheme.toLowerCase()))
    return `${text}: write the scheme and the host of the page, such as https://app.example.com`
  const isWeb = /^https?$/i.test(scheme)
  if (isWeb && !URL.canParse(`${scheme}://${host}`)) return `${text}: ${host} is not a host`
  // Of a web page as a browser sends it; of an app's web view (capacitor://localhost) as it is.
  const origin = isWeb ? new URL(`${scheme}://${host}`).origin : `${scheme}://${host}`.toLowerCase()
  return text === origin ? null : `${text}: write ${origin}, as a browser sends it`
}

/** What is wrong with a list of origins; null when it can be used. */
export function originsProblem(origins: readonly string[]): string | null {
  if (origins.length > MAX_ORIGINS) return `it has ${origins.length} origins, at most ${MAX_ORIGINS} are possible`
  return origins.map(originProblem).find((problem) => problem !== null) ?? null
}

/** `https://a.example, https://b.example`: its parts, each once. */
export const splitOrigins = (text: string): string[] => [
  ...new Set(
    text
      .split(',')
      .map((part) => part.trim())
      .filter((part) => part !== ''),
  ),
]
