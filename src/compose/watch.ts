import type { ConditionName } from '../shared/conditions/rules/condition.ts'
import { clockDifference, workerSilence } from '../shared/conditions/rules/thresholds.ts'
import { pacedLook } from '../shared/conditions/paced-look.ts'
import { watchConditions, type Look } from '../shared/conditions/watch-conditions.ts'
import { rememberCheck, type HealthCheck } from '../shared/process/health.ts'
import { AT_RISK_MS, type Pause } from '../shared/jobs/ports.ts'
import { createReadBudget } from '../shared/limits/redis-budget.ts'
import { shownRate } from '../shared/limits/rules/budget.ts'
import type { Logger } from '../shared/process/logger.ts'
import { createRedisPresence } from '../shared/redis/redis-presence.ts'
import { ACCOUNT, readBudgetOptions, type Core, type ServiceOptions } from './core.ts'
import { redisFitness } from './health.ts'

/** Interval of Redis checks, ms. INFO is long, and the configuration rarely changes. */
const REDIS_CHECK_MS = 10_000
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
      rateLook(core),
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

/** The rate of creates after 429s. */
const rateLook =
  ({ store }: Core): Look =>
  async () => {
    const { perMinute, ceiling, quietSince } = await store.createRate(ACCOUNT)
    return { rate_lowered: quietSince === null ? null : `${shownRate(perMinute)} of ${ceiling} per minute` }
  }

/**
 * The account's pause is shared: every process reports it. A token that is accepted ends the pause that its refusal began,
 * before that pause could become a separate condition.
 */
function pauseLook({ store, conditions }: Core): Look {
  let wasRefused = false
  return async () => {
    let pause = await store.pause(ACCOUNT)
    if (conditions.has('token_refused')) wasRefused = true
    else if (wasRefused) {
      await store.endRefusal(ACCOUNT, ['account'])
      wasRefused = false
      pause = await store.pause(ACCOUNT)
    }
    const detail = pause && nextStep(pause)
    return Object.fromEntries(PAUSES.map((reason) => [`pause_${reason}`, pause?.reason === reason ? detail : null]))
  }
}

const troubleLook =
  ({ store, webhooks, notifications }: Core): Look =>
  async () => {
    const [failingFor, atRisk, isSilent, lateBy] = await Promise.all([
      store.storageFailingFor(),
      store.artifactsAtRisk(AT_RISK_MS),
      store.webhooksSilent(ACCOUNT),
      notifications.lateBy(),
    ])
    return {
      copies_failing: failingFor === null ? null : 'the log of the workers contains the reason',
      outputs_at_risk: atRisk === 0 ? null : `${atRisk} outputs`,
      notifications_late: lateBy < NOTIFICATIONS_LATE_MS ? null : `since ${Math.round(lateBy / 1000)} s`,
      webhooks_silent: webhooks() && isSilent ? 'the completion of the last predictions was detected by polling' : null,
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
export function upstreamLook(
  { redis, keys, conditions, timings, upstream, store }: Core,
  { config }: ServiceOptions,
): Look {
  const reads = createReadBudget(readBudgetOptions(redis, keys, config)).of('poll')
  let isTried = false
  const isTroubled = (): boolean => conditions.has('token_refused') || conditions.has('upstream_failing')
  const ask: Look = async () => {
    await reads.take(AbortSignal.timeout(timings.readTimeout))
    const found = await upstream.account()
    if (!isTried && found === 'well') await store.endRefusal(ACCOUNT, ['account', 'webhook'])
    isTried = true
    return {}
  }
  const { first } = timings.troublePause
  const asked = pacedLook(ask, { calm: first, first, longest: first })
  return async () => (!isTried || isTroubled() ? asked() : {})
}

/** Pauses creation while outputs cannot be stored, so that no output is paid for and lost. */
export const storageLook =
  ({ store, storageCheck, timings }: Core): Look =>
  async () => {
    if (!(await storageCheck()).ok) await store.pauseCreation(ACCOUNT, 2 * timings.storageCheck, 'storage')
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
