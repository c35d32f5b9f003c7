import { setTimeout as delay } from 'node:timers/promises'
import type { Conditions } from '../shared/conditions/conditions.ts'
import { dueJob } from '../shared/jobs/due-member.ts'
import { attemptOf, type JobRecord, type JsonObject } from '../shared/jobs/job.ts'
import type { OutputShape } from '../shared/artifacts/output-shape.ts'
import type { OutputShapes } from '../shared/catalogue/output-shapes.ts'
import type { ApplyResult, Lifecycle } from '../shared/jobs/lifecycle.ts'
import { filesOf } from '../shared/inputs/reference.ts'
import type { Timings } from '../shared/jobs/timings.ts'
import type { JobEvent } from '../shared/jobs/decision.ts'
import type { JobStore } from '../shared/jobs/ports.ts'
import { waitsForIntent } from '../shared/jobs/rules-submit.ts'
import type { Budget } from '../shared/limits/budget.ts'
import type { Logger } from '../shared/logger.ts'
import type { CreateOutcome, PredictionPort } from '../shared/replicate/prediction-port.ts'
import { GateClosedError } from '../shared/jobs/commit-script.ts'
import type { WebhookTokens } from '../shared/replicate/webhook-token.ts'
import { NotDurableError } from '../shared/redis/durability.ts'
import { isRedisTrouble } from '../shared/redis/trouble.ts'
import { createLine } from './line.ts'
import type { CreatesUnderWay } from './creates-under-way.ts'
import type { PreparedInput, PrepareInput } from './prepare-input.ts'
import type { RecoverIntents } from './recover-intents.ts'
import { rejection } from './rejection.ts'

export interface SubmitDependencies {
  store: JobStore
  account: string
  recover: RecoverIntents
  prepare: PrepareInput
  outputShapes: OutputShapes
  underWay: Pick<CreatesUnderWay, 'begin'>
  lifecycle: Lifecycle
  upstream: PredictionPort
  /** For questions about the account. */
  reads: Budget
  tokens: WebhookTokens
  timings: Timings
  conditions: Pick<Conditions, 'set'>
  log: Logger
  /** Monotonic, ms. */
  clock: () => number
}

type Uncreated = Exclude<CreateOutcome, { kind: 'created' }>

/** How long a waiting worker sleeps at most before it looks again: a pause may have been lifted. */
const LONGEST_NAP_MS = 5_000
const PROBE_NAP_MS = 250
const OUTCOME_RETRY_MS = 500
const UNCONFIRMED_NAP_MS = 1_000

/** What the recovery gate reports while a job waits before it. */
const GATE_CONDITIONS = ['recovery_former', 'recovery_listing', 'deployment_lost'] as const

/**
 * Creates the prediction of one job, once (docs/design.md, "Submit, paid once"). The intent is committed before a byte
 * is sent and is a permit: its first byte leaves within `permit`, measured from before the commit was sent, or never. A
 * worker that finds somebody else's intent does nothing.
 */
export function createSubmitJob({
  store,
  account,
  recover,
  prepare,
  outputShapes,
  underWay,
  lifecycle,
  upstream,
  reads,
  tokens,
  timings,
  conditions,
  log,
  clock,
}: SubmitDependencies) {
  // One job of a process waits for the budget at a time: the others would only ask in vain. One that was refused keeps its
  // place.
  const line = createLine()
  let arrivals = 0

  interface Permit {
    job: JobRecord
    claim: string
    /** Monotonic, from before the commit was sent. */
    asked: number
    /** What became of the create is committed. */
    end: () => void
  }

  /**
   * The input as it is to be sent; null when the job has to wait for that, or needs no POST any more. It is made before
   * the intent, because handing files over may take longer than a permit lasts.
   */
  async function prepared(
    id: string,
    signal: AbortSignal,
  ): Promise<(PreparedInput & { shape: OutputShape | null }) | null> {
    const job = await store.read(id)
    if (job === null || (job.phase !== 'queued' && job.phase !== 'resubmitting')) return null
    if (filesOf(job.input).size > 0) {
      const rest = ((await store.pause(account))?.until ?? 0) - (await store.now())
      if (rest > 0) {
        await store.rearm(dueJob(id), rest)
        return null
      }
    }
    const result = await prepare(job, signal)
    if (result.kind === 'ready') return { ...result, shape: job.output_shape === null ? await outputShapes(job) : null }
    const error = result.kind === 'impossible' ? result.error : null
    const { health, pause } = result.kind === 'trouble' ? result : { health: null, pause: null }
    await lifecycle.apply(id, { type: 'not_prepared', error, health, pause }, 'worker')
    return null
  }

  /** The permit to POST; null when the job needs no POST any more; `stale`: its input must be made anew. Waits for the budget. */
  async function intend(
    id: string,
    place: number,
    { until, shape }: { until: number; shape: OutputShape | null },
    signal: AbortSignal,
  ): Promise<Permit | 'stale' | null> {
    for (;;) {
      await line.letEarlierPass(place)
      signal.throwIfAborted()
      if (Date.now() > until) return 'stale'
      let claim = ''
      let asked = clock()
      let end = (): void => undefined
      const result = await lifecycle
        .apply(
          id,
          (commitId) => {
            claim = commitId
            asked = clock()
            end()
            end = underWay.begin()
            return { type: 'intend', claim, ...(shape === null ? {} : { output_shape: shape }) }
          },
          'worker',
        )
        .catch(async (error: unknown) => {
          if (error instanceof GateClosedError) {
            end()
            return null
          }
          // Written or not: nothing is sent on it.
          await untilTaken(() => withdraw(id, claim), id, signal).finally(end)
          if (error instanceof NotDurableError) return 'withdrawn'
          throw error
        })
      if (result === 'withdrawn') {
        log.warn({ job: id }, 'an intent was not confirmed to be on disk; nothing was sent')
        await delay(UNCONFIRMED_NAP_MS, undefined, { signal })
        return 'stale'
      }
      if (result?.kind === 'applied') return { job: result.state.job, claim, asked, end }
      end()
      if (result === null) {
        const { retryInMs } = await recover(signal)
        await delay(retryInMs, undefined, { signal })
        continue
      }
      if (result.kind === 'probing') {
        await probe(signal)
        await delay(PROBE_NAP_MS, undefined, { signal })
        continue
      }
      if (result.kind !== 'limited' && result.kind !== 'paused') return null
      await delay(Math.min(result.waitMs, LONGEST_NAP_MS), undefined, { signal })
    }
  }

  /** Takes back an intent that this worker did not act on, if it was written. */
  async function withdraw(id: string, claim: string): Promise<void> {
    const { state } = await store.load(id)
    const attempt = state?.attempts.find((one) => one.claim === claim && one.state === 'intended')
    if (attempt) await lifecycle.apply(id, { type: 'not_sent', attempt: attempt.n, claim }, 'worker')
  }

  /** After trouble: asks whether upstream is well, one process at a time; then one create may pass. */
  async function probe(signal: AbortSignal): Promise<void> {
    if (!(await store.beginProbe(account))) return
    await reads.take(signal)
    const found = await upstream.account()
    log.info({ found }, 'creation is paused; asked Replicate whether the account works')
    await store.endProbe(
      account,
      found === 'well' ? { well: true } : { well: false, reason: found === 'refused' ? 'account' : 'upstream' },
    )
  }

  /** 403 and 404 are the model's fault, unless upstream does not know the account either. */
  async function judged(outcome: Uncreated): Promise<Uncreated> {
    if (outcome.kind !== 'not_created' || outcome.refusal.class !== 'rejected') return outcome
    const { status, message } = outcome.refusal
    if (status !== 403 && status !== 404) return outcome
    // What became of the create must be told, whatever the budget says.
    await reads.take(AbortSignal.timeout(timings.readTimeout)).catch(() => undefined)
    if ((await upstream.account()) !== 'refused') return outcome
    return { kind: 'not_created', refusal: { class: 'account', status, message } }
  }

  async function intendInLine(
    id: string,
    place: number,
    wanted: { until: number; shape: OutputShape | null },
    signal: AbortSignal,
  ): Promise<Permit | 'stale' | null> {
    await line.enter(place)
    try {
      return await intend(id, place, wanted, signal)
    } finally {
      // The gate is open, or nothing waits before it any more.
      for (const name of GATE_CONDITIONS) conditions.set(name, null)
      line.leave()
    }
  }

  /** True when the job is back in the line and wants another POST. */
  async function submitOnce(id: string, place: number, signal: AbortSignal): Promise<boolean> {
    const wanted = await prepared(id, signal)
    if (wanted === null) return false
    const permit = await intendInLine(id, place, wanted, signal)
    if (permit === null || permit === 'stale') return permit === 'stale'
    try {
      return await post(permit, wanted.input, signal)
    } finally {
      permit.end()
    }
  }

  /** What became of an intent is known here only: it is written until Redis takes it, or the worker stops. */
  async function untilTaken<T>(record: () => Promise<T>, id: string, signal: AbortSignal): Promise<T> {
    for (let tries = 1; ; tries++) {
      try {
        return await record()
      } catch (error) {
        if (!isRedisTrouble(error) || signal.aborted) throw error
        if (tries === 1) log.warn({ err: error, job: id }, 'Redis did not take the outcome of an intent; trying again')
        await delay(OUTCOME_RETRY_MS)
      }
    }
  }

  async function post({ job, claim, asked }: Permit, input: JsonObject, signal: AbortSignal): Promise<boolean> {
    const { id, attempt } = job
    const outcome = await upstream.create(
      {
        model: job.model,
        version: job.version,
        deployment: job.deployment,
        input,
        webhook: tokens.url(id, attempt),
        events: job.webhook_events,
        cancelAfter: job.timeout,
      },
      asked + timings.permit - timings.connectTimeout,
    )
    if (outcome.kind === 'not_sent') log.warn({ job: id, attempt }, 'the permit ran out; nothing was sent')
    let record: () => Promise<ApplyResult>
    if (outcome.kind === 'created') {
      const { prediction } = outcome
      record = () => lifecycle.observe(id, attempt, prediction, 'create')
    } else {
      const event = eventOf(await judged(outcome), attempt, claim)
      record = () => lifecycle.apply(id, event, 'create')
    }
    const result = await untilTaken(record, id, signal)
    if (outcome.kind === 'unknown') {
      const { reason } = outcome
      log.warn({ job: id, attempt, reason }, 'it is not known whether the create arrived')
      const known = result.kind !== 'ignored' || attemptOf(result.state, attempt)
      if (!known) await lifecycle.apply(id, { type: 'forgotten', attempt, reason }, 'create')
    }
    return result.kind === 'applied' && waitsForIntent(result.state)
  }

  return async (id: string, signal: AbortSignal): Promise<void> => {
    const place = ++arrivals
    while (await submitOnce(id, place, signal));
  }
}

/** What a create that brought no prediction means for the job and for the account. */
function eventOf(outcome: Uncreated, attempt: number, claim: string): JobEvent {
  if (outcome.kind === 'not_sent') return { type: 'not_sent', attempt, claim }
  if (outcome.kind === 'unknown') return { type: 'lost', attempt, claim, reason: outcome.reason }
  const { refusal } = outcome
  const base = { type: 'refused', attempt, claim, error: null, pause: null } as const
  switch (refusal.class) {
    case 'rate_limited':
      return {
        ...base,
        outcome: 'rate_limited',
        pause: { for: refusal.retryAfterMs, reason: 'rate_limited' },
        health: null,
      }
    case 'unreachable':
      return { ...base, outcome: 'unreachable', health: 'fault' }
    case 'account':
      return { ...base, outcome: `refused_${refusal.status}`, health: 'refused' }
    case 'rejected':
      return { ...base, outcome: `refused_${refusal.status}`, error: rejection(refusal), health: 'healthy' }
  }
}
