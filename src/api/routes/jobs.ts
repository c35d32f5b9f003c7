import type { HistoryEntry, Job, JobPage } from '../description/jobs.ts'
import { ServiceError } from '../../shared/errors/service-error.ts'
import type { EventHub } from '../../shared/events/event-hub.ts'
import { isFinal, type JobRecord } from '../../shared/jobs/rules/job.ts'
import type { Inputs, TakenFiles } from '../../shared/inputs/inputs.ts'
import { keepAgain, type DeploymentKeep } from '../../shared/jobs/rules/keep.ts'
import type { Lifecycle } from '../../shared/jobs/lifecycle.ts'
import { sameAgain } from '../../shared/jobs/rules/new-job.ts'
import type { InputReader, JobFinder, JobReader } from '../../shared/jobs/ports.ts'
import { passes, type JobFilter } from '../../shared/jobs/rules/job-filter.ts'
import { pinned } from '../../shared/jobs/rules/run-facts.ts'
import type { AcceptJob, RequestedJob } from '../accept-job.ts'
import { inRequest, inRetry, isRefusal } from '../accepting.ts'
import type { IdempotencyOf, IdempotencyScope } from '../idempotency.ts'
import type { ApiResponse, OwnedRequest, Route } from '../http.ts'
import type { Explain } from '../explain.ts'
import type { ForecastOf } from '../forecasts.ts'
import type { JobView } from '../job-view.ts'
import { linksFor, type LinkKind } from '../link-kind.ts'
import { createOwnedJob, noSuch } from '../owned.ts'
import { MAX_WAIT_S, preferredWait } from '../prefer.ts'
import type { MayRun, ResolveJob } from '../resolve-job.ts'
import {
  allEventsQueryFields,
  eventsQueryFields,
  getQuerySchema,
  listQueryFields,
  parseAllEventsQuery,
  parseEventsQuery,
  parseListQuery,
  parseWith,
  fieldsOf,
  queryObject,
  retryQuerySchema,
  submitQuerySchema,
  retrySchema,
  type EventsQuery,
} from '../schemas.ts'
import type { RetryPlaces } from '../retry-place.ts'
import type { EventStreams } from '../event-streams.ts'
import { searchJobs } from '../search-jobs.ts'
import { createUntilFinal } from '../until-final.ts'
import { JOB_BODY, takeFiles } from '../take-files.ts'
import type { WaitingOf } from '../waiting.ts'

export interface JobRoutesDependencies {
  store: JobReader & InputReader & JobFinder
  lifecycle: Lifecycle
  hub: EventHub
  streams: EventStreams
  show: ShowJob
  resolveJob: ResolveJob
  mayRun: MayRun
  acceptJob: AcceptJob
  explain: Explain
  account: string
  inputs: Pick<Inputs, 'limits'>
  idempotencyOf: IdempotencyOf
  retryPlaces: () => RetryPlaces
  /** Default retention of jobs. */
  keep: DeploymentKeep
}

/** Jobs per read of a search. */
const CHUNK = 100
/** Whether the indexes name jobs that the filter does not want. */
const isSearch = ({ labels: _indexed, ...others }: JobFilter): boolean =>
  Object.values(others).some((one) => one !== undefined)

/**
 * Representation of a job, with the reason why it waits. `isAlone`: also with its forecast. `isNew`: it was accepted a moment
 * ago.
 */
export type ShowJob = (
  job: JobRecord,
  links?: LinkKind,
  how?: { isAlone: true; isNew?: boolean | undefined },
) => Promise<Job>

export function createShowJob(view: JobView, waitingOf: WaitingOf, forecastOf: ForecastOf): ShowJob {
  return async (job, links, how) => {
    const waiting = await waitingOf(job, how?.isNew)
    return view(job, waiting, links, how && (await forecastOf(job, waiting)))
  }
}

/** Jobs: submit, read, list, wait, watch, cancel. */
export function jobRoutes(dependencies: JobRoutesDependencies): Route[] {
  const {
    store,
    lifecycle,
    hub,
    streams,
    show,
    resolveJob,
    mayRun,
    acceptJob,
    explain,
    account,
    inputs,
    idempotencyOf,
    retryPlaces,
    keep,
  } = dependencies
  const untilFinal = createUntilFinal({ store, hub })
  const owned = createOwnedJob(store)

  /** Returns the job at once, or when it is final if the request waits for that. */
  async function afterWait(job: JobRecord, wait: number | null, { gone }: OwnedRequest): Promise<JobRecord> {
    const now = wait === null ? job : await untilFinal(job.id, wait, gone())
    if (now === null) throw noSuch('job')
    return now
  }

  /** Accepts a job, waits for it if requested, and responds with it. */
  async function accept(
    request: OwnedRequest,
    job: RequestedJob,
    scope: IdempotencyScope,
    files?: TakenFiles,
  ): Promise<ApiResponse> {
    const wait = waitOf(request)
    const { job: accepted, isReplay } = await acceptJob(request, job, scope, { files })
    return answer(request, accepted, wait, isReplay)
  }

  async function answer(
    request: OwnedRequest,
    job: JobRecord,
    wait: number | null,
    replayed: boolean,
  ): Promise<ApiResponse> {
    const now = await afterWait(job, wait, request)
    return {
      status: wait !== null && isFinal(now.phase) ? 200 : 202,
      headers: {
        location: `/v1/jobs/${now.id}`,
        ...(wait === null ? {} : { 'preference-applied': `wait=${wait}` }),
        ...(replayed ? { 'idempotent-replayed': 'true' } : {}),
      },
      body: await show(now, undefined, { isAlone: true, isNew: now === job && !replayed }),
    }
  }

  async function submit(request: OwnedRequest): Promise<ApiResponse> {
    const files = await takeFiles(request, ['/input'], inputs.limits)
    const scope = { route: 'POST /v1/jobs', body: request.body }
    const { explain: isQuestion } = parseWith(submitQuerySchema, queryObject(request.query))
    if (isQuestion !== undefined) return question(request, files)
    try {
      return await accept(
        request,
        { ...(await resolveJob(scope.body, request.principal.keep)), retry_of: null },
        scope,
        files,
      )
    } catch (caught) {
      const error = inRequest(caught, () => '/input')
      // A repeated request returns its original job, because the preset can have changed since.
      const known = error instanceof ServiceError && error.code === 'invalid_request' && (await firstOf(request, scope))
      if (!known) throw error
      return answer(request, known, waitOf(request), true)
    }
  }

  async function question({ body, principal }: OwnedRequest, files: TakenFiles): Promise<ApiResponse> {
    try {
      const resolved = await resolveJob(body, principal.keep)
      const { tenant, keyId } = principal
      const job = { ...resolved, tenant, account, key_id: keyId, retry_of: null }
      return { status: 200, body: await explain(principal, { jobs: [job], files, inSequence: false }) }
    } catch (error) {
      throw inRequest(error, () => '/input')
    }
  }

  /** The job that the same request created before. */
  async function firstOf(request: OwnedRequest, scope: IdempotencyScope): Promise<JobRecord | null> {
    const idempotency = await idempotencyOf(request, scope, lifecycle.known)
    const known = idempotency && (await store.idempotent(idempotency.entry))
    return known && known.body === idempotency.body ? store.read(known.job) : null
  }

  /** Creates a copy of an ended job that references it. */
  async function retry(request: OwnedRequest): Promise<ApiResponse> {
    const old = await store.whole(await owned(request))
    if (!isFinal(old.phase)) throw new ServiceError('not_retryable', 'The job is not over yet.')
    mayRun(old.preset)
    if (old.input === null || old.input_bytes !== null)
      throw new ServiceError('not_retryable', 'The input was removed by retention. Submit it again.')
    const isPinned =
      parseWith(retryQuerySchema, queryObject(request.query)).pinned === 'true' ||
      parseWith(retrySchema, request.body).pinned === true
    const same = isPinned ? pinned(old) : { target: {}, input: old.input }
    if (same === null) throw new ServiceError('not_retryable', 'Neither the version nor the seed of the run is known.')
    const places = retryPlaces()
    const named_as = await places.take(old)
    const kept = keepAgain(old.keep, keep, request.principal.keep)
    const job = {
      ...sameAgain(old),
      ...same.target,
      input: same.input,
      keep: kept,
      retry_of: old.id,
      named_as,
      not_before: null,
    }
    const body = isPinned ? { job: old.id, pinned: true } : old.id
    return accept(request, job, { route: 'POST /v1/jobs/:id/retry', body }).catch(async (error: unknown) => {
      if (isRefusal(error)) await places.giveBack()
      throw inRetry(error)
    })
  }

  async function get(request: OwnedRequest): Promise<ApiResponse> {
    const { wait, include, links } = parseWith(getQuerySchema, queryObject(request.query))
    const kind = linksFor(request.principal, links)
    const job = await owned(request)
    const body = await show(await store.whole(await afterWait(job, wait ?? null, request)), kind, { isAlone: true })
    return { status: 200, body: include === undefined ? body : { ...body, history: await historyOf(job.id) } }
  }

  async function historyOf(id: string): Promise<HistoryEntry[]> {
    return (await store.history(id)).map(({ at, entry }) => ({
      at: new Date(at).toISOString(),
      ...entry,
    }))
  }

  async function page(jobs: JobRecord[], next: string | null, links: LinkKind): Promise<ApiResponse> {
    const body: JobPage = { data: await Promise.all(jobs.map((job) => show(job, links))), next_cursor: next }
    return { status: 200, body }
  }

  async function list({ query, principal }: OwnedRequest): Promise<ApiResponse> {
    const { limit, cursor, status, links, filter } = parseListQuery(query)
    const kind = linksFor(principal, links)
    const isWanted = (job: JobRecord): boolean => job.status === (status ?? job.status) && passes(job, filter)
    const found = await searchJobs(store, principal.tenant, {
      query: { ...filter, status, before: cursor },
      limit,
      chunk: isSearch(filter) ? CHUNK : limit,
      isWanted,
    })
    return page(found.jobs, found.next, kind)
  }

  async function cancel(request: OwnedRequest): Promise<ApiResponse> {
    const { id } = await owned(request)
    const result = await lifecycle.apply(id, { type: 'cancel', gives_up_output: true }, 'api')
    if (result.kind === 'missing') throw noSuch('job')
    if (result.kind !== 'applied' && result.kind !== 'ignored') throw new Error(`cancel ended as ${result.kind}`)
    const { job } = result.state
    if (result.kind === 'ignored' && job.phase !== 'canceled' && result.reason === 'final')
      throw new ServiceError('not_cancelable', `The job is already ${job.status}.`)
    return { status: isFinal(job.phase) ? 200 : 202, body: await show(job) }
  }

  async function events(request: OwnedRequest): Promise<ApiResponse> {
    const last = request.headers['last-event-id']
    if (last !== undefined && !/^\d{1,15}$/.test(last))
      throw new ServiceError('invalid_header', 'Last-Event-ID is not an id of this stream.')
    const { id } = await owned(request)
    return streams.ofJob(request.principal.tenant, id)
  }

  const eventsOf = (
    { headers, principal }: OwnedRequest,
    tenant: string | null,
    { since, status, filter }: EventsQuery,
  ): Promise<ApiResponse> =>
    streams.ofMany({
      of: tenant,
      reader: principal.tenant,
      // An EventSource repeats the query when it reconnects; its header is newer.
      last: headers['last-event-id'] ?? since,
      isWanted: (job) => job.status === (status ?? job.status) && passes(job, filter),
      batch: filter.batch,
    })

  return [
    {
      method: 'POST',
      path: '/v1/jobs',
      query: fieldsOf(submitQuerySchema),
      scope: 'jobs:write',
      body: JOB_BODY,
      handle: submit,
    },
    { method: 'GET', path: '/v1/jobs', query: fieldsOf(listQueryFields), scope: 'jobs:read', handle: list },
    {
      method: 'GET',
      path: '/v1/jobs/:id',
      query: fieldsOf(getQuerySchema),
      scope: 'jobs:read',
      tokenOpens: true,
      handle: get,
    },
    { method: 'GET', path: '/v1/jobs/:id/events', scope: 'jobs:read', tokenOpens: true, handle: events },
    { method: 'POST', path: '/v1/jobs/:id/cancel', scope: 'jobs:write', handle: cancel },
    {
      method: 'POST',
      path: '/v1/jobs/:id/retry',
      query: fieldsOf(retryQuerySchema),
      scope: 'jobs:write',
      handle: retry,
    },
    {
      method: 'GET',
      path: '/v1/events',
      query: fieldsOf(eventsQueryFields),
      scope: 'jobs:read',
      handle: async (request) => eventsOf(request, request.principal.tenant, parseEventsQuery(request.query)),
    },
    {
      method: 'GET',
      path: '/v1/admin/events',
      query: fieldsOf(allEventsQueryFields),
      scope: 'admin',
      handle: async (request) => {
        const { tenant, ...query } = parseAllEventsQuery(request.query)
        return eventsOf(request, tenant, query)
      },
    },
  ]
}

/** Throws for a wait out of 1 to 60 seconds. */
function waitOf(request: OwnedRequest): number | null {
  const wait = preferredWait(request)
  if (wait === null) return null
  if (wait.seconds < 1 || wait.seconds > MAX_WAIT_S)
    throw new ServiceError('invalid_header', `Prefer: wait=n needs a whole number of seconds, 1 to ${MAX_WAIT_S}.`)
  return wait.seconds
}
