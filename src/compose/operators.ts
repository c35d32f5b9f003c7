import { setTimeout } from 'node:timers/promises'
import { runAudit, type AuditReport } from '../shared/audit/audit.ts'
import { createRedisAuditSource } from '../shared/audit/redis-audit-source.ts'
import { ConfigError, type Config } from '../shared/settings/config.ts'
import { createCreditAdmin, type CreditAdmin } from '../shared/credits/credit-admin.ts'
import { createBudgetAdmin, type BudgetAdmin } from '../shared/credits/budget-admin.ts'
import { createRedisBudgetStore } from '../shared/credits/redis-budget-store.ts'
import type { CreditStore } from '../shared/credits/ports.ts'
import { createRedisCreditStore } from '../shared/credits/redis-credit-store.ts'
import { createRedisLedgerSource } from '../shared/credits/redis-ledger-source.ts'
import { verifyLedger, type LedgerVerdict } from '../shared/credits/verify-ledger.ts'
import { createJobKeys } from '../shared/jobs/record/job-keys.ts'
import { createCommitRunner } from '../shared/jobs/commit/redis-commits.ts'
import { createRedisJobStore } from '../shared/jobs/commit/redis-job-store.ts'
import { DEFAULT_TIMINGS } from '../shared/jobs/rules/timings.ts'
import type { LimitStore } from '../shared/limits/ports.ts'
import { createReadBudget } from '../shared/limits/redis-budget.ts'
import type { Logger } from '../shared/process/logger.ts'
import type { Scope } from '../shared/process/scope.ts'
import { closeConnection, producerConnection, untilReady } from '../shared/redis/connection.ts'
import { findDeployment, rotateDeploymentKey, rotateLinkKey } from '../shared/redis/deployment.ts'
import { createGeneration } from '../shared/redis/generation.ts'
import { runningRedisUrl } from '../shared/redis/provide-redis.ts'
import { createReplicateAdapter } from '../shared/replicate/replicate-adapter.ts'
import { createWebhookTokens } from '../shared/replicate/rules/webhook-token.ts'
import { readRunningService } from '../shared/process/running-service.ts'
import { createRedisLoginCodes } from '../shared/tenants/redis-login-codes.ts'
import { createTenantAdmin, type TenantAdmin } from '../shared/tenants/tenant-admin.ts'
import { createTenantKeys } from '../shared/tenants/tenant-keys.ts'
import { listWithWebhooks } from '../workers/list-with-webhooks.ts'
import type { ListFailure } from '../workers/list-window.ts'
import { accountsOf, type AccountSettings } from '../shared/settings/accounts.ts'
import {
  buildStorage,
  createLimitStore,
  createRates,
  createTenantStore,
  readBudgetOptions,
  READY_WITHIN_MS,
} from './core.ts'
import { SIMULATOR_TOKEN } from '../shared/replicate/simulator-token.ts'

/** Tools of an operator for a deployment, independent of its running processes. */
export interface OperatorTools {
  /** `unlisted`: why Replicate's predictions could not be listed; null when they were checked. */
  audit(options: {
    repair: boolean
    quiescent: boolean
    files: boolean
  }): Promise<AuditReport & { unlisted: string | null }>
  /** `left`: ms until it can be rotated; 0 when it was rotated. */
  rotateTokenKey(options: { force: boolean }): Promise<{ left: number }>
  /** Revokes all lasting links. `now`: at once; otherwise it takes some seconds. */
  rotateLinkKey(options: { now: boolean }): Promise<void>
  tenants: TenantAdmin
  /** Creates the code of a sign-in link for the development key. */
  makeLoginCode(): Promise<string>
  credits: { store: CreditStore; admin: CreditAdmin }
  budgets: BudgetAdmin
  limits: LimitStore
  /** Replays the ledger of one tenant or of all. */
  verifyLedgers(tenant: string | null): AsyncIterable<LedgerVerdict>
}

/** Connects to a running or stopped deployment; starts and changes nothing. */
export async function openForOperators(config: Config, log: Logger, scope: Scope): Promise<OperatorTools> {
  const redisUrl = config.redisUrl ?? (await runningRedisUrl(config.dataDir))
  if (redisUrl === null) throw new ConfigError(`REDIS_URL is not set, and no Redis runs for DATA_DIR ${config.dataDir}`)
  const redis = producerConnection(redisUrl, log)
  scope.defer('redis', () => closeConnection(redis))
  await untilReady(redis, READY_WITHIN_MS)
  const keys = createJobKeys(config.keyPrefix)
  const deployment = await findDeployment(redis, keys.deployment)
  if (!deployment)
    throw new ConfigError(`KEY_PREFIX: read ${config.keyPrefix}, but Redis holds no deployment of this name`)
  const { token } = config.replicate
  const accounts = accountsOf(config)
  // Without a token the predictions are at the simulator.
  const simulator = token === null ? (await readRunningService(config.dataDir))?.simulator : null
  const baseUrl =
    token === null ? (simulator ?? `http://127.0.0.1:${config.simulator.port}/v1`) : config.replicate.baseUrl
  const confirmDurable = (): Promise<void> => Promise.resolve()
  const timings = DEFAULT_TIMINGS
  const store = createRedisJobStore({
    redis,
    keys,
    timings,
    accounts: createRates(config),
    commits: createCommitRunner(redis, timings, createGeneration(redis, keys.generation, { gap: null })),
    confirmDurable,
  })
  const list = async (account: AccountSettings) => {
    const now = await store.now()
    const window = { after: now - timings.outputLifetime, before: now + timings.clockSkew }
    const unowned = (ids: string[]) => store.unowned(account.name, ids)
    const reads = createReadBudget(readBudgetOptions(redis, keys, account)).of('poll')
    const upstream = createReplicateAdapter({
      ...DEFAULT_TIMINGS,
      token: account.token ?? token ?? SIMULATOR_TOKEN,
      baseUrl,
    })
    try {
      return await listWithWebhooks({ upstream, reads, unowned }, window, new AbortController().signal)
    } finally {
      await upstream.close()
    }
  }
  const tokens = createWebhookTokens({ deployment: deployment.id, keys: deployment.keys, publicUrl: () => null })
  const { artifacts } = await buildStorage(config, scope)
  const credits = createRedisCreditStore({ redis, keys })
  const tenants = createTenantAdmin(createTenantStore(redis, keys, config, deployment.id))
  const source = createRedisAuditSource({ redis, keys })
  const ledgers = createRedisLedgerSource({ redis, keys })
  return {
    async audit({ files, ...options }) {
      const unlisted: string[] = []
      const listOrNote = async (name: string) => {
        const account = accounts.find((one) => one.name === name)
        const listed = account && (await list(account))
        if (listed?.kind === 'complete') return listed.predictions
        if (listed) {
          const words = unlistedWords(listed.failure, { host: new URL(baseUrl).host, hasToken: token !== null })
          unlisted.push(accounts.length === 1 ? words : `account ${name}: ${words}`)
        }
        return null
      }
      const report = await runAudit({
        ...options,
        source,
        ledgers,
        keys,
        keep: config.keep,
        accounts: createRates(config),
        upstream: { list: listOrNote, tokens },
        ...(files ? { artifacts } : {}),
      })
      return { ...report, unlisted: unlisted.length === 0 ? null : unlisted.join('; ') }
    },
    rotateTokenKey: (options) => rotateDeploymentKey(redis, keys.deployment, options),
    rotateLinkKey: ({ now }) => rotateLinkKey(redis, keys.deployment, { now, pause: (ms) => setTimeout(ms) }),
    tenants,
    makeLoginCode: createRedisLoginCodes(redis, createTenantKeys(keys.tag)).make,
    limits: createLimitStore(redis, keys, config),
    credits: { store: credits, admin: createCreditAdmin(credits) },
    budgets: createBudgetAdmin({ store: createRedisBudgetStore({ redis, keys }), tenants }),
    async *verifyLedgers(tenant) {
      for (const one of tenant === null ? await source.ledgers() : [tenant]) yield await verifyLedger(ledgers, one)
    },
  }
}

/** Reason why predictions could not be listed, with the address that was tried, for an operator's shell. */
function unlistedWords(
  { cause, message }: ListFailure,
  { host, hasToken }: { host: string; hasToken: boolean },
): string {
  if (cause === 'account') return `${host} refuses REPLICATE_API_TOKEN (${message})`
  if (cause === 'rate_limited') return `${message} (${host})`
  const unset = '; REPLICATE_API_TOKEN is not set in this shell or in .env, so the simulator was tried'
  return `${host} does not respond (${message})${hasToken ? '' : unset}`
}
