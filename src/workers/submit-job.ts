import { setTimeout as delay } from 'node:timers/promises'
import type { Conditions } from '../shared/conditions/conditions.ts'
import { dueJob } from '../shared/jobs/record/due-member.ts'
import { attemptOf, type JobRecord } from '../shared/jobs/rules/job.ts'
import type { OutputShape } from '../shared/artifacts/rules/output-shape.ts'
import type { OutputShapes } from '../shared/catalogue/output-shapes.ts'
import type { ApplyResult, Lifecycle, Seen } from '../shared/jobs/lifecycle.ts'
import { filesOf } from '../shared/inputs/rules/reference.ts'
import { cancelAfter } from '../shared/jobs/rules/deadlines.ts'
import { untilRungAgain } from '../shared/jobs/rules/next-tick.ts'
import type { JobWaits } from '../shared/jobs/job-waits.ts'
import type { Timings } from '../shared/jobs/rules/timings.ts'
import type { JobEvent } from '../shared/jobs/rules/decision.ts'
import {
  GateClosedError,
  type CreationBreaker,
  type DueTimes,
  type JobLine,
  type JobLoader,
  type RedisClock,
} from '../shared/jobs/ports.ts'
import { accountScope, isAccountScope, mayReturn, placeOf } from '../shared/jobs/rules/place.ts'
import { waitsForIntent } from '../shared/jobs/rules/submit.ts'
import type { Logger } from '../shared/process/logger.ts'
import type { Accounts } from '../shared/replicate/accounts.ts'
import type { CreateOutcome } from '../shared/replicate/prediction-port.ts'
import type { JsonObject } from '../shared/values/json.ts'
import type { WebhookTokens } from '../shared/replicate/rules/webhook-token.ts'
import { NotDurableError } from '../shared/redis/durability.ts'
import { isRedisTrouble } from '../shared/redis/trouble.ts'
import type { ChooseAccount, ChosenAccount } from './choose-account.ts'
import type { CreatesInFlight } from './creates-in-flight.ts'
import { createFifoMutex, type FifoMutex } from './fifo-mutex.ts'
import type { InHand } from './line-taker.ts'
import type { PreparedInput, PrepareInput } from './prepare-input.ts'
import type { RecoverIntents } from './recover-intents.ts'
import { rejection } from './rejection.ts'

export interface SubmitDependencies {
  store: JobLoader &
    Pick<JobLine, 'standAside'> &
    DueTimes &
    RedisClock &
    Pick<CreationBreaker, 'pause' | 'beginProbe' | 'endProbe'>
  accounts: Pick<Accounts, 'of'>
  chooser: ChooseAccount
  recover: RecoverIntents
  prepare: PrepareInput
  outputShapes: OutputShapes
  inFlight: Pick<CreatesInFlight, 'begin'>
  lifecycle: Lifecycle
  tokens: WebhookTokens
  timings: Timings
  conditions: Pick<Conditions, 'set'>
  waits: Pick<JobWaits, 'note'>
  log: Logger
  /** Monotonic, ms. */
  clock: () => number
}

/** A job that this process has no lease on. */
const NOT_IN_LINE: InHand = { waits: () => undefined, limited: () => undefined, release: () => Promise.resolve() }

type Uncreated = Exclude<CreateOutcome, { kind: 'created' }>

/** Longest sleep of a waiting worker, because a pause may have ended early. */
const LONGEST_NAP_MS = 5_000
const PROBE_NAP_MS = 250
const NO_ROOM_NAP_MS = 250
/** From this wait for a token on, a job looks for another account; it rests before, so that it does not look all the time. */
const LONG_WAIT_MS = 1_000
const MOVE_NAP_MS = 100
const OUTCOME_RETRY_MS = 500
const UNCONFIRMED_NAP_MS = 1_000

/** Conditions that the recovery gate reports while a job waits for it. */
const GATE_CONDITIONS = ['recovery_former', 'recovery_listing', 'deployment_lost'] as const

/**
 * Creates the prediction of one job, once (docs/design.md, "Submit, paid once"). The intent is committed before a byte is
 * sent, and is a permit: the first byte is sent within `permit`, measured from before the commit was sent, or never. A
 * worker that finds an intent of another worker does nothing.
 */
export function createSubmitJob({
  store,
  accounts,
  chooser,
  recover,
  prepare,
  outputShapes,
  inFlight,
  lifecycle,
  tokens,
  timings,
  conditions,
  waits,
  log,
  clock,
}: SubmitDependencies) {
  // One job of a process waits for the budget of an account at a time, because the others could not get a token either. A
  // refused job keeps its ticket.
  const mutexes = new Map<string, FifoMutex>()
  const mutexOf = (account: string): FifoMutex => {
    const mutex = mutexes.get(account) ?? createFifoMutex()
    mutexes.set(account, mutex)
    return mutex
  }
  let tickets = 0

  interface Wanted extends PreparedInput {
    chosen: ChosenAccount
    shape: OutputShape | null
    /** The job from which the input was prepared. */
    seen: Seen
  }

  interface Permit {
    job: JobRecord
    seen: Seen
    claim: string
    /** Monotonic, ms: from before the commit was sent. */
    asked: number
    /** Called when the outcome of the create is committed. */
    end: () => void
  }

  /**
   * The permit to POST. `stale`: prepare the input again; `closed`: the list of this account has to be compared first; `aside`: the
   * account takes nothing now, and jobs of others go on; null: no POST is needed any more.
   */
  type Intended = Permit | 'stale' | { closed: string } | 'aside' | null

  /**
   * The input to send; null when the job has to wait for it, or needs no POST any more. It is prepared before the intent,
   * because uploads of files may take longer than a permit lasts.
   */
  async function prepared(id: string, signal: AbortSignal, inHand: InHand): Promise<Wanted | null> {
    const seen = await lifecycle.look(id)
    if (seen.state === null || !waitsForIntent(seen.state)) return null
    const chosen = await chooser.choose(seen.state)
    if (chosen === null) {
      await store.rearm(dueJob(id), timings.ringAgain.max)
      return null
    }
    const wanted = await preparedFor(chosen, seen, seen.state.job, signal, inHand).catch((error: unknown) => {
      chosen.leave()
      throw error
    })
    if (wanted === null) chosen.leave()
    return wanted
  }

  async function preparedFor(
    chosen: ChosenAccount,
    seen: Seen,
    job: JobRecord,
    signal: AbortSignal,
    inHand: InHand,
  ): Promise<Wanted | null> {
    const { id } = job
    const { account } = chosen
    const hasFiles = filesOf(job.input).size > 0
    if (hasFiles) {
      const rest = ((await store.pause(account))?.until ?? 0) - (await store.now())
      if (rest > 0) {
        await store.rearm(dueJob(id), rest)
        return null
      }
    }
    if (hasFiles) inHand.waits(false)
    const result = await prepare(job, account, signal)
    inHand.waits(true)
    if (result.kind === 'ready')
      return { ...result, chosen, seen, shape: job.output_shape === null ? await outputShapes(job) : null }
    const error = result.kind === 'impossible' ? result.error : null
    const { health, pause } = result.kind === 'trouble' ? result : { health: null, pause: null }
    await lifecycle.apply(id, { type: 'not_prepared', error, health, pause, account }, 'worker')
    return null
  }

  /** Waits for the budget and the permit to POST. */
  async function intend(
    id: string,
    ticket: number,
    { until, shape, seen, chosen }: Wanted,
    signal: AbortSignal,
    inHand: InHand,
  ): Promise<Intended> {
    const { account, others } = chosen
    const target = { account, ...(others.length === 0 ? {} : { compared: others }) }
    /** Of another account: its list must be compared before this job may be created anywhere. */
    let closed: string | null = null
    const { lease } = inHand
    // What this process holds for an account that takes nothing would keep the jobs of others in line.
    const givesWay = lease !== undefined && !chosen.isOnly
    for (let hasWaited = false; ;) {
      await mutexOf(account).yieldToEarlier(ticket)
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
            end = inFlight.begin()
            return {
              type: 'intend',
              claim,
              ...target,
              ...(shape === null ? {} : { output_shape: shape }),
              ...(lease === undefined ? {} : { lease }),
            }
          },
          'worker',
          seen,
        )
        .catch(async (error: unknown) => {
          if (error instanceof GateClosedError) {
            end()
            closed = error.account
            return null
          }
          // Whether it was written or not, no POST is sent for it.
          await untilTaken(() => withdraw(id, claim), id, signal).finally(end)
          if (error instanceof NotDurableError) return 'withdrawn'
          throw error
        })
      if (result === 'withdrawn') {
        log.warn(
          { job: id },
          'Redis did not confirm that a create was recorded durably; the create request was not sent',
        )
        await delay(UNCONFIRMED_NAP_MS, undefined, { signal })
        return 'stale'
      }
      if (result?.kind === 'applied' && !hasWaited) inHand.limited(0)
      if (result?.kind === 'applied') return { job: result.state.job, seen: result.seen, claim, asked, end }
      end()
      if (result === null) {
        if (closed !== null && closed !== account) return { closed }
        const { retryInMs } = await recover(account, signal)
        if (retryInMs > 0 && (await chooser.shouldMove(chosen))) return 'stale'
        if (retryInMs > LONG_WAIT_MS && givesWay) return 'aside'
        await delay(retryInMs, undefined, { signal })
        continue
      }
      if (result.kind === 'probing') {
        const isProbed = await probe(account, signal)
        if (!isProbed && (await chooser.shouldMove(chosen))) return 'stale'
        if (!isProbed && givesWay) return 'aside'
        await delay(PROBE_NAP_MS, undefined, { signal })
        continue
      }
      // It ended in line.
      if (result.kind === 'ignored' && result.reason === 'overdue')
        await lifecycle.apply(id, { type: 'tick' }, 'worker')
      // Rung for when a job of its crowd ends. Its lease would bring it back much sooner, to no end.
      if (result.kind === 'crowded' && seen.state)
        await store.rearm(dueJob(id), untilRungAgain(seen.state.job, await store.now(), timings))
      if (result.kind === 'blocked' && isAccountScope(result.scope)) {
        if (await chooser.shouldMove(chosen)) return 'stale'
        if (givesWay) return 'aside'
        await delay(NO_ROOM_NAP_MS, undefined, { signal })
        continue
      }
      if (result.kind !== 'limited' && result.kind !== 'paused') return null
      if (result.kind === 'paused' && (await chooser.shouldMove(chosen))) return 'stale'
      if (result.kind === 'paused' && result.waitMs > LONG_WAIT_MS && givesWay) return 'aside'
      if (result.kind === 'limited' && result.waitMs > LONG_WAIT_MS && (await chooser.shouldMove(chosen))) {
        await delay(MOVE_NAP_MS, undefined, { signal })
        return 'stale'
      }
      hasWaited = true
      if (result.kind === 'limited') inHand.limited(chooser.everyMs(account, result.everyMs))
      await delay(Math.min(result.waitMs, LONGEST_NAP_MS), undefined, { signal })
    }
  }

  /**
   * The job may have been sent in another account, in the time that Redis lost. Others do not wait for the list of that one, so
   * this job gives way to them until the list was compared. Returns whether it was.
   */
  async function waitForOther(id: string, other: string, signal: AbortSignal): Promise<boolean> {
    const { retryInMs } = await recover(other, signal)
    if (retryInMs === 0) return true
    await waits.note(id, {
      reason: 'recovery',
      detail: `The job may have been sent before Redis was restarted. It waits until the predictions of the account ${other} have been listed.`,
    })
    await store.rearm(dueJob(id), LONGEST_NAP_MS)
    return false
  }

  /** Withdraws an intent without a POST, if it was written. */
  async function withdraw(id: string, claim: string): Promise<void> {
    const { state } = await store.load(id)
    const attempt = state?.attempts.find((one) => one.claim === claim && one.state === 'intended')
    if (attempt) await lifecycle.apply(id, { type: 'not_sent', attempt: attempt.n, claim }, 'worker')
  }

  /**
   * Probes a half-open circuit breaker, one process at a time; after a successful probe one create may pass. Returns whether
   * the account is well.
   */
  async function probe(account: string, signal: AbortSignal): Promise<boolean> {
    if (!(await store.beginProbe(account))) return false
    const { upstream, reads } = accounts.of(account)
    await reads.of('adopt').take(signal)
    const found = await upstream.account()
    log.info({ account, found }, 'creation is paused; probed the account at Replicate')
    await store.endProbe(
      account,
      found === 'well' ? { well: true } : { well: false, reason: found === 'refused' ? 'account' : 'upstream' },
    )
    return found === 'well'
  }

  /** 403 and 404 concern the model, unless upstream also refuses the account. */
  async function judged(outcome: Uncreated, account: string): Promise<Uncreated> {
    if (outcome.kind !== 'not_created' || outcome.refusal.class !== 'rejected') return outcome
    const { status, message } = outcome.refusal
    if (status !== 403 && status !== 404) return outcome
    // The outcome of the create must be recorded, even without a token of the budget.
    const { upstream, reads } = accounts.of(account)
    await reads
      .of('adopt')
      .take(AbortSignal.timeout(timings.readTimeout))
      .catch(() => undefined)
    if ((await upstream.account()) !== 'refused') return outcome
    return { kind: 'not_created', refusal: { class: 'account', status, message } }
  }

  async function intendInTurn(
    id: string,
    ticket: number,
    wanted: Wanted,
    signal: AbortSignal,
    inHand: InHand,
  ): Promise<Intended> {
    const mutex = mutexOf(wanted.chosen.account)
    await mutex.acquire(ticket)
    try {
      return await intend(id, ticket, wanted, signal, inHand)
    } finally {
      // The gate is open, or no job waits for it any more.
      for (const name of GATE_CONDITIONS) conditions.set(name, null)
      mutex.release()
    }
  }

  /** The job waits for something else, or is over. */
  async function letGo(id: string, inHand: InHand): Promise<false> {
    if (inHand.lease === undefined) return false
    const { state } = await store.load(id)
    await inHand.release(state === null || !mayReturn(state.job))
    return false
  }

  async function standAside({ chosen: { account }, seen: { state } }: Wanted): Promise<false> {
    if (state) await store.standAside(placeOf(state.job), accountScope(account))
    return false
  }

  /** Returns true when the job is queued again and needs another POST. */
  async function submitOnce(id: string, ticket: number, signal: AbortSignal, inHand: InHand): Promise<boolean> {
    inHand.waits(true)
    const wanted = await prepared(id, signal, inHand)
    if (wanted === null) return letGo(id, inHand)
    const permit = await intendInTurn(id, ticket, wanted, signal, inHand).finally(wanted.chosen.leave)
    if (permit === null) return letGo(id, inHand)
    if (permit === 'stale') return true
    if (permit === 'aside') return standAside(wanted)
    if ('closed' in permit) return (await waitForOther(id, permit.closed, signal)) || letGo(id, inHand)
    inHand.waits(false)
    try {
      return await post(permit, wanted.input, signal, inHand.lease !== undefined)
    } finally {
      permit.end()
    }
  }

  /** Retries until Redis takes the outcome of an intent, which only this process knows, or the worker stops. */
  async function untilTaken<T>(record: () => Promise<T>, id: string, signal: AbortSignal): Promise<T> {
    for (let tries = 1; ; tries++) {
      try {
        return await record()
      } catch (error) {
        if (!isRedisTrouble(error) || signal.aborted) throw error
        if (tries === 1)
          log.warn({ err: error, job: id }, 'Redis did not store the outcome of a create request; retrying')
        await delay(OUTCOME_RETRY_MS)
      }
    }
  }

  /** `isHeld`: this process has a lease on the job, and goes on with it when it has to be sent again. */
  async function post(
    { job, seen, claim, asked }: Permit,
    input: JsonObject,
    signal: AbortSignal,
    isHeld: boolean,
  ): Promise<boolean> {
    const { id, attempt, account } = job
    const outcome = await accounts.of(account).upstream.create(
      {
        model: job.model,
        version: job.version,
        deployment: job.deployment,
        input,
        webhook: tokens.url(id, attempt, account),
        events: job.webhook_events,
        cancelAfter: cancelAfter(job) / 1000,
      },
      asked + timings.permit - timings.connectTimeout,
    )
    if (outcome.kind === 'not_sent')
      log.warn(
        { job: id, attempt },
        'this process was delayed for too long after it recorded a create; the create request was not sent, and is repeated',
      )
    let record: () => Promise<ApplyResult>
    if (outcome.kind === 'created') {
      const { prediction } = outcome
      record = () => lifecycle.observe(id, attempt, prediction, 'create', { seen, isHeld, account })
    } else {
      const event = eventOf(await judged(outcome, account), attempt, claim)
      record = () => lifecycle.apply(id, event, 'create', seen, isHeld)
    }
    const result = await untilTaken(record, id, signal)
    if (outcome.kind === 'unknown') {
      const { reason } = outcome
      log.warn({ job: id, attempt, reason }, 'the outcome of a create request is unknown')
      const known = result.kind !== 'ignored' || attemptOf(result.state, attempt)
      if (!known) await lifecycle.apply(id, { type: 'forgotten', attempt, reason, account }, 'create')
    }
    return result.kind === 'applied' && waitsForIntent(result.state)
  }

  return async (id: string, signal: AbortSignal, inHand: InHand = NOT_IN_LINE): Promise<void> => {
    const ticket = ++tickets
    while (await submitOnce(id, ticket, signal, inHand));
  }
}

/** The event for a create without a prediction. */
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
        throttled: { stated: refusal.stated },
        health: null,
      }
    case 'unreachable':
      return { ...base, outcome: 'unreachable', health: 'fault' }
    case 'account':
      return { ...base, outcome: `refused_${refusal.status}`, health: 'refused' }
    case 'webhook':
      return { ...base, outcome: `refused_${refusal.status}`, health: 'webhook_refused' }
    case 'rejected':
      return { ...base, outcome: `refused_${refusal.status}`, error: rejection(refusal), health: 'healthy' }
  }
}
