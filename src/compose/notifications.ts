import { batchView } from '../api/batch-view.ts'
import { createContent } from '../shared/notifications/content.ts'
import { createHttpTransport } from '../shared/notifications/http-transport.ts'
import type { Scope } from '../shared/process/scope.ts'
import { VERSION } from '../shared/process/version.ts'
import { createRedisSigningSecrets } from '../shared/tenants/redis-signing-secrets.ts'
import { createTenantKeys } from '../shared/tenants/tenant-keys.ts'
import { createDistributeNotice } from '../workers/distribute-notice.ts'
import { createSendProgress } from '../workers/send-progress.ts'
import { createSender } from '../workers/send-notifications.ts'
import type { Core, ServiceOptions } from './core.ts'
import { buildMailTransport } from './mail.ts'
import { asJson, buildReceiverViews } from './receiver-views.ts'

/** Builds what distributes notices and sends notifications. */
export function buildNotifications(core: Core, options: ServiceOptions, scope: Scope) {
  const { redis, keys, store, timings, endpoints, notices, notifications } = core
  const views = buildReceiverViews(core, options)
  const mail = buildMailTransport(core, options.config)
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
    transports: [http, ...(mail === null ? [] : [mail])],
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
    budgets: core.budgets,
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
