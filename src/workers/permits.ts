import { setTimeout as delay } from 'node:timers/promises'
import type { OutputShape } from '../shared/artifacts/rules/output-shape.ts'
import type { Conditions } from '../shared/conditions/conditions.ts'
import type { ApplyResult, Lifecycle, Seen } from '../shared/jobs/lifecycle.ts'
import {
  GateClosedError,
  type CreationBreaker,
  type DueTimes,
  type JobLoader,
  type RedisClock,
} from '../shared/jobs/ports.ts'
import { dueJob } from '../shared/jobs/record/due-member.ts'
import type { JobRecord } from '../shared/jobs/rules/job.ts'
import { untilRungAgain } from '../shared/jobs/rules/next-tick.ts'
import { isAccountScope } from '../shared/jobs/rules/place.ts'
import type { Timings } from '../shared/jobs/rules/timings.ts'
import type { Logger } from '../shared/process/logger.ts'
import { NotDurableError } from '../shared/redis/durability.ts'
import type { Accounts } from '../shared/replicate/accounts.ts'
import type { ChooseAccount, ChosenAccount } from './choose-account.ts'
import type { CreatesInFlight } from './creates-in-flight.ts'
import { createFifoMutex, type FifoMutex } from './fifo-mutex.ts'
import type { InHand } from './line-taker.ts'
import type { RecoverIntents } from './recover-intents.ts'
import { untilTaken } from './until-taken.ts'

export interface PermitDependencies {
  store: JobLoader & DueTimes & RedisClock & Pick<CreationBreaker, 'beginProbe' | 'endProbe'>
  accounts: Pick<Accounts, 'of'>
  chooser: Pick<ChooseAccount, 'shouldMove' | 'everyMs'>
  recover: RecoverIntents
  inFlight: Pick<CreatesInFlight, 'begin'>
  lifecycle: Pick<Lifecycle, 'apply'>
  timings: Timings
  conditions: Pick<Conditions, 'set'>
  log: Logger
  /** Monotonic, ms. */
  clock: () => number
}

/** A job whose input is ready to be sent. */
export interface ReadyJob {
  id: string
  chosen: ChosenAccount
  shape: OutputShape | null
  /** The job from which the input was prepared. */
  seen: Seen
  /** When the input has to be prepared again, ms. */
  until: number
}

export interface Permit {
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
export type Intended = Permit | 'stale' | { closed: string } | 'aside' | null

/** Why there is no permit: what the commit said, or the recovery gate of an account, or Redis did not confirm the intent. */
type Denied = Exclude<ApplyResult, { kind: 'applied' }> | { kind: 'closed'; account: string } | { kind: 'withdrawn' }

/** How long an account takes nothing, and what the job may do instead of waiting. */
interface Wait {
  ms: number
  /** Whether it may be created in another account. */
  mayMove: boolean
  /** Whether jobs of other accounts had better have the place in this process. */
  isLong: boolean
}

/** Longest sleep of a waiting worker, because a pause may have ended early. */
const LONGEST_NAP_MS = 5_000
const PROBE_NAP_MS = 250
const NO_ROOM_NAP_MS = 250
/** From this wait for a token on, a job looks for another account; it rests before, so that it does not look all the time. */
const LONG_WAIT_MS = 1_000
const MOVE_NAP_MS = 100
const UNCONFIRMED_NAP_MS = 1_000

/** Conditions that the recovery gate reports while a job waits for it. */
const GATE_CONDITIONS = ['recovery_former', 'recovery_listing', 'deployment_lost'] as const

/** Waits for the budget of a job's account and for the commit of its intent, which is the permit to POST (submit-job.ts). */
export function createPermits({
  store,
  accounts,
  chooser,
  recover,
  inFlight,
  lifecycle,
  timings,
  conditions,
  log,
  clock,
}: PermitDependencies) {
  // One job of a process waits for the budget of an account at a time, because the others could not get a token either. A
  // refused job keeps its ticket.
  const mutexes = new Map<string, FifoMutex>()
  const mutexOf = (account: string): FifoMutex => {
    const mutex = mutexes.get(account) ?? createFifoMutex()
    mutexes.set(account, mutex)
    return mutex
  }

  /** Withdraws an intent without a POST, if it was written. */
  async function withdraw(id: string, claim: string): Promise<void> {
    const { state } = await store.load(id)
    const attempt = state?.attempts.find((one) => one.claim === claim && one.state === 'intended')
    if (attempt) await lifecycle.apply(id, { type: 'not_sent', attempt: attempt.n, claim }, 'worker')
  }

  /** Asks for the permit once. */
  async function ask(
    { id, chosen: { account, others }, shape, seen }: ReadyJob,
    lease: string | undefined,
    signal: AbortSignal,
  ): Promise<Permit | Denied> {
    let claim = ''
    let asked = clock()
    let end = (): void => undefined
    try {
      const result = await lifecycle.apply(
        id,
        (commitId) => {
          claim = commitId
          asked = clock()
          end()
          end = inFlight.begin()
          return {
            type: 'intend',
            claim,
            account,
            ...(others.length === 0 ? {} : { compared: others }),
            ...(shape === null ? {} : { output_shape: shape }),
            ...(lease === undefined ? {} : { lease }),
          }
        },
        'worker',
        seen,
      )
      if (result.kind === 'applied') return { job: result.state.job, seen: result.seen, claim, asked, end }
      end()
      return result
    } catch (error) {
      if (error instanceof GateClosedError) {
        end()
        return { kind: 'closed', account: error.account ?? account }
      }
      // Whether it was written or not, no POST is sent for it.
      await untilTaken(() => withdraw(id, claim), { id, signal, log }).finally(end)
      if (error instanceof NotDurableError) return { kind: 'withdrawn' }
      throw error
    }
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

  /** What the job waits for in its account, after the wait for the gate or a probe; null: for nothing of the account. */
  async function waitOf(denied: Denied, account: string, signal: AbortSignal): Promise<Wait | null> {
    switch (denied.kind) {
      case 'closed': {
        const { retryInMs } = await recover(account, signal)
        return { ms: retryInMs, mayMove: retryInMs > 0, isLong: retryInMs > LONG_WAIT_MS }
      }
      case 'probing': {
        const isWell = await probe(account, signal)
        return { ms: PROBE_NAP_MS, mayMove: !isWell, isLong: !isWell }
      }
      case 'blocked':
        return isAccountScope(denied.scope) ? { ms: NO_ROOM_NAP_MS, mayMove: true, isLong: true } : null
      case 'paused':
        return { ms: Math.min(denied.waitMs, LONGEST_NAP_MS), mayMove: true, isLong: denied.waitMs > LONG_WAIT_MS }
      case 'limited':
        // The next token comes: no job gives way.
        return { ms: Math.min(denied.waitMs, LONGEST_NAP_MS), mayMove: denied.waitMs > LONG_WAIT_MS, isLong: false }
      default:
        return null
    }
  }

  /** The job ended in line, or waits for something besides its account. */
  async function leave({ id, seen }: ReadyJob, denied: Denied): Promise<void> {
    if (denied.kind === 'ignored' && denied.reason === 'overdue') await lifecycle.apply(id, { type: 'tick' }, 'worker')
    // Rung for when a job of its crowd ends. Its lease would bring it back much sooner, to no end.
    if (denied.kind === 'crowded' && seen.state)
      await store.rearm(dueJob(id), untilRungAgain(seen.state.job, await store.now(), timings))
  }

  async function intend(ready: ReadyJob, ticket: number, signal: AbortSignal, inHand: InHand): Promise<Intended> {
    const { id, chosen } = ready
    const { account } = chosen
    const { lease } = inHand
    const nap = (ms: number): Promise<void> => delay(ms, undefined, { signal })
    // What this process holds for an account that takes nothing would keep the jobs of others in line.
    const givesWay = lease !== undefined && !chosen.isOnly
    for (let hasWaited = false; ;) {
      await mutexOf(account).yieldToEarlier(ticket)
      signal.throwIfAborted()
      if (Date.now() > ready.until) return 'stale'
      const answer = await ask(ready, lease, signal)
      if (!('kind' in answer)) {
        if (!hasWaited) inHand.limited(0)
        return answer
      }
      if (answer.kind === 'withdrawn') {
        log.warn(
          { job: id },
          'Redis did not confirm that a create was recorded durably; the create request was not sent',
        )
        await nap(UNCONFIRMED_NAP_MS)
        return 'stale'
      }
      // Of another account: its list must be compared before this job may be created anywhere.
      if (answer.kind === 'closed' && answer.account !== account) return { closed: answer.account }
      const wait = await waitOf(answer, account, signal)
      if (wait === null) {
        await leave(ready, answer)
        return null
      }
      const isLimited = answer.kind === 'limited'
      if (wait.mayMove && (await chooser.shouldMove(chosen))) {
        if (isLimited) await nap(MOVE_NAP_MS)
        return 'stale'
      }
      if (wait.isLong && givesWay) return 'aside'
      if (isLimited || answer.kind === 'paused') hasWaited = true
      if (isLimited) inHand.limited(chooser.everyMs(account, answer.everyMs))
      await nap(wait.ms)
    }
  }

  return async (ready: ReadyJob, ticket: number, signal: AbortSignal, inHand: InHand): Promise<Intended> => {
    const mutex = mutexOf(ready.chosen.account)
    await mutex.acquire(ticket)
    try {
      return await intend(ready, ticket, signal, inHand)
    } finally {
      // The gate is open, or no job waits for it any more.
      for (const name of GATE_CONDITIONS) conditions.set(name, null)
      mutex.release()
    }
  }
}

export type PermitFor = ReturnType<typeof createPermits>
