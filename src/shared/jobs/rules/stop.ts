import { commit, ignored, stopped, type Commit, type Rule, type TransitionContext } from './decision.ts'
import { isOverdue, runDeadline, stopDeadline } from './deadlines.ts'
import { attemptOf, type JobRecord, type JobState } from './job.ts'
import { cancelEffect, cancelsOf } from './upstream.ts'
import { cancelWaiting, tickIntent, tickWaiting, waitsForIntent } from './submit.ts'

/** Rules of cancels and deadlines: carried out upstream, and bounded in time. */

type StopReason = NonNullable<JobRecord['stop']>['reason']

/** Stops a job of which no prediction is known: one that appears is canceled. */
const stopBeforeOutcome = (reason: StopReason, { now, timings }: TransitionContext): Commit =>
  commit({ phase: 'stopping', stop: { reason, requested_at: now } }, { due: { job: { in: timings.stopBound } } })

export const stopUnsent: Rule<'cancel'> = (_state, _event, context) => stopBeforeOutcome('canceled', context)

/** The deadline of a job whose create request may be in flight. */
export const tickOutcome: Rule<'tick'> = (state, event, context) =>
  event.attempt === undefined && isOverdue(state.job, context.now)
    ? stopBeforeOutcome('timeout', context)
    : tickIntent(state, event, context)

function stopRunning(state: JobState, reason: StopReason, { now, timings }: TransitionContext): Commit {
  const { attempt, prediction_id } = state.job
  return commit(
    { phase: 'stopping', stop: { reason, requested_at: now } },
    {
      effects: { add: prediction_id === null ? [] : [cancelEffect(attempt, prediction_id, now)], remove: [] },
      due: { job: { in: timings.stopBound } },
    },
  )
}

export const cancelRunning: Rule<'cancel'> = (state, _event, context) => stopRunning(state, 'canceled', context)

export const tickPrediction: Rule<'tick'> = (state, _event, context) => {
  return context.now >= runDeadline(state.job, context.timings)
    ? stopRunning(state, 'timeout', context)
    : ignored('not_yet')
}

export const tickStopping: Rule<'tick'> = (state, event, context) => {
  const { job } = state
  const deadline = stopDeadline(job, context.timings)
  if (deadline !== null && context.now >= deadline) return commit(stopped(job, 'unknown'))
  return tickIntent(state, event, context)
}

export const cancelDone: Rule<'cancel_done'> = (state, { attempt, prediction_id }) => {
  const effects = { add: [], remove: cancelsOf(state, attempt, prediction_id) }
  if (effects.remove.length === 0) return ignored('no_news')
  const record = attemptOf(state, attempt)
  // Upstream accepted the cancel but may not have stopped the prediction yet: poll again soon.
  return record?.state === 'open' && record.prediction_id === prediction_id
    ? commit({}, { attempt: { n: attempt, changes: {} }, effects, due: { attempt: { in: 1000 } } })
    : commit({}, { effects })
}

/** During a resubmission the newest attempt determines the rule. */
export const cancelResubmitting: Rule<'cancel'> = (state, event, context) => {
  if (waitsForIntent(state)) return cancelWaiting(state, event, context)
  return state.job.prediction_id === null ? stopUnsent(state, event, context) : cancelRunning(state, event, context)
}

export const tickResubmitting: Rule<'tick'> = (state, event, context) => {
  if (waitsForIntent(state)) return tickWaiting(state, event, context)
  return state.job.prediction_id === null ? tickOutcome(state, event, context) : tickPrediction(state, event, context)
}
