import {
  canceled,
  closed,
  commit,
  failed,
  ignored,
  inAccount,
  NOW,
  stopped,
  type BatchStop,
  type Commit,
  type Decision,
  type Rule,
  type TransitionContext,
} from './decision.ts'
import { isOverdue, startsSince, timeoutMessage, untilReady, withinDeadline, withinStart } from './deadlines.ts'
import { attemptOf, RECOVERED, type AttemptRecord, type JobState } from './job.ts'
import { ageBased, type Timings } from './timings.ts'

/** Rules until a prediction exists: the queue, the intent, its outcome (docs/design.md, "Submit, paid once"). */

/** The outcome of an attempt for which it is undecidable whether upstream received it. */
export const UNDECIDED = 'undecided'

/** Whether the job no longer waits for the attempt, although its prediction may still be found. */
export const isGivenUp = (attempt: AttemptRecord | undefined): boolean =>
  attempt?.state === 'unknown' && attempt.outcome === UNDECIDED

/** Whether the job waits for its next POST, and depends on no earlier one. */
export const waitsForIntent = (state: JobState): boolean => {
  const { job } = state
  if (job.phase !== 'resubmitting') return job.phase === 'queued'
  const newest = attemptOf(state, job.attempt)
  return newest?.state === 'closed' || isGivenUp(newest)
}

/** Whether the account of the job may change: nothing in the former one is open or unknown. */
export const mayMove = ({ attempts }: JobState): boolean => attempts.every(({ state }) => state === 'closed')

export const intend: Rule<'intend'> = (state, event, context) => {
  const { job } = state
  const { now, timings } = context
  const { claim, output_shape, account = job.account, compared, lease } = event
  if (!waitsForIntent(state)) return ignored('no_news')
  if (isOverdue(job, now)) return ignored('overdue')
  if (account !== job.account && !mayMove(state)) return ignored('no_news')
  if (untilReady(job, now) > 0) return ignored('not_yet')
  const n = job.attempt + 1
  return commit(
    {
      ...(job.phase === 'queued' ? { phase: 'submitting' } : {}),
      ...(job.output_shape === null && output_shape !== undefined ? { output_shape } : {}),
      attempt: n,
      submitted_at: NOW,
      prediction_id: null,
      ...inAccount(job, account, context),
    },
    {
      ...(compared === undefined ? {} : { compared }),
      attempt: { n, changes: { account, state: 'intended', claim, intended_at: NOW, orphans: [] } },
      due: {
        job: { in: withinDeadline(job, now, timings.intentSilence) },
        attempt: { in: timings.intentSilence },
      },
      takesBudget: true,
      ...(lease === undefined ? {} : { lease }),
    },
  )
}

/** A failed preparation is not an attempt: it is retried, and a failure of upstream counts for the whole account. */
export const notPrepared: Rule<'not_prepared'> = (state, { error, health, pause, account }, { now, timings }) => {
  const { job } = state
  if (!waitsForIntent(state)) return ignored('no_news')
  if (error !== null)
    return commit(failed(error.code, error.message, error.retryable, error.billed), { note: 'not_prepared' })
  const wait = Math.max(pause?.for ?? 0, ageBased(now - startsSince(job), timings.retryEffect))
  return commit(
    {},
    {
      due: { job: { in: withinStart(job, now, wait) } },
      ...(account === undefined ? {} : { account }),
      ...(pause ? { pause } : {}),
      ...(health ? { health } : {}),
    },
  )
}

/** The deadline of the job, and of its start (`start_within`), for which pauses of creation do not count. */
export const tickWaiting: Rule<'tick'> = ({ job }, _event, { now, paused }) => {
  if (isOverdue(job, now)) return commit(failed('timeout', timeoutMessage(job, now), true, 'no'))
  const waited = now - startsSince(job) - Math.max(0, paused - job.start_paused)
  return waited >= job.start_within * 1000
    ? commit(failed('start_within_expired', `The job could not be started within ${job.start_within} s.`, true, 'no'))
    : ignored('not_yet')
}

export const cancelWaiting: Rule<'cancel'> = () => commit(canceled('no'))

const STOP_WORDS: Record<BatchStop, string> = {
  canceled: 'Its batch was canceled.',
  failure_rate: 'The failure rate of its batch reached stop_rate.',
  max_spend: 'The spending of its batch reached max_spend.',
}

/** Cancels a job of a stopped batch that has not begun. */
export const stopWaiting: Rule<'batch_stopped'> = (state, { reason }) =>
  waitsForIntent(state)
    ? commit(
        {
          phase: 'canceled',
          status: 'canceled',
          error: { code: 'batch_stopped', message: STOP_WORDS[reason], retryable: true, billed: 'no' },
          completed_at: NOW,
        },
        { stopsBatch: reason },
      )
    : ignored('no_news')

/** Whether the claim may report the outcome of an intent: only its author, and only while no prediction was found. */
export const speaksForIntent = (attempt: AttemptRecord | undefined, claim: string): attempt is AttemptRecord =>
  attempt !== undefined &&
  attempt.claim === claim &&
  attempt.prediction_id === null &&
  (attempt.state === 'intended' || attempt.state === 'unknown')

/** Settles the attempt as "nothing was created": the job returns to the queue, or a stop completes. */
export function requeued(
  state: JobState,
  n: number,
  outcome: string,
  context: TransitionContext,
  rest: Partial<Commit> = {},
): Commit {
  const settled = { ...rest, attempt: { n, changes: closed(outcome, null) }, due: { attempt: null } }
  return state.job.phase === 'stopping'
    ? commit(stopped(state.job, 'no'), settled)
    : backToQueue(state, settled, context)
}

function backToQueue({ job }: JobState, settled: Partial<Commit>, { now, timings }: TransitionContext): Commit {
  const wait = Math.max(settled.pause?.for ?? 0, timings.ringAgain.min)
  return commit(job.phase === 'resubmitting' ? {} : { phase: 'queued', status: 'queued' }, {
    ...settled,
    due: { ...settled.due, job: { in: withinStart(job, now, wait) } },
  })
}

export const notSent: Rule<'not_sent'> = (state, { attempt, claim }, context) =>
  speaksForIntent(attemptOf(state, attempt), claim)
    ? requeued(state, attempt, 'not_sent', context)
    : ignored('not_the_claim')

export const refused: Rule<'refused'> = (state, event, context) => {
  if (!speaksForIntent(attemptOf(state, event.attempt), event.claim)) return ignored('not_the_claim')
  const rest = {
    ...(event.pause ? { pause: event.pause } : {}),
    ...(event.throttled ? { throttled: event.throttled } : {}),
    ...(event.health ? { health: event.health } : {}),
    note: event.outcome,
  }
  if (event.error === null || state.job.phase === 'stopping')
    return requeued(state, event.attempt, event.outcome, context, rest)
  const { code, message, retryable, billed } = event.error
  return commit(failed(code, message, retryable, billed), {
    ...rest,
    attempt: { n: event.attempt, changes: closed(event.outcome, 'create') },
    due: { attempt: null },
  })
}

const becomesUnknown = (state: JobState, n: number, reason: string, { now, timings }: TransitionContext): Commit =>
  commit(state.job.phase === 'submitting' ? { phase: 'unknown' } : {}, {
    attempt: { n, changes: { state: 'unknown', outcome: reason } },
    due: {
      attempt: { in: timings.listAgain.min },
      ...(state.job.phase === 'submitting'
        ? { job: { in: withinDeadline(state.job, now, timings.ringAgain.min) } }
        : {}),
    },
    note: reason,
  })

export const lost: Rule<'lost'> = (state, { attempt, claim, reason }, context) => {
  const record = attemptOf(state, attempt)
  if (!speaksForIntent(record, claim)) return ignored('not_the_claim')
  return record.state === 'unknown'
    ? ignored('no_news')
    : { ...becomesUnknown(state, attempt, reason, context), health: 'fault' }
}

/**
 * Applies time to an attempt without a prediction: its author is silent, or its outcome becomes undecidable. The silence is
 * that of our own process, not a fault of upstream.
 */
export const tickIntent: Rule<'tick'> = (state, { attempt }, context) => {
  const record = attemptOf(state, attempt ?? state.job.attempt)
  if (record?.state === 'intended' && context.now >= record.intended_at + context.timings.intentSilence)
    return becomesUnknown(state, record.n, 'author_silent', context)
  if (record?.state === 'unknown' && context.now >= record.intended_at + context.timings.undecidable)
    return undecidable(state, record, context)
  return ignored('not_yet')
}

/** Whether upstream has removed the prediction by now, so that it can no longer be found. */
export const isBeyondFinding = ({ intended_at }: AttemptRecord, { now, timings }: TransitionContext): boolean =>
  now >= intended_at + timings.outputLifetime

/**
 * Applies the job's `on_unknown` policy. By now `Cancel-After` has stopped any prediction that was created. The search for
 * it continues while upstream may list it, so that an unwanted prediction is counted.
 */
function undecidable(state: JobState, record: AttemptRecord, context: TransitionContext): Commit {
  const { job } = state
  const settled = isBeyondFinding(record, context)
    ? { attempt: { n: record.n, changes: closed(UNDECIDED, 'sweep') }, due: { attempt: null } }
    : {
        attempt: { n: record.n, changes: { outcome: UNDECIDED } },
        due: { attempt: { in: context.timings.listAgain.max } },
        note: UNDECIDED,
      }
  if (job.phase === 'stopping') return commit(stopped(job, 'unknown'), settled)
  if (job.on_unknown === 'retry') return backToQueue(state, settled, context)
  return commit(
    failed('outcome_unknown', 'It is unknown whether Replicate received the job.', true, 'unknown'),
    settled,
  )
}

/**
 * An intent that Redis lost while its POST was in flight, and whose outcome its author does not know. The attempt is
 * recorded again, with the present time. The next attempt waits until its outcome is decided.
 */
export const forgotten: Rule<'forgotten'> = (state, { attempt, reason, account = state.job.account }, context) => {
  const { job } = state
  if (!waitsForIntent(state) || attempt !== job.attempt + 1) return ignored('no_news')
  return commit(
    {
      ...(job.phase === 'queued' ? { phase: 'unknown' } : {}),
      ...inAccount(job, account, context),
      attempt,
      submitted_at: NOW,
      prediction_id: null,
    },
    {
      attempt: {
        n: attempt,
        changes: {
          account,
          state: 'unknown',
          claim: RECOVERED,
          intended_at: NOW,
          outcome: reason,
          orphans: [],
        },
      },
      due: {
        job: { in: withinDeadline(job, context.now, context.timings.ringAgain.min) },
        attempt: { in: context.timings.listAgain.min },
      },
      health: 'fault',
      note: 'recovered',
    },
  )
}

/**
 * Redis lost this attempt's outcome and the next attempt. The next attempt was sent only after it was certain that this one
 * had created nothing, so the job returns to the state between them.
 */
export const superseded: Rule<'superseded'> = (state, { attempt }, context) => {
  const record = attemptOf(state, attempt)
  const isOpen = record?.prediction_id === null && (record.state === 'intended' || record.state === 'unknown')
  return isOpen && !state.job.stop
    ? requeued(state, attempt, 'superseded', context, { note: 'recovered' })
    : ignored('no_news')
}

/** Whether a listing counts as evidence: it began after the POST could last have arrived and become visible. */
export const listingCounts = (intendedAt: number, began: number, timings: Timings): boolean =>
  began >= intendedAt + timings.permit + timings.createTimeout + timings.clockSkew + timings.listingLag

/** Two complete listings that count, at least `listingGap` apart, prove that the prediction does not exist. */
export function judgeAbsence(
  state: JobState,
  { attempt, began }: { attempt: number; began: number },
  { timings }: TransitionContext,
): 'absent' | Decision {
  const record = attemptOf(state, attempt)
  if (record?.state !== 'unknown') return ignored('no_news')
  if (!listingCounts(record.intended_at, began, timings)) return ignored('not_yet')
  if (record.absent_since === null)
    return commit(
      {},
      {
        attempt: { n: attempt, changes: { absent_since: began } },
        due: { attempt: { in: timings.listingGap + timings.listAgain.min } },
      },
    )
  return began >= record.absent_since + timings.listingGap ? 'absent' : ignored('not_yet')
}

export const notListed: Rule<'not_listed'> = (state, event, context) => {
  const verdict = judgeAbsence(state, event, context)
  return verdict === 'absent'
    ? requeued(state, event.attempt, 'not_created', context, { note: 'not_created' })
    : verdict
}
