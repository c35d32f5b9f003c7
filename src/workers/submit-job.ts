import { dueJob } from '../shared/jobs/record/due-member.ts'
import { attemptOf, type JobRecord } from '../shared/jobs/rules/job.ts'
import type { OutputShapes } from '../shared/catalogue/output-shapes.ts'
import type { ApplyResult, Lifecycle, Seen } from '../shared/jobs/lifecycle.ts'
import { filesOf } from '../shared/inputs/rules/reference.ts'
import { cancelAfter } from '../shared/jobs/rules/deadlines.ts'
import type { JobWaits } from '../shared/jobs/job-waits.ts'
import type { Timings } from '../shared/jobs/rules/timings.ts'
import type { JobEvent } from '../shared/jobs/rules/decision.ts'
import type { CreationBreaker, DueTimes, JobLine, JobLoader, RedisClock } from '../shared/jobs/ports.ts'
import { accountScope, mayReturn, placeOf } from '../shared/jobs/rules/place.ts'
import { waitsForIntent } from '../shared/jobs/rules/submit.ts'
import type { Logger } from '../shared/process/logger.ts'
import type { Accounts } from '../shared/replicate/accounts.ts'
import type { CreateOutcome } from '../shared/replicate/prediction-port.ts'
import type { JsonObject } from '../shared/values/json.ts'
import type { WebhookTokens } from '../shared/replicate/rules/webhook-token.ts'
import type { ChooseAccount, ChosenAccount } from './choose-account.ts'
import type { InHand } from './line-taker.ts'
import type { Permit, PermitFor, ReadyJob } from './permits.ts'
import type { PreparedInput, PrepareInput } from './prepare-input.ts'
import type { RecoverIntents } from './recover-intents.ts'
import { rejection } from './rejection.ts'
import { untilTaken } from './until-taken.ts'

export interface SubmitDependencies {
  store: JobLoader & Pick<JobLine, 'standAside'> & DueTimes & RedisClock & Pick<CreationBreaker, 'pause'>
  accounts: Pick<Accounts, 'of'>
  chooser: Pick<ChooseAccount, 'choose'>
  recover: RecoverIntents
  prepare: PrepareInput
  outputShapes: OutputShapes
  permitFor: PermitFor
  lifecycle: Lifecycle
  tokens: WebhookTokens
  timings: Timings
  waits: Pick<JobWaits, 'note'>
  log: Logger
}

/** A job that this process has no lease on. */
const NOT_IN_LINE: InHand = { waits: () => undefined, limited: () => undefined, release: () => Promise.resolve() }

interface Wanted extends PreparedInput, ReadyJob {}

type Uncreated = Exclude<CreateOutcome, { kind: 'created' }>

/** Until the list of another account is asked for again, ms. */
const OTHER_LIST_AGAIN_MS = 5_000

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
  permitFor,
  lifecycle,
  tokens,
  timings,
  waits,
  log,
}: SubmitDependencies) {
  let tickets = 0

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
      return { id, ...result, chosen, seen, shape: job.output_shape === null ? await outputShapes(job) : null }
    const error = result.kind === 'impossible' ? result.error : null
    const { health, pause } = result.kind === 'trouble' ? result : { health: null, pause: null }
    await lifecycle.apply(id, { type: 'not_prepared', error, health, pause, account }, 'worker')
    return null
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
    await store.rearm(dueJob(id), OTHER_LIST_AGAIN_MS)
    return false
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
    const permit = await permitFor(wanted, ticket, signal, inHand).finally(wanted.chosen.leave)
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
    const result = await untilTaken(record, { id, signal, log })
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
