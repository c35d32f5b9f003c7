import { createDoctorBell } from '../queues/producer.ts'
import type { Catalogue } from '../shared/catalogue/catalogue.ts'
import { workerSilence } from '../shared/conditions/rules/thresholds.ts'
import type { Seen } from '../shared/conditions/watch-upstream.ts'
import { accountChecks, accountOf, ofAccounts, secretCheck } from '../shared/doctor/account-checks.ts'
import { presetsCheck } from '../shared/doctor/preset-check.ts'
import { redisChecks } from '../shared/doctor/redis-checks.ts'
import { createRedisAskWorker } from '../shared/doctor/redis-doctor-desk.ts'
import type { CheckResult } from '../shared/doctor/rules/check.ts'
import { needsRedis, runChecks, type CheckGroup } from '../shared/doctor/run-checks.ts'
import { clockCheck, conditionsCheck, workersCheck } from '../shared/doctor/service-checks.ts'
import { noWorker, workerChecks } from '../shared/doctor/worker-checks.ts'
import { DEFAULT_TIMINGS } from '../shared/jobs/rules/timings.ts'
import type { Scope } from '../shared/process/scope.ts'
import { createRedisPresence } from '../shared/redis/redis-presence.ts'
import { createReplicateAdapter } from '../shared/replicate/replicate-adapter.ts'
import type { WebhookSecrets } from '../shared/replicate/webhook-secrets.ts'
import { PROBE_CHECKS } from '../workers/probe-webhooks.ts'
import { DEFAULT_ACCOUNT } from '../shared/jobs/rules/job.ts'
import { accountsOf, type AccountSettings } from '../shared/settings/accounts.ts'
import type { Core, ServiceOptions } from './core.ts'
import { PROBES_WITHIN_MS, storageGroup } from './doctor-worker.ts'
import { mailCheckOf } from './mail.ts'
import { aheadOfRedis } from './watch.ts'

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

/** An account, as the doctor sees it. */
export interface ObservedAccount {
  name: string
  observed: ReturnType<typeof observedAccount>
  /** `GET /account`, within the budget of reads. */
  ask: () => Promise<unknown>
  /** null: the simulator. */
  token: string | null
}

/** The checks of the accounts. `store` null: Redis does not respond. */
export const checksOfAccounts = (
  accounts: readonly ObservedAccount[],
  store: Pick<Core['store'], 'pause' | 'createRate'> | null,
  baseUrl: string,
): CheckGroup =>
  ofAccounts(
    new Map(
      accounts.map(({ name, observed, ask, token }) => [
        name,
        accountChecks({
          account: ask,
          seen: observed.seen,
          pause: store && (() => store.pause(name)),
          rate: store && (() => store.createRate(name)),
          token,
          ...(name === DEFAULT_ACCOUNT ? {} : { setting: `the token of ${name} in REPLICATE_ACCOUNTS` }),
          baseUrl,
        }),
      ]),
    ),
  )

/** The checks of the signing secrets. */
export const checksOfSecrets = (
  accounts: readonly Pick<AccountSettings, 'name' | 'webhookSecret'>[],
  secretsOf: (account: string) => WebhookSecrets | undefined,
): CheckGroup =>
  ofAccounts(
    new Map(
      accounts.flatMap(({ name, webhookSecret }): [string, CheckGroup][] => {
        const secrets = secretsOf(name)
        const setting = name === DEFAULT_ACCOUNT ? [] : [`webhook_secret of ${name} in REPLICATE_ACCOUNTS`]
        return secrets ? [[name, secretCheck(secrets, webhookSecret !== null, ...setting)]] : []
      }),
    ),
  )

/** What the checks of a process need that reaches Redis. */
export interface Connected extends Pick<
  Core,
  'redis' | 'keys' | 'store' | 'conditions' | 'queues' | 'generation' | 'sameDeployment' | 'publicUrl' | 'timings'
> {
  accounts: readonly [ObservedAccount, ...ObservedAccount[]]
  baseUrl: string
  /** The checks of a worker as this process makes them when no worker does. */
  own: readonly CheckGroup[]
}

export function connectedChecks(parts: Connected): CheckGroup[] {
  const { redis, keys, store, timings, conditions, accounts, baseUrl, publicUrl, own } = parts
  const [first] = accounts
  const presence = createRedisPresence(redis, keys.presence, parts.generation)
  return [
    redisChecks(redis, keys.tried, parts.sameDeployment),
    ...[
      clockCheck(timings, async () => {
        await first.ask()
        return { redis: await aheadOfRedis(store), upstream: first.observed.ahead() }
      }),
      workersCheck(presence, store, timings),
      conditionsCheck(conditions),
      checksOfAccounts(accounts, store, baseUrl),
      workerChecks({
        isWorkerSeen: async () => ((await presence.seenAgo()) ?? Infinity) <= workerSilence(timings),
        worker: createRedisAskWorker(redis, keys, {
          ...createDoctorBell(parts.queues),
          takenWithin: TAKEN_WITHIN_MS,
          finishedWithin: FINISHED_WITHIN_MS,
        }),
        publicUrl,
        own,
        within: FINISHED_WITHIN_MS + PROBES_WITHIN_MS,
      }),
    ].map(needsRedis),
  ]
}

/** The doctor of an api. */
export function buildApiDoctor(
  core: Core,
  { config, replicate, simulator }: ServiceOptions,
  { catalogue, secrets }: { catalogue: Catalogue; secrets: ReadonlyMap<string, WebhookSecrets> },
  scope: Scope,
): Doctor {
  const { timings, publicUrl, accounts } = core
  const observe = ({ name, token }: AccountSettings): ObservedAccount => {
    const observed = observedAccount({ ...replicate, token: token ?? replicate.token }, scope)
    const reads = accounts.of(name).reads.of('poll')
    return {
      name,
      observed,
      ask: accountOf(observed, () => reads.take(AbortSignal.timeout(timings.readTimeout))),
      token: simulator ? null : (token ?? replicate.token),
    }
  }
  const [first, ...others] = accountsOf(config)
  const groups = [
    ...connectedChecks({
      ...core,
      accounts: [observe(first), ...others.map(observe)],
      baseUrl: replicate.baseUrl,
      own: [storageGroup(core, config), mailCheckOf(config, publicUrl), noWorker(PROBE_CHECKS)],
    }),
    checksOfSecrets(accountsOf(config), (account) => secrets.get(account)),
    presetsCheck(catalogue),
  ]
  return { run: () => runChecks(groups) }
}
