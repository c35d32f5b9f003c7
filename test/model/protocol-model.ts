import { isReplicateDelivery } from '../../src/shared/artifacts/rules/delivery.ts'
import { applyCommit } from '../../src/shared/jobs/rules/apply-commit.ts'
import { planCommit } from '../../src/shared/jobs/commit/commit-plan.ts'
import type { CommitScriptInput } from '../../src/shared/jobs/commit/commit-script.ts'
import type { JobEvent, TransitionContext } from '../../src/shared/jobs/rules/decision.ts'
import {
  isFinal,
  type AttemptState,
  type Cause,
  type JobState,
  type OnUnknown,
} from '../../src/shared/jobs/rules/job.ts'
import { createJobKeys } from '../../src/shared/jobs/record/job-keys.ts'
import { DEFAULT_TIMINGS } from '../../src/shared/jobs/rules/timings.ts'
import { mayReturn, scopesOf } from '../../src/shared/jobs/rules/place.ts'
import { isInFlight } from '../../src/shared/jobs/rules/sharing.ts'
import { mayMove } from '../../src/shared/jobs/rules/submit.ts'
import { transition } from '../../src/shared/jobs/rules/transitions.ts'
import { isTerminal, type Prediction } from '../../src/shared/replicate/rules/prediction.ts'
import { jobRecord } from '../unit/support/job-states.ts'

/**
 * A small world around the real table of transitions: one job of a batch, for which credits are held and which a budget and limits of
 * jobs in flight count, two workers that are notified any number of times and choose among two accounts, an upstream, and everything that can go wrong between them, at every step and in
 * every order. `moves` lists what can happen next; exploring all of it is the test's part.
 */

export interface Faults {
  crashes: number
  lostAnswers: number
  lostReplies: number
  cancels: number
  platformFailures: number
  /** Redis ends and is restarted without the intent that it wrote last. */
  forgets: number
}

/** What is deliberately wrong, to see that the exploration would notice. */
export type Mutant =
  | 'none'
  | 'posts_on_found_intent'
  | 'no_compare'
  | 'no_basis'
  | 'no_permit_clock'
  | 'no_commit_id'
  | 'gate_does_not_wait'
  | 'gate_is_passed_by'
  | 'settles_when_told'
  | 'lands_when_told'

interface Worker {
  step: 'idle' | 'loaded' | 'permit' | 'answered' | 'reply_lost'
  /** What it decides on: the state as it was loaded. */
  seen: JobState | null
  attempt: number
  claim: string
  outcome: 'created' | 'unknown' | 'refused' | 'not_sent' | null
  prediction: string | null
  /** The job after its intent, on which it decides about the outcome while nothing else was committed. */
  own: JobState | null
  /** It began what it does under a run of Redis that has ended. */
  former: boolean
}

interface UpstreamPrediction {
  id: string
  account: string
  attempt: number
  status: 'starting' | 'processing' | 'succeeded' | 'failed' | 'canceled'
  /** Statuses that it went through: any of them may arrive by webhook at any time. */
  reported: string[]
}

/** What the commits of a job moved beside its record. */
interface Moved {
  /** How its hold was resolved, each time. */
  settled: string[]
  /** Types of the events that it owes. */
  owed: string[]
  /** How many jobs of its batch have each status: it is the only one. */
  counts: Readonly<Record<string, number>>
  /** How often it counts as in flight, by scope. */
  flight: Readonly<Record<string, number>>
  /** How often its budget was corrected. */
  corrected: number
  /** How often its place in line was given up. */
  left: number
}

export interface World {
  state: JobState
  moved: Moved
  workers: Worker[]
  predictions: UpstreamPrediction[]
  /** Attempts whose permit and request have surely run out. */
  expired: number[]
  /** Attempts that were given up, so that the job could be sent again. */
  givenUp: number[]
  claims: number
  /** The state before the newest intent, while nothing was committed since. */
  beforeIntent: Committed | null
  /** Redis was restarted, and its intents are not compared with upstream yet. */
  gated: boolean
  left: Faults
}

const ACCOUNTS = ['first', 'second'] as const

/** Time is a choice of the exploration, so it begins at 0. */
const CREATED = jobRecord('queued', {
  rev: 1,
  created_at: 0,
  start_since: 0,
  tenant: 'tenant',
  batch: `bat_${'0'.repeat(26)}`,
  position: 0,
  price: { per_run: 1, expect: {} },
  estimate: 1,
  preset: 'picture',
  account: ACCOUNTS[0],
  budgets: [['bdg_1', '2026-01-31', 'tenant', '']],
})
const HELD: Moved = { settled: [], owed: [], counts: { queued: 1 }, flight: {}, corrected: 0, left: 0 }

const IDLE: Worker = {
  step: 'idle',
  seen: null,
  attempt: 0,
  claim: '',
  outcome: null,
  prediction: null,
  own: null,
  former: false,
}

export const begin = (left: Faults, on_unknown: OnUnknown = 'fail', workers = 2): World => ({
  state: { job: { ...CREATED, on_unknown }, attempts: [], effects: [] },
  moved: HELD,
  workers: Array.from({ length: workers }, () => IDLE),
  predictions: [],
  expired: [],
  givenUp: [],
  claims: 0,
  beforeIntent: null,
  gated: false,
  left,
})

/** Time is a choice of the exploration: an event that needs time to have passed brings it along. */
const context = (cause: Cause, now = 0): TransitionContext => ({
  now,
  paused: 0,
  cause,
  timings: DEFAULT_TIMINGS,
  webhooks: true,
  expected: null,
  delivers: isReplicateDelivery,
})
const LATE = 10 * DEFAULT_TIMINGS.outputLifetime

type Committed = Pick<World, 'state' | 'moved'>

interface Decided {
  after: JobState
  movements: Movement[]
}

/** Many worlds share a state, and a decision follows from it and the event alone. */
const decisions = new WeakMap<JobState, Map<string, Decided | null>>()

function decide({ state, moved }: Committed, event: JobEvent, cause: Cause, now = 0): Committed | null {
  const known = decisions.get(state) ?? new Map<string, Decided | null>()
  decisions.set(state, known)
  const key = `${cause} ${now} ${nameOf(event)}`
  const found = known.get(key)
  const decided = found === undefined ? commitOf(state, event, cause, now) : found
  known.set(key, decided)
  return decided && { state: decided.after, moved: move(moved, decided.movements) }
}

/** Predictions of the model differ in their id and status only. */
const nameOf = (event: JobEvent): string =>
  event.type === 'observed'
    ? `observed ${event.attempt} ${event.prediction.id} ${event.prediction.status} ${event.account}`
    : JSON.stringify(event)

function commitOf(state: JobState, event: JobEvent, cause: Cause, now: number): Decided | null {
  const decision = transition(state, event, context(cause, now))
  if (decision.kind !== 'commit') return null
  const after = applyCommit(state, decision, 0)
  return { after, movements: movesOf(state, after, () => planCommit(state, decision, cause, PLAN, 0)) }
}

const PLAN = { keys: createJobKeys('model'), timings: DEFAULT_TIMINGS, keepEvents: 1 }

/** A write of the hold or of the batch: its name and arguments. */
type Movement = [name: string, args: string[]]

const known = new Map<string, Movement[]>()
const NOTHING: Movement[] = []

/** What a commit's plan says of hold and batch. Plans are long, and these parts follow from what the job was and is. */
function movesOf(before: JobState, after: JobState, plan: () => CommitScriptInput): Movement[] {
  const [was, is] = [before.job, after.job]
  if (was.phase === is.phase && was.account === is.account && was.status === is.status) return NOTHING
  const key = `${was.account} ${is.account} ${was.phase} ${was.status} ${was.attempt} ${is.phase} ${is.status} ${is.attempt} ${is.error?.billed} ${is.started_at}`
  const found = known.get(key) ?? readPlan(plan())
  known.set(key, found)
  return found
}

const READ = ['settle', 'in_batch', 'owe', 'land', 'correct_budget']

function readPlan({ operations, keys }: CommitScriptInput): Movement[] {
  const found: Movement[] = []
  for (let at = 0; at < operations.length;) {
    const [name = '', key = '', count = '0'] = operations.slice(at, at + 3)
    const args = operations.slice(at + 3, at + 3 + Number(count))
    const on = keys[Number(key) - 1]
    if (READ.includes(name)) found.push([name, args])
    if (name === 'zadd_all' && on === PLAN.keys.flight) found.push(['fly', args])
    if (name === 'hdel' && on === PLAN.keys.places) found.push(['leave', args])
    at += 3 + Number(count)
  }
  return found
}

const move = (before: Moved, movements: Movement[]): Moved =>
  movements.reduce((moved, [name, args]) => {
    const { settled, owed, counts, flight, corrected, left } = moved
    if (name === 'settle') return { ...moved, settled: [...settled, args[3] ?? ''] }
    if (name === 'owe') return { ...moved, owed: [...owed, args[2] ?? ''] }
    if (name === 'correct_budget') return { ...moved, corrected: corrected + 1 }
    if (name === 'leave') return { ...moved, left: left + 1 }
    if (name === 'fly') return { ...moved, flight: counted(flight, args.map(scopeIn), 1) }
    if (name === 'land') return { ...moved, flight: counted(flight, args.slice(9), -1) }
    const [, , from = '', to = ''] = args
    return { ...moved, counts: counted(counted(counts, [from], -1), [to], 1) }
  }, before)

const scopeIn = (member: string): string => member.split(' ')[0] ?? ''

const counted = (
  counts: Readonly<Record<string, number>>,
  names: readonly string[],
  by: number,
): Readonly<Record<string, number>> => names.reduce((sum, name) => ({ ...sum, [name]: (sum[name] ?? 0) + by }), counts)

const asPrediction = ({ id, status }: { id: string; status: string }): Prediction => ({
  id,
  status,
  output: 'text',
  error: status === 'failed' ? 'Prediction interrupted; please retry (code: PA)' : null,
  created_at: 0,
  started_at: status === 'starting' ? null : 0,
  completed_at: isTerminal(status) ? 0 : null,
})

const replace = <T>(list: readonly T[], at: number, item: T): T[] => list.map((one, i) => (i === at ? item : one))

const attemptState = (world: World, n: number): AttemptState | undefined =>
  world.state.attempts.find((one) => one.n === n)?.state

/** Everything that can happen next: a name and the world after it. */
export function moves(world: World, mutant: Mutant): [string, World][] {
  const next: [string, World][] = []
  const go = (name: string, change: Partial<World>): void => {
    // Whatever else is committed is not what Redis would lose.
    const kept = 'state' in change ? (change.beforeIntent ?? null) : world.beforeIntent
    const beforeIntent = world.left.forgets > 0 ? kept : null
    next.push([name, { ...world, ...change, beforeIntent }])
  }
  const happen = (
    name: string,
    event: JobEvent,
    cause: Cause,
    rest: Partial<World> = {},
    now?: number,
    basis = world.state,
  ): void => {
    const committed = decide({ state: basis, moved: world.moved }, event, cause, now)
    if (committed) go(name, { ...rest, state: committed.state, moved: settledBy(event, committed.moved) })
    else if (Object.keys(rest).length > 0) go(name, rest)
  }
  /** The observer of a success captures the credits, or gives back the slots, instead of the commit that ends the job. */
  const settledBy = (event: JobEvent, moved: Moved): Moved => {
    if (event.type !== 'observed' || event.prediction.status !== 'succeeded') return moved
    if (mutant === 'settles_when_told') return { ...moved, settled: [...moved.settled, 'capture'] }
    if (mutant === 'lands_when_told') return { ...moved, flight: counted(moved.flight, scopesOf(world.state.job), -1) }
    return moved
  }
  const spend = (fault: keyof Faults): { left: Faults } => ({ left: { ...world.left, [fault]: world.left[fault] - 1 } })

  for (const [w, worker] of world.workers.entries()) {
    const become = (change: Partial<Worker>): { workers: Worker[] } => ({
      workers: replace(world.workers, w, { ...worker, ...change }),
    })
    if (worker.step !== 'idle' && world.left.crashes > 0)
      go(`worker ${w} dies`, { ...spend('crashes'), workers: replace(world.workers, w, IDLE) })

    switch (worker.step) {
      case 'idle':
        if (!isFinal(world.state.job.phase)) go(`worker ${w} loads`, become({ step: 'loaded', seen: world.state }))
        break
      case 'loaded': {
        const seen = worker.seen ?? world.state
        const claim = `claim-${world.claims}`
        // As the chooser does: it moves a job only while nothing of it is open.
        const account = mayMove(seen) ? ACCOUNTS[world.claims % 2] : undefined
        const event: JobEvent = { type: 'intend', claim, ...(account === undefined ? {} : { account }) }
        const decided = decide({ state: seen, moved: world.moved }, event, 'worker')
        const intended = decided?.state ?? null
        if (decided === null || intended === null) {
          const found = seen.attempts.find((one) => one.state === 'intended')
          if (mutant === 'posts_on_found_intent' && found)
            go(`worker ${w} takes a found intent`, become({ step: 'permit', attempt: found.n, claim: found.claim }))
          go(`worker ${w} has nothing to do`, { workers: replace(world.workers, w, IDLE) })
          break
        }
        if (seen.job.rev !== world.state.job.rev && mutant !== 'no_compare') {
          go(`worker ${w} is stale`, { workers: replace(world.workers, w, IDLE) })
          break
        }
        if (world.gated) {
          go(`worker ${w} waits for the gate`, { workers: replace(world.workers, w, IDLE) })
          break
        }
        // Only a mutant needs it: while it is what Redis holds, deciding on it or on the loaded job is the same.
        const own = mutant === 'no_basis' ? intended : null
        const permit = become({ step: 'permit', seen: null, attempt: intended.job.attempt, claim, own })
        const beforeIntent = { state: world.state, moved: world.moved }
        const intent = { ...decided, claims: world.claims + 1, beforeIntent }
        go(`worker ${w} intends`, { ...permit, ...intent })
        if (world.left.lostReplies > 0)
          go(`worker ${w} intends, and the reply is lost`, {
            ...spend('lostReplies'),
            ...become({ step: 'reply_lost', seen: null, attempt: intended.job.attempt, claim }),
            ...intent,
          })
        break
      }
      case 'reply_lost':
        // The client sends the command again: by its id the repeat is known, and answered like the first.
        if (mutant === 'no_commit_id') go(`worker ${w} receives "stale"`, { workers: replace(world.workers, w, IDLE) })
        else go(`worker ${w} receives "applied"`, become({ step: 'permit' }))
        break
      case 'permit': {
        const { attempt } = worker
        if (world.expired.includes(attempt) && mutant !== 'no_permit_clock') {
          go(`worker ${w} is too late to post`, become({ step: 'answered', outcome: 'not_sent' }))
          break
        }
        const id = `p${world.predictions.length}`
        const posted = world.state.attempts.find(({ n }) => n === attempt)
        const { account } = posted ?? world.state.job
        const predictions = [
          ...world.predictions,
          { id, account, attempt, status: 'starting' as const, reported: ['starting'] },
        ]
        go(`worker ${w} posts`, { ...become({ step: 'answered', outcome: 'created', prediction: id }), predictions })
        go(`worker ${w} is refused`, become({ step: 'answered', outcome: 'refused' }))
        if (world.left.lostAnswers > 0) {
          go(`worker ${w} posts, the answer is lost`, {
            ...spend('lostAnswers'),
            ...become({ step: 'answered', outcome: 'unknown' }),
            predictions,
          })
          go(`worker ${w}'s post is lost`, {
            ...spend('lostAnswers'),
            ...become({ step: 'answered', outcome: 'unknown' }),
          })
        }
        break
      }
      case 'answered': {
        const { attempt, claim, outcome } = worker
        const rest = { workers: replace(world.workers, w, IDLE) }
        // Its revision exists again, but another commit wrote it.
        const isAnother = worker.own !== null && worker.own !== world.state
        const basis = isAnother && worker.own?.job.rev === world.state.job.rev ? worker.own : world.state
        const made = world.predictions.find(({ id }) => id === worker.prediction)
        if (outcome === 'created' && made)
          happen(
            `worker ${w} reports created`,
            {
              type: 'observed',
              attempt,
              account: made.account,
              prediction: asPrediction({ ...made, status: 'starting' }),
            },
            'create',
            rest,
            undefined,
            basis,
          )
        if (outcome === 'unknown') {
          const known = world.state.attempts.some(({ n }) => n === attempt)
          const lost: JobEvent = { type: 'lost', attempt, claim, reason: 'reset' }
          const forgotten: JobEvent = { type: 'forgotten', attempt, reason: 'reset' }
          const event = known ? lost : forgotten
          happen(`worker ${w} reports ${event.type}`, event, 'create', rest)
        }
        if (outcome === 'not_sent')
          happen(`worker ${w} reports not sent`, { type: 'not_sent', attempt, claim }, 'worker', rest)
        if (outcome === 'refused')
          happen(
            `worker ${w} reports refused`,
            { type: 'refused', attempt, claim, outcome: 'rate_limited', error: null, pause: null, health: null },
            'create',
            rest,
          )
        break
      }
    }
  }

  for (const [p, prediction] of world.predictions.entries()) {
    const become = (status: UpstreamPrediction['status']): void =>
      go(`${prediction.id} becomes ${status}`, {
        predictions: replace(world.predictions, p, {
          ...prediction,
          status,
          reported: [...prediction.reported, status],
        }),
        ...(status === 'failed' ? spend('platformFailures') : {}),
      })
    if (prediction.status === 'starting') become('processing')
    if (!isTerminal(prediction.status)) become('canceled')
    if (prediction.status === 'processing') {
      become('succeeded')
      if (world.left.platformFailures > 0) become('failed')
    }
    for (const status of prediction.reported)
      happen(
        `webhook ${prediction.id} ${status}`,
        {
          type: 'observed',
          attempt: prediction.attempt,
          account: prediction.account,
          prediction: asPrediction({ id: prediction.id, status }),
        },
        'webhook',
      )
    const cancel = world.state.effects.find((one) => one.kind === 'cancel' && one.prediction_id === prediction.id)
    if (cancel) {
      const status = isTerminal(prediction.status) ? prediction.status : 'canceled'
      happen(
        `cancel ${prediction.id}`,
        {
          type: 'observed',
          attempt: prediction.attempt,
          account: prediction.account,
          prediction: asPrediction({ id: prediction.id, status }),
        },
        'cancel',
        {
          predictions: replace(world.predictions, p, {
            ...prediction,
            status,
            reported: [...new Set([...prediction.reported, status])],
          }),
        },
      )
      happen(
        `cancel of ${prediction.id} done`,
        { type: 'cancel_done', attempt: prediction.attempt, prediction_id: prediction.id },
        'cancel',
      )
    }
    if (attemptState(world, prediction.attempt) === 'unknown')
      happen(
        `listing shows ${prediction.id}`,
        {
          type: 'observed',
          attempt: prediction.attempt,
          account: prediction.account,
          prediction: asPrediction(prediction),
        },
        'list',
      )
  }

  for (const { n, state, absent_since } of world.state.attempts) {
    const posted = world.predictions.some(({ attempt }) => attempt === n)
    if (state !== 'closed' && !world.expired.includes(n)) go(`permit ${n} runs out`, { expired: [...world.expired, n] })
    if (state === 'intended' && world.expired.includes(n))
      happen(`intent ${n} is silent`, { type: 'tick', attempt: n }, 'sweep', {}, DEFAULT_TIMINGS.intentSilence + 1)
    if (state === 'unknown' && world.expired.includes(n) && !posted) {
      const began =
        absent_since === null ? DEFAULT_TIMINGS.intentSilence * 10 : absent_since + DEFAULT_TIMINGS.listingGap
      happen(`listing without ${n}`, { type: 'not_listed', attempt: n, began }, 'list')
    }
    // By then Cancel-After has ended every prediction.
    const lives = world.predictions.some(({ attempt, status }) => attempt === n && !isTerminal(status))
    if (state === 'unknown' && world.expired.includes(n) && !lives) {
      const tick: JobEvent = { type: 'tick', attempt: n }
      if (!world.givenUp.includes(n))
        happen(`${n} is given up`, tick, 'sweep', { givenUp: [...world.givenUp, n] }, DEFAULT_TIMINGS.undecidable)
      happen(`nobody will know of ${n}`, tick, 'sweep', { givenUp: [...new Set([...world.givenUp, n])] }, LATE)
    }
  }

  if (world.left.forgets > 0 && world.beforeIntent)
    go('Redis forgets the intent', {
      ...spend('forgets'),
      ...world.beforeIntent,
      // A memory that went back, and is not recognised: a former primary that still knows every script.
      gated: mutant !== 'gate_is_passed_by',
      workers: world.workers.map((worker) => ({ ...worker, former: ['permit', 'answered'].includes(worker.step) })),
    })
  const creating = world.workers.some(({ former, attempt }) => former && !world.expired.includes(attempt))
  if (world.gated && (!creating || mutant === 'gate_does_not_wait')) {
    // One complete listing, and each of its predictions finds its job.
    const committed = world.predictions.reduce<Committed>(
      (before, prediction) => {
        const event = {
          type: 'observed',
          attempt: prediction.attempt,
          account: prediction.account,
          prediction: asPrediction(prediction),
        } as const
        return decide(before, event, 'list') ?? before
      },
      { state: world.state, moved: world.moved },
    )
    go('the gate opens', { gated: false, ...committed })
  }

  if (world.left.cancels > 0)
    happen('the customer cancels', { type: 'cancel', gives_up_output: true }, 'api', spend('cancels'))
  if (world.state.job.stop) happen('the stop took too long', { type: 'tick' }, 'sweep', {}, LATE)
  return next
}

const OF_AN_END = ['job.succeeded', 'job.failed', 'job.canceled']

/** A hold, a budget, a slot or a place that is not resolved just once, or a batch that does not count its one job by its status. */
function mistakeOf({
  state: { job },
  moved: { settled, owed, counts, flight, corrected, left },
}: World): string | null {
  const resolved = isFinal(job.phase) ? 1 : 0
  if (
    settled.length !== resolved ||
    (resolved === 1 && settled[0] !== (job.phase === 'succeeded' ? 'capture' : 'release'))
  )
    return `a job that is ${job.phase} has its hold resolved by ${settled.join(', ') || 'nothing'}`
  if (corrected !== resolved) return `the budget of a job that is ${job.phase} is corrected ${corrected} times`
  // A job that is sent again after a failure of the platform has a new place.
  if (left > job.resubmissions + (mayReturn(job) ? 0 : 1) || (resolved === 1 && left === 0))
    return `a job that is ${job.phase} gave up its place ${left} times`
  const scopes = isInFlight(job) ? scopesOf(job) : []
  for (const scope of new Set([...scopes, ...Object.keys(flight)]))
    if ((flight[scope] ?? 0) !== (scopes.includes(scope) ? 1 : 0))
      return `a job that is ${job.phase} counts ${flight[scope] ?? 0} times for ${scope}`
  const ends = owed.filter((type) => OF_AN_END.includes(type))
  const starts = owed.filter((type) => type === 'job.started').length
  const mustHaveStarted =
    job.status === 'processing' || job.status === 'succeeded' || (resolved === 1 && job.started_at !== null)
  if (ends.join() !== (resolved === 1 ? `job.${job.status}` : '') || starts > 1 || (mustHaveStarted && starts === 0))
    return `a job that is ${job.phase} owes ${owed.join(', ') || 'nothing'}`
  for (const [status, count] of Object.entries(counts))
    if (count !== (status === job.status ? 1 : 0))
      return `the batch of a job that is ${job.status} counts ${count} ${status}`
  return null
}

/** What must hold in every state; the first broken promise in words. */
export function broken(before: World, after: World): string | null {
  const live = after.predictions.filter(({ status }) => !isTerminal(status))
  const unstopped = live.filter(
    ({ id }) => !after.state.effects.some((one) => one.kind === 'cancel' && one.prediction_id === id),
  )
  const { job, attempts } = after.state
  const mistake = after.state === before.state ? null : mistakeOf(after)
  if (mistake !== null) return mistake
  if (live.length > 1) return `two live predictions: ${live.map(({ id }) => id).join(', ')}`
  for (const { n } of attempts)
    if (after.predictions.filter(({ attempt }) => attempt === n).length > 1) return `two predictions for attempt ${n}`
  if (isFinal(before.state.job.phase) && before.state.job.phase !== job.phase) return 'a final state changed'
  const order = ['queued', 'starting', 'processing', 'succeeded']
  const rank = (status: string): number => (order.includes(status) ? order.indexOf(status) : 3)
  if (rank(job.status) < rank(before.state.job.status))
    return `status fell from ${before.state.job.status} to ${job.status}`
  const succeeded = after.predictions.filter(({ status }) => status === 'succeeded')
  const wanted = succeeded.filter(({ attempt }) => attempt === job.attempt || !after.givenUp.includes(attempt))
  if (wanted.length > 1) return 'two predictions succeeded for one job'
  if (job.error?.billed === 'no' && succeeded.length > 0) return 'a success that was paid for is said to be free'
  if (job.phase === 'succeeded' && succeeded.length === 0) return 'succeeded without a prediction that did'
  if (unstopped.length > 0 && isFinal(job.phase) && attempts.every(({ state }) => state === 'closed'))
    return `a live prediction that no worker handles: ${unstopped.map(({ id }) => id).join(', ')}`
  return null
}

/** Nothing is owed any more. */
export const atRest = ({ state, predictions }: World): boolean =>
  isFinal(state.job.phase) &&
  state.attempts.every((one) => one.state === 'closed') &&
  state.effects.length === 0 &&
  predictions.every(({ status }) => isTerminal(status))

/** Many worlds share these parts of their keys. */
function remembered<T extends object>(write: (part: T) => string): (part: T) => string {
  const written = new WeakMap<T, string>()
  return (part) => {
    const known = written.get(part)
    if (known !== undefined) return known
    const text = write(part)
    written.set(part, text)
    return text
  }
}

/** Its keys are short, because each world has one. */
const numbers = new Map<string, number>()
function numberOf(text: string): string {
  const number = numbers.get(text) ?? numbers.size
  numbers.set(text, number)
  return String(number)
}

const stateKeyOf = remembered(({ job, attempts, effects }: JobState) =>
  numberOf(
    JSON.stringify([
      [
        job.phase,
        job.status,
        job.attempt,
        job.account,
        job.prediction_id,
        job.stop?.reason,
        job.resubmissions,
        job.error?.code,
      ],
      attempts.map((one) => [
        one.state,
        one.account,
        one.prediction_id,
        one.outcome,
        one.absent_since !== null,
        one.orphans,
      ]),
      effects.map((one) => (one.kind === 'cancel' ? one.prediction_id : one.kind)),
    ]),
  ),
)
const predictionsKeyOf = remembered((predictions: UpstreamPrediction[]) =>
  numberOf(
    JSON.stringify(predictions.map(({ attempt, account, status, reported }) => [attempt, account, status, reported])),
  ),
)
const faultsKeyOf = remembered((left: Faults) => numberOf(JSON.stringify(left)))

/**
 * Two worlds with the same key go on in the same way. Times and revisions are only compared, so their order suffices; which
 * of the workers is in which step does not matter.
 */
export function keyOf({
  state,
  claims,
  workers,
  predictions,
  expired,
  givenUp,
  beforeIntent,
  gated,
  left,
}: World): string {
  const { job, attempts } = state
  const workerKeys = workers.map(({ step, seen, attempt, outcome, prediction, claim, own, former }) => {
    if (step === 'idle') return ''
    const saw = seen === null ? '' : `${seen.job.rev === job.rev} ${seen.job.phase} ${seen.job.attempt}`
    const made = own === null ? '' : `${own === state} ${own.job.rev - job.rev}`
    const place = attempts.findIndex((one) => one.claim === claim)
    return `${step} ${saw},${attempt} ${outcome} ${prediction} ${former} ${place},${made}`
  })
  const shared = `${stateKeyOf(state)} ${predictionsKeyOf(predictions)} ${faultsKeyOf(left)}`
  return `${shared} ${expired.join()};${givenUp.join()} ${beforeIntent !== null} ${gated} ${claims % 2} ${workerKeys.toSorted().join()}`
}
