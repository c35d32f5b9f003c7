import { DEFAULT_TIMINGS } from '../shared/jobs/rules/timings.ts'
import type { Redis } from 'ioredis'
import { createDoctorBell } from '../queues/producer.ts'
import type { Catalogue } from '../shared/catalogue/catalogue.ts'
import type { Seen } from '../shared/conditions/watch-upstream.ts'
import type { AskWorker } from '../shared/doctor/ports.ts'
import { createRedisAskWorker } from '../shared/doctor/redis-doctor-desk.ts'
import { failed, skipped, type CheckResult, type Finding, warning } from '../shared/doctor/rules/check.ts'
import { runChecks, type CheckGroup, type Findings } from '../shared/doctor/run-checks.ts'
import type { JobKeys } from '../shared/jobs/record/job-keys.ts'
import { createReadBudget } from '../shared/limits/redis-budget.ts'
import type { Scope } from '../shared/process/scope.ts'
import { createRedisPresence } from '../shared/redis/redis-presence.ts'
import { isRedisTrouble } from '../shared/redis/trouble.ts'
import type { PredictionPort } from '../shared/replicate/prediction-port.ts'
import { createReplicateAdapter } from '../shared/replicate/replicate-adapter.ts'
import type { WebhookSecrets } from '../shared/replicate/webhook-secrets.ts'
import { PROBE_CHECKS } from '../workers/probe-webhooks.ts'
import { readBudgetOptions, type Core, type ServiceOptions } from './core.ts'
import {
  accountChecks,
  clockCheck,
  conditionsCheck,
  presetsCheck,
  redisChecks,
  secretCheck,
  workersCheck,
} from './doctor-checks.ts'
import { mailCheck } from './mail.ts'
import { aheadOfRedis, workerSilence } from './watch.ts'
import { PROBES_WITHIN_MS, storageGroup } from './doctor-worker.ts'

/**
 * The doctor. An api or the command line makes the checks of this process, and asks a worker through Redis for those of
 * the worker: its storage, and the way of webhooks from outside to the api.
 */
export interface Doctor {
  run(): Promise<CheckResult[]>
}

/** Time for a worker to take a request, and to finish its checks, ms. */
const TAKEN_WITHIN_MS = 10_000
const FINISHED_WITHIN_MS = 60_000
/** An adapter for `account` only, whose last outcome shows status and clock of Replicate. */
export function observedAccount(replicate: ServiceOptions['replicate'], scope: Scope) {
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
export const needsRedis = (group: CheckGroup): CheckGroup => ({
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

export const allOf = (names: CheckGroup['names'], finding: Finding): Findings =>
  Object.fromEntries(names.map((name) => [name, finding]))

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
        own: [storageGroup(core, config), mailCheck(config, publicUrl), noWorker(PROBE_CHECKS)],
      }),
    ].map(needsRedis),
    secretCheck(secrets, config.replicate.webhookSecret !== null),
    presetsCheck(catalogue),
  ]
  return { run: () => runChecks(groups) }
}

export const askWorker = (redis: Redis, keys: JobKeys, bell: ReturnType<typeof createDoctorBell>): AskWorker =>
  createRedisAskWorker(redis, keys, { ...bell, takenWithin: TAKEN_WITHIN_MS, finishedWithin: FINISHED_WITHIN_MS })

/** One request for all checks that need its outcome. */
export function accountOf(
  { account }: Pick<PredictionPort, 'account'>,
  take: () => Promise<void>,
): () => Promise<unknown> {
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
export function delegated(options: {
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
