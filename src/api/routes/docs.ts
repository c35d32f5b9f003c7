import { existsSync, readFileSync } from 'node:fs'
import { parse } from 'yaml'
import { apiDescriptionSchema } from '../api-description.ts'
import { API_PAGE_STYLE, renderApiPage } from '../api-page.ts'
import type { ApiResponse, Route } from '../http.ts'

const FILE = new URL('../../../docs/openapi.yaml', import.meta.url)

/** Public API description; without the file these routes do not exist. It is parsed for the first request: that takes some 0.3 s. */
export function docsRoutes(file = FILE): Route[] {
  if (!existsSync(file)) return []
  let read: { document: unknown; page: string } | undefined
  const load = (): { document: unknown; page: string } => {
    const document: unknown = parse(readFileSync(file, 'utf8'))
    return { document, page: renderApiPage(apiDescriptionSchema.parse(document)) }
  }
  const answer = (type: string, body: () => unknown) => async (): Promise<ApiResponse> => ({
    status: 200,
    headers: { 'content-type': type, 'cache-control': 'no-cache' },
    body: body(),
  })
  const json = answer('application/json', () => (read ??= load()).document)
  const html = answer('text/html; charset=utf-8', () => (read ??= load()).page)
  const css = answer('text/css; charset=utf-8', () => API_PAGE_STYLE)
  return [
    { method: 'GET', path: '/openapi.json', scope: null, handle: json },
    { method: 'GET', path: '/docs', scope: null, handle: html },
    { method: 'GET', path: '/docs/style.css', scope: null, handle: css },
  ]
}
