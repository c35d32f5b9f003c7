import type { Job, JobRequest, JobStatus, Model, Page, Problem } from './types.ts'
import { followStream, type StreamState } from './event-stream.ts'

export type { StreamState } from './event-stream.ts'

export interface ClientOptions {
  /** Origin of the service; `''` in a browser means the page's own origin, with its session cookie. */
  baseUrl: string
  key?: string
  fetch?: typeof fetch
}

export interface ListOptions {
  limit?: number
  cursor?: string
  status?: JobStatus
}

export interface SubmitOptions {
  /** Repeat a submission with the same key and the service answers with the same job. One is made when absent. */
  idempotencyKey?: string
}

/** The service answered with a problem, or with something that is not of this API (code `unexpected_answer`). */
export class ApiError extends Error {
  readonly code: string
  readonly status: number
  readonly problem: Problem
  readonly errors: NonNullable<Problem['errors']>

  constructor(problem: Problem) {
    super(problem.detail || problem.title)
    this.name = 'ApiError'
    this.problem = problem
    this.code = problem.code
    this.status = problem.status
    this.errors = problem.errors ?? []
  }
}

/** The answer did not arrive; what happened is not known. Repeating with the same idempotency key is safe. */
export class NetworkError extends Error {
  constructor(cause: unknown) {
    super('The service cannot be reached.', { cause })
    this.name = 'NetworkError'
  }
}

export interface Readiness {
  status: string
  version: string | null
  /** By name; shapes are the service's own. */
  checks: Record<string, unknown>
}

/** Calling it ends the subscription. */
export type Unsubscribe = () => void

export interface ChangesHandlers {
  onJob: (job: Job) => void
  /** The stream cannot say what was missed: read the list anew. */
  onReset?: () => void
  onState?: (state: StreamState) => void
  /** The service refused for good, e.g. 401; the subscription has ended. */
  onError?: (error: ApiError) => void
}

export interface JobEventsOptions {
  onState?: (state: StreamState) => void
  onError?: (error: ApiError) => void
}

export function isFinal(job: Pick<Job, 'status'>): boolean {
  return job.status === 'succeeded' || job.status === 'failed' || job.status === 'canceled'
}

/** 128 random bits in hex. `crypto.randomUUID` is missing on pages served over plain http. */
export function newIdempotencyKey(): string {
  return Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, '0')).join('')
}

export type Client = ReturnType<typeof createClient>

export function createClient(options: ClientOptions) {
  const base = options.baseUrl.replace(/\/+$/, '')
  const doFetch = options.fetch ?? fetch

  function headers(extra: Record<string, string> = {}): Record<string, string> {
    return options.key ? { authorization: `Bearer ${options.key}`, ...extra } : extra
  }

  async function send(path: string, init: RequestInit & { headers?: Record<string, string> } = {}): Promise<Response> {
    try {
      return await doFetch(base + path, { credentials: 'same-origin', ...init, headers: headers(init.headers) })
    } catch (cause) {
      throw new NetworkError(cause)
    }
  }

  async function call<T>(path: string, init?: Parameters<typeof send>[1]): Promise<T> {
    const response = await send(path, init)
    if (!response.ok) throw await problemOf(response)
    return bodyOf<T>(response)
  }

  return {
    submit: (request: JobRequest, submitOptions: SubmitOptions = {}): Promise<Job> =>
      call('/v1/jobs', json(request, { 'idempotency-key': submitOptions.idempotencyKey ?? newIdempotencyKey() })),

    get: (id: string): Promise<Job> => call(`/v1/jobs/${encodeURIComponent(id)}`),

    list: (list: ListOptions = {}): Promise<Page<Job>> => {
      const query = new URLSearchParams()
      if (list.limit !== undefined) query.set('limit', String(list.limit))
      if (list.cursor !== undefined) query.set('cursor', list.cursor)
      if (list.status !== undefined) query.set('status', list.status)
      return call(`/v1/jobs?${query.toString()}`)
    },

    cancel: (id: string): Promise<Job> => call(`/v1/jobs/${encodeURIComponent(id)}/cancel`, { method: 'POST' }),

    models: async (): Promise<Model[]> => (await call<Page<Model>>('/v1/models')).data,

    /** `name` is `owner/name`. */
    model: (name: string): Promise<Model> => call(`/v1/models/${name.split('/').map(encodeURIComponent).join('/')}`),

    /** Follows one job over lost connections until it is final. */
    events: (id: string, onJob: (job: Job) => void, eventOptions: JobEventsOptions = {}): Unsubscribe =>
      followStream({
        open: (lastEventId, signal) =>
          send(`/v1/jobs/${encodeURIComponent(id)}/events`, { headers: streamHeaders(lastEventId), signal }),
        onEvent: (event) => {
          if (event.type !== 'job') return true
          const job: Job = JSON.parse(event.data)
          onJob(job)
          return !isFinal(job)
        },
        onState: eventOptions.onState,
        onRefused: async (response) => eventOptions.onError?.(await problemOf(response)),
      }),

    /** Follows every job of the tenant until unsubscribed. */
    changes: (handlers: ChangesHandlers): Unsubscribe =>
      followStream({
        open: (lastEventId, signal) => send('/v1/events', { headers: streamHeaders(lastEventId), signal }),
        onEvent: (event) => {
          if (event.type === 'job') {
            const job: Job = JSON.parse(event.data)
            handlers.onJob(job)
          }
          if (event.type === 'reset') handlers.onReset?.()
          return true
        },
        onState: handlers.onState,
        onRefused: async (response) => handlers.onError?.(await problemOf(response)),
      }),

    /** Exchanges an API key for a session cookie that scripts cannot read. */
    signIn: (key: string): Promise<void> => call('/v1/session', json({ key })),

    signOut: (): Promise<void> => call('/v1/session', { method: 'DELETE' }),

    /** A service that is not ready answers 503 with the same body, so the status code is not looked at. */
    readiness: async (): Promise<Readiness> => {
      const body = await bodyOf<Partial<Readiness>>(await send('/readyz'))
      return { status: body.status ?? 'unknown', version: body.version ?? null, checks: body.checks ?? {} }
    },
  }
}

function json(body: unknown, extra: Record<string, string> = {}) {
  return { method: 'POST', headers: { 'content-type': 'application/json', ...extra }, body: JSON.stringify(body) }
}

/** 204 has no body. A body that breaks off is a connection that broke. The service's types are taken at their word. */
async function bodyOf<T>(response: Response): Promise<T> {
  try {
    const text = await response.text()
    const value: T = JSON.parse(text === '' ? 'null' : text)
    return value
  } catch (cause) {
    throw new NetworkError(cause)
  }
}

function streamHeaders(lastEventId: string | null): Record<string, string> {
  const headers: Record<string, string> = { accept: 'text/event-stream' }
  if (lastEventId !== null) headers['last-event-id'] = lastEventId
  return headers
}

async function problemOf(response: Response): Promise<ApiError> {
  const body = await bodyOf<Partial<Problem> | null>(response).catch(() => null)
  const problem = typeof body === 'object' && body !== null ? body : {}
  return new ApiError({
    type: problem.type ?? 'about:blank',
    title: problem.title ?? `HTTP ${response.status}`,
    detail: problem.detail ?? `The service answered ${response.status} without saying why.`,
    code: problem.code ?? 'unexpected_answer',
    status: response.status,
    ...(problem.errors ? { errors: problem.errors } : {}),
  })
}
