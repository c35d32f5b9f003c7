import { invalidQuery, notFound } from '../http/problem.ts'
import { json } from '../http/reply.ts'
import type { Handler } from '../http/router.ts'
import type { ModelPage } from '../models/changes.ts'
import type { Collection } from '../models/model.ts'
import { modelsShownBy } from './models.ts'
import { pageOf, wrongParameter } from './pages.ts'
import type { Services } from './services.ts'

/** Collections, and what finds models: `QUERY /models` and `/search`. */

export function listCollections({ catalogue }: Services): Handler {
  return (request) =>
    pageOf({
      request,
      rows: () => catalogue.collections,
      idOf: ({ slug }) => slug,
      show: ({ name, slug, description }) => ({ name, slug, description }),
    })
}

export function getCollection(services: Services): Handler {
  const { catalogue } = services
  return (request) => {
    const { params } = request
    const collection = catalogue.collections.find(({ slug }) => slug === params['slug'])
    if (collection === undefined) return notFound()
    const { name, slug, description, full_description: full = null, models } = collection
    const pages = models.flatMap((one) => catalogue.page(one) ?? []).filter(isPublic)
    return json(200, {
      name,
      slug,
      description,
      full_description: full,
      models: pages.map(modelsShownBy(services, request.origin)),
    })
  }
}

const QUERY_BYTES = 10_000

/** The body is the query, as plain text. */
export function queryModels(services: Services): Handler {
  return async (request) => {
    const body = await request.readBody(QUERY_BYTES)
    const query = body === 'too large' ? '' : body.toString('utf8')
    return pageOf({
      request,
      rows: () => foundModels(services, query).map(({ page }) => page),
      idOf: ({ name }) => name,
      show: modelsShownBy(services, request.origin),
    })
  }
}

const LIMIT = { default: 20, maximum: 50 }

export function search(services: Services): Handler {
  const { catalogue } = services
  return (request) => {
    const { query } = request
    const text = query.get('query')?.trim() ?? ''
    if (text === '') return invalidQuery('Query parameter "query" is required')
    const limit = Number(query.get('limit') ?? LIMIT.default)
    if (!Number.isInteger(limit) || limit < 1 || limit > LIMIT.maximum)
      return wrongParameter('limit', `limit must be a whole number from 1 to ${LIMIT.maximum}`)
    const show = modelsShownBy(services, request.origin)
    const models = foundModels(services, text).slice(0, limit)
    const collections = catalogue.collections.filter((one) => scoreOf(text, one.name, one.description) > 0)
    return json(200, {
      query: text,
      models: models.map(({ page, score }) => ({
        model: show(page),
        metadata: { generated_description: page.description, score, tags: tagsOf(catalogue.collections, page) },
      })),
      collections: collections.map((one) => ({
        name: one.name,
        slug: one.slug,
        description: one.description,
        models: one.models,
      })),
      pages: [],
    })
  }
}

const isPublic = ({ visibility }: ModelPage): boolean => visibility === 'public'

const tagsOf = (collections: readonly Collection[], { name }: ModelPage): string[] =>
  collections.filter(({ models }) => models.includes(name)).map(({ slug }) => slug)

/** Public models with a word of the query, the best first. */
function foundModels({ catalogue }: Services, query: string): { page: ModelPage; score: number }[] {
  return catalogue
    .pages()
    .filter(isPublic)
    .map((page) => ({
      page,
      score: scoreOf(query, page.name, `${page.description} ${tagsOf(catalogue.collections, page).join(' ')}`),
    }))
    .filter(({ score }) => score > 0)
    .toSorted((a, b) => b.score - a.score)
}

/** Each word of the query counts once, more in the name than in the text. */
function scoreOf(query: string, name: string, text: string): number {
  const words = query.toLowerCase().match(/[\p{L}\p{N}]+/gu) ?? []
  const points = words.map((word) => {
    if (name.toLowerCase().includes(word)) return 2
    return text.toLowerCase().includes(word) ? 1 : 0
  })
  return points.reduce<number>((sum, one) => sum + one, 0) / Math.max(1, words.length)
}
