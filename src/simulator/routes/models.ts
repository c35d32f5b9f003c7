import { isOwner } from '../accounts.ts'
import { notFound, shortNotFound } from '../http/problem.ts'
import { json, type Reply, text } from '../http/reply.ts'
import type { Handler, SimulatorRequest } from '../http/router.ts'
import type { ModelPage } from '../models/changes.ts'
import type { Model } from '../models/model.ts'
import { openapiSchemaOf } from '../models/openapi-schema.ts'
import { timestamp, viewOf } from '../prediction-view.ts'
import { pageOf, wrongParameter } from './pages.ts'
import type { Services } from './services.ts'
import { viewContextOf } from './show-prediction.ts'

/** Reads of models and versions. */

const VERSION_ID = /^[0-9a-f]{64}$/
/** Models on a page of their list. */
const MODELS_PAGE = 25

/** The name that a path or a body asks for. */
export const wantedName = ({ params }: SimulatorRequest): string => `${params['owner']}/${params['name']}`
export const ownerPart = (name: string): string => name.split('/')[0] ?? name

/** Private models are only there for their owner. */
export const canSee = (account: string, { name, visibility }: ModelPage): boolean =>
  visibility === 'public' || isOwner(account, ownerPart(name))

export function listModels(services: Services): Handler {
  return (request) =>
    pageOf({
      request,
      size: MODELS_PAGE,
      rows: (query) => sortedModels(services, query),
      idOf: ({ name }) => name,
      show: modelsShownBy(services, request.origin),
    })
}

function sortedModels({ catalogue }: Services, query: URLSearchParams): ModelPage[] | Reply {
  const by = query.get('sort_by') ?? 'latest_version_created_at'
  const direction = query.get('sort_direction') ?? 'desc'
  if (by !== 'latest_version_created_at' && by !== 'model_created_at')
    return wrongParameter('sort_by', mustBe('sort_by', 'model_created_at', 'latest_version_created_at'))
  if (direction !== 'asc' && direction !== 'desc')
    return wrongParameter('sort_direction', mustBe('sort_direction', 'asc', 'desc'))
  const timeOf = (page: ModelPage) =>
    by === 'model_created_at' ? page.createdAt : (catalogue.byName(page.name)?.createdAt ?? 0)
  const rows = catalogue
    .pages()
    .filter(({ visibility }) => visibility === 'public')
    .map((page) => ({ page, at: timeOf(page) }))
    .toSorted((a, b) => (direction === 'asc' ? a.at - b.at : b.at - a.at))
  return rows.map(({ page }) => page)
}

const mustBe = (field: string, ...values: string[]) =>
  `${field} must be one of the following: ${values.map((value) => JSON.stringify(value)).join(', ')}`

export const getModel = (services: Services): Handler =>
  withPage(services, (page, request) => json(200, modelsShownBy(services, request.origin)(page)))

export const listVersions = (services: Services): Handler =>
  withPage(services, ({ name }, request) =>
    pageOf({
      request,
      rows: () => services.catalogue.versionsOf(name),
      idOf: ({ version }) => version,
      show: showVersion,
    }),
  )

export const getVersion = (services: Services): Handler =>
  withVersion(services, (version) => json(200, showVersion(version)))

export const getReadme = (services: Services): Handler =>
  withPage(services, ({ name, description, readme }) =>
    text(200, readme ?? `# ${name}\n\n${description}\n`, 'text/plain; charset=utf-8'),
  )

export const listExamples = (services: Services): Handler =>
  withPage(services, ({ name }, request) => {
    const latest = services.catalogue.byName(name)
    const results = latest === undefined ? [] : examplesOf(services, latest, request.origin)
    return json(200, { next: null, previous: null, results })
  })

const examplesOf = (services: Services, model: Model, origin: string) =>
  services.examples.of(model, origin).map((one) => viewOf(one, viewContextOf(services, one, origin)))

type PageHandler = (page: ModelPage, request: SimulatorRequest) => Reply | Promise<Reply>

/** Calls the handler with the model in the path, if the account can see it. */
export function withPage({ catalogue }: Services, handler: PageHandler): Handler {
  return (request) => {
    const page = catalogue.page(wantedName(request))
    return page === undefined || !canSee(request.account, page) ? notFound() : handler(page, request)
  }
}

type VersionHandler = (version: Model, page: ModelPage, request: SimulatorRequest) => Reply | Promise<Reply>

/** Calls the handler with the version in the path. */
export function withVersion(services: Services, handler: VersionHandler): Handler {
  return withPage(services, (page, request) => {
    const { version: id = '' } = request.params
    const version = services.catalogue.byVersion(id)
    if (version?.name === page.name) return handler(version, page, request)
    return VERSION_ID.test(id) ? notFound() : shortNotFound()
  })
}

/** Models as the API shows them, with the numbers of their runs until now. */
export function modelsShownBy(services: Services, origin: string): (page: ModelPage) => Record<string, unknown> {
  const { book, catalogue } = services
  const runs = new Map<string, number>()
  for (const { model, training } of book.all()) {
    if (training === undefined) runs.set(model, (runs.get(model) ?? 0) + 1)
  }
  return (page) => {
    const [owner, name] = page.name.split('/')
    const latest = catalogue.byName(page.name)
    return {
      url: `https://replicate.com/${page.name}`,
      owner,
      name,
      description: page.description,
      visibility: page.visibility,
      is_official: page.official,
      github_url: page.githubUrl,
      paper_url: page.paperUrl,
      license_url: page.licenseUrl,
      ...(page.weightsUrl === null ? {} : { weights_url: page.weightsUrl }),
      run_count: runs.get(page.name) ?? 0,
      cover_image_url: page.coverImageUrl,
      default_example: latest === undefined ? null : (examplesOf(services, latest, origin)[0] ?? null),
      latest_version: latest === undefined ? null : showVersion(latest),
    }
  }
}

const showVersion = (model: Model) => ({
  id: model.version,
  created_at: timestamp(model.createdAt, 6),
  cog_version: '0.16.7',
  openapi_schema: openapiSchemaOf(model),
})
