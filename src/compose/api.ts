import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { createAcceptJob } from '../api/accept-job.ts'
import { createApp } from '../api/app.ts'
import { createAuth } from '../api/auth.ts'
import { createCors } from '../api/cors.ts'
import { createForecasts } from '../api/forecasts.ts'
import { createEventStreams } from '../api/event-streams.ts'
import { createJobView } from '../api/job-view.ts'
import { startAnswerers } from '../api/front/answerers.ts'
import { frontRoutes } from '../api/front/front-routes.ts'
import { createSentAgain } from '../api/front/sent-again.ts'
import { createWaiting } from '../api/waiting.ts'
import { createExplain } from '../api/explain.ts'
import { createUntilFinal } from '../api/until-final.ts'
import { createMayRun, createResolveJob } from '../api/resolve-job.ts'
import { createModelLogs } from '../api/model-logs.ts'
import { createLongOutput } from '../api/output/long-output.ts'
import { createOutputStreams } from '../api/output/output-streams.ts'
import { createTextFeeds } from '../api/output/text-feeds.ts'
import { createRetryPlaces } from '../api/retry-place.ts'
import { createMayRunUnpriced } from '../api/unpriced.ts'
import { artifactRoutes } from '../api/routes/artifacts.ts'
import { batchRoutes } from '../api/routes/batches.ts'
import { createIdempotencyOf } from '../api/idempotency.ts'
import { budgetRoutes } from '../api/routes/budgets.ts'
import { createBudgetAdmin } from '../shared/credits/budget-admin.ts'
import { creditRoutes } from '../api/routes/credits.ts'
import { deletionRoutes } from '../api/routes/deletion.ts'
import { docsRoutes } from '../api/routes/docs.ts'
import { doctorRoutes } from '../api/routes/doctor.ts'
import { healthReportRoutes } from '../api/routes/health-report.ts'
import { healthRoutes } from '../api/routes/health.ts'
import { limitRoutes } from '../api/routes/limits.ts'
import { createShowJob, jobRoutes } from '../api/routes/jobs.ts'
import { mailRoutes } from '../api/routes/mail.ts'
import { logRoutes } from '../api/routes/logs.ts'
import { manifestRoutes } from '../api/routes/manifest.ts'
import { mcpRoutes } from '../api/routes/mcp.ts'
import { modelRoutes } from '../api/routes/models.ts'
import { outputRoutes } from '../api/routes/output.ts'
import { presetRoutes } from '../api/routes/presets.ts'
import { sessionRoutes } from '../api/routes/session.ts'
import { tenantRoutes } from '../api/routes/tenants.ts'
import { tokenRoutes } from '../api/routes/tokens.ts'
import { uploadRoutes } from '../api/routes/uploads.ts'
import { createNotificationStream } from '../api/notification-stream.ts'
import { endpointRoutes } from '../api/routes/endpoints.ts'
import { notificationRoutes } from '../api/routes/notifications.ts'
import { checkWebhookUrl } from '../shared/notifications/check-webhook-url.ts'
import { createEndpoints } from '../shared/notifications/endpoints.ts'
import { createHttpTransport } from '../shared/notifications/http-transport.ts'
import { createTestEndpoint } from '../shared/notifications/test-endpoint.ts'
import { createContent } from '../shared/notifications/content.ts'
import { webhookSecretRoutes } from '../api/routes/webhook-secret.ts'
import { createWebhookReceiver } from '../api/routes/webhooks.ts'
import { createThrottle } from '../api/throttle.ts'
import { createRedisOpenProbes } from '../shared/doctor/redis-doctor-desk.ts'
import { createArtifactLinks } from '../shared/artifacts/rules/artifact-links.ts'
import { createLastingLinks } from '../shared/artifacts/rules/lasting-links.ts'
import type { ArtifactStore } from '../shared/artifacts/artifact-store.ts'
import { createJobFiles } from '../shared/artifacts/job-files.ts'
import { createCatalogue } from '../shared/catalogue/catalogue.ts'
import { diskPresets } from '../shared/catalogue/disk-presets.ts'
import { createForeignChecks } from '../shared/catalogue/foreign-checks.ts'
import { createSchemaWorker } from '../shared/catalogue/schema-worker.ts'
import { readPresets } from '../shared/catalogue/read-preset.ts'
import { accountsOf, type AccountSettings } from '../shared/settings/accounts.ts'
import { isLoopback, type Config } from '../shared/settings/config.ts'
import { detailOf } from '../shared/conditions/account-conditions.ts'
import { creationCheck } from '../shared/conditions/conditions.ts'
import { pacedLook } from '../shared/conditions/paced-look.ts'
import { informative } from '../shared/process/health.ts'
import { createCreditAdmin } from '../shared/credits/credit-admin.ts'
import { startEventHub } from '../shared/events/event-hub.ts'
import { readBudgetFree } from '../shared/limits/redis-budget.ts'
import { createRedisAnswering } from '../shared/jobs/indexes/redis-answering.ts'
import { createMetrics } from '../shared/metrics/metrics.ts'
import { watchCapacity } from '../shared/conditions/redis-capacity.ts'
import { consumerConnection } from '../shared/redis/connection.ts'
import { DEFAULT_ACCOUNT, type JobRecord } from '../shared/jobs/rules/job.ts'
import { createModelCatalogue } from '../shared/replicate/model-catalogue.ts'
import { allowedAccounts } from '../shared/replicate/rules/account-choice.ts'
import { createModelReads } from '../shared/replicate/model-reads.ts'
import { createWebhookSecrets, type WebhookSecrets } from '../shared/replicate/webhook-secrets.ts'
import type { Scope } from '../shared/process/scope.ts'
import { VERSION } from '../shared/process/version.ts'
import { loginLink, newLoginCode } from '../shared/tenants/login-codes.ts'
import { createRedisLoginCodes } from '../shared/tenants/redis-login-codes.ts'
import { createRedisSigningSecrets } from '../shared/tenants/redis-signing-secrets.ts'
import { createTenantAdmin } from '../shared/tenants/tenant-admin.ts'
import { presetLimits, statePresetLimits } from '../shared/limits/redis-preset-limits.ts'
import { briefly } from '../shared/values/briefly.ts'
import { createTenantKeys } from '../shared/tenants/tenant-keys.ts'
import { createServeAgents } from './agents.ts'
import { inputChecks } from './input-checks.ts'
import { createBoardOnDemand } from './board-on-demand.ts'
import { buildApiDoctor } from './doctor.ts'
import { readBudgetOptions, readRate, type Core, type ServiceOptions } from './core.ts'
import { buildReceiverViews } from './receiver-views.ts'
import { arrivalRules, LOGIN_FAILURES_PER_MINUTE, queueCounts, redisCheck, whileRedisResponds } from './health.ts'
import { buildMailPages, buildMailTransport } from './mail.ts'

/** Limit of refused webhooks of one address, per process. */
const WEBHOOK_FAILURES_PER_MINUTE = 100
/** The rate of creates is shown with at most this age, ms. */
const FIGURES_FRESH_MS = 1_000
/** Interval between comparisons of a known secret, ms. */
const SECRET_CHECK_MS = 10 * 60_000

/** Builds everything except the listener, so that the public address can be known before the first job. */
export async function buildApi(core: Core, options: ServiceOptions, scope: Scope) {
  const { config, log } = options
  const { redis, keys, store, lifecycle, artifacts, inputs, accounts, deployment, queues } = core
  const models = createModelCatalogue(createModelReads(accounts, core.timings.readTimeout))
  const checks = inputChecks
  const foreign = createForeignChecks({ checks, worker: createSchemaWorker(), log })
  scope.defer('schema worker', foreign.stop)
  const catalogue = await createCatalogue({
    read: async () => readPresets(await diskPresets(config.presetsDir), checks),
    models,
    checks,
    foreign,
    log,
  })
  scope.defer('catalogue', catalogue.stop)
  const stateLimits = (): Promise<void> => statePresetLimits(redis, keys.limits, catalogue.list().map(presetLimits))
  await stateLimits()
  async function reload(): Promise<void> {
    await catalogue.reload()
    await stateLimits().catch((error: unknown) => {
      log.error({ err: error }, 'could not write the limits of the presets to Redis; reload the presets again')
    })
  }
  const { conditions } = core
  const metrics = createMetrics({
    store,
    queueCounts: queueCounts(queues),
    accounts: accounts.all.map(({ name }) => name),
    conditions,
    notifications: core.notifications,
    driftedPresets: catalogue.drifted,
  })
  const reader = consumerConnection(options.redisUrl, 'events', log)
  scope.defer('events redis', () => reader.disconnect())
  const subscriber = consumerConnection(options.redisUrl, 'progress', log)
  scope.defer('progress redis', () => subscriber.disconnect())
  const hub = await startEventHub({ reader, subscriber, redis, keys, onUnreadable: () => metrics.eventSkipped(), log })
  scope.defer('events', hub.stop)
  const links = createArtifactLinks(deployment.keys)
  const lasting = createLastingLinks(deployment.linkKeys)
  const view = createJobView({
    links,
    lasting,
    stopBound: core.timings.stopBound,
    keep: config.keep,
  })
  const accountsFor = (job: Pick<JobRecord, 'tenant' | 'preset'>): string[] => allowedAccounts(accountsOf(config), job)
  // What every response about a waiting job reads.
  const figures = {
    ...store,
    createRate: briefly(FIGURES_FRESH_MS, store.createRate),
  }
  const forecastOf = createForecasts({ store: figures, hub, accountsFor, log })
  const waitingOf = createWaiting({ store: figures, accountsFor, conditions, waits: core.waits, manual: core.limits })
  const show = createShowJob(view, waitingOf, forecastOf)
  const streams = createEventStreams({
    hub,
    store,
    show,
    epoch: deployment.id,
    limits: { perTenant: 500, total: 5000 },
    log,
  })
  const longOutputOf = createLongOutput(artifacts)
  const outputs = createOutputStreams({
    store,
    hub,
    longOutputOf,
    feeds: createTextFeeds({ accounts, log }),
    log,
  })
  const logsOf = createModelLogs({ store, accounts })
  const arrival = arrivalRules(config)
  const publicHost = arrival.publicOrigin === null ? [] : [new URL(arrival.publicOrigin).hostname]
  const firstCode = options.signInLink ? newLoginCode() : null
  const tenantKeys = createTenantKeys(keys.tag)
  const auth = createAuth({
    store: core.tenants,
    devApiKey: options.devApiKey,
    adminPassword: options.adminPassword,
    keys: deployment.keys,
    allowedHosts: isLoopback(config.host) ? new Set(['localhost', '127.0.0.1', '[::1]', ...publicHost]) : null,
    publicOrigin: arrival.publicOrigin,
    loginCodes: createRedisLoginCodes(redis, tenantKeys, firstCode),
  })
  scope.defer('auth', auth.stop)
  const cors = createCors({ origins: config.corsOrigins, tenants: core.tenants })
  const secretsOf = ({ name, webhookSecret }: AccountSettings): WebhookSecrets =>
    createWebhookSecrets({
      configured: webhookSecret,
      fetch: (timeoutMs) => accounts.of(name).upstream.webhookSecret(timeoutMs),
    })
  const secrets = new Map(accountsOf(config).map((account) => [account.name, secretsOf(account)]))
  const { troublePause } = core.timings
  const secretLook = pacedLook(
    async () => ({ webhook_secret: core.webhooks() ? await secretProblems(secrets) : null }),
    {
      calm: SECRET_CHECK_MS,
      ...troublePause,
    },
  )
  const capacity = watchCapacity(redis, conditions)
  scope.defer('capacity', capacity.stop)
  const mayRun = createMayRun(config.rawModels)
  const mayRunUnpriced = createMayRunUnpriced({
    credits: core.credits,
    budgets: core.budgetBook,
    isAllowed: config.unpricedModels === 'allow',
  })
  const { resolveJob, resolveCreate } = createResolveJob({
    webhookAllow: config.webhookAllow,
    catalogue,
    mayRun,
    rawModels: config.rawModels,
    keep: config.keep,
  })
  const retryPlaces = createRetryPlaces(core.names, store)
  const webhooks = createHttpTransport({
    allow: config.webhookAllow,
    version: VERSION,
    timeout: core.timings.notifyTimeout,
    connectTimeout: core.timings.notifyTimeout,
  })
  scope.defer('test webhooks', webhooks.close)
  const mail = buildMailPages(core, config)
  const signingSecrets = createRedisSigningSecrets(redis, tenantKeys)
  const throttle = createThrottle({ failuresPerMinute: LOGIN_FAILURES_PER_MINUTE })
  const tenantAdmin = createTenantAdmin(core.tenants)
  const fileOrigins = await originsOfLinks(config, artifacts)
  const studioDir = fileURLToPath(new URL('../../dist/studio/', import.meta.url))
  const idempotencyOf = createIdempotencyOf(inputs)
  const acceptJob = createAcceptJob({
    lifecycle,
    mayRunUnpriced,
    inputs,
    idempotencyOf,
    account: DEFAULT_ACCOUNT,
    warnings: core.warnings,
    full: capacity.full,
  })
  const explain = createExplain({
    store,
    lifecycle,
    inputs,
    mayRunUnpriced,
    credits: core.credits,
    budgets: core.budgets,
    accountsFor,
    view,
    waitingOf,
    forecastOf,
    full: capacity.full,
  })
  const answering = createRedisAnswering({ redis, keys })
  const answerers = await startAnswerers(answering, log)
  scope.defer('answerers', answerers.stop)
  const jobs = jobRoutes({
    store,
    lifecycle,
    hub,
    streams,
    show,
    resolveJob,
    mayRun,
    retryPlaces,
    acceptJob,
    explain,
    account: DEFAULT_ACCOUNT,
    inputs,
    idempotencyOf,
    keep: config.keep,
  })
  const presets = presetRoutes(catalogue, store)
  const credits = creditRoutes({ store: core.credits, admin: createCreditAdmin(core.credits), tenants: tenantAdmin })
  const files = { store, links, lasting, auth, cors, ensureDeployment: core.ensureDeployment }
  // Agents get the bytes of pictures, and no redirect into a bucket.
  const passed = { open: artifacts.open.bind(artifacts), link: () => Promise.resolve(null) }
  const budgets = budgetRoutes(createBudgetAdmin({ store: core.budgets, tenants: tenantAdmin }))
  const forAgents = [...jobs, ...presets, ...credits, ...artifactRoutes({ ...files, artifacts: passed })]
  const app = createApp({
    routes: [
      ...jobs,
      ...mcpRoutes({ auth, serve: createServeAgents(forAgents, log) }),
      ...frontRoutes({
        store,
        lifecycle,
        untilFinal: createUntilFinal({ store, hub }),
        acceptJob,
        resolveCreate,
        webhookAllow: config.webhookAllow,
        sentAgain: createSentAgain({ index: answering, answerers, acceptWithin: core.timings.acceptWithin, log }),
        inputs,
        logsOf: async (job) => (await store.logsOf(job.id)) ?? '',
        keys: deployment.keys,
        lasting,
        keep: config.keep,
        artifacts,
        tenants: core.tenants,
        signingSecrets,
        longOutputOf,
        outputs,
        relay: accounts.first.relay,
        catalogue,
        rawModels: config.rawModels,
        baseUrl: options.replicate.baseUrl,
        reads: accounts.first.reads.of('relay'),
        enter: streams.enter,
      }),
      ...uploadRoutes({ inputs, artifacts }),
      ...batchRoutes({
        warnings: core.warnings,
        webhookAllow: config.webhookAllow,
        jobs: store,
        inputLimits: config.inputs,
        idempotencyOf,
        retryPlaces,
        batches: core.batches,
        streams,
        showJob: show,
        resolveJob,
        mayRun,
        mayRunUnpriced,
        explain,
        auth,
        account: DEFAULT_ACCOUNT,
        keep: config.keep,
        full: capacity.full,
      }),
      ...deletionRoutes({ store, lifecycle, files: createJobFiles(artifacts, core.names), inputs, log }),
      ...manifestRoutes({ store, show }),
      ...modelRoutes(models, catalogue),
      ...presets,
      ...artifactRoutes({ ...files, artifacts }),
      ...sessionRoutes(auth, tenantAdmin),
      ...webhookSecretRoutes(signingSecrets),
      ...mailRoutes(mail.pages),
      ...endpointRoutes({
        mail: mail.ofEndpoints,
        store: core.endpoints,
        notifications: core.notifications,
        check: {
          url: (url) => checkWebhookUrl(url, config.webhookAllow),
          preset: (name) => catalogue.find(name) !== null,
        },
        test: createTestEndpoint({ webhook: webhooks, email: buildMailTransport(core, config) }, core.tenants.now),
        endpoints: createEndpoints({
          store: core.endpoints,
          notifications: core.notifications,
          now: core.tenants.now,
        }),
      }),
      ...notificationRoutes({
        store: core.notifications,
        stream: createNotificationStream({
          streams,
          hub,
          log,
          readBatch: (id) => core.batches.read(id),
          secrets: signingSecrets,
          now: core.tenants.now,
        }),
        bodyOf: createContent({ jobs: store, ...buildReceiverViews(core, options) }),
      }),
      ...tokenRoutes(store, auth),
      ...logRoutes(store, logsOf),
      ...outputRoutes({ store, streams, outputs, logsOf, show, log }),
      ...tenantRoutes(tenantAdmin, config.tenantLimits),
      ...credits,
      ...budgets,
      ...limitRoutes(core.limits),
      ...healthRoutes({
        version: VERSION,
        checks: {
          redis: redisCheck(core),
          storage: core.storageCheck,
          creation: informative(whileRedisResponds(core, creationCheck(conditions.all))),
        },
        metrics,
      }),
      ...healthReportRoutes({
        store,
        tenants: tenantAdmin,
        show,
        metrics,
        conditions,
        webhooks: core.webhooks,
        accounts: accountsOf(config).map((account) => ({
          name: account.name,
          reads: { ...readRate(account), free: () => readBudgetFree(readBudgetOptions(redis, keys, account)) },
        })),
      }),
      ...doctorRoutes(buildApiDoctor(core, options, { catalogue, secrets }, scope)),
      ...docsRoutes(join(studioDir, 'docs.html')),
    ],
    auth,
    cors,
    throttle,
    webhooks: createWebhookReceiver({
      lifecycle,
      store,
      secretsOf: (account) => secrets.get(account) ?? null,
      tokens: core.tokens,
      probes: createRedisOpenProbes(redis, keys),
      generation: core.generation.known,
      ensureDeployment: core.ensureDeployment,
      count: (result) => metrics.webhook(result),
      latency: (seconds) => metrics.webhookLatency(seconds),
      throttle: createThrottle({ failuresPerMinute: WEBHOOK_FAILURES_PER_MINUTE }),
      startHold: core.timings.startHold,
      log,
    }),
    board: options.adminPassword === null ? null : createBoardOnDemand(queues),
    studioDir: existsSync(join(studioDir, 'index.html')) ? studioDir : null,
    arrival,
    fileOrigins,
    bodyIdleMs: core.timings.bodyIdle,
    metrics,
    log,
  })
  const signInUrl = (origin: string): string | null => (firstCode === null ? null : loginLink(origin, firstCode))
  return { app, reload, looks: [secretLook], signInUrl }
}

/** Why the webhooks of some account cannot be verified; null: all can be. */
async function secretProblems(secrets: ReadonlyMap<string, WebhookSecrets>): Promise<string | null> {
  const found = new Map<string, string>()
  for (const [account, { problem }] of secrets) {
    const why = await problem()
    if (why !== null) found.set(account, why)
  }
  return found.size === 0 ? null : detailOf(found, [...secrets.keys()])
}

/** Origins to which readers of files are redirected; none when this service serves the files. */
async function originsOfLinks({ artifacts: { bucket } }: Config, artifacts: ArtifactStore): Promise<string[]> {
  const shown = { seconds: 60, mediaType: 'image/png', disposition: 'inline' }
  const link = bucket && (await artifacts.link(`s3://${bucket.name}/any`, shown))
  return link ? [new URL(link).origin] : []
}
