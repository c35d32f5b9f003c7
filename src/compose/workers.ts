import { join } from 'node:path'
import { createJobFiles } from '../shared/artifacts/job-files.ts'
import { createLongTexts } from '../shared/artifacts/long-texts.ts'
import { createMeasureFile } from '../shared/artifacts/measure-file.ts'
import { createOutputFetcher } from '../shared/artifacts/output-fetcher.ts'
import { createOutputShapes } from '../shared/catalogue/output-shapes.ts'
import { createRedisPresence } from '../shared/redis/redis-presence.ts'
import type { Scope } from '../shared/process/scope.ts'
import { createModelCatalogue } from '../shared/replicate/model-catalogue.ts'
import { createModelReads } from '../shared/replicate/model-reads.ts'
import { accountsOf, type AccountSettings } from '../shared/settings/accounts.ts'
import { createAdoptUnknown } from '../workers/adopt-unknown.ts'
import { createCancelPrediction } from '../workers/cancel-prediction.ts'
import { createChooseAccount } from '../workers/choose-account.ts'
import { createCleanUp } from '../workers/clean-up.ts'
import { createCopyOutputs } from '../workers/copy-outputs.ts'
import { trackCreates } from '../workers/creates-in-flight.ts'
import { createNextPoll } from '../workers/next-poll.ts'
import { createPermits } from '../workers/permits.ts'
import { createPollPrediction } from '../workers/poll-prediction.ts'
import { createPollWindow } from '../workers/poll-window.ts'
import { createPrepareInput } from '../workers/prepare-input.ts'
import { createRecoverIntents } from '../workers/recover-intents.ts'
import { startWorkers, type RunningWorkers } from '../workers/start-workers.ts'
import { createStoreOutputs } from '../workers/store-outputs.ts'
import { createSubmitJob } from '../workers/submit-job.ts'
import { createSweep } from '../workers/sweep.ts'
import { buildWorkerDoctor } from './doctor-worker.ts'
import { buildNotifications } from './notifications.ts'
import type { Core, ServiceOptions } from './core.ts'

const STOP_WITHIN_MS = 10_000
/** Limit of the long texts of one output, as a multiple of the maximum file size; base64 is 4/3 of the bytes. */
const LONG_TEXTS = 2
/** Predictions that an account can create in the window of one listing: ten pages. */
const SLICE_ROWS = 1000
/** Longest wait of a create for the model's Output schema, when the job was accepted without it, ms. */
const SHAPE_WITHIN_MS = 2000

/** Monotonic, ms. */
const clock = (): number => performance.now()

export async function buildWorkers(
  core: Core,
  options: ServiceOptions,
  scope: Scope,
): Promise<Pick<RunningWorkers, 'neglected' | 'restoreSweep'>> {
  const { config, log } = options
  const {
    redis,
    keys,
    store,
    lifecycle,
    doorbells,
    artifacts,
    accounts,
    timings,
    tokens,
    queues,
    webhooks,
    conditions,
  } = core
  const settings = new Map(accountsOf(config).map((account) => [account.name, account]))
  const settingsOf = (account: string): AccountSettings => settings.get(account) ?? accountsOf(config)[0]
  const fetcher = createOutputFetcher({
    upstreamBaseUrl: options.replicate.baseUrl,
    connectTimeout: timings.connectTimeout,
  })
  scope.defer('fetcher', fetcher.close)
  const models = createModelCatalogue(createModelReads(accounts, timings.readTimeout))
  const nextPoll = createNextPoll({
    store,
    readsPerMinute: (account) => settingsOf(account).readsPerMinute,
    timings,
    webhooks,
  })
  const presence = createRedisPresence(redis, keys.presence, core.generation)
  const inFlight = await trackCreates(presence, timings, conditions, log)
  scope.defer('creates', inFlight.stop)
  const recover = createRecoverIntents({
    store,
    lifecycle,
    accounts,
    tokens,
    presence,
    timings,
    sameDeployment: core.sameDeployment,
    conditions,
    conditionsOf: core.conditionsOf,
    log,
  })
  const chooser = createChooseAccount({ store, terms: accountsOf(config), clock })
  const { sender, distribute, progress } = buildNotifications(core, options, scope)
  const workers = await startWorkers({
    redis,
    prefix: keys.queues,
    queues,
    doorbells,
    store,
    timings,
    creating: inFlight.any,
    stopWithin: STOP_WITHIN_MS,
    log,
    processors: {
      submit: createSubmitJob({
        recover,
        prepare: createPrepareInput({
          jobs: store,
          uploads: core.uploads,
          artifacts,
          accounts,
          waits: core.waits,
          log,
        }),
        outputShapes: createOutputShapes(models, SHAPE_WITHIN_MS),
        permitFor: createPermits({
          store,
          accounts,
          chooser,
          recover,
          inFlight,
          lifecycle,
          timings,
          conditions,
          log,
          clock,
        }),
        store,
        accounts,
        chooser,
        lifecycle,
        tokens,
        timings,
        waits: core.waits,
        log,
      }),
      sweep: createSweep({
        store,
        lifecycle,
        doorbells,
        batches: core.batches,
        notifications: core.notifications,
        cleanUp: createCleanUp({
          store,
          files: createJobFiles(artifacts, core.names),
          keep: config.keep,
          inputs: core.inputs,
          batches: core.batches,
          timings,
          log,
        }),
        timings,
        slice: (account) => Math.ceil((SLICE_ROWS / settingsOf(account).createsPerMinute) * 60_000),
        log,
      }),
      doctor: buildWorkerDoctor(core, options),
      poll: createPollPrediction({ store, lifecycle, accounts, timings, nextPoll, log }),
      window: createPollWindow({ store, lifecycle, doorbells, accounts, timings, nextPoll, log }),
      adopt: createAdoptUnknown({ store, lifecycle, accounts, tokens, timings, log }),
      cancel: createCancelPrediction({ store, lifecycle, accounts, timings, log }),
      store: createStoreOutputs({
        store,
        lifecycle,
        copy: createCopyOutputs({
          artifacts,
          names: core.names,
          measure: createMeasureFile(log),
          fetcher,
          delivers: core.delivers,
          accounts,
          longTexts: createLongTexts(join(config.dataDir, 'long-texts'), LONG_TEXTS * config.artifacts.maxBytes),
          maxBytes: config.artifacts.maxBytes,
          timings,
          log,
        }),
        accountNames: accounts.all.map(({ name }) => name),
        waits: core.waits,
        warnings: core.warnings,
        artifacts,
        delivers: core.delivers,
        timings,
        log,
      }),
      jobNotice: distribute.ofJob,
      tenantNotice: distribute.ofTenant,
      progress,
      send: () => Promise.resolve(sender.wake()),
    },
  })
  scope.defer('workers', workers.stop)
  return { neglected: workers.neglected, restoreSweep: workers.restoreSweep }
}
