import { batchView } from '../api/batch-view.ts'
import { createFrontLinks } from '../api/front/front-links.ts'
import { createPredictionView } from '../api/front/prediction.ts'
import { createJobView } from '../api/job-view.ts'
import { createLongOutput } from '../api/output/long-output.ts'
import { createArtifactLinks } from '../shared/artifacts/rules/artifact-links.ts'
import { createLastingLinks } from '../shared/artifacts/rules/lasting-links.ts'
import { jsonObject, type JobRecord } from '../shared/jobs/rules/job.ts'
import { createContent } from '../shared/notifications/content.ts'
import { createHttpTransport } from '../shared/notifications/http-transport.ts'
import type { Scope } from '../shared/process/scope.ts'
import { VERSION } from '../shared/process/version.ts'
import { localOrigin } from '../shared/settings/config.ts'
import { createRedisSigningSecrets } from '../shared/tenants/redis-signing-secrets.ts'
import { createTenantKeys } from '../shared/tenants/tenant-keys.ts'
import type { JsonObject } from '../shared/values/json.ts'
import { createDistributeNotice } from '../workers/distribute-notice.ts'
import { createSendProgress } from '../workers/send-progress.ts'
import { createSender } from '../workers/send-notifications.ts'
import type { Core, ServiceOptions } from './core.ts'

/** Exactly as a response of the API has it. */
const asJson = (value: object): JsonObject => jsonObject.parse(JSON.parse(JSON.stringify(value)))

/** Jobs as receivers see them: as the API shows them, with lasting links that name the address of this service. */
function buildViews({ store, artifacts, deployment, publicUrl, timings }: Core, { config }: ServiceOptions) {
  const origin = (): string => publicUrl() ?? localOrigin(config.host, config.port)
  const lasting = createLastingLinks(deployment.linkKeys)
  const jobView = createJobView({
    links: createArtifactLinks(deployment.keys),
    lasting: { ...lasting, path: (...file) => origin() + lasting.path(...file) },
    createsPerMinute: config.replicate.createsPerMinute,
    stopBound: timings.stopBound,
    keep: config.keep,
  })
  const predictionView = createPredictionView({
    lasting,
    links: createFrontLinks(deployment.keys),
    keep: config.keep,
  })
  const longOutputOf = createLongOutput(artifacts)
  return {
    async jobView(job: JobRecord): Promise<JsonObject> {
      return { ...asJson(jobView(await store.whole(job), null, 'lasting')), rev: job.rev }
    },
    async predictionView(job: JobRecord): Promise<JsonObject> {
      const [whole, logs, longOutput] = await Promise.all([store.whole(job), store.logsOf(job.id), longOutputOf(job)])
      return asJson(predictionView(whole, { origin: origin(), logs: logs ?? '', longOutput }))
    },
    /** Without what is gone together with the record. */
    lastPrediction: (job: JobRecord): JsonObject =>
      asJson(predictionView({ ...job, input: null, output: null, artifacts: [] }, { origin: origin(), logs: '' })),
  }
}

/** Builds what distributes notices and sends notifications. */
export function buildNotifications(core: Core, options: ServiceOptions, scope: Scope) {
  const { redis, keys, store, timings, endpoints, notices, notifications } = core
  const views = buildViews(core, options)
  const http = createHttpTransport({
    allow: options.config.webhookAllow,
    version: VERSION,
    timeout: timings.notifyTimeout,
    connectTimeout: timings.notifyTimeout,
  })
  scope.defer('webhooks', http.close)
  const sending = {
    endpoints,
    secrets: createRedisSigningSecrets(redis, createTenantKeys(keys.tag)),
    bodyOf: createContent({ jobs: store, ...views }),
  }
  const sender = createSender({
    ...sending,
    transports: [http],
    store: notifications,
    notices,
    timings,
    log: options.log,
  })
  scope.defer('notifications', sender.stop)
  const distribute = createDistributeNotice({
    jobs: store,
    batches: core.batchStore,
    credits: core.credits,
    endpoints,
    notices,
    store: notifications,
    batchView: (batch) => asJson(batchView(batch)),
    lastPrediction: views.lastPrediction,
    wake: sender.wake,
  })
  const progress = createSendProgress({
    ...sending,
    jobs: store,
    store: notifications,
    clock: store,
    transport: http,
    lastPrediction: views.lastPrediction,
    log: options.log,
  })
  return { sender, distribute, progress }
}
