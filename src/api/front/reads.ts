import type { Config } from '../../shared/settings/config.ts'
import type { Catalogue } from '../../shared/catalogue/catalogue.ts'
import type { Json } from '../../shared/values/json.ts'
import type { ApiResponse, OwnedRequest, Route } from '../http.ts'
import { invalidRequest } from '../schemas.ts'
import { noSuchResource } from './not-served.ts'
import { originOf } from './origin.ts'
import { FRONT } from './path.ts'
import { PRESET_OWNER } from '../resolve-job.ts'
import { createPresetModels } from './preset-models.ts'
import { createRelayedReads, type Relayed, type RelayedReadsOptions } from './relayed-reads.ts'

export interface ReadRoutesDependencies extends RelayedReadsOptions {
  catalogue: Pick<Catalogue, 'list' | 'find' | 'presetSchema'>
  rawModels: Config['rawModels']
  /** Of the upstream; ends in `/v1`. */
  baseUrl: string
}

/** Query parameters that are passed on. */
const PARAMETERS = ['cursor', 'limit', 'query', 'sort_by', 'sort_direction']
const NAME = /^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$/
const MOST_FOUND = 50
const MAX_QUERY = 1000

type Handle = (request: OwnedRequest) => Promise<ApiResponse>

/** Reads of models, collections, hardware and deployments, relayed from Replicate; presets are models too. */
export function readRoutes(dependencies: ReadRoutesDependencies): Route[] {
  const { catalogue, rawModels, baseUrl } = dependencies
  const relayed = createRelayedReads(dependencies)
  const presets = createPresetModels(catalogue)
  /** Only presets run here, so lists contain nothing else. */
  const onlyPresets = rawModels !== 'allow'

  /** Replaces Replicate's own address in the values of a JSON text. */
  function withLinks(text: string, origin: string): string {
    const here = `"${origin}${FRONT}/`
    return text.replaceAll('"https://api.replicate.com/v1/', here).replaceAll(`"${baseUrl}/`, here)
  }

  const isOperator = ({ principal }: OwnedRequest): boolean => principal.scopes.includes('admin')

  function visible(found: Relayed | null, request: OwnedRequest): string {
    const text = found && (isOperator(request) ? found.all : found.open)
    if (text === null) throw noSuchResource()
    return text
  }

  async function answer(reading: Promise<Relayed | null>, request: OwnedRequest): Promise<ApiResponse> {
    const found = await reading
    return {
      status: 200,
      headers: { 'content-type': `${found?.mediaType || 'application/json'}; charset=utf-8` },
      body: withLinks(visible(found, request), originOf(request)),
    }
  }

  async function relay(request: OwnedRequest, path: string): Promise<ApiResponse> {
    return answer(relayed.read({ method: 'GET', path: path + queryOf(request) }), request)
  }

  /** `/owner/name` of the request, which exist as parts of a path. */
  function named({ params: { owner = '', name = '' } }: OwnedRequest): string {
    if (!NAME.test(owner) || !NAME.test(name)) throw noSuchResource()
    return `/${owner}/${name}`
  }

  /** A part of a model that the caller may see. */
  async function ofModel(request: OwnedRequest, part: string): Promise<ApiResponse> {
    const path = `/models${named(request)}`
    visible(await relayed.read({ method: 'GET', path }), request)
    return relay(request, path + part)
  }

  const json = (body: Json): ApiResponse => ({ status: 200, body })
  const page = (results: Json[]): ApiResponse => json({ next: null, previous: null, results })

  /** A route of a preset, or of any other model. */
  const either =
    (ofPreset: (name: string, request: OwnedRequest) => Promise<ApiResponse>, other: Handle): Handle =>
    (request) =>
      request.params.owner === PRESET_OWNER ? ofPreset(request.params.name ?? '', request) : other(request)

  function presetOf(name: string) {
    const preset = presets.find(name)
    if (preset === null) throw noSuchResource()
    return preset
  }

  async function searchModels(request: OwnedRequest): Promise<ApiResponse> {
    const text = typeof request.body === 'string' ? request.body.trim() : ''
    if (text === '') throw needed('')
    if (onlyPresets) return page(await presets.search(text, originOf(request)))
    return answer(relayed.read({ method: 'QUERY', path: '/models', body: text }), request)
  }

  async function search(request: OwnedRequest): Promise<ApiResponse> {
    const query = request.query.get('query')?.trim() ?? ''
    if (query === '') throw needed('/query')
    if (!onlyPresets) return relay(request, '/search')
    const found = await presets.search(query, originOf(request))
    const limit = Math.min(MOST_FOUND, Math.max(1, Number(request.query.get('limit') ?? 20) || 20))
    const metadata = { generated_description: null, tags: [], score: null }
    return json({
      query,
      models: found.slice(0, limit).map((model) => ({ model, metadata })),
      collections: [],
      pages: [],
    })
  }

  /** The account's own: for operators. */
  const ofAccount =
    (handle: Handle): Handle =>
    async (request) => {
      if (!isOperator(request)) throw noSuchResource()
      return handle(request)
    }

  const reads: [path: string, handle: Handle][] = [
    [
      '/models',
      async (request) => (onlyPresets ? page(await presets.all(originOf(request))) : relay(request, '/models')),
    ],
    [
      '/models/:owner/:name',
      either(
        async (name, request) => json(await presets.modelOf(presetOf(name), originOf(request))),
        (request) => ofModel(request, ''),
      ),
    ],
    [
      '/models/:owner/:name/versions',
      either(
        async (name) => page([await presets.versionOf(presetOf(name))]),
        (request) => ofModel(request, '/versions'),
      ),
    ],
    [
      '/models/:owner/:name/versions/:id',
      either(
        async (name, { params }) => {
          const version = await presets.versionOf(presetOf(name))
          if (version.id !== params.id) throw noSuchResource()
          return json(version)
        },
        async (request) => ofModel(request, `/versions/${partOf(request.params.id)}`),
      ),
    ],
    [
      '/models/:owner/:name/readme',
      either(
        async (name) => {
          const { title, description } = presetOf(name)
          const text = `# ${title}\n\n${description ?? ''}\n`
          return { status: 200, headers: { 'content-type': 'text/plain; charset=utf-8' }, body: text }
        },
        (request) => ofModel(request, '/readme'),
      ),
    ],
    [
      '/models/:owner/:name/examples',
      either(
        async (name) => {
          presetOf(name)
          return page([])
        },
        (request) => ofModel(request, '/examples'),
      ),
    ],
    ['/search', search],
    ['/collections', async (request) => (onlyPresets ? page([]) : relay(request, '/collections'))],
    [
      '/collections/:slug',
      async (request) => {
        if (onlyPresets) throw noSuchResource()
        return relay(request, `/collections/${partOf(request.params.slug)}`)
      },
    ],
    ['/hardware', (request) => relay(request, '/hardware')],
    ['/deployments', ofAccount((request) => relay(request, '/deployments'))],
    ['/deployments/:owner/:name', ofAccount(async (request) => relay(request, `/deployments${named(request)}`))],
  ]
  return [
    ...reads.map(([path, handle]): Route => ({ method: 'GET', path: FRONT + path, scope: 'jobs:read', handle })),
    { method: 'QUERY', path: `${FRONT}/models`, scope: 'jobs:read', handle: searchModels },
  ]
}

/** A name that is one part of a path. */
function partOf(name: string | undefined): string {
  if (name === undefined || !NAME.test(name)) throw noSuchResource()
  return name
}

/** Known parameters in a fixed order, so that equal requests share an entry of the cache. */
function queryOf({ query }: OwnedRequest): string {
  const known = PARAMETERS.flatMap((name): [string, string][] => {
    const value = query.get(name)
    if (value !== null && value.length > MAX_QUERY)
      throw invalidRequest([
        { pointer: `/${name}`, code: 'invalid_value', detail: `Expected ${MAX_QUERY} characters or less.` },
      ])
    return value === null ? [] : [[name, value]]
  })
  return known.length === 0 ? '' : `?${new URLSearchParams(known).toString()}`
}

const needed = (pointer: string) =>
  invalidRequest([{ pointer, code: 'required', detail: 'Expected words to search for.' }])
