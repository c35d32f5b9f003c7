import { existsSync, readFileSync } from 'node:fs'
import { parse } from 'yaml'
import { apiDescriptionSchema } from '../api-description.ts'
import { API_PAGE_STYLE, renderApiPage } from '../api-page.ts'
import type { ApiResponse, Route } from '../http.ts'

const FILE = new URL('../../../docs/openapi.yaml', import.meta.url)

/** API description, read once. Public; without the file these routes do not exist. */
export function docsRoutes(file = FILE): Route[] {
  if (!existsSync(file)) return []
  const document: unknown = parse(readFileSync(file, 'utf8'))
  const page = renderApiPage(apiDescriptionSchema.parse(document))
  const answer = (type: string, body: unknown) => async (): Promise<ApiResponse> => ({
    status: 200,
    headers: { 'content-type': type, 'cache-control': 'no-cache' },
    body,
  })
  return [
    { method: 'GET', path: '/openapi.json', scope: null, handle: answer('application/json', document) },
    { method: 'GET', path: '/docs', scope: null, handle: answer('text/html; charset=utf-8', page) },
    { method: 'GET', path: '/docs/style.css', scope: null, handle: answer('text/css; charset=utf-8', API_PAGE_STYLE) },
  ]
}
