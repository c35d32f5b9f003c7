import type { ConditionName } from '../shared/conditions/rules/condition.ts'
import { clockDifference, workerSilence } from '../shared/conditions/rules/thresholds.ts'
import { detailOf } from '../shared/conditions/account-conditions.ts'
import { createMissingAccounts } from '../shared/conditions/redis-missing-accounts.ts'
import { pacedLook } from '../shared/conditions/paced-look.ts'
import { watchConditions, type Look } from '../shared/conditions/watch-conditions.ts'
import { rememberCheck, type HealthCheck } from '../shared/process/health.ts'
import { AT_RISK_MS, type Pause } from '../shared/jobs/ports.ts'
import { shownRate } from '../shared/limits/rules/budget.ts'
import type { Logger } from '../shared/process/logger.ts'
import { createRedisPresence } from '../shared/redis/redis-presence.ts'
import type { ReplicateAccount } from '../shared/replicate/accounts.ts'
import type { Core } from './core.ts'
import { redisFitness } from './health.ts'

/** Interval of Redis checks, ms. INFO is long, and the configuration rarely changes. */
const REDIS_CHECK_MS = 10_000
/** How often accounts are looked for that are missing; ms. */
const MISSING_PACE = { calm: 30_000, first: 5_000, longest: 5_000 }
/** How often the bucket is noted, or missed; ms. */
const BUCKET_PACE = { calm: 60_000, first: 15_000, longest: 60_000 }
/** Notifications that could have been sent for this long are late, ms. */
const NOTIFICATIONS_LATE_MS = 60_000
/** Checks for conditions while the process runs; returns a function that stops it. `looks`: the checks of the role. */
export function watchDeployment(core: Core, looks: readonly Look[], log: Logger): () => Promise<void> {
  return watchConditions({
    conditions: core.conditions,
    looks: [
      pauseLook(core),
      accountsLook(core),
      rateLook(core),
      modelLook(core),
      troubleLook(core),
      checkLook('redis_unfit', rememberCheck(redisFitness(core), REDIS_CHECK_MS)),
      checkLook('storage_failing', core.storageCheck),
      checkLook('disk_filling', core.reserve.check),
      pacedLook(async () => ({ bucket_unset: await core.lostBucket() }), BUCKET_PACE),
      clockLook(core),
      ...looks,
    ],
    everyMs: core.timings.conditionCheck,
    log,
  })
}

const PAUSES = ['account', 'webhook', 'upstream', 'rate_limited', 'storage'] as const

/** When creation goes on: a probe first, unless a time was all that it waited for. */
const nextStep = ({ reason, until }: Pause): string => {
  if (until === null) return 'GET /account is checked before the next create'
  const at = `${new Date(until).toISOString().slice(0, 19)}Z`
  return reason === 'rate_limited' || reason === 'storage' ? `until ${at}` : `next check of GET /account at ${at}`
}

const namesOf = ({ all }: Core['accounts']): string[] => all.map(({ name }) => name)

/** Accounts that are missing from the configuration. */
function accountsLook({ redis, keys, accounts, store }: Core): Look {
  const missing = createMissingAccounts({
    redis,
    key: keys.accounts,
    configured: namesOf(accounts),
    openIn: async (account) => (await store.openPredictions(account)) + (await store.unknownAttempts(account)).length,
  })
  return pacedLook(async () => ({ account_missing: await missing() }), MISSING_PACE)
}

/** The rates of creates after 429s. */
const rateLook =
  ({ store, accounts }: Core): Look =>
  async () => {
    const lowered = new Map<string, string>()
    for (const { name } of accounts.all) {
      const { perMinute, ceiling, quietSince } = await store.createRate(name)
      if (quietSince !== null) lowered.set(name, `${shownRate(perMinute)} of ${ceiling} per minute`)
    }
    return { rate_lowered: lowered.size === 0 ? null : detailOf(lowered, namesOf(accounts)) }
  }

/**
 * The pause of an account is shared: every process reports it. A token that is accepted ends the pause that its refusal began,
 * before that pause could become a separate condition.
 */
function pauseLook({ store, accounts }: Core): Look {
  const wasRefused = new Set<string>()

  async function pauseOf({ name, isRefused }: ReplicateAccount): Promise<Pause | null> {
    const pause = await store.pause(name)
    if (isRefused()) wasRefused.add(name)
    else if (wasRefused.has(name)) {
      await store.endRefusal(name, ['account'])
      wasRefused.delete(name)
      return store.pause(name)
    }
    return pause
  }

  const names = namesOf(accounts)
  return async () => {
    const pauses = await Promise.all(accounts.all.map(async (one) => ({ name: one.name, pause: await pauseOf(one) })))
    const detail = (reason: Pause['reason']): string | null => {
      const found = pauses.flatMap(({ name, pause }): [string, string][] =>
        pause?.reason === reason ? [[name, nextStep(pause)]] : [],
      )
      return found.length === 0 ? null : detailOf(new Map(found), names)
    }
    return Object.fromEntries(PAUSES.map((reason) => [`pause_${reason}`, detail(reason)]))
  }
}

const modelLook =
  ({ store }: Core): Look =>
  async () => {
    const failing = await store.failingModels()
    return { model_failing: failing.length === 0 ? null : failing.join(', ') }
  }

const troubleLook =
  ({ store, webhooks, notifications, accounts }: Core): Look =>
  async () => {
    const [failingFor, atRisk, isSilent, lateBy] = await Promise.all([
      store.storageFailingFor(),
      store.artifactsAtRisk(AT_RISK_MS),
      Promise.all(accounts.all.map(({ name }) => store.webhooksSilent(name))),
      notifications.lateBy(),
    ])
    return {
      copies_failing: failingFor === null ? null : 'the log of the workers contains the reason',
      outputs_at_risk: atRisk === 0 ? null : `${atRisk} outputs`,
      notifications_late: lateBy < NOTIFICATIONS_LATE_MS ? null : `since ${Math.round(lateBy / 1000)} s`,
      webhooks_silent:
        webhooks() && isSilent.includes(true) ? 'the completion of the last predictions was detected by polling' : null,
    }
  }

const checkLook =
  (name: ConditionName, check: HealthCheck): Look =>
  async () => {
    const { ok, detail } = await check()
    return { [name]: ok ? null : detail }
  }

/** ms by which this machine's clock is ahead of that of Redis. */
export async function aheadOfRedis({ now }: { now(): Promise<number> }): Promise<number> {
  const began = Date.now()
  const redis = await now()
  return (began + Date.now()) / 2 - redis
}

const clockLook =
  ({ store, timings, upstreamClock }: Core): Look =>
  async () => {
    const ahead = { redis: await aheadOfRedis(store), upstream: upstreamClock() }
    return { clock_difference: clockDifference(timings, ahead) }
  }

/**
 * Checks the token at startup, so that an invalid one is reported before the first job; later only while upstream is
 * failing, so that its recovery is noticed although no other request is sent. The adapter reports the result. The start of a
 * process, which may have corrected settings, ends a pause that a refusal began.
 */
export function upstreamLook({ timings, accounts, store }: Core): Look {
  const { first } = timings.troublePause
  const looks = accounts.all.map(({ name, upstream, reads, isRefused, isFailing }): Look => {
    let isTried = false
    const ask: Look = async () => {
      await reads.of('poll').take(AbortSignal.timeout(timings.readTimeout))
      const found = await upstream.account()
      if (!isTried && found === 'well') await store.endRefusal(name, ['account', 'webhook'])
      isTried = true
      return {}
    }
    const asked = pacedLook(ask, { calm: first, first, longest: first })
    return async () => (!isTried || isRefused() || isFailing() ? asked() : {})
  })
  return async () => {
    const failures = (await Promise.allSettled(looks.map((look) => look()))).flatMap((one) =>
      one.status === 'rejected' ? [one.reason] : [],
    )
    if (failures.length > 0) throw failures[0]
    return {}
  }
}

/** Pauses creation while outputs cannot be stored, so that no output is paid for and lost. */
export const storageLook =
  ({ store, storageCheck, timings, accounts }: Core): Look =>
  async () => {
    if (!(await storageCheck()).ok)
      await Promise.all(accounts.all.map(({ name }) => store.pauseCreation(name, 2 * timings.storageCheck, 'storage')))
    return {}
  }

/** Reports a deployment without a running worker, which would accept jobs and never begin them. */
export function workerLook({ redis, keys, generation, timings }: Core): Look {
  const presence = createRedisPresence(redis, keys.presence, generation)
  const silence = workerSilence(timings)
  const startedAt = performance.now()
  return async () => {
    const ago = await presence.seenAgo()
    if (ago !== null && ago < silence) return { no_worker: null }
    // Workers can start a moment later than the api.
    if (performance.now() - startedAt < silence) return {}
    return {
      no_worker: ago === null ? 'no worker was ever seen' : `the last worker was seen ${Math.round(ago / 1000)} s ago`,
    }
  }
}
