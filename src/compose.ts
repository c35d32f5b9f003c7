import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { Redis } from 'ioredis'
import { BOARD_PATH, createApp } from './api/app.ts'
import { createAuth } from './api/auth.ts'
import { createResolveJob } from './api/resolve-job.ts'
import { createEventStreams } from './api/event-streams.ts'
import { createJobView } from './api/job-view.ts'
import { artifactRoutes } from './api/routes/artifacts.ts'
import { batchRoutes } from './api/routes/batches.ts'
import { creditRoutes } from './api/routes/credits.ts'
import { deletionRoutes } from './api/routes/deletion.ts'
import { docsRoutes } from './api/routes/docs.ts'
import { healthRoutes } from './api/routes/health.ts'
import { healthReportRoutes } from './api/routes/health-report.ts'
import { createShowJob, jobRoutes } from './api/routes/jobs.ts'
import { logRoutes } from './api/routes/logs.ts'
import { manifestRoutes } from './api/routes/manifest.ts'
import { modelRoutes } from './api/routes/models.ts'
import { presetRoutes } from './api/routes/presets.ts'
import { sessionRoutes } from './api/routes/session.ts'
import { tenantRoutes } from './api/routes/tenants.ts'
import { uploadRoutes } from './api/routes/uploads.ts'
import { tokenRoutes } from './api/routes/tokens.ts'
import { createWebhookReceiver } from './api/routes/webhooks.ts'
import { startServer, type RunningServer } from './api/server.ts'
import { createThrottle } from './api/throttle.ts'
import { closeQueues, createDoorbells, createQueues, type Queues } from './queues/producer.ts'
import { runAudit, type AuditReport } from './shared/audit/audit.ts'
import { createRedisAuditSource } from './shared/audit/redis-audit-source.ts'
import { createArtifactLinks } from './shared/artifacts/artifact-links.ts'
import type { ArtifactStore } from './shared/artifacts/artifact-store.ts'
import { createArtifactNames, DISK_PATTERN } from './shared/artifacts/artifact-names.ts'
import { createDiskArtifactStore } from './shared/artifacts/disk-artifact-store.ts'
import { createRemoveJobFiles } from './shared/artifacts/job-files.ts'
import { createMeasureFile } from './shared/artifacts/measure-file.ts'
import { createOutputFetcher } from './shared/artifacts/output-fetcher.ts'
import { createS3ArtifactStore } from './shared/artifacts/s3-artifact-store.ts'
import { createSpool } from './shared/artifacts/spool.ts'
import { createStoredPlaces } from './shared/artifacts/stored-places.ts'
import { createCatalogue } from './shared/catalogue/catalogue.ts'
import { diskPresets } from './shared/catalogue/disk-presets.ts'
import { createInputChecks } from './shared/catalogue/input-check.ts'
import { readPresets } from './shared/catalogue/read-preset.ts'
import { ConfigError, isLoopback, type Config } from './shared/config.ts'
import { createCreditAdmin, type CreditAdmin } from './shared/credits/credit-admin.ts'
import type { CreditStore } from './shared/credits/ports.ts'
import { createRedisCreditStore } from './shared/credits/redis-credit-store.ts'
import { createRedisLedgerSource } from './shared/credits/redis-ledger-source.ts'
import { verifyLedger, type LedgerVerdict } from './shared/credits/verify-ledger.ts'
import { startEventHub } from './shared/events/event-hub.ts'
import { rememberCheck, type HealthCheck } from './shared/health.ts'
import { createInputs } from './shared/inputs/inputs.ts'
import { createRedisUploadStore } from './shared/inputs/redis-upload-store.ts'
import { createJobKeys, type JobKeys } from './shared/jobs/job-keys.ts'
import { createLifecycle } from './shared/jobs/lifecycle.ts'
import type { JobStore } from './shared/jobs/ports.ts'
import { createBatches } from './shared/batches/batches.ts'
import { createRedisBatchStore } from './shared/batches/redis-batch-store.ts'
import { KEEP_EVENTS } from './shared/jobs/commit-plan.ts'
import { createRedisJobStore } from './shared/jobs/redis-job-store.ts'
import { createCommitRunner } from './shared/jobs/redis-commits.ts'
import { DEFAULT_TIMINGS, type Timings } from './shared/jobs/timings.ts'
import type { Rate } from './shared/limits/budget.ts'
import { createReadBudget, readBudgetFree, type RedisBudgetOptions } from './shared/limits/redis-budget.ts'
import type { Logger } from './shared/logger.ts'
import { createMetrics } from './shared/metrics.ts'
import {
  checkRedis,
  closeConnection,
  consumerConnection,
  producerConnection,
  untilReady,
} from './shared/redis/connection.ts'
import { watchCapacity } from './shared/redis/capacity.ts'
import { strictDurability } from './shared/redis/durability.ts'
import { createRedisPresence } from './shared/redis/redis-presence.ts'
import {
  findDeployment,
  followKeys,
  loadDeployment,
  rotateDeploymentKey,
  type Deployment,
} from './shared/redis/deployment.ts'
import { runningRedisUrl } from './shared/redis/provide-redis.ts'
import { createModelCatalogue } from './shared/replicate/model-catalogue.ts'
import type { PredictionPort } from './shared/replicate/prediction-port.ts'
import { createReplicateAdapter } from './shared/replicate/replicate-adapter.ts'
import { createWebhookSecrets } from './shared/replicate/webhook-secrets.ts'
import { createWebhookTokens } from './shared/replicate/webhook-token.ts'
import { createRedisTenantStore } from './shared/tenants/redis-tenant-store.ts'
import { createTenantAdmin, type TenantAdmin } from './shared/tenants/tenant-admin.ts'
import { createTenantKeys } from './shared/tenants/tenant-keys.ts'
import type { TenantStore } from './shared/tenants/ports.ts'
import { createAdoptUnknown } from './workers/adopt-unknown.ts'
import { createCancelPrediction } from './workers/cancel-prediction.ts'
import { createCleanUp } from './workers/clean-up.ts'
import { followCreates } from './workers/creates-under-way.ts'
import { listBooks } from './workers/list-books.ts'
import { createNextPoll } from './workers/next-poll.ts'
import { createPollPrediction } from './workers/poll-prediction.ts'
import { createPollWindow } from './workers/poll-window.ts'
import { startWorkers, type RunningWorkers } from './workers/start-workers.ts'
import { createCopyOutputs } from './workers/copy-outputs.ts'
import { createStoreOutputs } from './workers/store-outputs.ts'
import { createPrepareInput } from './workers/prepare-input.ts'
import { createRecoverIntents } from './workers/recover-intents.ts'
import { createSubmitJob } from './workers/submit-job.ts'
import { createSweep } from './workers/sweep.ts'
import { startWatchdog } from './workers/watchdog.ts'

/** The only file that builds adapters, and the only one that may import everything. */

/** What a service needs beyond its configuration: resolved by whoever starts it. */
export interface ServiceOptions {
  config: Config
  redisUrl: string
  /** `role: all` fills these in from the simulator when no token is set. */
  replicate: { token: string; baseUrl: string }
  devApiKey: string | null
  adminPassword: string | null
  /** Local browsers are signed in by themselves. */
  autoSession: boolean
  timings?: Partial<Timings>
  /** Puts something around the ports: for composition roots that watch or disturb what passes. */
  wrap?: PortWraps
  /** The workers stopped taking jobs although Redis answers. */
  onWedged?: () => void
  log: Logger
}

export interface PortWraps {
  store(store: JobStore): JobStore
  upstream(upstream: PredictionPort): PredictionPort
  artifacts(artifacts: ArtifactStore): ArtifactStore
}

const UNWRAPPED: PortWraps = {
  store: (store) => store,
  upstream: (upstream) => upstream,
  artifacts: (artifacts) => artifacts,
}

export interface Service {
  /** null without an api */
  url: string | null
  healthUrl: string | null
  /** Whether Replicate can call us; otherwise jobs finish by polling. */
  webhooks: boolean
  /** Reads the presets again. */
  reload(): Promise<void>
  stop(): Promise<void>
}

const ACCOUNT = 'default'
const READY_WITHIN_MS = 10_000
const STOP_WITHIN_MS = 10_000
/** Of all copies on their way to a bucket: four of the largest. */
const SPOOLED_FILES = 4
const STORAGE_CHECK_MS = 15_000
const LOGIN_FAILURES_PER_MINUTE = 10

export const VERSION: string = JSON.parse(readFileSync(new URL('../package.json', import.meta.url), 'utf8')).version

/** Where files are kept, and how they are called there. */
function buildStorage({ dataDir, artifacts: { store, bucket, maxBytes } }: Config) {
  const disk = createDiskArtifactStore(join(dataDir, 'artifacts'))
  const names = createArtifactNames(store === 's3' && bucket ? bucket.pattern : DISK_PATTERN)
  if (!bucket) return { artifacts: disk, names, close: () => Promise.resolve() }
  const spool = createSpool(join(dataDir, 'spool'), SPOOLED_FILES * maxBytes)
  const s3 = createS3ArtifactStore({ ...bucket, bucket: bucket.name }, spool)
  return {
    artifacts: createStoredPlaces({ disk, bucket: s3 }, store),
    names,
    close: () => Promise.resolve(s3.close()),
  }
}

/** What api and workers both stand on, over one connection. */
function buildCore(
  redis: Redis,
  keys: JobKeys,
  deployment: Deployment,
  publicUrl: () => string | null,
  confirmDurable: () => Promise<void>,
  options: ServiceOptions,
) {
  const { config, log, wrap = UNWRAPPED } = options
  const timings: Timings = { ...DEFAULT_TIMINGS, ...options.timings }
  const queues = createQueues(redis, keys.queues, log)
  const doorbells = createDoorbells(queues)
  const webhooks = (): boolean => publicUrl() !== null
  const commits = createCommitRunner(redis, timings)
  const store = wrap.store(
    createRedisJobStore({
      redis,
      keys,
      timings,
      creates: createRate(config),
      account: ACCOUNT,
      commits,
      confirmDurable,
    }),
  )
  const upstream = createReplicateAdapter({ ...options.replicate, ...timings })
  const lifecycle = createLifecycle({ store, doorbells, timings, log, webhooks })
  const storage = buildStorage(config)
  const batchStore = createRedisBatchStore({
    redis,
    plan: { keys, timings, keepEvents: KEEP_EVENTS },
    account: ACCOUNT,
    commits,
    confirmDurable,
  })
  const artifacts = wrap.artifacts(storage.artifacts)
  const uploads = createRedisUploadStore({ redis, keys, lease: timings.dueLease, confirmDurable })
  const inputs = createInputs({ uploads, artifacts, jobs: store, limits: config.inputs, timings, log })
  return {
    redis,
    keys,
    deployment,
    tenants: createTenantStore(redis, keys, config),
    credits: createRedisCreditStore({ redis, keys, confirmDurable }),
    /** Redis still holds the deployment that this process began with. */
    sameDeployment: async () => (await redis.hget(keys.deployment, 'id')) === deployment.id,
    timings,
    queues,
    doorbells,
    store,
    webhooks,
    lifecycle,
    uploads,
    inputs,
    batches: createBatches({ store: batchStore, jobs: store, lifecycle, doorbells, inputs, timings, log }),
    tokens: createWebhookTokens({ deployment: deployment.id, keys: deployment.keys, publicUrl }),
    upstream: wrap.upstream(upstream),
    closeUpstream: upstream.close,
    artifacts,
    names: storage.names,
    closeStorage: storage.close,
    storageCheck: rememberCheck(storage.artifacts.check, STORAGE_CHECK_MS),
  }
}

type Core = ReturnType<typeof buildCore>

const createTenantStore = (redis: Redis, { tag }: JobKeys, { tenantLimits }: Config): TenantStore =>
  createRedisTenantStore({ redis, keys: createTenantKeys(tag), defaults: tenantLimits })

const queueCounts = (queues: Queues) => async (): Promise<Record<string, Record<string, number>>> =>
  Object.fromEntries(
    await Promise.all(Object.entries(queues).map(async ([name, queue]) => [name, await queue.getJobCounts()] as const)),
  )

const redisCheck =
  ({ redis, sameDeployment }: Core): HealthCheck =>
  async () => {
    const { problems } = await checkRedis(redis)
    if (!(await sameDeployment())) problems.push('Redis holds another deployment, or has lost its data')
    const ok = problems.length === 0
    return { ok, detail: ok ? 'answers' : problems.join('; ') }
  }

/** Everything but the listener, so that the public address may be known before the first job is. */
async function buildApi(core: Core, options: ServiceOptions) {
  const { config, log } = options
  const { redis, keys, store, lifecycle, artifacts, inputs, upstream, deployment, queues } = core
  const reads = createReadBudget(readBudgetOptions(redis, keys, config))
  const models = createModelCatalogue({
    async model(name, version) {
      await reads.of('poll').take(AbortSignal.timeout(core.timings.readTimeout))
      return upstream.model(name, version)
    },
  })
  const checks = createInputChecks()
  const catalogue = await createCatalogue({
    read: async () => readPresets(await diskPresets(config.presetsDir), checks),
    models,
    checks,
    log,
  })
  const reader = consumerConnection(options.redisUrl, 'events', log)
  const subscriber = consumerConnection(options.redisUrl, 'progress', log)
  const hub = await startEventHub({ reader, subscriber, redis, keys, log })
  const links = createArtifactLinks(deployment.keys)
  const view = createJobView({
    links,
    createsPerMinute: config.replicate.createsPerMinute,
    keepJob: core.timings.keepJob,
  })
  const show = createShowJob(store, view, ACCOUNT)
  const streams = createEventStreams({
    hub,
    store,
    show,
    epoch: deployment.id,
    limits: { perTenant: 500, total: 5000 },
    log,
  })
  const metrics = createMetrics({
    store,
    queueCounts: queueCounts(queues),
    account: ACCOUNT,
    driftedPresets: catalogue.drifted,
  })
  const publicHost = config.publicUrl ? [new URL(config.publicUrl).hostname] : []
  const auth = createAuth({
    store: core.tenants,
    devApiKey: options.devApiKey,
    adminPassword: options.adminPassword,
    keys: deployment.keys,
    allowedHosts: isLoopback(config.host) ? new Set(['localhost', '127.0.0.1', '[::1]', ...publicHost]) : null,
  })
  const secrets = createWebhookSecrets({
    configured: config.replicate.webhookSecret,
    fetch: (timeoutMs) => upstream.webhookSecret(timeoutMs),
  })
  // The first webhook should find the secret; when it cannot be had now, the webhook fetches it.
  if (core.webhooks()) void secrets.refresh()
  const capacity = watchCapacity(redis, log)
  const resolveJob = createResolveJob({ catalogue, allowRawModels: config.allowRawModels })
  const throttle = createThrottle({ failuresPerMinute: LOGIN_FAILURES_PER_MINUTE })
  const tenantAdmin = createTenantAdmin(core.tenants)
  const fileOrigins = await originsOfLinks(config, artifacts)
  const studioDir = fileURLToPath(new URL('../dist/studio/', import.meta.url))
  const app = createApp({
    routes: [
      ...jobRoutes({ store, lifecycle, hub, streams, show, resolveJob, inputs, account: ACCOUNT, full: capacity.full }),
      ...uploadRoutes({ inputs, artifacts }),
      ...batchRoutes({
        inputLimits: config.inputs,
        batches: core.batches,
        streams,
        showJob: show,
        resolveJob,
        auth,
        account: ACCOUNT,
        full: capacity.full,
      }),
      ...deletionRoutes({ store, removeFiles: createRemoveJobFiles(artifacts, core.names), inputs, log }),
      ...manifestRoutes({ store, show }),
      ...modelRoutes(models),
      ...presetRoutes(catalogue, store),
      ...artifactRoutes({ store, artifacts, links, auth }),
      ...sessionRoutes(auth, tenantAdmin),
      ...tokenRoutes(store, auth),
      ...logRoutes({ store, upstream, reads: reads.of('poll') }),
      ...tenantRoutes(tenantAdmin, config.tenantLimits),
      ...creditRoutes({ store: core.credits, admin: createCreditAdmin(core.credits), tenants: tenantAdmin }),
      ...healthRoutes({ version: VERSION, checks: { redis: redisCheck(core), storage: core.storageCheck }, metrics }),
      ...healthReportRoutes({
        store,
        tenants: tenantAdmin,
        show,
        metrics,
        account: ACCOUNT,
        creates: createRate(config),
        reads: { ...readRate(config), free: () => readBudgetFree(readBudgetOptions(redis, keys, config)) },
      }),
      ...docsRoutes(),
    ],
    auth,
    throttle,
    webhooks: createWebhookReceiver({
      lifecycle,
      store,
      secrets,
      tokens: core.tokens,
      account: ACCOUNT,
      count: (result) => metrics.webhook(result),
      latency: (seconds) => metrics.webhookLatency(seconds),
      log,
    }),
    board: options.adminPassword === null ? null : (await import('./queues/board.ts')).createBoard(queues, BOARD_PATH),
    studioDir: existsSync(join(studioDir, 'index.html')) ? studioDir : null,
    autoSession: options.autoSession,
    fileOrigins,
    metrics,
    log,
  })
  const stop = async (): Promise<void> => {
    catalogue.stop()
    capacity.stop()
    auth.stop()
    await hub.stop()
  }
  return { app, reload: catalogue.reload, stop }
}

const createRate = ({ replicate: { createsPerMinute, createBurst } }: Config): Rate => ({
  perMinute: createsPerMinute,
  burst: createBurst,
})

const readRate = ({ replicate: { readsPerMinute } }: Config): Rate => ({
  perMinute: readsPerMinute,
  burst: Math.max(1, Math.ceil(readsPerMinute / 60)),
})

const readBudgetOptions = (redis: Redis, keys: JobKeys, config: Config): RedisBudgetOptions => ({
  redis,
  key: keys.readBudget(ACCOUNT),
  ...readRate(config),
})

async function buildWorkers(core: Core, options: ServiceOptions): Promise<RunningWorkers> {
  const { config, log } = options
  const { redis, keys, store, lifecycle, doorbells, artifacts, upstream, timings, tokens, queues, webhooks } = core
  const readsPerMinute = config.replicate.readsPerMinute
  const reads = createReadBudget(readBudgetOptions(redis, keys, config))
  const fetcher = createOutputFetcher({
    upstreamBaseUrl: options.replicate.baseUrl,
    connectTimeout: timings.connectTimeout,
  })
  const nextPoll = createNextPoll({ store, account: ACCOUNT, readsPerMinute, timings, webhooks })
  const presence = createRedisPresence(redis, keys.presence)
  const underWay = await followCreates(presence, timings, log)
  const workers = await startWorkers({
    redis,
    prefix: keys.queues,
    queues,
    timings,
    stopWithin: STOP_WITHIN_MS,
    log,
    processors: {
      submit: createSubmitJob({
        recover: createRecoverIntents({
          store,
          lifecycle,
          upstream,
          tokens,
          reads: reads.of('adopt'),
          presence,
          account: ACCOUNT,
          timings,
          sameDeployment: core.sameDeployment,
          log,
        }),
        prepare: createPrepareInput({
          uploads: core.uploads,
          artifacts,
          upstream,
          reads: reads.of('adopt'),
          account: ACCOUNT,
          log,
        }),
        underWay,
        store,
        account: ACCOUNT,
        lifecycle,
        upstream,
        reads: reads.of('adopt'),
        tokens,
        timings,
        log,
        clock: () => performance.now(),
      }),
      sweep: createSweep({
        store,
        lifecycle,
        doorbells,
        batches: core.batches,
        cleanUp: createCleanUp({
          store,
          removeFiles: createRemoveJobFiles(artifacts, core.names),
          inputs: core.inputs,
          batches: core.batches,
          timings,
          log,
        }),
        timings,
        log,
      }),
      poll: createPollPrediction({ store, lifecycle, upstream, reads, timings, nextPoll, log }),
      window: createPollWindow({ store, lifecycle, upstream, reads, timings, nextPoll, log }),
      adopt: createAdoptUnknown({ store, lifecycle, upstream, tokens, reads: reads.of('adopt'), timings, log }),
      cancel: createCancelPrediction({ store, lifecycle, upstream, reads: reads.of('cancel'), timings, log }),
      store: createStoreOutputs({
        store,
        lifecycle,
        copy: createCopyOutputs({
          artifacts,
          names: core.names,
          measure: createMeasureFile(log),
          fetcher,
          upstream,
          reads: reads.of('expiring'),
          maxBytes: config.artifacts.maxBytes,
          timings,
          log,
        }),
        timings,
        log,
      }),
    },
  })
  return {
    neglected: workers.neglected,
    async stop() {
      await workers.stop()
      await underWay.stop()
      await fetcher.close()
    },
  }
}

/** Sweeps are shared by all workers: one in the last minute, anywhere, shows that jobs are taken. */
const workerCheck =
  (store: JobStore): HealthCheck =>
  async () => {
    const ago = await store.sweptAgo()
    const seconds = ago === null ? null : Math.round(ago / 1000)
    return { ok: seconds !== null && seconds < 60, detail: seconds === null ? 'never swept' : `swept ${seconds} s ago` }
  }

/** Where readers are sent for files, when that is not here. */
async function originsOfLinks({ artifacts: { bucket } }: Config, artifacts: ArtifactStore): Promise<string[]> {
  const shown = { seconds: 60, mediaType: 'image/png', disposition: 'inline' }
  const link = bucket && (await artifacts.link(`s3://${bucket.name}/any`, shown))
  return link ? [new URL(link).origin] : []
}

/** What is wrong with the place for files should be read at the start, not after the first paid prediction. */
async function tellStorage(check: HealthCheck, log: Logger): Promise<void> {
  const { ok, detail } = await check()
  if (!ok) log.error({ detail }, 'outputs cannot be stored')
}

/** A listener for a worker: health and metrics only. */
async function startHealth(core: Core, options: ServiceOptions): Promise<RunningServer | null> {
  const { config, log } = options
  if (config.healthPort === null) return null
  const metrics = createMetrics({ store: core.store, queueCounts: queueCounts(core.queues), account: ACCOUNT })
  const app = createApp({
    routes: healthRoutes({
      version: VERSION,
      checks: { redis: redisCheck(core), storage: core.storageCheck, workers: workerCheck(core.store) },
      metrics,
    }),
    auth: createAuth({
      store: core.tenants,
      devApiKey: null,
      adminPassword: null,
      keys: core.deployment.keys,
      allowedHosts: null,
    }),
    throttle: createThrottle({ failuresPerMinute: LOGIN_FAILURES_PER_MINUTE }),
    webhooks: null,
    board: null,
    studioDir: null,
    autoSession: false,
    metrics,
    log,
  })
  return startServer(app, { host: config.host, port: config.healthPort, portVariable: 'HEALTH_PORT' })
}

/** Builds and starts what the role asks for; whatever was started is stopped in reverse, also when a later part fails. */
export async function startService(options: ServiceOptions): Promise<Service> {
  const { config, log } = options
  const stops: { name: string; stop: () => Promise<unknown> }[] = []
  const stop = async (): Promise<void> => {
    for (const { name, stop: stopPart } of stops.splice(0).toReversed())
      await stopPart().catch((error: unknown) => log.warn({ err: error, part: name }, 'did not stop cleanly'))
  }
  try {
    const keys = createJobKeys(config.keyPrefix)
    const producer = producerConnection(options.redisUrl, log)
    stops.push({ name: 'redis', stop: () => closeConnection(producer) })
    await untilReady(producer, READY_WITHIN_MS)
    for (const problem of (await checkRedis(producer)).problems) log.error({ problem }, `Redis: ${problem}`)
    const deployment = await loadDeployment(producer, keys.deployment)
    const stopFollowing = followKeys(deployment, log)
    stops.push({ name: 'keys', stop: async () => stopFollowing() })

    const durability = async (redis: Redis): Promise<() => Promise<void>> =>
      config.durability === 'strict' ? strictDurability(redis) : () => Promise.resolve()

    let publicUrl = config.publicUrl
    let url: string | null = null
    let healthUrl: string | null = null
    let reload = (): Promise<void> => Promise.resolve()
    const upstreamIsLocal = isLoopback(new URL(options.replicate.baseUrl).hostname)

    if (config.role !== 'worker') {
      const core = buildCore(producer, keys, deployment, () => publicUrl, await durability(producer), options)
      stops.push(
        { name: 'queues', stop: () => closeQueues(core.queues) },
        { name: 'upstream', stop: core.closeUpstream },
        { name: 'storage', stop: core.closeStorage },
      )
      void tellStorage(core.storageCheck, log)
      const api = await buildApi(core, options)
      stops.push({ name: 'events', stop: api.stop })
      reload = api.reload
      const server = await startServer(api.app, { host: config.host, port: config.port, portVariable: 'PORT' })
      stops.push({ name: 'server', stop: () => server.stop(2000) })
      url = `http://${config.host.includes(':') ? `[${config.host}]` : config.host}:${server.port}`
      // A local upstream reaches us where we listen; Replicate needs PUBLIC_URL.
      if (publicUrl === null && upstreamIsLocal && isLoopback(config.host)) publicUrl = url
    }
    if (config.role !== 'api') {
      const redis = consumerConnection(options.redisUrl, 'workers', log)
      stops.push({ name: 'worker redis', stop: () => closeConnection(redis) })
      await untilReady(redis, READY_WITHIN_MS)
      const core = buildCore(redis, keys, deployment, () => publicUrl, await durability(redis), options)
      stops.push({ name: 'worker queues', stop: () => closeQueues(core.queues) })
      stops.push({ name: 'worker upstream', stop: core.closeUpstream })
      stops.push({ name: 'worker storage', stop: core.closeStorage })
      if (config.role === 'worker') void tellStorage(core.storageCheck, log)
      const workers = await buildWorkers(core, options)
      stops.push({ name: 'workers', stop: workers.stop })
      const stopWatchdog = startWatchdog({
        store: core.store,
        neglected: workers.neglected,
        silence: core.timings.sweepSilence,
        log,
        onSilence: options.onWedged ?? (() => undefined),
      })
      stops.push({ name: 'watchdog', stop: async () => stopWatchdog() })
      const health = await startHealth(core, options)
      if (health) {
        stops.push({ name: 'health', stop: () => health.stop(1000) })
        healthUrl = `http://${config.host}:${health.port}`
      }
    }
    return { url, healthUrl, webhooks: publicUrl !== null, reload, stop }
  } catch (error) {
    await stop()
    throw error
  }
}

/** What an operator may do with a deployment from outside, whether its processes run or not. */
export interface OperatorTools {
  audit(options: { repair: boolean; quiescent: boolean; files: boolean }): Promise<AuditReport>
  /** `left`: ms until it may be rotated again; 0 when it was. */
  rotateTokenKey(options: { force: boolean }): Promise<{ left: number }>
  tenants: TenantAdmin
  credits: { store: CreditStore; admin: CreditAdmin }
  /** Replays the ledger of a tenant, or of all of them. */
  verifyLedgers(tenant: string | null): AsyncIterable<LedgerVerdict>
  close(): Promise<void>
}

/** Connects to what is there, and starts or changes nothing. */
export async function openForOperators(config: Config, log: Logger): Promise<OperatorTools> {
  const redisUrl = config.redisUrl ?? (await runningRedisUrl(config.dataDir))
  if (redisUrl === null)
    throw new ConfigError(`REDIS_URL: read nothing, and no Redis runs for DATA_DIR ${config.dataDir}`)
  const redis = producerConnection(redisUrl, log)
  try {
    await untilReady(redis, READY_WITHIN_MS)
    const keys = createJobKeys(config.keyPrefix)
    const deployment = await findDeployment(redis, keys.deployment)
    if (!deployment)
      throw new ConfigError(`KEY_PREFIX: read ${config.keyPrefix}, and Redis holds no deployment of this name`)
    const { token } = config.replicate
    const creates = createRate(config)
    // Without a token the predictions are the simulator's.
    const baseUrl = token === null ? `http://127.0.0.1:${config.simulator.port}/v1` : config.replicate.baseUrl
    const upstream = createReplicateAdapter({ ...DEFAULT_TIMINGS, token: token ?? 'simulator', baseUrl })
    const confirmDurable = (): Promise<void> => Promise.resolve()
    const timings = DEFAULT_TIMINGS
    const store = createRedisJobStore({
      redis,
      keys,
      timings,
      creates,
      account: ACCOUNT,
      commits: createCommitRunner(redis, timings),
      confirmDurable,
    })
    const reads = createReadBudget(readBudgetOptions(redis, keys, config)).of('poll')
    const list = async () => {
      const now = await store.now()
      const window = { after: now - timings.outputLifetime, before: now + timings.clockSkew }
      const unowned = (ids: string[]) => store.unowned(ACCOUNT, ids)
      return listBooks({ upstream, reads, unowned }, window, new AbortController().signal)
    }
    const { artifacts, close: closeStorage } = buildStorage(config)
    const credits = createRedisCreditStore({ redis, keys })
    const source = createRedisAuditSource({ redis, keys })
    const ledgers = createRedisLedgerSource({ redis, keys })
    return {
      audit: ({ files, ...options }) =>
        runAudit({
          ...options,
          source,
          ledgers,
          keys,
          account: ACCOUNT,
          creates,
          upstream: {
            list,
            tokens: createWebhookTokens({ deployment: deployment.id, keys: deployment.keys, publicUrl: () => null }),
          },
          ...(files ? { artifacts } : {}),
        }),
      rotateTokenKey: (options) => rotateDeploymentKey(redis, keys.deployment, options),
      tenants: createTenantAdmin(createTenantStore(redis, keys, config)),
      credits: { store: credits, admin: createCreditAdmin(credits) },
      async *verifyLedgers(tenant) {
        for (const one of tenant === null ? await source.ledgers() : [tenant]) yield await verifyLedger(ledgers, one)
      },
      async close() {
        await upstream.close()
        await closeStorage()
        await closeConnection(redis)
      },
    }
  } catch (error) {
    await closeConnection(redis)
    throw error
  }
}
