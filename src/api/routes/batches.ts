import { Readable } from 'node:stream'
import { withJob } from '../../shared/artifacts/rules/artifact-names.ts'
import type { BatchRecord, NewBatch } from '../../shared/batches/rules/batch.ts'
import type { BatchAcceptResult, Batches } from '../../shared/batches/batches.ts'
import { mapLimited } from '../../shared/values/concurrency.ts'
import { ServiceError, type FieldError } from '../../shared/errors/service-error.ts'
import type { InputLimits, TakenFiles } from '../../shared/inputs/inputs.ts'
import type { InputReader } from '../../shared/jobs/ports.ts'
import type { JobRecord } from '../../shared/jobs/rules/job.ts'
import { keepAgain, type DeploymentKeep } from '../../shared/jobs/rules/keep.ts'
import { sameAgain, type NewJob } from '../../shared/jobs/rules/new-job.ts'
import { isObject, type JsonObject } from '../../shared/values/json.ts'
import { inRequest, inRetry, isRefusal, knownOutcome, queueFull, refusedAccept } from '../accepting.ts'
import type { IdempotencyOf, IdempotencyScope } from '../idempotency.ts'
import type { Explain } from '../explain.ts'
import type { Auth } from '../auth.ts'
import { createOwned } from '../owned.ts'
import type { Job, ManifestLine } from '../description/jobs.ts'
import type { Principal } from '../principal.ts'
import { MAX_FIELDS } from '../error-response.ts'
import { batchView } from '../batch-view.ts'
import type { EventStreams } from '../event-streams.ts'
import type { ApiResponse, OwnedRequest, Route } from '../http.ts'
import { linksFor, type LinkKind } from '../link-kind.ts'
import type { Warnings } from '../../shared/notifications/warnings.ts'
import type { WebhookAllow } from '../../shared/notifications/rules/webhook-url.ts'
import { ownWebhook } from '../own-webhook.ts'
import { withProgress, type MayRun, type ResolveJob } from '../resolve-job.ts'
import type { RetryPlaces } from '../retry-place.ts'
import type { MayRunUnpriced } from '../unpriced.ts'
import { takeFiles, withFiles } from '../take-files.ts'
import {
  batchJobsQuerySchema,
  batchListQuerySchema,
  batchManifestQuerySchema,
  batchRequestSchema,
  invalidRequest,
  parseWith,
  fieldsOf,
  queryObject,
  submitQuerySchema,
} from '../schemas.ts'
import { answerToken } from './tokens.ts'

export interface BatchRoutesDependencies {
  batches: Batches
  jobs: InputReader
  streams: EventStreams
  showJob: (job: JobRecord, links?: LinkKind) => Promise<Job>
  resolveJob: ResolveJob
  mayRun: MayRun
  mayRunUnpriced: MayRunUnpriced
  explain: Explain
  inputLimits: InputLimits
  idempotencyOf: IdempotencyOf
  retryPlaces: () => RetryPlaces
  auth: Auth
  account: string
  /** Default retention of jobs. */
  keep: DeploymentKeep
  /** Where webhooks may be sent besides public https URLs. */
  webhookAllow: WebhookAllow
  warnings: Pick<Warnings, 'creditsExhausted'>
  /** Whether Redis has no room for new work. */
  full: () => boolean
}

/** Limit of the JSON of all inputs, bytes: `defaults` may make them much longer than the body. */
const MAX_ALL_INPUTS_BYTES = 64 * 1024 * 1024
/** Body limits: a batch of 1,000 jobs with inputs of some kilobytes, excluding inline files. */
const BODY = withFiles({ bytes: 8 * 1024 * 1024, values: 500_000 })
const RESOLVED_AT_ONCE = 50
const MANIFEST_PAGE = 100
const ONE_WEBHOOK = { code: 'not_allowed', detail: 'The jobs of a batch have the webhook of the batch.' }

/** Batches: submit, read, watch, cancel, retry the failed jobs. */
export function batchRoutes(dependencies: BatchRoutesDependencies): Route[] {
  const {
    batches,
    jobs: inputOf,
    streams,
    showJob,
    resolveJob,
    mayRun,
    mayRunUnpriced,
    explain,
    inputLimits,
    idempotencyOf,
    retryPlaces,
    auth,
    account,
    keep,
    webhookAllow,
    warnings,
    full,
  } = dependencies

  const owned = createOwned<BatchRecord>({
    kind: 'batch',
    async read(id) {
      const batch = await batches.read(id)
      return batch?.state === 'draft' ? null : batch
    },
    subjectOf: (batch) => batch,
  })

  /** Collects the first errors of all items, up to the limit that a response shows. */
  async function resolveItems(
    items: readonly JsonObject[],
    defaults: JsonObject,
    principal: Principal,
  ): Promise<NewJob[]> {
    const most = principal.limits.batch_jobs
    if (most !== undefined && items.length > most) {
      const detail = `A batch of this tenant is limited to ${most} jobs (batch_jobs).`
      throw invalidRequest([{ pointer: '/items', code: 'too_large', detail }])
    }
    const jobs: NewJob[] = []
    const wrong: FieldError[][] = []
    let count = 0
    let bytes = 0
    const resolve = async (item: JsonObject, place: number): Promise<void> => {
      if (count >= MAX_FIELDS || bytes > MAX_ALL_INPUTS_BYTES) return
      try {
        const given = withDefaults(item, defaults)
        if ('webhook' in given) throw invalidRequest([{ ...ONE_WEBHOOK, pointer: `/items/${place}/webhook` }])
        const job = await resolveJob(given, principal.keep, `/items/${place}`)
        jobs[place] = { ...job, tenant: principal.tenant, account, key_id: principal.keyId, retry_of: null }
        bytes += Buffer.byteLength(JSON.stringify(job.input))
      } catch (error) {
        if (!(error instanceof ServiceError) || error.code !== 'invalid_request') throw error
        wrong[place] = error.fields
        count += error.fields.length
      }
    }
    await mapLimited(items, RESOLVED_AT_ONCE, resolve)
    if (count > 0) throw invalidRequest(wrong.flat())
    if (bytes > MAX_ALL_INPUTS_BYTES) {
      const detail = `The inputs of all jobs, with the defaults, are limited to ${MAX_ALL_INPUTS_BYTES} bytes of JSON.`
      throw invalidRequest([{ pointer: '/items', code: 'too_large', detail }])
    }
    // Two patterns in one batch could produce the same name.
    const patterns = new Set(jobs.map(({ key_pattern }) => key_pattern))
    return patterns.size === 1
      ? jobs
      : jobs.map((job) => ({ ...job, key_pattern: job.key_pattern && withJob(job.key_pattern) }))
  }

  async function accept(
    request: OwnedRequest,
    batch: NewBatch,
    items: () => Promise<NewJob[]>,
    scope: IdempotencyScope,
    files?: TakenFiles,
  ): Promise<ApiResponse> {
    if (full()) throw queueFull()
    const { tenant, keyId } = request.principal
    const idempotency = await idempotencyOf(request, scope, (one) => batches.known(one))
    const id = batches.newBatchId()
    const affordable = async (): Promise<NewJob[]> => {
      const jobs = await items()
      await mayRunUnpriced({ tenant, key_id: keyId }, jobs)
      return jobs
    }
    const known = idempotency && (await batches.known(idempotency))
    const result: BatchAcceptResult =
      known ??
      (await knownOutcome(
        id,
        batches.accept(
          batch,
          id,
          await affordable(),
          idempotency,
          { queuedJobs: request.principal.limits.queued_jobs },
          files,
        ),
      ))
    if (result.kind === 'short') await warnings.creditsExhausted(request.principal.tenant, result.missing)
    if (result.kind !== 'accepted' && result.kind !== 'replayed') throw refusedAccept(result)
    const replayed: Record<string, string> = result.kind === 'replayed' ? { 'idempotent-replayed': 'true' } : {}
    return {
      status: 202,
      headers: { location: `/v1/batches/${result.batch.id}`, ...replayed },
      body: batchView(result.batch),
    }
  }

  async function submit(request: OwnedRequest): Promise<ApiResponse> {
    const files = await takeFiles(request, ['/defaults/input', '/items/*/input'], inputLimits)
    const body = parseWith(batchRequestSchema, request.body)
    const defaults = { ...(body.preset === undefined ? {} : { preset: body.preset }), ...body.defaults }
    const { tenant } = request.principal
    const { webhook, wrong } = ownWebhook(body.webhook, webhookAllow)
    const batch: NewBatch = {
      tenant,
      in_sequence: body.sequential,
      stop_rate: body.stop_on_failure_rate ?? null,
      max_spend: body.max_spend ?? null,
      metadata: body.metadata,
      webhook,
      retry_of: null,
    }
    if (wrong.length > 0) throw invalidRequest(wrong)
    const scope = { route: 'POST /v1/batches', body: request.body }
    const items = async (): Promise<NewJob[]> =>
      (await resolveItems(body.items, defaults, request.principal)).map((job) => ({
        ...job,
        ...withProgress(job, webhook),
      }))
    const { explain: isQuestion } = parseWith(submitQuerySchema, queryObject(request.query))
    const answer =
      isQuestion === undefined
        ? accept(request, batch, items, scope, files)
        : question(request.principal, batch, items, files)
    return answer.catch((error: unknown) => {
      throw inRequest(error, (job) => `/items/${job}/input`)
    })
  }

  async function question(
    by: Principal,
    { in_sequence: inSequence }: NewBatch,
    items: () => Promise<NewJob[]>,
    files: TakenFiles,
  ): Promise<ApiResponse> {
    return { status: 200, body: await explain(by, { jobs: await items(), files, inSequence }) }
  }

  /** Creates a new batch of the jobs that did not succeed; it references the old one. */
  async function retryFailed(request: OwnedRequest): Promise<ApiResponse> {
    const old = await owned(request)
    if (old.completed_at === null) throw new ServiceError('not_retryable', 'The batch is not over yet.')
    const places = retryPlaces()
    const items = async (): Promise<NewJob[]> => {
      const failed: NewJob[] = []
      for await (const record of everyJob(old.id)) {
        if (record.status === 'succeeded') continue
        const job = await inputOf.whole(record)
        mayRun(job.preset)
        if (job.input === null || job.input_bytes !== null)
          throw new ServiceError('not_retryable', 'Inputs were removed by retention. Submit the jobs again.')
        const named_as = await places.take(job)
        const kept = keepAgain(job.keep, keep, request.principal.keep)
        failed.push({
          ...sameAgain(job),
          tenant: old.tenant,
          account,
          key_id: request.principal.keyId,
          input: job.input,
          keep: kept,
          retry_of: job.id,
          named_as,
          not_before: null,
        })
      }
      if (failed.length === 0) throw new ServiceError('not_retryable', 'Every job of the batch has succeeded.')
      return failed
    }
    const { tenant, in_sequence, stop_rate, max_spend, metadata, webhook } = old
    const batch: NewBatch = { tenant, in_sequence, stop_rate, max_spend, metadata, webhook, retry_of: old.id }
    const scope = { route: 'POST /v1/batches/:id/retry-failed', body: old.id }
    return accept(request, batch, items, scope).catch(async (error: unknown) => {
      if (isRefusal(error)) await places.giveBack()
      throw inRetry(error)
    })
  }

  async function* everyJob(id: string): AsyncGenerator<JobRecord> {
    let after: string | undefined
    for (;;) {
      const { records, last } = await batches.jobsOf(id, {
        limit: MANIFEST_PAGE,
        ...(after === undefined ? {} : { after }),
      })
      yield* records
      if (last === null) return
      after = last
    }
  }

  async function list({ query, principal }: OwnedRequest): Promise<ApiResponse> {
    const { limit, cursor } = parseWith(batchListQuerySchema, queryObject(query))
    const found = await batches.list(principal.tenant, {
      limit: limit + 1,
      ...(cursor === undefined ? {} : { before: cursor }),
    })
    const page = found.slice(0, limit)
    return {
      status: 200,
      body: { data: page.map(batchView), next_cursor: found.length > limit ? (page.at(-1)?.id ?? null) : null },
    }
  }

  async function jobs(request: OwnedRequest): Promise<ApiResponse> {
    const { limit, cursor, links } = parseWith(batchJobsQuerySchema, queryObject(request.query))
    const kind = linksFor(request.principal, links)
    const { id } = await owned(request)
    const { records, last } = await batches.jobsOf(id, { limit, ...(cursor === undefined ? {} : { after: cursor }) })
    return {
      status: 200,
      body: { data: await Promise.all(records.map((job) => showJob(job, kind))), next_cursor: last },
    }
  }

  async function cancel(request: OwnedRequest): Promise<ApiResponse> {
    const batch = await owned(request)
    if (batch.completed_at !== null && batch.stopped !== 'canceled')
      throw new ServiceError('not_cancelable', 'The batch is over.')
    await batches.cancel(batch)
    return { status: 202, body: batchView((await batches.read(batch.id)) ?? batch) }
  }

  /** One line per job, ordered by position; one page of jobs is in memory at a time. */
  async function manifest(request: OwnedRequest): Promise<ApiResponse> {
    const { links } = parseWith(batchManifestQuerySchema, queryObject(request.query))
    const kind = linksFor(request.principal, links)
    const { id } = await owned(request)
    return {
      status: 200,
      headers: { 'content-type': 'application/x-ndjson', 'cache-control': 'no-store' },
      stream: Readable.from(manifestLines(id, kind), { objectMode: false }),
    }
  }

  async function* manifestLines(id: string, kind: LinkKind): AsyncGenerator<string> {
    for await (const record of everyJob(id)) {
      const shown = await showJob(await inputOf.whole(record), kind)
      const { position, status, preset, model, version, prediction_id, input, output } = shown
      const { output_artifact, artifacts, error, cost, metadata } = shown
      if (position === null) throw new Error(`${record.id} has no position in its batch`)
      const run = { position, job: record.id, status, preset, model, version, prediction_id, input, output }
      const line: ManifestLine = { ...run, output_artifact, artifacts, error, cost, metadata }
      yield `${JSON.stringify(line)}\n`
    }
  }

  return [
    {
      method: 'POST',
      path: '/v1/batches',
      query: fieldsOf(submitQuerySchema),
      scope: 'jobs:write',
      body: BODY,
      handle: submit,
    },
    { method: 'GET', path: '/v1/batches', query: fieldsOf(batchListQuerySchema), scope: 'jobs:read', handle: list },
    {
      method: 'GET',
      path: '/v1/batches/:id',
      scope: 'jobs:read',
      tokenOpens: true,
      handle: async (request) => ({ status: 200, body: batchView(await owned(request)) }),
    },
    {
      method: 'GET',
      path: '/v1/batches/:id/jobs',
      query: fieldsOf(batchJobsQuerySchema),
      scope: 'jobs:read',
      tokenOpens: true,
      handle: jobs,
    },
    {
      method: 'GET',
      path: '/v1/batches/:id/events',
      scope: 'jobs:read',
      tokenOpens: true,
      handle: async (request) => {
        const { id } = await owned(request)
        return streams.ofBatch(request.principal.tenant, id, batches.read, batchView)
      },
    },
    {
      method: 'GET',
      path: '/v1/batches/:id/manifest',
      query: fieldsOf(batchManifestQuerySchema),
      scope: 'jobs:read',
      tokenOpens: true,
      handle: manifest,
    },
    { method: 'POST', path: '/v1/batches/:id/cancel', scope: 'jobs:write', handle: cancel },
    { method: 'POST', path: '/v1/batches/:id/retry-failed', scope: 'jobs:write', handle: retryFailed },
    {
      method: 'POST',
      path: '/v1/batches/:id/token',
      scope: 'jobs:read',
      handle: async (request) => answerToken(auth, request, (await owned(request)).id),
    },
  ]
}

/** Merges an item over the defaults; the input field by field. */
function withDefaults(item: JsonObject, defaults: JsonObject): JsonObject {
  const own = ['preset', 'model', 'version', 'deployment'].some((name) => item[name] !== undefined)
  const { preset, model, version, deployment, ...shared }: JsonObject = { priority: 'batch', ...defaults }
  const target = own ? {} : { preset, model, version, deployment }
  const input =
    isObject(shared.input) && (item.input === undefined || isObject(item.input))
      ? { ...shared.input, ...item.input }
      : item.input
  const merged = { ...target, ...shared, ...item, ...(input === undefined ? {} : { input }) }
  return Object.fromEntries(
    Object.entries(merged).flatMap(([name, value]) => (value === undefined ? [] : [[name, value]])),
  )
}
