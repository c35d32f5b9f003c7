import type { Redis } from 'ioredis'
import { createDoctorBell, createQueues, closeQueues } from '../queues/producer.ts'
import { createLostBucket, withLostBucket } from '../shared/artifacts/redis-lost-bucket.ts'
import { createDiskReserve } from '../shared/artifacts/disk-reserve.ts'
import { createCatalogue, type Catalogue } from '../shared/catalogue/catalogue.ts'
import { diskPresets } from '../shared/catalogue/disk-presets.ts'
import { createForeignChecks } from '../shared/catalogue/foreign-checks.ts'
import { createInputChecks } from '../shared/catalogue/input-check.ts'
import { readPresets } from '../shared/catalogue/read-preset.ts'
import { createSchemaWorker } from '../shared/catalogue/schema-worker.ts'
import type { Seen } from '../shared/conditions/watch-upstream.ts'
import type { AskWorker } from '../shared/doctor/ports.ts'
import {
  createRedisAskWorker,
  createRedisDoctorAnswers,
  createRedisOpenProbes,
} from '../shared/doctor/redis-doctor-desk.ts'
import { failed, skipped, warning, type CheckResult, type Finding } from '../shared/doctor/rules/check.ts'
import { runChecks, single, type CheckGroup, type Findings } from '../shared/doctor/run-checks.ts'
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
import { createRedisPresence } from '../shared/redis/redis-presence.ts'
import { isRedisTrouble } from '../shared/redis/trouble.ts'
import { createModelCatalogue } from '../shared/replicate/model-catalogue.ts'
import type { PredictionPort } from '../shared/replicate/prediction-port.ts'
import { createReplicateAdapter } from '../shared/replicate/replicate-adapter.ts'
import { createWebhookTokens } from '../shared/replicate/rules/webhook-token.ts'
import { SIMULATOR_TOKEN } from '../shared/replicate/simulator-token.ts'
import { createWebhookSecrets, type WebhookSecrets } from '../shared/replicate/webhook-secrets.ts'
import { isLoopback, type Config } from '../shared/settings/config.ts'
import { messageOf } from '../shared/values/error-text.ts'
import {
  createProbeWebhooks,
  PROBE_CHECKS,
  probeUnknown,
  type ProbeWebhooksOptions,
} from '../workers/probe-webhooks.ts'
import { createProbeSender } from '../workers/send-probe.ts'
import {
  ACCOUNT,
  buildConditions,
  buildStorage,
  createRate,
  readBudgetOptions,
  type Core,
  type ServiceOptions,
} from './core.ts'
import {
  accountChecks,
  clockCheck,
  conditionsCheck,
  presetsCheck,
  REDIS_CHECKS,
  redisAway,
  redisChecks,
  secretCheck,
  storageChecks,
  workersCheck,
} from './doctor-checks.ts'
import { aheadOfRedis, workerSilence } from './watch.ts'

/**
 * The doctor. An api or the command line makes the checks of its own process, and asks a worker through Redis for those of
 * the worker: its storage, and the way of webhooks from outside to the api.
 */
export interface Doctor {
  run(): Promise<CheckResult[]>
}

/** Time for a worker to take a request, and to finish its checks, ms. */
const TAKEN_WITHIN_MS = 10_000
const FINISHED_WITHIN_MS = 60_000
const PROBES_WITHIN_MS = 55_000
const SECRET_MS = 5_000
/** Wait of the command line for Redis, ms. */
const REDIS_MS = 2_500

/** Whether Replicate is a program in this network, such as the simulator. The real one has a public name, and https. */
function isLocal(baseUrl: string): boolean {
  const { protocol, hostname } = new URL(baseUrl)
  return protocol === 'http:' || isLoopback(hostname)
}

const probeGroup = (options: ProbeWebhooksOptions): CheckGroup => ({
  names: PROBE_CHECKS,
  within: PROBES_WITHIN_MS,
  run: createProbeWebhooks(options),
})

/** The secret that Replicate signs with; the configured one when it cannot be fetched. */
const accountSecret = (upstream: Pick<PredictionPort, 'webhookSecret'>, configured: string | null) => () =>
  upstream.webhookSecret(SECRET_MS).catch(() => configured)

/** An adapter for `account` only, whose last outcome shows status and clock of Replicate. */
function observedAccount(replicate: ServiceOptions['replicate'], scope: Scope) {
  let seen: Seen | null = null
  const upstream = createReplicateAdapter({
    ...replicate,
    ...DEFAULT_TIMINGS,
    onSeen(one) {
      seen = one
    },
  })
  scope.defer('doctor upstream', upstream.close)
  return {
    account: upstream.account,
    seen: (): Seen | null => seen,
    ahead: (): number | null => (seen?.kind === 'answered' && seen.date !== null ? Date.now() - seen.date : null),
  }
}

/** Checks that need Redis are skipped without it: the check `redis` says why. */
const needsRedis = (group: CheckGroup): CheckGroup => ({
  ...group,
  run: async () => {
    try {
      return await group.run()
    } catch (error) {
      if (!isRedisTrouble(error)) throw error
      return allOf(group.names, skipped('Redis does not respond.'))
    }
  },
})

const allOf = (names: CheckGroup['names'], finding: Finding): Findings =>
  Object.fromEntries(names.map((name) => [name, finding]))

/** The checks of a worker, which answers a run of the doctor with them. */
export function buildWorkerDoctor(core: Core, { config, replicate }: ServiceOptions) {
  const { redis, keys, tokens, publicUrl, upstream, generation } = core
  const answers = createRedisDoctorAnswers(redis, keys)
  const groups = [
    storageGroup(core, config),
    probeGroup({
      probes: createRedisOpenProbes(redis, keys),
      sender: createProbeSender(),
      tokens,
      publicUrl,
      isUpstreamLocal: isLocal(replicate.baseUrl),
      secret: accountSecret(upstream, config.replicate.webhookSecret),
      generation: generation.known,
    }),
  ]
  return async (run: string): Promise<void> => {
    if (await answers.begin(run)) await answers.answer(run, await runChecks(groups))
  }
}

const storageGroup = ({ artifacts, lostBucket, reserve }: Core, config: Config): CheckGroup =>
  storageChecks({ artifacts, check: withLostBucket(artifacts.check, lostBucket), reserve, ...placesOf(config) })

const placesOf = ({ dataDir, diskReserve, artifacts: { store, bucket } }: Config) => ({
  dataDir,
  diskReserve,
  bucket: store === 's3' && bucket !== null ? bucket.name : null,
})

/** The doctor of an api. */
export function buildApiDoctor(
  core: Core,
  options: ServiceOptions,
  { catalogue, secrets }: { catalogue: Catalogue; secrets: WebhookSecrets },
  scope: Scope,
): Doctor {
  const { redis, keys, store, timings, conditions, queues, generation, sameDeployment, publicUrl } = core
  const { config, replicate, simulator } = options
  const observed = observedAccount(replicate, scope)
  const reads = createReadBudget(readBudgetOptions(redis, keys, config)).of('poll')
  const account = accountOf(observed, () => reads.take(AbortSignal.timeout(timings.readTimeout)))
  const presence = createRedisPresence(redis, keys.presence, generation)
  const token = simulator ? null : replicate.token
  const groups = [
    redisChecks(redis, keys.tried, sameDeployment),
    ...[
      clockCheck(timings, async () => {
        await account()
        return { redis: await aheadOfRedis(store), upstream: observed.ahead() }
      }),
      workersCheck(presence, store, timings),
      conditionsCheck(conditions),
      accountChecks({ account, seen: observed.seen, pause: store.pause, token, baseUrl: replicate.baseUrl }),
      delegated({
        isWorkerSeen: async () => ((await presence.seenAgo()) ?? Infinity) <= workerSilence(timings),
        worker: askWorker(redis, keys, createDoctorBell(queues)),
        publicUrl,
        own: [storageGroup(core, config), noWorker(PROBE_CHECKS)],
      }),
    ].map(needsRedis),
    secretCheck(secrets, config.replicate.webhookSecret !== null),
    presetsCheck(catalogue),
  ]
  return { run: () => runChecks(groups) }
}

const askWorker = (redis: Redis, keys: JobKeys, bell: ReturnType<typeof createDoctorBell>): AskWorker =>
  createRedisAskWorker(redis, keys, { ...bell, takenWithin: TAKEN_WITHIN_MS, finishedWithin: FINISHED_WITHIN_MS })

/** One request for all checks that need its outcome. */
function accountOf({ account }: Pick<PredictionPort, 'account'>, take: () => Promise<void>): () => Promise<unknown> {
  let asked: Promise<unknown> | null = null
  const ask = async (): Promise<unknown> => {
    await take()
    return account()
  }
  return () => {
    asked ??= ask().finally(() => {
      asked = null
    })
    return asked
  }
}

/** Probes that only a worker sends. */
const noWorker = (names: CheckGroup['names']): CheckGroup => ({
  names,
  within: 1_000,
  run: () =>
    Promise.resolve(
      allOf(
        names,
        failed(
          'No worker answered, so no probe was sent: workers send it, as they write the webhook URL into predictions.',
          'Start a worker of this release, and run the doctor again.',
        ),
      ),
    ),
})

/** Checks of a worker. `own`: groups that this process makes when no worker does. */
function delegated(options: {
  isWorkerSeen: () => Promise<boolean>
  worker: AskWorker
  /** Of this process. */
  publicUrl: () => string | null
  own: readonly CheckGroup[]
}): CheckGroup {
  const names = options.own.flatMap((group) => group.names)
  return {
    names,
    within: FINISHED_WITHIN_MS + PROBES_WITHIN_MS,
    async run() {
      const asked = (await options.isWorkerSeen()) ? await options.worker.ask() : { kind: 'not_taken' as const }
      const results = asked.kind === 'answered' ? asked.results : await runChecks(options.own)
      const findings: Findings = Object.fromEntries(results.map(({ name, ...finding }) => [name, finding]))
      const missing = asked.kind === 'answered' ? names.filter((name) => findings[name] === undefined) : []
      const unknown = skipped('The worker that answered is of an older release and does not know this check.')
      return { ...allOf(missing, unknown), ...differing(findings, options.publicUrl()) }
    },
  }
}

/** Warns where PUBLIC_URL of this process is another one than that of the worker, which counts. */
function differing(findings: Findings, publicUrl: string | null): Findings {
  const found = findings.webhook_address
  const ofWorker = found?.details['url'] ?? null
  if (found === undefined || found.state === 'failed' || publicUrl === ofWorker || publicUrl === null) return findings
  const seen = `PUBLIC_URL is ${publicUrl} here and ${ofWorker ?? 'not set'} in the worker, which writes it into predictions.`
  const todo = 'Set PUBLIC_URL for workers and apis alike, and restart them.'
  return { ...findings, webhook_address: { ...found, ...warning(seen, todo, found.details) } }
}

/** The doctor of the command line, which also works without Redis, and without any process of the deployment. */
export async function openDoctor(config: Config, log: Logger, scope: Scope): Promise<Doctor> {
  const keys = createJobKeys(config.keyPrefix)
  const { token } = config.replicate
  const simulator = token === null ? (await readRunningService(config.dataDir))?.simulator : null
  const baseUrl =
    token === null ? (simulator ?? `http://127.0.0.1:${config.simulator.port}/v1`) : config.replicate.baseUrl
  const replicate = { token: token ?? SIMULATOR_TOKEN, baseUrl }
  const observed = observedAccount(replicate, scope)
  const upstream = createReplicateAdapter({ ...replicate, ...DEFAULT_TIMINGS })
  scope.defer('upstream', upstream.close)
  const secrets = createWebhookSecrets({
    configured: config.replicate.webhookSecret,
    fetch: upstream.webhookSecret,
  })
  const found = await findRedis(config, keys, log, scope)
  const take = found.kind === 'found' ? budgetTake(found.redis, keys, config) : (): Promise<void> => Promise.resolve()
  const account = accountOf(observed, take)
  const accountWith = (pause: Parameters<typeof accountChecks>[0]['pause']): CheckGroup =>
    accountChecks({ account, seen: observed.seen, pause, token, baseUrl })
  const always = [
    secretCheck(secrets, config.replicate.webhookSecret !== null),
    await presetGroup(config, upstream, take, log, scope),
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
      accountWith(null),
      storageChecks({ ...stored, check: storage.artifacts.check }),
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
    creates: createRate(config),
    account: ACCOUNT,
    commits: createCommitRunner(redis, timings, generation),
    confirmDurable: () => Promise.resolve(),
  })
  const presence = createRedisPresence(redis, keys.presence, generation)
  const conditions = buildConditions(redis, keys, log)
  scope.defer('conditions', conditions.stop)
  const queues = createQueues(redis, keys.queues, log)
  scope.defer('queues', () => closeQueues(queues))
  const publicUrl = (): string | null => config.publicUrl
  const lostBucket = createLostBucket(redis, keys.bucket, config.artifacts.bucket?.name ?? null)
  const groups = [
    redisChecks(redis, keys.tried, async () => (await redis.hget(keys.deployment, 'id')) === deployment.id),
    ...[
      clockCheck(timings, async () => {
        await account()
        return { redis: await aheadOfRedis(store), upstream: observed.ahead() }
      }),
      workersCheck(presence, store, timings),
      conditionsCheck(conditions),
      accountWith(store.pause),
      delegated({
        isWorkerSeen: async () => ((await presence.seenAgo()) ?? Infinity) <= workerSilence(timings),
        worker: askWorker(redis, keys, createDoctorBell(queues)),
        publicUrl,
        own: [
          storageChecks({ ...stored, check: withLostBucket(storage.artifacts.check, lostBucket) }),
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
    ].map(needsRedis),
    ...always,
  ]
  return { run: () => runChecks(groups) }
}

function budgetTake(redis: Redis, keys: JobKeys, config: Config): () => Promise<void> {
  const reads = createReadBudget(readBudgetOptions(redis, keys, config)).of('poll')
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
  const checks = createInputChecks()
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
