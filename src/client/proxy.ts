import { fetchRequest, sendAnswer, type ExpressRequest, type ExpressResponse } from './express-messages.ts'
import type { Job } from './types.ts'

export type { ExpressRequest, ExpressResponse } from './express-messages.ts'

/** What the user of a request may do. */
export interface Grant {
  /** Id of the user in your product, up to 200 characters. Jobs are submitted for it, and only its jobs are shown. */
  user: string
  /** Presets by which the user may submit; any by default. */
  presets?: readonly string[] | undefined
  /** Models (`owner/name`) that the user may submit without a preset; none by default. */
  models?: readonly string[] | undefined
  /** Fields beside `preset` or `model`, `input` and `metadata` that the user may set; none by default. */
  fields?: readonly string[] | undefined
}

export interface ProxyOptions<R> {
  /** Address of the service. */
  baseUrl: string
  /** API key with `jobs:write` and `jobs:read`. It never leaves the server. */
  key: string
  /**
   * Your check of the request: its session, its token. null: 401. A Response is sent as it is. What it throws rejects the
   * handler.
   */
  authorize: (request: R) => Answer | Promise<Answer>
  /** Limit of a submission without files, bytes; 96 KiB by default. */
  maxBodyBytes?: number | undefined
  /** Limit of an upload, bytes; 100 MB by default. */
  maxUploadBytes?: number | undefined
  fetch?: typeof fetch | undefined
}

/** null: nobody is signed in. */
export type Answer = Grant | Response | null

/** Answers the requests of a page's client, whose `baseUrl` is the path where this is mounted. */
export type Proxy = (request: Request) => Promise<Response>

const MAX_BODY_BYTES = 96 * 1024
const MAX_UPLOAD_BYTES = 100_000_000
const OWN_FIELDS = ['preset', 'model', 'input', 'metadata']

/** Request headers that are passed on; credentials and cookies of the page never are. */
const ASKED = ['accept', 'content-type', 'if-none-match', 'if-range', 'last-event-id', 'prefer', 'range']
/** Response headers that are passed back. Those for security count: files are served from the origin of the page. */
const ANSWERED = [
  'accept-ranges',
  'cache-control',
  'content-disposition',
  'content-range',
  'content-security-policy',
  'content-type',
  'cross-origin-resource-policy',
  'etag',
  'idempotent-replayed',
  'last-modified',
  'location',
  'preference-applied',
  'referrer-policy',
  'retry-after',
  'x-content-type-options',
]

/**
 * Lets the pages of a product submit and follow jobs with the product's own check of its user, in place of an API key:
 *
 * - `POST /v1/jobs`, for the user, by what the grant allows; `POST /v1/uploads`
 * - `GET /v1/jobs`: the jobs of the user
 * - `GET /v1/jobs/:id`, its `events`, `output`, `logs` and `manifest`; `POST` its `cancel` and `retry`: jobs of the user only
 * - `GET /v1/artifacts/...` by a signed link, which needs no user
 *
 * Everything else is 404. Bodies are limited; requests of pages of another site that change something are refused.
 */
export function createProxy(options: ProxyOptions<Request>): Proxy {
  const handle = createHandler(options)
  return (request) => handle(request, () => options.authorize(request))
}

/** The same as the route handlers of Next: `export const { GET, POST } = nextProxy({ ... })` in `[...path]/route.ts`. */
export function nextProxy(options: ProxyOptions<Request>): { GET: Proxy; HEAD: Proxy; POST: Proxy } {
  const proxy = createProxy(options)
  return { GET: proxy, HEAD: proxy, POST: proxy }
}

/**
 * The same for Express and Connect: `app.use('/api/genqueue', expressProxy({ ... }))`. `authorize` gets the request of
 * Express, with its session. A body that was parsed before is used as it is.
 */
export function expressProxy<R extends ExpressRequest>(
  options: ProxyOptions<R>,
): (request: R, response: ExpressResponse, next: (error?: unknown) => void) => Promise<void> {
  const handle = createHandler(options)
  return async (request, response, next) => {
    const left = new AbortController()
    const leave = (): void => left.abort()
    response.once('close', leave)
    try {
      const answer = await handle(fetchRequest(request, left.signal), () => options.authorize(request))
      await sendAnswer(answer, response)
    } catch (error) {
      // Nobody waits for the answer any more, or else the error is for Express.
      if (!left.signal.aborted) next(error)
    } finally {
      response.off('close', leave)
    }
  }
}

type Handler = (request: Request, grantOf: () => Answer | Promise<Answer>) => Promise<Response>

function createHandler(options: Omit<ProxyOptions<never>, 'authorize'>): Handler {
  const { key, maxBodyBytes = MAX_BODY_BYTES, maxUploadBytes = MAX_UPLOAD_BYTES } = options
  const base = options.baseUrl.replace(/\/+$/, '')
  const doFetch: typeof fetch = options.fetch ?? ((input, init) => fetch(input, init))

  async function ask(
    request: Request,
    path: string,
    { withKey = true, headers = {}, ...init }: Asked = {},
  ): Promise<Response> {
    const passed = new Headers({ 'accept-encoding': 'identity', ...headers })
    for (const name of ASKED) {
      const value = request.headers.get(name)
      if (value !== null && !passed.has(name)) passed.set(name, value)
    }
    if (withKey) passed.set('authorization', `Bearer ${key}`)
    try {
      return await doFetch(base + path, {
        method: request.method,
        headers: passed,
        // A file in a bucket is fetched by the reader itself.
        redirect: 'manual',
        signal: request.signal,
        ...init,
      })
    } catch (error) {
      // What the body of the request threw comes as the cause.
      const cause: unknown = error instanceof Error ? error.cause : null
      if (cause instanceof Refused) throw cause
      if (error instanceof Refused || request.signal.aborted) throw error
      throw new Refused(502, 'unavailable', 'The service cannot be reached.')
    }
  }

  /** Passes the answer on, while it arrives. */
  function answer(response: Response): Response {
    // The page is not to blame for the key, and must not ask its user to sign in.
    if (response.status === 401) throw new Refused(502, 'unavailable', 'The service refuses the key of the proxy.')
    const headers = new Headers()
    for (const name of ANSWERED) {
      const value = response.headers.get(name)
      if (value !== null) headers.set(name, value)
    }
    const length = response.headers.get('content-length')
    if (length !== null && !response.headers.has('content-encoding')) headers.set('content-length', length)
    return new Response(response.status === 304 ? null : response.body, { status: response.status, headers })
  }

  /** A job of the user, or 404 as for one that does not exist. */
  async function owned(request: Request, id: string, { user }: Grant): Promise<Pick<Job, 'preset' | 'model'>> {
    const response = await ask(request, `/v1/jobs/${id}`, { method: 'GET', headers: { accept: 'application/json' } })
    if (response.status === 404) throw notFound()
    if (!response.ok) throw new Passed(answer(response))
    const job: Partial<Job> = JSON.parse(await response.text())

    const { user: owner, preset = null, model = null } = job
    if (owner !== user) throw notFound()
    return { preset, model }
  }

  async function submit(request: Request, grant: Grant): Promise<Response> {
    const body = checkSubmission(await readJson(request, maxBodyBytes), grant)
    return answer(
      await ask(request, '/v1/jobs', {
        body: JSON.stringify({ ...body, user: grant.user }),
        headers: { 'content-type': 'application/json', ...keyOf(request, grant) },
      }),
    )
  }

  async function upload(request: Request): Promise<Response> {
    return answer(await ask(request, '/v1/uploads', { body: limited(request, maxUploadBytes), duplex: 'half' }))
  }

  async function list(request: Request, query: URLSearchParams, { user }: Grant): Promise<Response> {
    query.set('user', user)
    return answer(await ask(request, `/v1/jobs?${query.toString()}`))
  }

  async function ofJob(request: Request, url: Target, grant: Grant): Promise<Response> {
    const [, id = '', action = ''] = url.parts
    const job = await owned(request, id, grant)
    const path = `/v1/jobs/${id}${action === '' ? '' : `/${action}`}${url.search}`
    if (action !== 'retry') return answer(await ask(request, path))
    mayRun(job, grant)
    const body = await readText(request, maxBodyBytes)
    return answer(await ask(request, path, { headers: keyOf(request, grant), ...(body === '' ? {} : { body }) }))
  }

  async function route(request: Request, grantOf: () => Answer | Promise<Answer>): Promise<Response> {
    const url = targetOf(request)
    const { parts, query } = url
    const place = `${request.method === 'HEAD' ? 'GET' : request.method} ${parts.map((part, at) => (at === 1 ? ':id' : part)).join('/')}`
    if (place === 'GET artifacts/:id' || place === 'GET artifacts/:id/thumbnail') {
      // The signature is the permission: an image of a page cannot send more.
      if (!query.has('signature')) throw notFound()
      return answer(await ask(request, `/v1/${parts.join('/')}${url.search}`, { withKey: false }))
    }
    if (!ROUTES.has(place)) throw notFound()
    if (request.method !== 'GET' && request.headers.get('sec-fetch-site') === 'cross-site')
      throw new Refused(403, 'cross_site', 'Pages of another site cannot change anything here.')
    const grant = await grantOf()
    if (grant instanceof Response) return grant
    if (grant === null) throw new Refused(401, 'unauthenticated', 'Sign in first.')
    if (grant.user === '') throw new TypeError('authorize() returned a grant without a user.')
    if (place === 'POST jobs') return submit(request, grant)
    if (place === 'POST uploads') return upload(request)
    if (place === 'GET jobs') return list(request, query, grant)
    return ofJob(request, url, grant)
  }

  return async (request, grantOf) => {
    try {
      return await route(request, grantOf)
    } catch (error) {
      if (error instanceof Passed) return error.response
      if (error instanceof Refused) return error.answer()
      throw error
    }
  }
}

const ROUTES = new Set([
  'POST jobs',
  'POST uploads',
  'GET jobs',
  'GET jobs/:id',
  'GET jobs/:id/events',
  'GET jobs/:id/logs',
  'GET jobs/:id/manifest',
  'GET jobs/:id/output',
  'POST jobs/:id/cancel',
  'POST jobs/:id/retry',
])

interface Asked {
  /** Sends the key of the proxy; true by default. */
  withKey?: boolean
  method?: string
  headers?: Record<string, string>
  body?: string | ReadableStream<Uint8Array>
  /** Node sends a stream only with this, which the types of fetch do not know. */
  duplex?: 'half'
}

/** The error of a request, in the form of the API. */
class Refused extends Error {
  readonly status: number
  readonly code: string
  readonly errors: FieldProblem[]
  constructor(status: number, code: string, detail: string, errors: FieldProblem[] = []) {
    super(detail)
    this.status = status
    this.code = code
    this.errors = errors
  }

  answer(): Response {
    const { status, code, message: detail, errors } = this
    const problem = { type: `urn:genqueue:error:${code}`, title: code, status, detail, code }
    return new Response(JSON.stringify(errors.length === 0 ? problem : { ...problem, errors }), {
      status,
      headers: { 'content-type': 'application/problem+json', 'cache-control': 'no-store' },
    })
  }
}

interface FieldProblem {
  pointer: string
  code: string
  detail: string
}

/** An answer of the service in place of the expected one. */
class Passed extends Error {
  readonly response: Response
  constructor(response: Response) {
    super('passed on')
    this.response = response
  }
}

const notFound = (): Refused => new Refused(404, 'not_found', 'There is nothing here.')
const invalid = (pointer: string, code: string, detail: string): Refused =>
  new Refused(422, 'invalid_request', `${pointer}: ${detail}`, [{ pointer, code, detail }])

interface Target {
  /** The path after `/v1/`, by its parts. */
  parts: string[]
  query: URLSearchParams
  /** With its question mark. */
  search: string
}

/** What a request asks of the API, below whatever path the proxy is mounted at. */
function targetOf(request: Request): Target {
  const { pathname, search, searchParams: query } = new URL(request.url)
  const at = pathname.indexOf('/v1/')
  const parts = at === -1 ? [] : pathname.slice(at + '/v1/'.length).split('/')
  // Nothing that could lead the service to another path.
  if (parts.some((part) => !/^\w+$/.test(part)) || query.has('token')) throw notFound()
  return { parts, query, search }
}

/** Keys of users cannot collide, as far as the length of a key allows. */
function keyOf(request: Request, { user }: Grant): Record<string, string> {
  const key = request.headers.get('idempotency-key')
  return key === null ? {} : { 'idempotency-key': `${encodeURIComponent(user).slice(0, 120)}:${key}` }
}

function checkSubmission(body: unknown, grant: Grant): object {
  if (typeof body !== 'object' || body === null || Array.isArray(body))
    throw invalid('', 'invalid_type', 'Must be an object.')
  const allowed = [...OWN_FIELDS, ...(grant.fields ?? [])]
  for (const name of Object.keys(body))
    if (!allowed.includes(name) || name === 'user')
      throw invalid(`/${name.replaceAll('~', '~0').replaceAll('/', '~1')}`, 'not_allowed', 'Cannot be set here.')
  mayRun({ preset: textOf(body, 'preset'), model: textOf(body, 'model') }, grant)
  return body
}

const textOf = (body: object, name: string): string | null => {
  const value: unknown = Object.entries(body).find(([key]) => key === name)?.[1]
  return typeof value === 'string' ? value : null
}

/** Throws unless the user may submit by this preset or model. */
function mayRun({ preset, model }: Pick<Job, 'preset' | 'model'>, { presets, models = [] }: Grant): void {
  if (preset !== null && presets !== undefined && !presets.includes(preset))
    throw invalid('/preset', 'not_allowed', 'Is not open to this user.')
  if (preset === null && (model === null || !models.includes(model)))
    throw invalid('/model', 'not_allowed', 'Submit by a preset.')
}

const tooLarge = (limit: number): Refused =>
  new Refused(413, 'body_too_large', `The body exceeds the limit of ${limit} bytes.`)

/** The body, which fails above the limit. */
function limited(request: Request, limit: number): ReadableStream<Uint8Array> {
  if (Number(request.headers.get('content-length') ?? 0) > limit) throw tooLarge(limit)
  const reader = request.body?.getReader()
  let bytes = 0
  return new ReadableStream<Uint8Array>({
    pull: async (stream) => {
      const read = await reader?.read()
      if (!read?.value) return stream.close()
      bytes += read.value.byteLength
      if (bytes > limit) {
        // Not awaited: a cloned request ends with its clone.
        void reader?.cancel().catch(() => undefined)
        throw tooLarge(limit)
      }
      stream.enqueue(read.value)
    },
    cancel: async (reason) => reader?.cancel(reason),
  })
}

async function readText(request: Request, limit: number): Promise<string> {
  return new Response(limited(request, limit)).text()
}

async function readJson(request: Request, limit: number): Promise<unknown> {
  const text = await readText(request, limit)
  try {
    return JSON.parse(text)
  } catch {
    throw new Refused(400, 'invalid_json', 'The body is not JSON.')
  }
}
