import { z } from 'zod'
import { mapInput } from '../../shared/inputs/rules/reference.ts'
import type { Inputs, TakenFiles } from '../../shared/inputs/inputs.ts'
import { isFinal, WEBHOOK_EVENTS, type JobRecord } from '../../shared/jobs/rules/job.ts'
import type { Answering } from '../../shared/jobs/rules/answering.ts'
import { passes } from '../../shared/jobs/rules/job-filter.ts'
import type { Lifecycle } from '../../shared/jobs/lifecycle.ts'
import type { InputReader, JobFinder, JobReader } from '../../shared/jobs/ports.ts'
import { isObject, type Json, type JsonObject } from '../../shared/values/json.ts'
import type { AcceptJob, AcceptOptions } from '../accept-job.ts'
import { inRequest } from '../accepting.ts'
import type { ApiResponse, OwnedRequest, Route } from '../http.ts'
import { createFindOwnedJob } from '../owned.ts'
import type { WebhookAllow } from '../../shared/notifications/rules/webhook-url.ts'
import { pick } from '../../shared/values/pick.ts'
import { replicateWebhook } from '../own-webhook.ts'
import { withProgress, type ResolveCreate } from '../resolve-job.ts'
import { invalidRequest, jobRequestSchema, neededBody, parseWith } from '../schemas.ts'
import { searchJobs } from '../search-jobs.ts'
import { JOB_BODY, takeFiles } from '../take-files.ts'
import type { UntilFinal } from '../until-final.ts'
import { linksOf, readCursor, type PageCursor } from './cursor.ts'
import { ownReference } from './front-links.ts'
import { cancelAfterOf, metadataOf, waitOf } from './headers.ts'
import { noSuchResource } from './not-served.ts'
import { originOf } from './origin.ts'
import { FRONT } from './path.ts'
import type { Prediction, PredictionView } from './prediction.ts'
import { jobIdOf } from './ids.ts'
import type { SentAgain } from './sent-again.ts'

export interface PredictionRoutesDependencies {
  store: JobReader & InputReader & JobFinder
  lifecycle: Lifecycle
  untilFinal: UntilFinal
  acceptJob: AcceptJob
  resolveCreate: ResolveCreate
  sentAgain: SentAgain
  inputs: Pick<Inputs, 'limits'>
  view: PredictionView
  /** Where webhooks may be sent besides public https URLs. */
  webhookAllow: WebhookAllow
  /** The last part of the logs of a job, as far as it is kept. */
  logsOf: (job: JobRecord) => Promise<string>
  /** The whole output of a job that keeps it as a file; undefined: its record has it. */
  longOutputOf: (job: JobRecord) => Promise<Json | undefined>
}

const PAGE = 100
/** Seconds for which a run may take, as at Replicate. */
const TIMEOUT_S = 1800

const object = z.custom<JsonObject>(isObject, { params: { code: 'invalid_type', expected: 'object' } })
const createFields = z.strictObject({
  input: object,
  webhook: z.string().optional(),
  webhook_events_filter: z.array(z.enum(WEBHOOK_EVENTS)).optional(),
  /** Deprecated at Replicate, where every prediction has a stream too. */
  stream: z.boolean().optional(),
})
const createByVersion = createFields.extend({ version: z.string() })

const time = z.iso.datetime({ offset: true }).transform((text) => Date.parse(text))
const listQuery = z.object({
  cursor: z.string().optional(),
  created_after: time.optional(),
  created_before: time.optional(),
  source: z.enum(['api', 'web']).optional(),
})

/** What a create runs, in the words of our own API. */
type Target = { model: string } | { version: string } | { deployment: string }

type CreateFields = z.output<typeof createFields>

/** A create, as it is compared with others. */
interface Create {
  target: Target
  asked: Pick<CreateFields, 'webhook' | 'webhook_events_filter'> & {
    input: JsonObject
    metadata: JsonObject
    cancel_after: number | null
  }
  route: string
}

/** `version` of a create: 64 digits, alone or after the name of the model, or the name alone. */
const versionTarget = (version: string): Target =>
  /^[^/:\s]+\/[^/:\s]+$/.test(version) ? { model: version } : { version }

/** Replicate's predictions: our jobs, as its clients know them. */
export function predictionRoutes(dependencies: PredictionRoutesDependencies): Route[] {
  const { store, lifecycle, untilFinal, acceptJob, resolveCreate, sentAgain, inputs, view, logsOf, longOutputOf } =
    dependencies
  const { webhookAllow } = dependencies

  async function show(job: JobRecord, request: OwnedRequest): Promise<Prediction> {
    const [logs, longOutput, whole] = await Promise.all([logsOf(job), longOutputOf(job), store.whole(job)])
    return view(whole, { origin: originOf(request), logs, longOutput })
  }

  const findOwned = createFindOwnedJob(store)
  async function owned({ params: { id = '' }, principal }: OwnedRequest): Promise<JobRecord> {
    const job = await findOwned({ params: { id: jobIdOf(id) ?? '' }, principal })
    if (job === null) throw noSuchResource()
    return job
  }

  /** Accepts the job of a create. */
  async function accept(
    request: OwnedRequest,
    { target, asked, route }: Create,
    files: TakenFiles,
    answering: AcceptOptions['answering'],
  ): Promise<JobRecord> {
    const { input, metadata, cancel_after } = asked
    const { webhook, wrong } = replicateWebhook(asked.webhook, asked.webhook_events_filter, webhookAllow)
    if (wrong.length > 0) throw invalidRequest(wrong)
    const asJob = parseWith(jobRequestSchema, { ...target, input, metadata })
    const resolved = await resolveCreate(asJob, request.principal.keep)
    const { job } = await acceptJob(
      request,
      {
        ...resolved,
        ...withProgress(resolved, webhook),
        ...(resolved.preset === null ? { timeout: TIMEOUT_S } : {}),
        retry_of: null,
        via: 'replicate',
        cancel_after,
      },
      { route: `POST ${FRONT}${route}`, body: { target, ...asked } },
      { files, answering },
    )
    return job
  }

  /** Waits if the client prefers that, and responds with the prediction. */
  async function answer(request: OwnedRequest, job: JobRecord): Promise<ApiResponse> {
    const wait = waitOf(request)
    const now = (wait && (await untilFinal(job.id, wait.seconds, request.gone()))) ?? job
    const shown = await show(now, request)
    if (wait === null) return { status: 201, body: shown }
    const isOver = isFinal(now.phase)
    return {
      status: isOver ? 201 : 202,
      headers: { 'preference-applied': wait.applied, ...(isOver ? {} : { location: shown.urls.get }) },
      // Official clients take every status but this one for the end.
      body: isOver ? shown : { ...shown, status: 'starting', output: null },
    }
  }

  /** The job of an equal create whose answer was lost; null: the create is noted. */
  async function claimed(create: Answering): Promise<JobRecord | null> {
    for (;;) {
      const id = await sentAgain.claim(create)
      const job = id === null ? null : await store.read(id)
      if (id === null || (job !== null && job.phase !== 'canceled' && job.stop?.reason !== 'canceled')) return job
      // It was deleted or canceled since: the client wants another one.
      await sentAgain.forget(create.entry, id)
    }
  }

  async function create(request: OwnedRequest, route: string, parse: (body: unknown) => [Target, CreateFields]) {
    const files = await takeFiles(request, ['/input'], inputs.limits)
    const [target, fields] = parse(neededBody(request.body))
    // Before there is a job: its response has links.
    originOf(request)
    const asked = {
      input: mapInput(fields.input, ownReference),
      metadata: metadataOf(request),
      cancel_after: cancelAfterOf(request),
      // Creates without a webhook are compared as before there was one.
      ...pick(fields, ['webhook', 'webhook_events_filter']),
    }
    const hasKey = request.headers['idempotency-key'] !== undefined
    const waitMs = (waitOf(request)?.seconds ?? 0) * 1000
    const own = hasKey
      ? undefined
      : sentAgain.note(sentAgain.entryOf(request, route, { target, asked }), lifecycle.newJobId(), waitMs)
    let followed: ReturnType<SentAgain['follow']> | null = null
    try {
      if (own) followed = sentAgain.follow(request, own)
      const first = own && (await claimed(own))
      if (own && first) followed = sentAgain.follow(request, { entry: own.entry, job: first.id })
      return await answer(request, first ?? (await accept(request, { target, asked, route }, files, own)))
    } catch (error) {
      followed?.failed(error)
      throw inRequest(error, () => '/input')
    }
  }

  async function list(request: OwnedRequest): Promise<ApiResponse> {
    const query = parseWith(listQuery, Object.fromEntries(request.query))
    const asked: PageCursor =
      query.cursor === undefined
        ? { after: query.created_after, before: query.created_before }
        : readCursor(query.cursor)
    const { jobs, next } =
      query.source === 'web' ? { jobs: [], next: null } : await find(request.principal.tenant, asked)
    return {
      status: 200,
      body: {
        ...linksOf(`${originOf(request)}${FRONT}/predictions`, asked, jobs, next),
        // Without what is kept beside the records: logs, long inputs, long outputs.
        results: jobs.map((job) => view(job, { origin: originOf(request), logs: '' })),
      },
    }
  }

  /** A page of a tenant's jobs, newest first. `next`: where it continues in the direction of the cursor. */
  async function find(tenant: string, { older, newer, after, before }: PageCursor) {
    const filter = { labels: [], created_after: after, created_before: before }
    const { jobs, next } = await searchJobs(store, tenant, {
      query: { ...filter, before: older, after: newer },
      limit: PAGE,
      chunk: PAGE,
      isWanted: (job) => passes(job, filter),
    })
    return { jobs: newer === undefined ? jobs : jobs.toReversed(), next }
  }

  async function cancel(request: OwnedRequest): Promise<ApiResponse> {
    const { id } = await owned(request)
    const result = await lifecycle.apply(id, { type: 'cancel', gives_up_output: true }, 'api')
    if (result.kind === 'missing') throw noSuchResource()
    // One that is over stays as it is.
    if (result.kind !== 'applied' && result.kind !== 'ignored') throw new Error(`cancel ended as ${result.kind}`)
    return { status: 200, body: await show(result.state.job, request) }
  }

  const named = ({ params: { owner = '', name = '' } }: OwnedRequest): string => `${owner}/${name}`
  const creates = (path: string, parse: (body: unknown, request: OwnedRequest) => [Target, CreateFields]): Route => ({
    method: 'POST',
    path: `${FRONT}${path}`,
    scope: 'jobs:write',
    body: JOB_BODY,
    handle: (request) => create(request, path, (body) => parse(body, request)),
  })
  return [
    creates('/predictions', (body) => {
      const { version, ...fields } = parseWith(createByVersion, body)
      return [versionTarget(version), fields]
    }),
    creates('/models/:owner/:name/predictions', (body, request) => [
      { model: named(request) },
      parseWith(createFields, body),
    ]),
    creates('/deployments/:owner/:name/predictions', (body, request) => [
      { deployment: named(request) },
      parseWith(createFields, body),
    ]),
    { method: 'GET', path: `${FRONT}/predictions`, scope: 'jobs:read', handle: list },
    {
      method: 'GET',
      path: `${FRONT}/predictions/:id`,
      scope: 'jobs:read',
      handle: async (request) => ({ status: 200, body: await show(await owned(request), request) }),
    },
    { method: 'POST', path: `${FRONT}/predictions/:id/cancel`, scope: 'jobs:write', handle: cancel },
  ]
}
