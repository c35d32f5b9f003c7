import { NetworkError, problemOf, retryAfterOf } from './errors.ts'
import { followStream, type StreamEvent, type StreamState } from './event-stream.ts'
import { createTransport, pause, type Call, type TransportOptions } from './transport.ts'
import type {
  Artifact,
  Batch,
  BatchRequest,
  Credits,
  Health,
  HistoryEntry,
  Job,
  JobLogs,
  JobManifest,
  JobRequest,
  JobStatus,
  LedgerEntry,
  LedgerKind,
  ManifestLine,
  Model,
  Page,
  Preset,
  ReadToken,
  Session,
  Spending,
  Upload,
} from './types.ts'

export { ApiError, NetworkError } from './errors.ts'
export type { StreamState } from './event-stream.ts'
export type * from './types.ts'

export type ClientOptions = TransportOptions

export interface PageOptions {
  /** 1 to 100; 20 by default */
  limit?: number
  /** `next_cursor` of the previous page. */
  cursor?: string
}

/** `lasting`: links to files that are valid as long as the files; otherwise for an hour. */
export interface LinkOptions {
  links?: 'lasting' | undefined
}

export interface ListOptions extends PageOptions, LinkOptions {
  status?: JobStatus
  /** With this filter a page can be short, even empty, and still have a `next_cursor`. */
  preset?: string
  /** As with `preset`. */
  batch?: string
  user?: string
  prediction_id?: string
  /** Values of up to five fields, all of which the metadata of a job has. */
  metadata?: Record<string, string | number | boolean>
  /** RFC 3339: created at this time or later. */
  created_after?: string
  /** RFC 3339: created earlier. */
  created_before?: string
}

export interface LedgerOptions extends PageOptions {
  kind?: LedgerKind
  /** Only entries of this job. */
  job?: string
}

export interface SpendingOptions {
  /** Days of UTC, such as `2026-01-31`; by default the last 30. */
  from?: string
  to?: string
  by?: 'day' | 'preset'
}

export interface SubmitOptions {
  /** Idempotency key: repeating a submission with the same key returns the same job. Generated when absent. */
  idempotencyKey?: string
  signal?: AbortSignal
}

export interface WaitOptions {
  signal?: AbortSignal
  /** ms; then it rejects with a TimeoutError, and the job continues. */
  timeout?: number
}

export interface Readiness {
  status: string
  version: string | null
  /** By name; shapes are the service's own. */
  checks: Record<string, unknown>
}

/** Ends the subscription. */
export type Unsubscribe = () => void

export interface StreamHandlers {
  onState?: (state: StreamState) => void
  /**
   * The subscription has ended: the service refused permanently (an ApiError, e.g. 401), or one of these functions threw (its
   * error). Without this handler, or if it throws, the error is an unhandled rejection, which stops a Node process.
   */
  onError?: (error: unknown) => void
}

export interface ChangesHandlers extends StreamHandlers {
  onJob: (job: Job) => void
  /** Changes were missed: reload the list. */
  onReset?: () => void
}

export function isFinal(job: Pick<Job, 'status'>): boolean {
  return job.status === 'succeeded' || job.status === 'failed' || job.status === 'canceled'
}

const isOver = (batch: Pick<Batch, 'completed_at'>): boolean => batch.completed_at !== null

/** 128 random bits in hex. `crypto.randomUUID` is missing on pages served over plain http, and `crypto` in Node 18. */
export function newIdempotencyKey(): string {
  const bytes = new Uint8Array(16)
  if (typeof crypto === 'object') crypto.getRandomValues(bytes)
  else for (const at of bytes.keys()) bytes[at] = Math.floor(Math.random() * 256)
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('')
}

/** Long-poll: s that one request waits for completion, and ms until its response times out. */
const LONG_POLL_S = 60
const LONG_POLL_MS = 75_000
/** Long enough to survive a restart of the service. */
const LONG_POLL_ATTEMPTS = 12

export type Client = ReturnType<typeof createClient>

/**
 * Client for the API of genqueue (docs/client.md). Methods reject with an ApiError when the service refused, with a
 * NetworkError when no response arrived, or with the reason of their signal. Reads and submissions are retried
 * automatically where that is safe and can help.
 */
export function createClient(options: ClientOptions) {
  const { send, json, text, bytes } = createTransport(options)

  const get = <T>(path: string, call: Call = {}): Promise<T> => json(path, call)
  const jobPath = (id: string): string => `/v1/jobs/${encodeURIComponent(id)}`
  const batchPath = (id: string): string => `/v1/batches/${encodeURIComponent(id)}`

  /** Submits a job or batch, idempotent by its key. */
  const submission = <T>(path: string, body: unknown, { idempotencyKey, signal }: SubmitOptions): Promise<T> =>
    json(path, { ...posted(body, { 'idempotency-key': idempotencyKey ?? newIdempotencyKey() }), signal })

  /** `onNews` returns whether more can follow. */
  const follow = <T>(
    path: string,
    read: (event: StreamEvent) => T | null,
    onNews: (news: T) => boolean,
    { onState, onError }: StreamHandlers,
  ): Unsubscribe =>
    followStream({
      open: (lastEventId, signal) => send(path, { headers: streamHeaders(lastEventId), signal }),
      read,
      onNews,
      onState,
      onRefused: async (response) => onError?.(await problemOf(response)),
      onThrown: (error) => {
        if (!onError) throw error
        onError(error)
      },
      retryAfterOf,
    })

  const events = (id: string, onJob: (job: Job) => void, handlers: StreamHandlers = {}): Unsubscribe =>
    follow<Job>(
      `${jobPath(id)}/events`,
      ({ type, data }) => (type === 'job' ? JSON.parse(data) : null),
      (job) => {
        onJob(job)
        return !isFinal(job)
      },
      handlers,
    )

  const batchEvents = (id: string, onBatch: (batch: Batch) => void, handlers: StreamHandlers = {}): Unsubscribe =>
    follow<Batch>(
      `${batchPath(id)}/events`,
      ({ type, data }) => (type === 'batch' ? JSON.parse(data) : null),
      (batch) => {
        onBatch(batch)
        return !isOver(batch)
      },
      handlers,
    )

  return {
    submit: (request: JobRequest, submitOptions: SubmitOptions = {}): Promise<Job> =>
      submission('/v1/jobs', request, submitOptions),

    get: (id: string, links: LinkOptions = {}): Promise<Job> => get(`${jobPath(id)}${queryOf(links)}`),

    /** History of the job, oldest first, the newest hundred lines. */
    history: async (id: string): Promise<HistoryEntry[]> =>
      (await get<Job>(`${jobPath(id)}?include=history`)).history ?? [],

    /** Logs of the model, as long as Replicate keeps them. */
    logs: (id: string): Promise<JobLogs> => get(`${jobPath(id)}/logs`),

    /** The job once it is final, over lost connections and restarts of the service. */
    wait: async (id: string, waitOptions: WaitOptions = {}): Promise<Job> => {
      const signal = signalOf(waitOptions)
      for (;;) {
        const asked = Date.now()
        const job: Job = await get(`${jobPath(id)}?wait=${LONG_POLL_S}`, {
          signal,
          timeout: LONG_POLL_MS,
          ...(options.attempts === 1 ? {} : { attempts: LONG_POLL_ATTEMPTS }),
        })
        if (isFinal(job)) return job
        // An intermediary that responds at once must not cause a request storm.
        if (Date.now() - asked < 1000) await pause(1000, signal)
      }
    },

    list: (list: ListOptions = {}): Promise<Page<Job>> => get(`/v1/jobs${queryOf(list)}`),

    cancel: (id: string): Promise<Job> => json(`${jobPath(id)}/cancel`, { method: 'POST' }),

    /** Deletes a final job with its files before its retention ends. */
    delete: (id: string): Promise<void> => json(jobPath(id), { method: 'DELETE' }),

    /** Submits a copy of a job, which must be over. */
    retry: (id: string, submitOptions: SubmitOptions = {}): Promise<Job> =>
      submission(`${jobPath(id)}/retry`, undefined, submitOptions),

    /** The same with the version that ran and the seed, where they are known. */
    retryPinned: (id: string, submitOptions: SubmitOptions = {}): Promise<Job> =>
      submission(`${jobPath(id)}/retry`, { pinned: true }, submitOptions),

    /** Manifest of a job: its input and its results. */
    jobManifest: (id: string, links: LinkOptions = {}): Promise<JobManifest> =>
      get(`${jobPath(id)}/manifest${queryOf(links)}`),

    /** Follows one job over lost connections until it is final. */
    events,

    /** The job once it is final; `onJob` sees each change, the last one too. */
    watch: (id: string, onJob: (job: Job) => void, watchOptions: WaitOptions = {}): Promise<Job> =>
      lastOf((onNews, handlers) => events(id, onNews, handlers), onJob, isFinal, watchOptions),

    /** Follows every job of the tenant until unsubscribed. */
    changes: ({ onJob, onReset, ...handlers }: ChangesHandlers): Unsubscribe =>
      follow<{ job: Job | null }>(
        '/v1/events',
        ({ type, data }) => (type === 'job' ? { job: JSON.parse(data) } : type === 'reset' ? { job: null } : null),
        ({ job }) => {
          if (job) onJob(job)
          else onReset?.()
          return true
        },
        handlers,
      ),

    /** Uploads a file for inputs, which name it by its `url`. */
    upload: (file: Blob, call: Pick<Call, 'signal' | 'timeout'> = {}): Promise<Upload> => {
      const body = new FormData()
      body.append('file', file)
      return json('/v1/uploads', { method: 'POST', body, timeout: 300_000, ...call })
    },

    /** The bytes of a stored file. */
    file: ({ url }: Pick<Artifact, 'url'>, call: Pick<Call, 'signal' | 'timeout'> = {}): Promise<Uint8Array> =>
      bytes(url, { timeout: 300_000, ...call }),

    /** Token with which a browser can watch this job without a key; `expiresIn` in seconds. */
    jobToken: (id: string, expiresIn?: number): Promise<ReadToken> =>
      json(`${jobPath(id)}/token`, posted({ expires_in: expiresIn })),

    submitBatch: (request: BatchRequest, submitOptions: SubmitOptions = {}): Promise<Batch> =>
      submission('/v1/batches', request, submitOptions),

    batch: (id: string): Promise<Batch> => get(batchPath(id)),

    batches: (page: PageOptions = {}): Promise<Page<Batch>> => get(`/v1/batches${queryOf(page)}`),

    /** Ordered by position. */
    batchJobs: (id: string, page: PageOptions & LinkOptions = {}): Promise<Page<Job>> =>
      get(`${batchPath(id)}/jobs${queryOf(page)}`),

    /** Follows a batch over lost connections until it is over. */
    batchEvents,

    /** The batch once it is over; `onBatch` sees each change, the last one too. */
    watchBatch: (id: string, onBatch: (batch: Batch) => void, watchOptions: WaitOptions = {}): Promise<Batch> =>
      lastOf((onNews, handlers) => batchEvents(id, onNews, handlers), onBatch, isOver, watchOptions),

    cancelBatch: (id: string): Promise<Batch> => json(`${batchPath(id)}/cancel`, { method: 'POST' }),

    /** Submits the jobs of a batch that did not succeed as a new batch; the old one must be over. */
    retryFailed: (id: string, submitOptions: SubmitOptions = {}): Promise<Batch> =>
      submission(`${batchPath(id)}/retry-failed`, undefined, submitOptions),

    /** Results of all jobs, ordered by position. */
    manifest: async (id: string, links: LinkOptions = {}): Promise<ManifestLine[]> =>
      (await text(`${batchPath(id)}/manifest${queryOf(links)}`))
        .split('\n')
        .filter((line) => line !== '')
        .map((line): ManifestLine => JSON.parse(line)),

    batchToken: (id: string, expiresIn?: number): Promise<ReadToken> =>
      json(`${batchPath(id)}/token`, posted({ expires_in: expiresIn })),

    presets: async (): Promise<Preset[]> => (await get<Page<Preset>>('/v1/presets')).data,

    preset: (name: string): Promise<Preset> => get(`/v1/presets/${encodeURIComponent(name)}`),

    models: async (): Promise<Model[]> => (await get<Page<Model>>('/v1/models')).data,

    /** `name` is `owner/name`. */
    model: (name: string): Promise<Model> => get(`/v1/models/${name.split('/').map(encodeURIComponent).join('/')}`),

    /** Account of the tenant. */
    credits: (): Promise<Credits> => get('/v1/credits'),

    /** Every movement of credits, newest first. */
    ledger: (ledger: LedgerOptions = {}): Promise<Page<LedgerEntry>> => get(`/v1/credits/ledger${queryOf(ledger)}`),

    spending: (spending: SpendingOptions = {}): Promise<Spending> => get(`/v1/credits/spending${queryOf(spending)}`),

    /** Exchanges an API key for a session cookie that scripts cannot read. */
    signIn: (key: string): Promise<void> => json('/v1/session', posted({ key })),

    /** The same for the code of a sign-in link, which it consumes. */
    signInWithCode: (code: string): Promise<void> => json('/v1/session', posted({ code })),

    /** The caller and its scopes. */
    session: (): Promise<Session> => get('/v1/session'),

    signOut: (): Promise<void> => json('/v1/session', { method: 'DELETE' }),

    /** State of the whole deployment, for operators. */
    health: (): Promise<Health> => get('/v1/health'),

    /** A service that is not ready returns 503 with the same body, so the status code is ignored. */
    readiness: async (): Promise<Readiness> => {
      try {
        const response = await send('/readyz', { timeout: 10_000 })
        const body: Partial<Readiness> = JSON.parse(await response.text())
        return { status: body.status ?? 'unknown', version: body.version ?? null, checks: body.checks ?? {} }
      } catch (error) {
        throw error instanceof NetworkError ? error : new NetworkError(error)
      }
    },
  }
}

/** Follows until the last news; rejects when the service refuses, with what `onNews` throws, and with the reason of the signal. */
function lastOf<T>(
  follow: (onNews: (news: T) => void, handlers: StreamHandlers) => Unsubscribe,
  onNews: (news: T) => void,
  isLast: (news: T) => boolean,
  options: WaitOptions,
): Promise<T> {
  return new Promise((resolve, reject) => {
    const signal = signalOf(options)
    const settle = (how: () => void): void => {
      signal?.removeEventListener('abort', leave)
      stop()
      how()
    }
    const leave = (): void => settle(() => reject(signal?.reason))
    const stop = follow(
      (news) => {
        onNews(news)
        if (isLast(news)) settle(() => resolve(news))
      },
      { onError: (error) => settle(() => reject(error)) },
    )
    if (signal?.aborted) leave()
    else signal?.addEventListener('abort', leave)
  })
}

const posted = (body: unknown, headers: Record<string, string> = {}): Call =>
  body === undefined
    ? { method: 'POST', headers }
    : { method: 'POST', headers: { 'content-type': 'application/json', ...headers }, body: JSON.stringify(body) }

function queryOf(options: PageOptions | LinkOptions | ListOptions | LedgerOptions | SpendingOptions): string {
  const query = new URLSearchParams()
  for (const [name, value] of Object.entries(options)) {
    if (name === 'metadata')
      for (const [field, wanted] of Object.entries(value)) query.set(`metadata.${field}`, String(wanted))
    else if (value !== undefined) query.set(name, String(value))
  }
  return query.size === 0 ? '' : `?${query.toString()}`
}

function signalOf({ signal, timeout }: WaitOptions): AbortSignal | undefined {
  if (timeout === undefined) return signal
  const expiry = AbortSignal.timeout(timeout)
  return signal ? AbortSignal.any([signal, expiry]) : expiry
}

function streamHeaders(lastEventId: string | null): Record<string, string> {
  const headers: Record<string, string> = { accept: 'text/event-stream' }
  if (lastEventId !== null) headers['last-event-id'] = lastEventId
  return headers
}
