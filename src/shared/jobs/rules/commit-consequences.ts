import { namedModel } from '../../catalogue/rules/named-model.ts'
import { upstreamCost } from '../../credits/rules/costs.ts'
import { dayOf, type SpendingGroups } from '../../credits/rules/spending.ts'
import { countOutputs } from '../../credits/rules/count-outputs.ts'
import { actualPrice } from '../../credits/rules/price.ts'
import type { OwedType } from '../../notifications/rules/event-types.ts'
import { jobEventsOf } from '../../notifications/rules/job-events.ts'
import { amountOf } from '../../limits/rules/stored.ts'
import { applyCommit } from './apply-commit.ts'
import type { Consequence, Settlement } from './consequence.ts'
import { storedAttempt, type Commit, type Health, type PauseReason } from './decision.ts'
import { historyLine } from './history.ts'
import { isFinal, type Cause, type JobRecord, type JobState } from './job.ts'
import { FIRST_KEEP, firstCleanUp } from './keep.ts'
import { mayReturn, placeOf, scopesOf, targetScope } from './place.ts'
import { isInFlight } from './sharing.ts'
import { waitsForIntent } from './submit.ts'
import type { Timings } from './timings.ts'

interface CommitContext {
  cause: Cause
  /** ms, approximate time of the commit; it only determines the day of the spending. */
  now: number
  timings: Timings
  /** The id of a notice. */
  newNotice: () => string
}

/**
 * Everything that a decision about a job changes, in the order in which it is written. What the end of a job means is
 * `completion`, and `phaseMoves` for what every change of its phase and status means.
 */
export function consequencesOf(state: JobState, commit: Commit, context: CommitContext): Consequence[] {
  const next = applyCommit(state, commit, 0)
  const { job: after } = next
  return [
    ...conditions(state.job, commit),
    ...recordChanges(state.job, commit, after),
    ...phaseMoves(state.job, after),
    ...orderMoves(state, next, commit),
    ...batchStop(state.job, commit),
    ...attemptMoves(state, commit),
    ...outboxMoves(commit, context.timings),
    ...storedFiles(state.job, commit, after),
    ...(isFinal(after.phase) ? completion(state, commit, after, context) : nextDue(commit)),
    ...orphans(commit),
    ...accountSignals(state, commit, context),
    ...notices(state.job, after, context),
    ...announcements(state, commit, after, context.cause),
  ]
}

/** What must hold: predictions have one owner, and a create request needs the job's lease, room among the jobs in flight, its turn
 * and its batch's budget. */
function conditions(job: JobRecord, { job: changes, attempt, takesBudget, lease }: Commit): Consequence[] {
  const { batch, in_sequence, estimate } = job
  const all: Consequence[] = []
  if (attempt?.changes.prediction_id)
    all.push({ kind: 'own_prediction', attempt: attempt.n, prediction: attempt.changes.prediction_id })
  if (!takesBudget) return all
  if (lease !== undefined) all.push({ kind: 'need_lease', lease })
  all.push({ kind: 'need_room', scopes: scopesOf({ ...job, account: changes.account ?? job.account }) })
  if (batch === null) return all
  if (in_sequence) all.push({ kind: 'need_turn', batch })
  all.push({ kind: 'need_batch_budget', batch, held: estimate, isFirst: job.attempt === 0 })
  return all
}

function recordChanges(before: JobRecord, commit: Commit, after: JobRecord): Consequence[] {
  const all: Consequence[] = [{ kind: 'job', changes: commit.job, after }]
  if (before.phase === 'running' && after.phase !== 'running') all.push({ kind: 'partial_removed' })
  if (commit.logs !== undefined) all.push({ kind: 'logs', text: commit.logs })
  return all
}

/** What a change of phase and status moves: indexes and counters, what is in flight, the counts of the batch. */
function phaseMoves(before: JobRecord, after: JobRecord): Consequence[] {
  const moves: Consequence[] = []
  if (after.phase !== before.phase) moves.push({ kind: 'phase', from: before.phase, to: after.phase })
  if (after.status !== before.status) moves.push({ kind: 'status', from: before.status, to: after.status })
  const held = isInFlight(before) ? scopesOf(before) : []
  const holds = isInFlight(after) ? scopesOf(after) : []
  const [left, taken] = [without(held, holds), without(holds, held)]
  if (left.length > 0) moves.push({ kind: 'in_flight', scopes: left, move: 'release' })
  if (taken.length > 0) moves.push({ kind: 'in_flight', scopes: taken, move: 'take' })
  const { batch } = after
  if (batch === null) return moves
  if (before.attempt === 0 && after.attempt > 0) moves.push({ kind: 'batch_committed', batch, held: after.estimate })
  if (after.status !== before.status) {
    // The batch's own retention, that of the job kept longest, may defer this clean-up.
    const keep = (after.keep?.[1] ?? FIRST_KEEP.job) * 1000
    moves.push({ kind: 'batch_status', batch, from: before.status, to: after.status, keep })
  }
  return moves
}

const without = (some: readonly string[], others: readonly string[]): string[] =>
  some.filter((one) => !others.includes(one))

/** What moves in the order of waiting jobs: a lease has taken the job from the line already. */
function orderMoves(before: JobState, after: JobState, { lease }: Commit): Consequence[] {
  const moves: Consequence[] = []
  if (lease === undefined && waitsForIntent(before) && !waitsForIntent(after))
    moves.push({ kind: 'line_left', place: placeOf(before.job) })
  if (mayReturn(before.job) && !mayReturn(after.job)) moves.push({ kind: 'place_given_up' })
  return moves
}

/** No further job of the batch begins. */
const batchStop = ({ batch }: JobRecord, { stopsBatch }: Commit): Consequence[] =>
  stopsBatch && batch !== null ? [{ kind: 'batch_stopped', batch, reason: stopsBatch }] : []

function attemptMoves({ attempts }: JobState, { attempt, due }: Commit): Consequence[] {
  if (!attempt) return []
  const { n, changes } = attempt
  const before = attempts.find((one) => one.n === n)
  const moves: Consequence[] = [{ kind: 'attempt', n, changes }]
  if (changes.state !== undefined && changes.state !== before?.state) {
    if (before?.state === 'open') moves.push({ kind: 'attempt_open', n, isOpen: false })
    if (before?.state === 'unknown') moves.push({ kind: 'attempt_unknown', n, since: null })
    if (changes.state === 'open') moves.push({ kind: 'attempt_open', n, isOpen: true })
    if (changes.state === 'unknown')
      moves.push({ kind: 'attempt_unknown', n, since: changes.intended_at ?? before?.intended_at ?? 0 })
  }
  if (due.attempt !== undefined) moves.push({ kind: 'attempt_due', n, at: due.attempt })
  return moves
}

function outboxMoves({ effects }: Commit, { ringAgain }: Timings): Consequence[] {
  const added = effects.add.flatMap((effect): Consequence[] => [
    ...(effect.kind === 'store'
      ? [{ kind: 'copy_pending' as const, attempt: effect.attempt, until: effect.expires_at }]
      : []),
    { kind: 'effect_added', effect, due: { in: ringAgain.min } },
  ])
  const removed = effects.remove.flatMap((key): Consequence[] => {
    const attempt = storedAttempt(key)
    return [
      ...(attempt === null ? [] : [{ kind: 'copy_pending' as const, attempt, until: null }]),
      { kind: 'effect_removed', key },
    ]
  })
  return [...added, ...removed]
}

function storedFiles(before: JobRecord, commit: Commit, after: JobRecord): Consequence[] {
  if (commit.job.artifacts === undefined || before.artifacts.length + after.artifacts.length === 0) return []
  return [{ kind: 'stored', ...amountOf(after.artifacts) }]
}

/** A job that is not final stays due. */
const nextDue = ({ due }: Commit): Consequence[] => (due.job === undefined ? [] : [{ kind: 'job_due', at: due.job }])

/**
 * What the end of a job means, besides its new phase and status: it is never due again, its clean-up is planned, it is
 * counted, and its hold is settled. It happens once: a final job stays final.
 */
function completion(
  { job: before, attempts }: JobState,
  { attempt }: Commit,
  after: JobRecord,
  { now, timings }: CommitContext,
): Consequence[] {
  if (isFinal(before.phase) || !isFinal(after.phase)) return []
  const source = attempt?.changes.finished_by ?? attempts.find(({ n }) => n === before.attempt)?.finished_by
  const all: Consequence[] = [
    { kind: 'job_due', at: null },
    { kind: 'clean_up', at: { in: firstCleanUp(before, timings.keepPredictionIndex) } },
  ]
  if (source) all.push({ kind: 'count', counter: `finished_by:${source}`, by: 1 })
  all.push({ kind: 'count', counter: `jobs:${after.phase}`, by: 1 })
  const settlement = settlementOf(before, after, now)
  if (settlement) all.push(settlement)
  const upstream = upstreamCost(modelName(after), after)
  if (upstream !== null)
    all.push({
      kind: 'upstream_cost',
      model: modelName(after),
      amount: upstream,
      held: after.estimate,
      day: dayOf(now),
    })
  return all
}

/** Success is charged; a cancel after the start only where the preset says so, and unless Replicate charges nothing. */
const isCharged = ({ phase, charge_canceled, error }: JobRecord): boolean =>
  phase === 'succeeded' || (phase === 'canceled' && charge_canceled && error?.billed !== 'no')

const modelName = ({ model, version, deployment }: JobRecord): string =>
  namedModel({ model, version })?.[0] ?? deployment ?? version ?? 'unknown'

function spendingGroups(job: JobRecord): SpendingGroups {
  const { tenant, user, key_id } = job
  return {
    tenant,
    model: modelName(job),
    ...(user === null ? {} : { user }),
    ...(key_id === null ? {} : { key: key_id }),
  }
}

/** The one settlement of a job's hold, at `now` (ms); null: the job is free, or does not become final. */
export function settlementOf(before: JobRecord, after: JobRecord, now: number): Settlement | null {
  const { price, estimate, metrics, preset, model, deployment, version, attempt, batch, budgets } = after
  if (price === null || !isFinal(after.phase) || isFinal(before.phase)) return null
  const common = {
    kind: 'settle' as const,
    held: estimate,
    label: preset ?? model ?? deployment ?? version ?? 'unknown',
    hasBegun: attempt > 0,
    batch,
    groups: spendingGroups(after),
    budgets,
    day: dayOf(now),
  }
  if (!isCharged(after)) return { ...common, by: 'release', actual: null, isEstimated: false }
  const actual = actualPrice(price, { metrics, outputs: countOutputs(after) })
  return 'amount' in actual
    ? { ...common, by: 'capture', actual: actual.amount, isEstimated: false }
    : { ...common, by: 'capture', actual: null, isEstimated: true }
}

const orphans = (commit: Commit): Consequence[] =>
  commit.orphans ? [{ kind: 'count', counter: 'orphan_predictions', by: commit.orphans }] : []

/** Causes that report what a webhook should have reported. */
const POLLED: ReadonlySet<Cause> = new Set(['poll', 'list'])
/** Concurrent unknown outcomes that trip the circuit breaker of the account. */
const UNKNOWN_LIMIT = 10
/** Failures of the platform in a row that trip the circuit breaker of a model. */
const MODEL_FAULTS = 10
/** Consecutive faults that trip it; a refusal of the account trips it at once. */
const FAULTS: Record<Exclude<Health, 'healthy'>, { limit: number; reason: PauseReason }> = {
  fault: { limit: 3, reason: 'upstream' },
  refused: { limit: 1, reason: 'account' },
  webhook_refused: { limit: 1, reason: 'webhook' },
}

/** What the commit shows about the account: whether its webhooks arrive, and whether creates work. */
function accountSignals({ job, attempts }: JobState, commit: Commit, { cause, timings }: CommitContext): Consequence[] {
  const { attempt, pause, throttled, health, model, takesBudget } = commit
  const sender = attempts.find(({ n }) => n === attempt?.n)
  const { troublePause } = timings
  const all: Consequence[] = []
  if (pause) all.push({ kind: 'breaker_pause', ...pause })
  if (throttled)
    all.push({
      kind: 'create_throttled',
      for: pause?.for ?? 0,
      sent: sender?.intended_at ?? 0,
      stated: throttled.stated,
    })
  if (cause === 'webhook') all.push({ kind: 'webhook', was: 'received' })
  else if (POLLED.has(cause) && attempt?.changes.state === 'closed') all.push({ kind: 'webhook', was: 'missed' })
  if (health === 'healthy') all.push({ kind: 'breaker_success' })
  else if (health !== undefined) all.push({ kind: 'breaker_fault', ...FAULTS[health], ...troublePause })
  if (attempt?.changes.state === 'unknown')
    all.push({ kind: 'breaker_unknown', limit: UNKNOWN_LIMIT, pause: troublePause.longest })
  const target = targetScope(job)
  const sent = sender?.intended_at ?? 0
  if (takesBudget) all.push({ kind: 'model_pass', target, lease: 2 * troublePause.longest })
  if (model === 'works') all.push({ kind: 'model_works', target, sent })
  if (model === 'fails') all.push({ kind: 'model_fault', target, sent, limit: MODEL_FAULTS, ...troublePause })
  const claim = sender?.claim
  if (attempt?.changes.outcome === 'not_sent' && claim) all.push({ kind: 'breaker_unsent', claim })
  return all
}

/** What is owed to receivers: the start and the end of the job, once each; what its end means for its batch and for the credits. */
function notices(before: JobRecord, after: JobRecord, { now, timings, newNotice }: CommitContext): Consequence[] {
  const due = { in: timings.ringAgain.min }
  const hears = (type: OwedType): boolean => after.webhook?.events.includes(type) ?? false
  const all: Consequence[] = []
  const known = jobEventsOf(before)
  for (const type of jobEventsOf(after))
    if (!known.includes(type))
      all.push({ kind: 'owed', notice: { v: 2, kind: 'notice', id: newNotice(), type }, own: hears(type), due })
  if (after.batch !== null && isFinal(after.phase) && !isFinal(before.phase)) {
    const notice = { v: 1, id: newNotice(), type: 'batch.finished', batch: after.batch } as const
    all.push({ kind: 'owed_by_tenant', notice, own: hears('batch.finished'), when: 'batch_done', due })
  }
  if (settlementOf(before, after, now) !== null) {
    const notice = { v: 1, id: newNotice(), type: 'credits.low' } as const
    all.push({ kind: 'owed_by_tenant', notice, own: false, when: 'credits_low', due })
    for (const [budget, period, subject, to] of after.budgets)
      all.push({
        kind: 'owed_by_tenant',
        notice: { v: 1, id: newNotice(), type: 'budget.alert', budget, period, subject },
        own: false,
        when: `budget ${budget} ${subject}`,
        due,
        ...(to === '' ? {} : { to }),
      })
  }
  return all
}

function announcements(state: JobState, commit: Commit, after: JobRecord, cause: Cause): Consequence[] {
  const { rev, status, phase } = after
  const event: Consequence = { kind: 'event', rev, status, phase }
  const line = historyLine(state, after, commit, cause)
  return line ? [{ kind: 'history', rev, line }, event] : [event]
}
