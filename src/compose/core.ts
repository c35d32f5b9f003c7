import { join } from 'node:path'
import type { Redis } from 'ioredis'
import { closeQueues, createDoorbells, createQueues } from '../queues/producer.ts'
import { createDelivers } from '../shared/artifacts/rules/delivery.ts'
import { DISK_PATTERN, createArtifactNames } from '../shared/artifacts/rules/artifact-names.ts'
import type { ArtifactStore } from '../shared/artifacts/artifact-store.ts'
import { createDiskReserve } from '../shared/artifacts/disk-reserve.ts'
import { createDiskArtifactStore } from '../shared/artifacts/disk-artifact-store.ts'
import { createSpool } from '../shared/artifacts/spool.ts'
import { createStoredPlaces } from '../shared/artifacts/stored-places.ts'
import { createLostBucket, withLostBucket } from '../shared/artifacts/redis-lost-bucket.ts'
import { createAccountConditions } from '../shared/conditions/account-conditions.ts'
import { createConditions, type Conditions } from '../shared/conditions/conditions.ts'
import { createRedisConditionBoard } from '../shared/conditions/redis-condition-board.ts'
import { watchUpstream } from '../shared/conditions/watch-upstream.ts'
import { createBatches } from '../shared/batches/batches.ts'
import { createRedisBatchStore } from '../shared/batches/redis-batch-store.ts'
import { accountsOf, type AccountSettings } from '../shared/settings/accounts.ts'
import { ConfigError, type Config } from '../shared/settings/config.ts'
import { createRedisSingleNotices } from '../shared/notifications/redis-single-notices.ts'
import { createWarnings } from '../shared/notifications/warnings.ts'
import { createBudgetBook, createRedisBudgetStore } from '../shared/credits/redis-budget-store.ts'
import { createRedisCreditStore } from '../shared/credits/redis-credit-store.ts'
import { deploymentLost } from '../shared/errors/service-error.ts'
import { rememberCheck } from '../shared/process/health.ts'
import { createInputs } from '../shared/inputs/inputs.ts'
import { createRedisUploadStore } from '../shared/inputs/redis-upload-store.ts'
import { KEEP_EVENTS } from '../shared/jobs/commit/commit-plan.ts'
import type { JobKeys } from '../shared/jobs/record/job-keys.ts'
import { createLifecycle } from '../shared/jobs/lifecycle.ts'
import type { JobStore } from '../shared/jobs/ports.ts'
import { DEFAULT_ACCOUNT } from '../shared/jobs/rules/job.ts'
import { createRedisJobWaits } from '../shared/jobs/redis-job-waits.ts'
import { createCommitRunner } from '../shared/jobs/commit/redis-commits.ts'
import { createRedisJobStore } from '../shared/jobs/commit/redis-job-store.ts'
import { DEFAULT_TIMINGS, type Timings } from '../shared/jobs/rules/timings.ts'
import type { AccountRates, Rate } from '../shared/limits/rules/budget.ts'
import type { LimitStore } from '../shared/limits/ports.ts'
import { createRedisLimitStore } from '../shared/limits/redis-limit-store.ts'
import { createReadBudget, type RedisBudgetOptions } from '../shared/limits/redis-budget.ts'
import { createRedisEndpointStore } from '../shared/notifications/redis-endpoint-store.ts'
import type { NotificationStore } from '../shared/notifications/ports.ts'
import { createRedisNoticeStore } from '../shared/notifications/redis-notice-store.ts'
import { createRedisNotificationStore } from '../shared/notifications/redis-notification-store.ts'
import type { Logger } from '../shared/process/logger.ts'
import type { Scope } from '../shared/process/scope.ts'
import type { Deployment } from '../shared/redis/deployment.ts'
import type { Generation } from '../shared/redis/generation.ts'
import { createAccounts, type ReplicateAccount } from '../shared/replicate/accounts.ts'
import type { PredictionPort } from '../shared/replicate/prediction-port.ts'
import { createReplicateRelay } from '../shared/replicate/replicate-relay.ts'
import { createReplicateAdapter } from '../shared/replicate/replicate-adapter.ts'
import { createWebhookTokens } from '../shared/replicate/rules/webhook-token.ts'
import type { TenantStore } from '../shared/tenants/ports.ts'
import { createRedisTenantStore } from '../shared/tenants/redis-tenant-store.ts'
import { createTenantKeys } from '../shared/tenants/tenant-keys.ts'
import { hasCode } from '../shared/values/error-text.ts'

/** Dependencies of a service beyond its configuration, resolved by the caller. */
export interface ServiceOptions {
  config: Config
  redisUrl: string
  /** Upstream; `role: all` uses the simulator when no token is set. */
  replicate: { token: string; baseUrl: string }
  /** Simulator that this process started; it reaches the service at its own address. */
  simulator?: object | null
  devApiKey: string | null
  adminPassword: string | null
  /** Creates a sign-in link for the development key, valid for the life of this process. */
  signInLink: boolean
  timings?: Partial<Timings>
  /** Wraps the ports, for composition roots that observe or disturb the traffic. */
  wrap?: PortWraps
  /** Called when the workers stopped taking jobs although Redis responds. */
  onWedged?: () => void
  log: Logger
}

export interface PortWraps {
  store(store: JobStore): JobStore
  upstream(upstream: PredictionPort): PredictionPort
  artifacts(artifacts: ArtifactStore): ArtifactStore
  notifications(store: NotificationStore): NotificationStore
}

const UNWRAPPED: PortWraps = {
  store: (store) => store,
  upstream: (upstream) => upstream,
  artifacts: (artifacts) => artifacts,
  notifications: (store) => store,
}

export const READY_WITHIN_MS = 10_000
/** Capacity of the spool, in files of the maximum size. */
const SPOOLED_FILES = 4
/** Interval of a process's reports of conditions, and the age from which a report is ignored, ms. */
const REPORT_MS = 5_000
const REPORT_STALE_MS = 20_000

/** Builds the storage of files and their names. */
export async function buildStorage({ dataDir, artifacts: { store, bucket, maxBytes } }: Config, scope: Scope) {
  const disk = createDiskArtifactStore(join(dataDir, 'artifacts'))
  const names =
    store === 's3' && bucket
      ? createArtifactNames(bucket.pattern, { byPreset: true })
      : createArtifactNames(DISK_PATTERN)
  if (!bucket) return { artifacts: createStoredPlaces({ disk, bucket: null }, store), names }
  const spool = createSpool(join(dataDir, 'spool'), SPOOLED_FILES * maxBytes)
  const { createS3ArtifactStore } = await loadS3()
  const s3 = createS3ArtifactStore({ ...bucket, bucket: bucket.name }, spool)
  scope.defer('storage', s3.close)
  return { artifacts: createStoredPlaces({ disk, bucket: s3 }, store), names }
}

/** A large module, loaded only with a bucket. The packages that it needs are optional in the published form. */
async function loadS3() {
  return import('../shared/artifacts/s3-artifact-store.ts').catch((error: unknown) => {
    throw hasCode(error, 'ERR_MODULE_NOT_FOUND')
      ? new ConfigError(
          'S3_BUCKET needs two packages that are not installed. Run: npm install @aws-sdk/client-s3 @aws-sdk/s3-request-presigner',
        )
      : error
  })
}

/** Conditions that delay this process or the others of its deployment. */
export const buildConditions = (redis: Redis, keys: JobKeys, log: Logger): Conditions =>
  createConditions({
    board: createRedisConditionBoard(redis, keys.conditions, REPORT_STALE_MS),
    repeatMs: REPORT_MS,
    log,
  })

/** Shared parts of one process. */
export interface SharedParts {
  keys: JobKeys
  deployment: Deployment
  generation: Generation
  conditions: Conditions
  publicUrl: () => string | null
  /** Confirms that earlier writes on the shared connection are on disk. */
  confirmDurable: () => Promise<void>
}

/** Builds the parts that api and workers share, over one connection. */
export async function buildCore(redis: Redis, shared: SharedParts, options: ServiceOptions, scope: Scope) {
  const { keys, deployment, generation, conditions, publicUrl, confirmDurable } = shared
  const { config, log, wrap = UNWRAPPED } = options
  const timings: Timings = { ...DEFAULT_TIMINGS, ...options.timings }
  const queues = createQueues(redis, keys.queues, log)
  scope.defer('queues', () => closeQueues(queues))
  const webhooks = (): boolean => publicUrl() !== null
  const commits = createCommitRunner(redis, timings, generation, {
    key: keys.deployment,
    id: deployment.id,
  })
  const quota = { tenants: createTenantKeys(keys.tag).tenants, defaults: config.tenantLimits }
  const budgets = { book: createBudgetBook({ redis, keys }) }
  const store = wrap.store(
    createRedisJobStore({
      redis,
      keys,
      timings,
      accounts: createRates(config),
      commits,
      confirmDurable,
      quota,
      budgets,
    }),
  )
  const doorbells = createDoorbells(queues, store)
  const delivers = createDelivers(options.replicate.baseUrl)
  const names = accountsOf(config).map(({ name }) => name)
  const conditionsOf = createAccountConditions(conditions, names)
  /** Offset of this machine's clock to Replicate's, ms; positive: ahead; null: unknown yet. */
  let ahead: number | null = null
  const openAccount = (settings: AccountSettings): ReplicateAccount => {
    const { name } = settings
    const at = { baseUrl: options.replicate.baseUrl, token: settings.token ?? options.replicate.token }
    const judge = watchUpstream(conditionsOf(name))
    const upstream = createReplicateAdapter({
      ...at,
      ...timings,
      onSeen(seen) {
        judge.see(seen)
        if (seen.kind === 'answered' && seen.date !== null) ahead = Date.now() - seen.date
      },
    })
    scope.defer('upstream', upstream.close)
    const relay = createReplicateRelay({ ...at, ...timings })
    scope.defer('relay', relay.close)
    const { isRefused, isFailing } = judge
    const reads = createReadBudget(readBudgetOptions(redis, keys, settings))
    return { name, upstream: wrap.upstream(upstream), relay, reads, isRefused, isFailing }
  }
  const [first, ...others] = accountsOf(config)
  const accounts = createAccounts([openAccount(first), ...others.map(openAccount)])
  const lifecycle = createLifecycle({ store, doorbells, timings, log, webhooks, delivers })
  const storage = await buildStorage(config, scope)
  const lostBucket = createLostBucket(redis, keys.bucket, config.artifacts.bucket?.name ?? null)
  const batchStore = createRedisBatchStore({
    redis,
    plan: { keys, timings, keepEvents: KEEP_EVENTS, quota },
    account: DEFAULT_ACCOUNT,
    commits,
    confirmDurable,
    budgets,
  })
  const artifacts = wrap.artifacts(storage.artifacts)
  const uploads = createRedisUploadStore({
    redis,
    keys,
    lease: timings.dueLease,
    quota,
    confirmDurable,
  })
  const reserve = createDiskReserve(config.dataDir, config.diskReserve)
  const inputs = createInputs({
    uploads,
    artifacts,
    jobs: store,
    limits: config.inputs,
    reserve: reserve.require,
    timings,
    log,
  })
  const endpoints = createRedisEndpointStore({ redis, keys })
  const sameDeployment = async (): Promise<boolean> => (await redis.hget(keys.deployment, 'id')) === deployment.id
  return {
    redis,
    keys,
    deployment,
    generation,
    publicUrl,
    tenants: createTenantStore(redis, keys, config, deployment.id),
    credits: createRedisCreditStore({ redis, keys, confirmDurable }),
    budgets: createRedisBudgetStore({ redis, keys, confirmDurable }),
    budgetBook: budgets.book,
    limits: createLimitStore(redis, keys, config),
    warnings: createWarnings({ notices: createRedisSingleNotices({ redis, keys, timings }), doorbells, log }),
    /** Whether Redis still holds the deployment that this process started with. */
    sameDeployment,
    ensureDeployment: async (): Promise<void> => {
      if (!(await sameDeployment())) throw deploymentLost()
    },
    timings,
    conditions,
    waits: createRedisJobWaits(redis, keys.wait, log),
    upstreamClock: () => ahead,
    queues,
    doorbells,
    store,
    webhooks,
    lifecycle,
    uploads,
    inputs,
    endpoints,
    notices: createRedisNoticeStore({ redis, keys, timings }),
    notifications: wrap.notifications(createRedisNotificationStore({ redis, keys, endpoints })),
    batchStore,
    batches: createBatches({ store: batchStore, jobs: store, lifecycle, doorbells, inputs, timings, log }),
    tokens: createWebhookTokens({ deployment: deployment.id, keys: deployment.keys, publicUrl }),
    delivers,
    accounts,
    conditionsOf,
    artifacts,
    names: storage.names,
    lostBucket,
    reserve,
    storageCheck: rememberCheck(withLostBucket(storage.artifacts.check, lostBucket), timings.storageCheck),
  }
}

export type Core = Awaited<ReturnType<typeof buildCore>>

export const createLimitStore = (redis: Redis, keys: JobKeys, config: Config): LimitStore =>
  createRedisLimitStore({ redis, keys, accounts: createRates(config) })

export const createTenantStore = (
  redis: Redis,
  { tag }: JobKeys,
  { tenantLimits }: Config,
  deployment: string,
): TenantStore => createRedisTenantStore({ redis, keys: createTenantKeys(tag), defaults: tenantLimits, deployment })

/** Budgets of creates by account. */
export const createRates = (config: Config): AccountRates =>
  Object.fromEntries(accountsOf(config).map((account) => [account.name, createRate(account)]))

export const createRate = ({ createsPerMinute, createBurst }: AccountSettings): Rate => ({
  perMinute: createsPerMinute,
  burst: createBurst,
})

export const readRate = ({ readsPerMinute }: AccountSettings): Rate => ({
  perMinute: readsPerMinute,
  burst: Math.max(1, Math.ceil(readsPerMinute / 60)),
})

export const readBudgetOptions = (redis: Redis, keys: JobKeys, account: AccountSettings): RedisBudgetOptions => ({
  redis,
  key: keys.readBudget(account.name),
  ...readRate(account),
})
