import type { Conditions } from '../shared/conditions/conditions.ts'
import { attemptOf } from '../shared/jobs/rules/job.ts'
import type { ApplyResult, Lifecycle } from '../shared/jobs/lifecycle.ts'
import type { CreationBreaker, DeadLetters, PredictionIndex, RecoveryGate, RedisClock } from '../shared/jobs/ports.ts'
import { isUnreadableRecord, NewerRecordError } from '../shared/jobs/record/record-codec.ts'
import { surelyOver, type Timings } from '../shared/jobs/rules/timings.ts'
import type { Logger } from '../shared/process/logger.ts'
import type { Presence } from '../shared/redis/presence.ts'
import type { GenerationCause } from '../shared/redis/generation.ts'
import type { Prediction } from '../shared/replicate/rules/prediction.ts'
import type { Accounts, ReplicateAccount } from '../shared/replicate/accounts.ts'
import type { NamedAttempt, WebhookTokens } from '../shared/replicate/rules/webhook-token.ts'
import { listAll, type ListFailure } from './list-window.ts'

export interface RecoverDependencies {
  store: Pick<PredictionIndex, 'unowned'> & CreationBreaker & RecoveryGate & DeadLetters & RedisClock
  lifecycle: Lifecycle
  accounts: Pick<Accounts, 'all' | 'of'>
  tokens: WebhookTokens
  presence: Presence
  timings: Timings
  /** Whether Redis still holds the deployment that this process started with. */
  sameDeployment: () => Promise<boolean>
  conditions: Pick<Conditions, 'set'>
  /** The same for conditions of one account. */
  conditionsOf: (account: string) => Pick<Conditions, 'set'>
  log: Logger
}

const RETRY_MS = 2_000

/**
 * The recovery gate. In a new generation Redis's memory may have gone back and lost intents: a job may be queued although
 * its prediction exists, or its create is still in flight. So nothing is created before
 *
 * 1. every process that created in a former generation has reported that all its creates are complete, or was silent for so
 *    long that they must be; the processes first record what they learn about lost intents (`recovered`). When a later
 *    memory than this one was lost, unknown processes may have created with it: the same time passes first;
 * 2. one complete listing, begun after that, was read, and every prediction in it with our token was applied to its job.
 *
 * Each account has a gate, which its list opens. A job of the former memory may have been sent in any account that it may use,
 * so it also waits for their lists; a job that was accepted since waits for that of its own account only.
 */
export function createRecoverIntents(dependencies: RecoverDependencies) {
  const { store, lifecycle, accounts, tokens, presence, timings, sameDeployment, conditions, conditionsOf, log } =
    dependencies
  const running = new Map<string, Promise<boolean>>()
  let waiting = false
  /** By account, the generation whose listing was logged: a listing that fails is repeated every few seconds. */
  const announced = new Map<string, string>()
  const hasSeveral = accounts.all.length > 1

  /** The prediction with its webhook; null when it is gone, undefined when it could not be read. */
  async function withWebhook(
    prediction: Prediction,
    { upstream, reads }: ReplicateAccount,
    signal: AbortSignal,
  ): Promise<Prediction | null | undefined> {
    if (prediction.webhook) return prediction
    await reads.of('adopt').take(signal)
    const outcome = await upstream.get(prediction.id)
    if (outcome.kind === 'not_found') return null
    return outcome.kind === 'prediction' ? outcome.prediction : undefined
  }

  /** Redis may also have lost the outcome of the previous attempt; that is applied to the job first. */
  async function adopt(
    { job, attempt }: NamedAttempt,
    prediction: Prediction,
    account: string,
    signal: AbortSignal,
  ): Promise<ApplyResult> {
    const observe = (): Promise<ApplyResult> => lifecycle.observe(job, attempt, prediction, 'list', { account })
    const result = await observe()
    if (result.kind !== 'ignored' || result.reason !== 'unknown_attempt') return result
    const before = attemptOf(result.state, attempt - 1)
    if (before === undefined) return result
    if (before.prediction_id === null) {
      await lifecycle.apply(job, { type: 'superseded', attempt: before.n }, 'list')
      return observe()
    }
    const { upstream, reads } = accounts.of(before.account)
    await reads.of('adopt').take(signal)
    const outcome = await upstream.get(before.prediction_id)
    if (outcome.kind === 'prediction') await lifecycle.observe(job, before.n, outcome.prediction, 'list')
    return observe()
  }

  /** Pauses creation when upstream is failing, so that every view of the pause shows it. */
  async function cannotList(
    why: string,
    { name: account, upstream }: ReplicateAccount,
    { cause, message, retryAfterMs }: ListFailure,
  ): Promise<void> {
    conditionsOf(account).set('recovery_listing', `${why}: ${message}`)
    if (cause === 'rate_limited') return store.pauseCreation(account, retryAfterMs ?? RETRY_MS, 'rate_limited')
    const found = cause === 'account' ? 'refused' : await upstream.account()
    if (found !== 'well')
      await store.endProbe(account, { well: false, reason: found === 'refused' ? 'account' : 'upstream' })
  }

  async function recover(account: string, signal: AbortSignal): Promise<boolean> {
    const now = await store.now()
    if (!(await sameDeployment())) {
      conditions.set('deployment_lost', 'the id of the deployment is not the one that this process started with')
      return false
    }
    conditions.set('deployment_lost', null)
    const { id: generation, open, lostAgo, cause } = await presence.look()
    const isFirst = cause === 'first'
    const why = CAUSE_WORDS[cause ?? 'restarted']
    if (open.has(account)) {
      waiting = false
      conditions.set('recovery_former', null)
      conditionsOf(account).set('recovery_listing', null)
      return true
    }
    const { processes, seen } = await presence.former(generation)
    const creating = processes.filter((ago) => ago < surelyOver(timings)).length
    const isLater = lostAgo !== null && lostAgo < surelyOver(timings)
    if (creating > 0 || isLater) {
      conditions.set(
        'recovery_former',
        `${why}: ${creating > 0 ? `${creating} ${creating === 1 ? 'process' : 'processes'}` : 'unknown processes'} may have create requests in flight`,
      )
      waiting = true
      return false
    }
    conditions.set('recovery_former', null)
    waiting = false
    // During a pause nothing could be created after the listing either; while half open, the listing is the probe.
    const pause = await store.pause(account)
    if (pause !== null && pause.until !== null) return false
    const own = accounts.of(account)
    if (announced.get(account) !== generation)
      log.info(
        hasSeveral ? { account } : {},
        isFirst
          ? "Comparing Replicate's list of predictions before the first create"
          : `${why}: comparing Replicate's list of predictions, because the last writes may be lost`,
      )
    announced.set(account, generation)
    const back = Math.min(seen ?? 0, timings.outputLifetime) + timings.recoveryWindow
    // What is known about former generations is forgotten with the first list.
    const unlisted = accounts.all.map(({ name }) => name).filter((name) => !open.has(name))
    const since = await presence.unlistedSince(generation, account, unlisted, now - back)
    if (since === null) return false
    const earliest = now - timings.outputLifetime - timings.recoveryWindow
    const window = { after: Math.max(earliest, Math.min(since, now - back)), before: now + timings.clockSkew }
    const sources = { upstream: own.upstream, reads: own.reads.of('adopt') }
    const listing = await listAll(sources, window, signal)
    if (listing.kind === 'incomplete') {
      await cannotList(why, own, listing.failure)
      return false
    }
    conditionsOf(account).set('recovery_listing', null)
    if (pause !== null) await store.endProbe(account, { well: true })
    const listed = listing.predictions
    await tokens.refresh({ now: true })
    const unowned = new Set(
      await store.unowned(
        account,
        listed.map(({ id }) => id),
      ),
    )
    let found = 0
    const newer = new Set<string>()
    for (const row of listed) {
      if (!unowned.has(row.id)) continue
      const prediction = await withWebhook(row, own, signal)
      if (prediction === undefined) return false
      const target = prediction?.webhook ? tokens.read(prediction.webhook) : null
      if (!prediction || !target) continue
      const result = await adopt(target, prediction, account, signal).catch((error: unknown) => {
        if (!isUnreadableRecord(error)) throw error
        // A damaged record creates nothing. For a newer record a worker of that release would, once the gate is open.
        if (error instanceof NewerRecordError) newer.add(target.job)
        else
          log.error(
            { err: error, job: target.job, prediction: prediction.id },
            'a prediction could not be applied to a damaged record',
          )
        return null
      })
      if (result?.kind === 'applied') found++
      if (result?.kind === 'missing')
        await store.deadLetter({ reason: 'unknown_job', job: target.job, prediction: prediction.id, webhook_id: '' })
    }
    if (newer.size > 0) {
      conditionsOf(account).set('recovery_listing', newerRecords(newer.size))
      return false
    }
    await presence.forget(generation, surelyOver(timings))
    if (!(await store.allowIntents(generation, account))) return false
    log[found > 0 ? 'warn' : 'info'](
      { ...(hasSeveral ? { account } : {}), listed: listed.length, adopted: found },
      `Redis was compared with Replicate; creation ${isFirst ? 'begins' : 'resumes'}`,
    )
    return true
  }

  return async (account: string, signal: AbortSignal): Promise<{ retryInMs: number }> => {
    const run = running.get(account) ?? recover(account, signal).finally(() => running.delete(account))
    running.set(account, run)
    const open = await run
    return { retryInMs: open ? 0 : waiting ? timings.workerBeat : RETRY_MS }
  }
}

/** Why creation waits for the comparison, at the beginning of a sentence. */
const CAUSE_WORDS: Record<NonNullable<GenerationCause>, string> = {
  first: 'Before the first create',
  lost: 'Redis lost data',
  restarted: 'Redis was restarted or replaced',
  scripts: 'Redis lost its scripts',
  unattended: 'No process was connected to Redis for a while',
}

const newerRecords = (count: number): string =>
  `a newer release wrote ${count} ${count === 1 ? 'job' : 'jobs'} with predictions: start a worker of that release`

export type RecoverIntents = ReturnType<typeof createRecoverIntents>
