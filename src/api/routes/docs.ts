import { existsSync, readFileSync } from 'node:fs'
import { parse } from 'yaml'
import { apiDescriptionSchema } from '../api-description.ts'
import { API_PAGE_STYLE, renderApiPage } from '../api-page.ts'
import type { ApiResponse, Route } from '../http.ts'

const FILE = new URL('../../../docs/openapi.yaml', import.meta.url)
const HTML = 'text/html; charset=utf-8'

/** The reference uses styles in its script; scripts are limited as everywhere. */
const REFERENCE_POLICY =
  "default-src 'self'; img-src 'self' data: blob:; script-src 'self'; style-src 'self' 'unsafe-inline'; connect-src 'self'; object-src 'none'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"

/**
 * Public API description; without its file these routes do not exist. It is parsed for the first request: that takes some 0.3 s.
 * `reference`: the file of the built page; without it, `/docs` is the plain page.
 */
export function docsRoutes(reference: string): Route[] {
  if (!existsSync(FILE)) return []
  let loaded: { yaml: string; document: unknown; plain: string } | undefined
  const load = (): NonNullable<typeof loaded> => {
    if (loaded) return loaded
    const yaml = readFileSync(FILE, 'utf8')
    const document: unknown = parse(yaml)
    loaded = { yaml, document, plain: renderApiPage(apiDescriptionSchema.parse(document)) }
    return loaded
  }
  const answer = (type: string, body: () => unknown) => async (): Promise<ApiResponse> => ({
    status: 200,
    headers: { 'content-type': type, 'cache-control': 'no-cache' },
    body: body(),
  })
  const plain = answer(HTML, () => load().plain)
  const page = async (): Promise<ApiResponse> => ({
    status: 200,
    headers: { 'content-type': HTML, 'cache-control': 'no-store', 'content-security-policy': REFERENCE_POLICY },
    // Read for each request, because the page can be rebuilt.
    body: readFileSync(reference, 'utf8'),
  })
  const json = answer('application/json', () => load().document)
  const yaml = answer('application/yaml; charset=utf-8', () => load().yaml)
  const css = answer('text/css; charset=utf-8', () => API_PAGE_STYLE)
  return [
    { method: 'GET', path: '/openapi.json', scope: null, handle: json },
    { method: 'GET', path: '/openapi.yaml', scope: null, handle: yaml },
    { method: 'GET', path: '/docs', scope: null, handle: existsSync(reference) ? page : plain },
    { method: 'GET', path: '/docs/plain', scope: null, handle: plain },
    { method: 'GET', path: '/docs/style.css', scope: null, handle: css },
  ]
}
