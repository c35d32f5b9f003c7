import { JobFailedError, NetworkError, ApiError } from './errors.ts'
import { followStream, type StreamEvent } from './event-stream.ts'
import {
  formOf,
  openFile,
  prepareBatch,
  prepareJob,
  type FileLike,
  type SubmitBatchRequest,
  type SubmitRequest,
} from './files.ts'
import { createNotificationCalls, type NotificationClient } from './notification-calls.ts'
import { createLinks } from './links.ts'
import { isComplete, isFinal } from './options.ts'
import type {
  Change,
  ChangesHandlers,
  ChangesOptions,
  JobFilters,
  LedgerOptions,
  LinkOptions,
  ListOptions,
  OutputOptions,
  OutputStream,
  PagedList,
  PageOptions,
  Readiness,
  RetryOptions,
  RunOptions,
  SpendingOptions,
  StreamableJob,
  SubmitOptions,
  SubscribeHandlers,
  UploadOptions,
  WaitOptions,
} from './options.ts'
import { createOutputs } from './output.ts'
import { pause, within, type CallOptions } from './signals.ts'
import { newsOf, subscribeTo, type Source, type SubscribedIterable, type Subscription } from './subscription.ts'
import type { StreamOptions } from './subscription.ts'
import { createTransport, TRANSFER_MS, type Call, type ClientOptions } from './transport.ts'
import type {
  Artifact,
  Batch,
  Credits,
  DoctorReport,
  Explanation,
  Health,
  HistoryEntry,
  Job,
  JobLogs,
  JobManifest,
  Budget,
  LedgerEntry,
  LimitChange,
  LimitList,
  ManifestLine,
  ManualPause,
  Model,
  OperatorChange,
  OperatorChangeList,
  Page,
  PauseList,
  PauseRequest,
  Preset,
  ReadToken,
  ScopeLimits,
  Session,
  Spending,
  Upload,
} from './types.ts'

export {
  ApiError,
  isApiError,
  isJobFailed,
  isNetworkError,
  JobFailedError,
  NetworkError,
  OutputRestartedError,
} from './errors.ts'
export type { ApiErrorCode } from './errors.ts'
export type { StreamState } from './event-stream.ts'
export type {
  BatchItemRequest,
  FileLike,
  FileSource,
  Input,
  InputValue,
  SubmitBatchRequest,
  SubmitRequest,
} from './files.ts'
export { isComplete, isFinal } from './options.ts'
export { titleOf } from './title.ts'
export type * from './options.ts'
export type {
  EventRange,
  ListenOptions,
  NotificationClient,
  NotificationOptions,
  RedeliverOptions,
  StreamedChange,
} from './notification-calls.ts'
// Of the same name in the types of the API, where a service that is not ready says more.
export type { Readiness } from './options.ts'
export type { CallOptions } from './signals.ts'
export type { StreamHandlers, StreamOptions, SubscribedIterable, Subscription } from './subscription.ts'
export type { ClientOptions } from './transport.ts'
export type * from './types.ts'

/**
 * The API of genqueue (docs/client.md). Methods reject with an ApiError when the service refused, with a NetworkError when no
 * response arrived, or with the reason of their signal. Reads, submissions and uploads are retried automatically where that is
 * safe and can help.
 */
export interface Client extends NotificationClient {
  /** Submits a job. Files in its input are uploaded first. */
  submit(request: SubmitRequest, options?: SubmitOptions): Promise<StreamableJob>
  /**
   * What the submission of a job would do now: price, limits, position and start. Rejects as the submission would. Nothing is
   * submitted; files in its input are uploaded, and removed after a day.
   */
  explain(request: SubmitRequest, options?: CallOptions): Promise<Explanation>
  /** Submits a job and waits for it. Rejects with a JobFailedError if it failed or was canceled. */
  run(request: SubmitRequest, options?: RunOptions<Job>): Promise<Job>
  get(id: string, options?: LinkOptions & CallOptions): Promise<StreamableJob>
  /** The job once it is final, with any status, over lost connections and restarts of the service. */
  wait(id: string, options?: WaitOptions<Job>): Promise<Job>
  /** The states of a job until it is final. Leaving the loop closes the connection. */
  stream(id: string, options?: StreamOptions): AsyncGenerator<Job, void, undefined>
  /** The same with handlers, over lost connections. Without `onUpdate` the result can be iterated. */
  subscribe(id: string, handlers: SubscribeHandlers<Job>): Subscription
  subscribe(id: string, options?: StreamOptions): SubscribedIterable<Job>
  /**
   * The text of a job as it is written, in pieces, over lost connections; also by `stream` of the job. Returns the final job.
   * Throws a JobFailedError if it failed or was canceled, and an OutputRestartedError.
   */
  streamOutput(id: string, options?: OutputOptions): OutputStream
  /** Every change of the jobs of the tenant, or of those that match the filters. Without `onJob` the result can be iterated. */
  changes(handlers: ChangesHandlers): Subscription
  changes(options?: ChangesOptions): SubscribedIterable<Change>
  /** Newest first. `await` gives one page, `for await` the jobs of all pages. */
  list(options?: ListOptions): PagedList<Job>
  cancel(id: string, options?: CallOptions): Promise<Job>
  /** Submits a copy of a job, which must be final. */
  retry(id: string, options?: RetryOptions): Promise<StreamableJob>
  /** Deletes a final job with its files before its retention ends. */
  delete(id: string, options?: CallOptions): Promise<void>
  /** History of the job, oldest first, the newest hundred lines. */
  history(id: string, options?: CallOptions): Promise<HistoryEntry[]>
  /** Logs of the model, as long as Replicate keeps them. */
  logs(id: string, options?: CallOptions): Promise<JobLogs>
  /** Manifest of a job: its input and its results. */
  manifest(id: string, options?: LinkOptions & CallOptions): Promise<JobManifest>
  /** Token with which a browser can watch this job without a key; `expiresIn` in seconds. */
  jobToken(id: string, expiresIn?: number, options?: CallOptions): Promise<ReadToken>

  /** Uploads a file for inputs, which name it by its `url`. `submit` does this for the files in an input. */
  upload(file: FileLike, options?: UploadOptions): Promise<Upload>
  /** The bytes of a stored file, by its artifact, upload or link. */
  download(file: Pick<Artifact, 'url'> | string, options?: CallOptions): Promise<Uint8Array>
  /** The same while they arrive. */
  downloadStream(file: Pick<Artifact, 'url'> | string, options?: CallOptions): Promise<ReadableStream<Uint8Array>>

  /** Submits a set of jobs: all are accepted, or none. Files in their inputs are uploaded first. */
  batch(request: SubmitBatchRequest, options?: SubmitOptions): Promise<Batch>
  /** Submits a set of jobs and waits until all are final, with any status. */
  runBatch(request: SubmitBatchRequest, options?: RunOptions<Batch>): Promise<Batch>
  /** Explains a batch as `explain` does a job. */
  explainBatch(request: SubmitBatchRequest, options?: CallOptions): Promise<Explanation>
  getBatch(id: string, options?: CallOptions): Promise<Batch>
  /** The batch once it is complete, over lost connections and restarts of the service. */
  waitBatch(id: string, options?: WaitOptions<Batch>): Promise<Batch>
  /** The states of a batch until it is complete. Leaving the loop closes the connection. */
  streamBatch(id: string, options?: StreamOptions): AsyncGenerator<Batch, void, undefined>
  /** The same with handlers. Without `onUpdate` the result can be iterated. */
  subscribeBatch(id: string, handlers: SubscribeHandlers<Batch>): Subscription
  subscribeBatch(id: string, options?: StreamOptions): SubscribedIterable<Batch>
  listBatches(options?: PageOptions & CallOptions): PagedList<Batch>
  cancelBatch(id: string, options?: CallOptions): Promise<Batch>
  /** Submits the jobs of a batch that did not succeed as a new batch; the old one must be complete. */
  retryBatch(id: string, options?: SubmitOptions): Promise<Batch>
  /** Jobs of a batch, by position. */
  batchJobs(id: string, options?: PageOptions & LinkOptions & CallOptions): PagedList<Job>
  /** Results of all jobs, by position. */
  batchManifest(id: string, options?: LinkOptions & CallOptions): Promise<ManifestLine[]>
  /** Token with which a browser can watch this batch and its jobs without a key; `expiresIn` in seconds. */
  batchToken(id: string, expiresIn?: number, options?: CallOptions): Promise<ReadToken>

  presets(options?: CallOptions): Promise<Preset[]>
  preset(name: string, options?: CallOptions): Promise<Preset>
  models(options?: CallOptions): Promise<Model[]>
  /** `name` is `owner/name`. */
  model(name: string, options?: CallOptions): Promise<Model>

  /** Account of the tenant. */
  credits(options?: CallOptions): Promise<Credits>
  /** Every movement of credits, newest first. */
  ledger(options?: LedgerOptions): PagedList<LedgerEntry>
  spending(options?: SpendingOptions): Promise<Spending>
  /** What the jobs of the tenant may cost in a day, week or month, and what they have cost. */
  budgets(options?: CallOptions): Promise<Budget[]>

  /** Exchanges an API key for a session cookie that scripts cannot read. */
  signIn(key: string, options?: CallOptions): Promise<void>
  /** The same for the code of a sign-in link, which it consumes. */
  signInWithCode(code: string, options?: CallOptions): Promise<void>
  signOut(options?: CallOptions): Promise<void>
  /** The caller and its scopes. */
  session(options?: CallOptions): Promise<Session>

  /** State of the whole deployment, for operators. */
  health(options?: CallOptions): Promise<Health>
  /** Checks the set-up of the deployment now, for operators. Takes some seconds; the timeout is two minutes by default. */
  doctor(options?: CallOptions): Promise<DoctorReport>
  /** The limits of accounts, models, deployments, presets and tenants, for operators. */
  limits(options?: CallOptions): Promise<ScopeLimits[]>
  /** Changes limits of one scope at once; absent fields stay, null removes what an operator set. */
  setLimits(change: LimitChange, options?: CallOptions): Promise<ScopeLimits>
  /** What operators have paused, for operators. */
  pauses(options?: CallOptions): Promise<ManualPause[]>
  /** Pauses creation for a scope, or changes the reason of its pause. Jobs in flight go on. */
  pauseCreation(request: PauseRequest, options?: CallOptions): Promise<ManualPause>
  /** Ends a pause by hand. */
  resumeCreation(scope: string, options?: CallOptions): Promise<void>
  /** The last hundred changes of limits and pauses, newest first. */
  operatorChanges(options?: CallOptions): Promise<OperatorChange[]>
  /** A service that is not ready is no error here. */
  readiness(options?: CallOptions): Promise<Readiness>
}

/** A key for a submission that may be repeated, also by a later run of the program: 128 random bits. */
export const newIdempotencyKey = (): string => randomHex()

/** 128 random bits in hex. `crypto.randomUUID` is missing on pages served over plain http, and `crypto` in Node 18. */
function randomHex(): string {
  const bytes = new Uint8Array(16)
  if (typeof crypto === 'object') crypto.getRandomValues(bytes)
  else for (const at of bytes.keys()) bytes[at] = Math.floor(Math.random() * 256)
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('')
}

/** Timeout of a run of the doctor, ms. */
const DOCTOR_MS = 120_000

/** Long-poll: s that one request waits for completion, and ms until its response times out. */
const LONG_POLL_S = 60
const LONG_POLL_MS = 75_000
/** Long enough to survive a restart of the service. */
const LONG_POLL_ATTEMPTS = 12

/** Client for one service, with one key or token, or with the session of the page. */
export function createClient(options: ClientOptions): Client {
  const { base, send, json, text, bytes, body } = createTransport(options)
  const links = createLinks(base)

  const jobPath = (id: string): string => `/v1/jobs/${encodeURIComponent(id)}`
  const batchPath = (id: string): string => `/v1/batches/${encodeURIComponent(id)}`
  const transferMs = Math.max(TRANSFER_MS, options.timeout ?? 0)

  const call = <T>(path: string, { signal, timeout }: CallOptions, request: Call = {}): Promise<T> =>
    within({ signal, timeout }, (limited) => json(path, { ...request, signal: limited }))

  const job = async (path: string, callOptions: CallOptions, request?: Call): Promise<Job> =>
    links.job(await call(path, callOptions, request))
  const streamable = (made: Job): StreamableJob => outputs.streamable(jobPath(made.id), made)

  /** Creates a job or batch, idempotent by its key, which errors carry. */
  async function create<T>(
    path: string,
    { idempotencyKey = newIdempotencyKey(), ...callOptions }: SubmitOptions,
    prepare: (signal: AbortSignal | undefined) => unknown,
  ): Promise<T> {
    try {
      return await within(callOptions, async (signal) => {
        const content = await prepare(signal)
        return json(path, { ...posted(content, { 'idempotency-key': idempotencyKey }), signal })
      })
    } catch (error) {
      if (error instanceof ApiError || error instanceof NetworkError) error.idempotencyKey = idempotencyKey
      throw error
    }
  }

  /** A question changes nothing, so it may be repeated. */
  const ask = (
    path: string,
    callOptions: CallOptions,
    prepare: (signal: AbortSignal | undefined) => unknown,
  ): Promise<Explanation> =>
    within(callOptions, async (signal) =>
      json(`${path}?explain=1`, { ...posted(await prepare(signal)), repeatable: true, signal }),
    )

  const upload = (file: FileLike, { name, ...callOptions }: UploadOptions = {}): Promise<Upload> =>
    within(callOptions, async (signal) => {
      const form = formOf(await openFile(file, name), `genqueue-${randomHex()}`)
      // A repeated upload leaves at most a file that nothing uses, which is removed after a day.
      const request: Call = { method: 'POST', ...form, repeatable: true, timeout: transferMs, signal }
      const made = await json<Upload>('/v1/uploads', request)
      return { ...made, url: links.absolute(made.url) }
    })

  const preparing = (signal: AbortSignal | undefined) => ({
    upload: async (file: FileLike, stop: AbortSignal) => links.ofUpload((await upload(file, { signal: stop })).url),
    text: links.ofUpload,
    signal,
  })

  const submit = async (request: SubmitRequest, submitOptions: SubmitOptions = {}): Promise<StreamableJob> =>
    streamable(links.job(await create('/v1/jobs', submitOptions, (signal) => prepareJob(request, preparing(signal)))))

  const batch = (request: SubmitBatchRequest, submitOptions: SubmitOptions = {}): Promise<Batch> =>
    create('/v1/batches', submitOptions, (signal) => prepareBatch(request, preparing(signal)))

  const stream =
    <T>(path: string, read: (event: StreamEvent) => T | null, isLast: (news: T) => boolean, since?: string | null) =>
    (signal: AbortSignal | undefined): ReturnType<Source<T>> =>
      followStream({
        open: (lastEventId, connection) => send(path, { headers: streamHeaders(lastEventId), signal: connection }),
        read,
        isLast,
        since,
        signal,
      })

  const outputs = createOutputs({
    base,
    source: (path, read, isLast) => stream(path, read, isLast),
    job: links.job,
  })

  const jobStates = (id: string): Source<Job> =>
    stream(
      `${jobPath(id)}/events`,
      ({ type, data }): Job | null => (type === 'job' ? links.job(JSON.parse(data)) : null),
      isFinal,
    )

  const batchStates = (id: string): Source<Batch> =>
    stream(
      `${batchPath(id)}/events`,
      ({ type, data }): Batch | null => (type === 'batch' ? JSON.parse(data) : null),
      isComplete,
    )

  const allChanges = ({ tenant, ...filters }: ChangesFilters, since: string | null | undefined): Source<Change> =>
    stream(
      tenant === undefined
        ? `/v1/events${queryOf(filtersOf(filters))}`
        : `/v1/admin/events${queryOf(filtersOf({ ...filters, tenant: tenant === 'all' ? undefined : tenant }))}`,
      ({ type, id: cursor, data }): Change | null =>
        type === 'job'
          ? { type, job: links.job(JSON.parse(data)), cursor }
          : type === 'reset'
            ? { type, cursor }
            : null,
      () => false,
      since,
    )

  const subscribe = (id: string, handlers: Partial<SubscribeHandlers<Job>> = {}): SubscribedIterable<Job> =>
    subscribeTo(jobStates(id), { onNews: handlers.onUpdate }, handlers)

  const subscribeBatch = (id: string, handlers: Partial<SubscribeHandlers<Batch>> = {}): SubscribedIterable<Batch> =>
    subscribeTo(batchStates(id), { onNews: handlers.onUpdate }, handlers)

  function changes(handlers: Partial<ChangesHandlers> = {}): SubscribedIterable<Change> {
    const { since, onCursor, onJob, onReset, onState, onError, signal, ...filters } = handlers
    const onNews = onJob && ((change: Change): void => (change.type === 'job' ? onJob(change.job) : onReset?.()))
    return subscribeTo(allChanges(filters, since), { onNews, onPosition: onCursor }, { signal, onState, onError })
  }

  async function waitByPolling(id: string, signal: AbortSignal | undefined): Promise<Job> {
    for (;;) {
      const asked = Date.now()
      const now = await job(
        `${jobPath(id)}?wait=${LONG_POLL_S}`,
        { signal },
        {
          timeout: LONG_POLL_MS,
          ...(options.attempts === 1 ? {} : { attempts: LONG_POLL_ATTEMPTS }),
        },
      )
      if (isFinal(now)) return now
      // An intermediary that responds at once must not cause a request storm.
      if (Date.now() - asked < 1000) await pause(1000, signal)
    }
  }

  const wait = (id: string, { onUpdate, ...callOptions }: WaitOptions<Job> = {}): Promise<Job> =>
    within(callOptions, (signal) => (onUpdate ? lastOf(jobStates(id), signal, onUpdate) : waitByPolling(id, signal)))

  const waitBatch = (id: string, { onUpdate, ...callOptions }: WaitOptions<Batch> = {}): Promise<Batch> =>
    within(callOptions, (signal) => lastOf(batchStates(id), signal, onUpdate))

  /** Submits, then waits unless it has ended by then: the submission may be a repeated one. */
  const run = <T extends { id: string }>(
    { idempotencyKey, onUpdate, ...callOptions }: RunOptions<T>,
    submitIt: (how: SubmitOptions) => Promise<T>,
    isLast: (now: T) => boolean,
    waitFor: (id: string, how: WaitOptions<T>) => Promise<T>,
  ): Promise<T> =>
    within(callOptions, async (signal) => {
      const made = await submitIt({ idempotencyKey, signal })
      onUpdate?.(made)
      return isLast(made) ? made : waitFor(made.id, { signal, onUpdate })
    })

  function paged<T>(path: string, query: object, callOptions: CallOptions, map: (one: T) => T): PagedList<T> {
    const read = async (cursor: object): Promise<Page<T>> => {
      const page = await call<Page<T>>(`${path}${queryOf({ ...query, ...cursor })}`, callOptions)
      return { ...page, data: page.data.map(map) }
    }
    const first = read({})
    async function* all(): AsyncGenerator<T, void, undefined> {
      let page = await first
      for (;;) {
        yield* page.data
        if (page.next_cursor === null) return
        page = await read({ cursor: page.next_cursor })
      }
    }
    return Object.assign(first, { [Symbol.asyncIterator]: all })
  }

  const token = (path: string, expiresIn: number | undefined, callOptions: CallOptions): Promise<ReadToken> =>
    call(`${path}/token`, callOptions, posted({ expires_in: expiresIn }))

  const addressOf = (file: Pick<Artifact, 'url'> | string): string => (typeof file === 'string' ? file : file.url)

  return {
    submit,
    explain: (request, callOptions = {}) =>
      ask('/v1/jobs', callOptions, (signal) => prepareJob(request, preparing(signal))),
    explainBatch: (request, callOptions = {}) =>
      ask('/v1/batches', callOptions, (signal) => prepareBatch(request, preparing(signal))),

    run: async (request, runOptions = {}) => {
      const done = await run(runOptions, (how) => submit(request, how), isFinal, wait)
      if (done.status !== 'succeeded') throw new JobFailedError(done)
      return done
    },

    get: async (id, { links: kind, ...callOptions } = {}) =>
      streamable(await job(`${jobPath(id)}${queryOf({ links: kind })}`, callOptions)),

    wait,

    stream: (id, streamOptions = {}) => newsOf(jobStates(id), streamOptions),

    subscribe,

    streamOutput: (id, streamOptions) => outputs.streamOutput(jobPath(id), streamOptions),

    changes,

    list: ({ signal, timeout, ...list } = {}) => paged('/v1/jobs', filtersOf(list), { signal, timeout }, links.job),

    cancel: (id, callOptions = {}) => job(`${jobPath(id)}/cancel`, callOptions, { method: 'POST' }),

    retry: async (id, { pinned = false, ...submitOptions } = {}) =>
      streamable(
        links.job(await create(`${jobPath(id)}/retry`, submitOptions, () => (pinned ? { pinned } : undefined))),
      ),

    delete: (id, callOptions = {}) => call(jobPath(id), callOptions, { method: 'DELETE' }),

    history: async (id, callOptions = {}) => (await job(`${jobPath(id)}?include=history`, callOptions)).history ?? [],

    logs: (id, callOptions = {}) => call(`${jobPath(id)}/logs`, callOptions),

    manifest: async (id, { links: kind, ...callOptions } = {}) => {
      const manifest = await call<JobManifest>(`${jobPath(id)}/manifest${queryOf({ links: kind })}`, callOptions)
      return links.jobManifest(manifest)
    },

    jobToken: (id, expiresIn, callOptions = {}) => token(jobPath(id), expiresIn, callOptions),

    upload,

    download: (file, callOptions = {}) =>
      within(callOptions, (signal) => bytes(addressOf(file), { signal, timeout: transferMs })),

    // The limit of time is for the beginning: nobody knows how long a reader takes.
    downloadStream: (file, { signal, timeout } = {}) =>
      body(addressOf(file), { signal, timeout: timeout ?? transferMs }),

    batch,

    runBatch: (request, runOptions = {}) => run(runOptions, (how) => batch(request, how), isComplete, waitBatch),

    getBatch: (id, callOptions = {}) => call(batchPath(id), callOptions),

    waitBatch,

    streamBatch: (id, streamOptions = {}) => newsOf(batchStates(id), streamOptions),

    subscribeBatch,

    listBatches: ({ signal, timeout, ...page } = {}) => paged('/v1/batches', page, { signal, timeout }, same<Batch>),

    cancelBatch: (id, callOptions = {}) => call(`${batchPath(id)}/cancel`, callOptions, { method: 'POST' }),

    retryBatch: (id, submitOptions = {}) => create(`${batchPath(id)}/retry-failed`, submitOptions, () => undefined),

    batchJobs: (id, { signal, timeout, ...page } = {}) =>
      paged(`${batchPath(id)}/jobs`, page, { signal, timeout }, links.job),

    batchManifest: (id, { links: kind, ...callOptions } = {}) =>
      within(callOptions, async (signal) => {
        const lines = await text(`${batchPath(id)}/manifest${queryOf({ links: kind })}`, { signal })
        return lines
          .split('\n')
          .filter((line) => line !== '')
          .map((line): ManifestLine => links.manifestLine(JSON.parse(line)))
      }),

    batchToken: (id, expiresIn, callOptions = {}) => token(batchPath(id), expiresIn, callOptions),

    presets: async (callOptions = {}) => (await call<Page<Preset>>('/v1/presets', callOptions)).data,

    preset: (name, callOptions = {}) => call(`/v1/presets/${encodeURIComponent(name)}`, callOptions),

    ...createNotificationCalls({
      call,
      paged,
      stream,
      sent: (method, content) => ({ ...posted(content), method }),
      timeOf,
    }),

    models: async (callOptions = {}) => (await call<Page<Model>>('/v1/models', callOptions)).data,

    model: (name, callOptions = {}) =>
      call(`/v1/models/${name.split('/').map(encodeURIComponent).join('/')}`, callOptions),

    credits: (callOptions = {}) => call('/v1/credits', callOptions),

    ledger: ({ signal, timeout, ...ledger } = {}) =>
      paged('/v1/credits/ledger', ledger, { signal, timeout }, same<LedgerEntry>),

    spending: ({ signal, timeout, ...spending } = {}) =>
      call(`/v1/credits/spending${queryOf(spending)}`, { signal, timeout }),

    budgets: async (callOptions = {}) => (await call<Page<Budget>>('/v1/budgets', callOptions)).data,

    signIn: (key, callOptions = {}) => call('/v1/session', callOptions, posted({ key })),

    signInWithCode: (code, callOptions = {}) => call('/v1/session', callOptions, posted({ code })),

    signOut: (callOptions = {}) => call('/v1/session', callOptions, { method: 'DELETE' }),

    session: (callOptions = {}) => call('/v1/session', callOptions),

    health: (callOptions = {}) => call('/v1/health', callOptions),
    limits: async (callOptions = {}) => (await call<LimitList>('/v1/admin/limits', callOptions)).data,
    setLimits: (change, callOptions = {}) =>
      call('/v1/admin/limits', callOptions, { ...posted(change), repeatable: true }),
    pauses: async (callOptions = {}) => (await call<PauseList>('/v1/admin/pauses', callOptions)).data,
    pauseCreation: (request, callOptions = {}) =>
      call('/v1/admin/pauses', callOptions, { ...posted(request), repeatable: true }),
    resumeCreation: (scope, callOptions = {}) =>
      call(`/v1/admin/pauses${queryOf({ scope })}`, callOptions, { method: 'DELETE' }),
    operatorChanges: async (callOptions = {}) =>
      (await call<OperatorChangeList>('/v1/admin/changes', callOptions)).data,
    doctor: (callOptions = {}) => call('/v1/admin/doctor', callOptions, { timeout: DOCTOR_MS }),

    // Without readiness the response is a 503 with the same body.
    readiness: ({ signal, timeout = 10_000 } = {}) =>
      within({ signal, timeout }, async (limited) => {
        try {
          const response = await send('/readyz', { signal: limited })
          const ready: Partial<Readiness> = JSON.parse(await response.text())
          return { status: ready.status ?? 'unknown', version: ready.version ?? null, checks: ready.checks ?? {} }
        } catch (error) {
          if (signal?.aborted) throw signal.reason
          throw error instanceof NetworkError ? error : new NetworkError(error, base)
        }
      }),
  }
}

const same = <T>(value: T): T => value

/** Follows until the last news. */
async function lastOf<T>(
  source: Source<T>,
  signal: AbortSignal | undefined,
  onUpdate: ((now: T) => void) | undefined,
): Promise<T> {
  let last: T | undefined
  for await (const now of newsOf(source, { signal })) {
    onUpdate?.(now)
    last = now
  }
  // A stream ends after its last news only; else it throws.
  if (last === undefined) throw new TypeError('The stream had no news.')
  return last
}

const posted = (content: unknown, headers: Record<string, string> = {}): Call =>
  content === undefined
    ? { method: 'POST', headers }
    : { method: 'POST', headers: { 'content-type': 'application/json', ...headers }, body: JSON.stringify(content) }

type ChangesFilters = JobFilters & Pick<ChangesOptions, 'tenant'>

/** The filters by their names in the API. */
function filtersOf({
  metadata = {},
  predictionId,
  createdAfter,
  createdBefore,
  ...rest
}: ListOptions & ChangesFilters): object {
  const fields = Object.entries(metadata).map(([key, value]) => [`metadata.${key}`, value])
  return {
    ...rest,
    ...Object.fromEntries(fields),
    prediction_id: predictionId,
    created_after: timeOf(createdAfter),
    created_before: timeOf(createdBefore),
  }
}

const timeOf = (time: Date | string | undefined): string | undefined =>
  time instanceof Date ? time.toISOString() : time

function queryOf(options: object): string {
  const query = new URLSearchParams()
  for (const [name, value] of Object.entries(options)) if (value !== undefined) query.set(name, String(value))
  const written = query.toString()
  return written === '' ? '' : `?${written}`
}

function streamHeaders(lastEventId: string | null): Record<string, string> {
  const headers: Record<string, string> = { accept: 'text/event-stream' }
  if (lastEventId !== null) headers['last-event-id'] = lastEventId
  return headers
}
