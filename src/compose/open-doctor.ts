import type { Redis } from 'ioredis'
import { createQueues, closeQueues } from '../queues/producer.ts'
import { createLostBucket, withLostBucket } from '../shared/artifacts/redis-lost-bucket.ts'
import { createDiskReserve } from '../shared/artifacts/disk-reserve.ts'
import { createCatalogue } from '../shared/catalogue/catalogue.ts'
import { diskPresets } from '../shared/catalogue/disk-presets.ts'
import { createForeignChecks } from '../shared/catalogue/foreign-checks.ts'
import { readPresets } from '../shared/catalogue/read-preset.ts'
import { createSchemaWorker } from '../shared/catalogue/schema-worker.ts'
import { accountOf } from '../shared/doctor/account-checks.ts'
import { presetsCheck } from '../shared/doctor/preset-check.ts'
import { REDIS_CHECKS, redisAway } from '../shared/doctor/redis-checks.ts'
import { createRedisOpenProbes } from '../shared/doctor/redis-doctor-desk.ts'
import { failed, skipped } from '../shared/doctor/rules/check.ts'
import { allOf, runChecks, single, type CheckGroup } from '../shared/doctor/run-checks.ts'
import { storageChecks } from '../shared/doctor/storage-checks.ts'
import { createRedisJobStore } from '../shared/jobs/commit/redis-job-store.ts'
import { createCommitRunner } from '../shared/jobs/commit/redis-commits.ts'
import { createJobKeys, type JobKeys } from '../shared/jobs/record/job-keys.ts'
import { DEFAULT_TIMINGS } from '../shared/jobs/rules/timings.ts'
import { createReadBudget } from '../shared/limits/redis-budget.ts'
import type { Logger } from '../shared/process/logger.ts'
import type { Scope } from '../shared/process/scope.ts'
import { readRunningService } from '../shared/process/running-service.ts'
import { closeConnection, producerConnection, untilReady } from '../shared/redis/connection.ts'
import { findDeployment, type Deployment } from '../shared/redis/deployment.ts'
import { createGeneration } from '../shared/redis/generation.ts'
import { runningRedisUrl } from '../shared/redis/provide-redis.ts'
import { createModelCatalogue } from '../shared/replicate/model-catalogue.ts'
import type { PredictionPort } from '../shared/replicate/prediction-port.ts'
import { createReplicateAdapter } from '../shared/replicate/replicate-adapter.ts'
import { createWebhookTokens } from '../shared/replicate/rules/webhook-token.ts'
import { SIMULATOR_TOKEN } from '../shared/replicate/simulator-token.ts'
import { createWebhookSecrets } from '../shared/replicate/webhook-secrets.ts'
import type { Config } from '../shared/settings/config.ts'
import { messageOf } from '../shared/values/error-text.ts'
import { PROBE_CHECKS, probeUnknown } from '../workers/probe-webhooks.ts'
import { createProbeSender } from '../workers/send-probe.ts'
import { accountsOf, type AccountSettings } from '../shared/settings/accounts.ts'
import { buildConditions, buildStorage, createRates, readBudgetOptions } from './core.ts'
import {
  checksOfAccounts,
  checksOfSecrets,
  connectedChecks,
  observedAccount,
  type Doctor,
  type ObservedAccount,
} from './doctor.ts'
import { PROBES_WITHIN_MS, isLocal, probeGroup, accountSecret, placesOf } from './doctor-worker.ts'
import { inputChecks } from './input-checks.ts'
import { mailCheckOf } from './mail.ts'

/** Wait of the command line for Redis, ms. */
const REDIS_MS = 2_500

/** The doctor of the command line, which also works without Redis, and without any process of the deployment. */
export async function openDoctor(config: Config, log: Logger, scope: Scope): Promise<Doctor> {
  const keys = createJobKeys(config.keyPrefix)
  const { token } = config.replicate
  const simulator = token === null ? (await readRunningService(config.dataDir))?.simulator : null
  const baseUrl =
    token === null ? (simulator ?? `http://127.0.0.1:${config.simulator.port}/v1`) : config.replicate.baseUrl
  const replicateOf = (account: AccountSettings) => ({ token: account.token ?? token ?? SIMULATOR_TOKEN, baseUrl })
  const openUpstream = (account: AccountSettings) => {
    const opened = createReplicateAdapter({ ...replicateOf(account), ...DEFAULT_TIMINGS })
    scope.defer('upstream', opened.close)
    return opened
  }
  const secrets = new Map(
    accountsOf(config).map((account) => {
      const { webhookSecret: fetch } = openUpstream(account)
      return [account.name, createWebhookSecrets({ configured: account.webhookSecret, fetch })]
    }),
  )
  const found = await findRedis(config, keys, log, scope)
  const takeOf = (account: AccountSettings): (() => Promise<void>) =>
    found.kind === 'found' ? budgetTake(found.redis, keys, account) : () => Promise.resolve()
  const observe = (account: AccountSettings): ObservedAccount => {
    const observed = observedAccount(replicateOf(account), scope)
    return { name: account.name, observed, ask: accountOf(observed, takeOf(account)), token: account.token ?? token }
  }
  const [first, ...others] = accountsOf(config)
  const accounts: [ObservedAccount, ...ObservedAccount[]] = [observe(first), ...others.map(observe)]
  const upstream = openUpstream(first)
  const publicUrl = (): string | null => config.publicUrl
  const always = [
    checksOfSecrets(accountsOf(config), (account) => secrets.get(account)),
    await presetGroup(config, upstream, takeOf(first), log, scope),
  ]
  const storage = await buildStorage(config, scope)
  const reserve = createDiskReserve(config.dataDir, config.diskReserve)
  const stored = { artifacts: storage.artifacts, reserve, ...placesOf(config) }
  if (found.kind !== 'found') {
    const none = skipped('Redis does not respond.')
    const names = ['clocks', 'workers', 'conditions'] as const
    const probing = { sender: createProbeSender(), isUpstreamLocal: isLocal(baseUrl) }
    const groups = [
      { names: REDIS_CHECKS, within: 1_000, run: () => Promise.resolve(found.findings) },
      { names, within: 1_000, run: () => Promise.resolve(allOf(names, none)) },
      { names: PROBE_CHECKS, within: PROBES_WITHIN_MS, run: () => probeUnknown(config.publicUrl, probing) },
      checksOfAccounts(accounts, null, baseUrl),
      storageChecks({ ...stored, check: storage.artifacts.check }),
      mailCheckOf(config, publicUrl),
      ...always,
    ]
    return { run: () => runChecks(groups) }
  }

  const { redis, deployment } = found
  const timings = DEFAULT_TIMINGS
  const generation = createGeneration(redis, keys.generation, { gap: null })
  await generation.look()
  const store = createRedisJobStore({
    redis,
    keys,
    timings,
    accounts: createRates(config),
    commits: createCommitRunner(redis, timings, generation),
    confirmDurable: () => Promise.resolve(),
  })
  const conditions = buildConditions(redis, keys, log)
  scope.defer('conditions', conditions.stop)
  const queues = createQueues(redis, keys.queues, log)
  scope.defer('queues', () => closeQueues(queues))
  const lostBucket = createLostBucket(redis, keys.bucket, config.artifacts.bucket?.name ?? null)
  const groups = [
    ...connectedChecks({
      redis,
      keys,
      store,
      timings,
      conditions,
      queues,
      generation,
      publicUrl,
      sameDeployment: async () => (await redis.hget(keys.deployment, 'id')) === deployment.id,
      accounts,
      baseUrl,
      own: [
        storageChecks({ ...stored, check: withLostBucket(storage.artifacts.check, lostBucket) }),
        mailCheckOf(config, publicUrl),
        probeGroup({
          probes: createRedisOpenProbes(redis, keys),
          sender: createProbeSender(),
          tokens: createWebhookTokens({ deployment: deployment.id, keys: deployment.keys, publicUrl }),
          publicUrl,
          isUpstreamLocal: isLocal(baseUrl),
          secret: accountSecret(upstream, config.replicate.webhookSecret),
          generation: generation.known,
        }),
      ],
    }),
    ...always,
  ]
  return { run: () => runChecks(groups) }
}

function budgetTake(redis: Redis, keys: JobKeys, account: AccountSettings): () => Promise<void> {
  const reads = createReadBudget(readBudgetOptions(redis, keys, account)).of('poll')
  return () => reads.take(AbortSignal.timeout(DEFAULT_TIMINGS.readTimeout))
}

type FoundRedis =
  | { kind: 'found'; redis: Redis; deployment: Deployment }
  | { kind: 'absent'; findings: ReturnType<typeof redisAway> }

async function findRedis(config: Config, keys: JobKeys, log: Logger, scope: Scope): Promise<FoundRedis> {
  const url = config.redisUrl ?? (await runningRedisUrl(config.dataDir))
  if (url === null)
    return {
      kind: 'absent',
      findings: redisAway(`REDIS_URL is not set, and no Redis runs for DATA_DIR ${config.dataDir}`),
    }
  const redis = producerConnection(url, log)
  scope.defer('redis', () => closeConnection(redis))
  try {
    await untilReady(redis, REDIS_MS)
    const deployment = await findDeployment(redis, keys.deployment)
    if (deployment !== null) return { kind: 'found', redis, deployment }
    const seen = `Redis responds and holds no deployment of the name ${config.keyPrefix}.`
    const findings = redisAway('')
    return {
      kind: 'absent',
      findings: { ...findings, redis: failed(seen, 'Start the service once, or correct REDIS_URL and KEY_PREFIX.') },
    }
  } catch (error) {
    return { kind: 'absent', findings: redisAway(messageOf(error).replace(/\.$/, '')) }
  }
}

async function presetGroup(
  config: Config,
  upstream: Pick<PredictionPort, 'model' | 'deployment'>,
  take: () => Promise<void>,
  log: Logger,
  scope: Scope,
): Promise<CheckGroup> {
  const models = createModelCatalogue({
    async model(name, version) {
      await take()
      return upstream.model(name, version)
    },
    async deployment(name) {
      await take()
      return upstream.deployment(name)
    },
  })
  const checks = inputChecks
  const foreign = createForeignChecks({ checks, worker: createSchemaWorker(), log })
  scope.defer('schema worker', foreign.stop)
  try {
    const catalogue = await createCatalogue({
      read: async () => readPresets(await diskPresets(config.presetsDir), checks),
      models,
      checks,
      foreign,
      log,
    })
    scope.defer('catalogue', catalogue.stop)
    return presetsCheck(catalogue)
  } catch (error) {
    return single('presets', () =>
      failed(`${messageOf(error)}.`, 'Correct the files in PRESETS_DIR (docs/presets.md): no api starts with them.'),
    )
  }
}
