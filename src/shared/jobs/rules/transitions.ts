import {
  canceled,
  commit,
  failed,
  ignore,
  ignored,
  NOW,
  storeKey,
  type Decision,
  type JobEvent,
  type Row,
  type Rule,
  type TransitionContext,
} from './decision.ts'
import { attemptOf, isFinal, type AttemptRecord, type JobState, type Phase } from './job.ts'
import { lateAttempt } from './late.ts'
import {
  cancelDone,
  cancelResubmitting,
  cancelRunning,
  stopUnsent,
  tickOutcome,
  tickPrediction,
  tickResubmitting,
  tickStopping,
} from './stop.ts'
import {
  cancelWaiting,
  forgotten,
  intend,
  isGivenUp,
  lost,
  notListed,
  notPrepared,
  notSent,
  refused,
  stopWaiting,
  superseded,
  tickWaiting,
  UNDECIDED,
} from './submit.ts'
import { missing, observed, orphan } from './upstream.ts'

/**
 * The state machine of a job, as one pure table. `transition(state, event, context)` returns the changes to commit, or why
 * there are none. Nothing else in genqueue changes a job.
 *
 *   queued --intend--> submitting --observed--> created --> running --> storing --> succeeded
 *     ^                  |  |                      |           |  \
 *     +--not_sent/refused+  +--lost--> unknown     |           |   +--platform fault--> resubmitting --> running
 *     +--not_listed twice----------------+         +--failed / canceled / aborted upstream--> failed | canceled
 *                                                  +--cancel, deadline--> stopping --> final
 *
 * Webhooks may be early, late, duplicated or reordered, commits may be repeated, and workers may die anywhere. So every
 * phase accepts every event, and ignores an event without news.
 */

const stored: Rule<'stored'> = (_state, { attempt, output, output_artifact, artifacts }) =>
  commit(
    {
      phase: 'succeeded',
      status: 'succeeded',
      output,
      output_artifact: output_artifact ?? null,
      artifacts,
      error: null,
      completed_at: NOW,
    },
    { effects: { add: [], remove: [storeKey(attempt)] } },
  )

const notStored: Rule<'not_stored'> = (_state, { attempt, message, kept }) =>
  commit(
    { ...failed('output_not_stored', message, true, 'yes'), ...kept },
    { effects: { add: [], remove: [storeKey(attempt)] } },
  )

/** The prediction has succeeded and is billed; with `gives_up_output` a cancel does not wait for the copies. */
const giveUpOutput: Rule<'cancel'> = ({ job }, { gives_up_output }) =>
  gives_up_output
    ? commit(
        canceled('yes', 'The job was canceled after its prediction had succeeded, while its output was being stored.'),
        { effects: { add: [], remove: [storeKey(job.attempt)] } },
      )
    : ignored('storing')

/** The owned prediction has no more news; another prediction with our token is an orphan. */
const observedWhileStoring: Rule<'observed'> = (state, event, { now }) => {
  const record = attemptOf(state, event.attempt)
  return record && record.prediction_id !== event.prediction.id ? orphan(state, record, event, now) : ignored('storing')
}

/** Default rules: the event is old news, or a mistake of the caller. */
const nothingNew = {
  intend: ignore('no_news'),
  not_prepared: ignore('no_news'),
  not_sent: ignore('not_the_claim'),
  refused: ignore('not_the_claim'),
  lost: ignore('not_the_claim'),
  forgotten: ignore('no_news'),
  superseded: ignore('no_news'),
  not_listed: ignore('no_news'),
  missing: ignore('no_news'),
  stored: ignore('no_news'),
  not_stored: ignore('no_news'),
  cancel_done: cancelDone,
  batch_stopped: ignore('no_news'),
}

const outcomeOpen: Row = {
  ...nothingNew,
  not_sent: notSent,
  refused,
  lost,
  superseded,
  not_listed: notListed,
  missing,
  observed,
  cancel: stopUnsent,
  tick: tickOutcome,
}

const predictionLives: Row = { ...nothingNew, observed, missing, cancel: cancelRunning, tick: tickPrediction }

const finalRow: Row = { ...nothingNew, observed: ignore('final'), cancel: ignore('final'), tick: ignore('final') }

export const transitions: Record<Phase, Row> = {
  queued: {
    ...nothingNew,
    intend,
    not_prepared: notPrepared,
    // Every attempt so far is closed as not created, or given up, so a prediction of one is late.
    observed: (state, event, context) => lateAttempt.observed(state, event, context),
    forgotten,
    cancel: cancelWaiting,
    batch_stopped: stopWaiting,
    tick: tickWaiting,
  },
  submitting: outcomeOpen,
  unknown: outcomeOpen,
  created: predictionLives,
  running: predictionLives,
  resubmitting: {
    ...outcomeOpen,
    intend,
    not_prepared: notPrepared,
    forgotten,
    cancel: cancelResubmitting,
    batch_stopped: stopWaiting,
    tick: tickResubmitting,
  },
  stopping: { ...outcomeOpen, cancel: ignore('stopping'), tick: tickStopping },
  storing: {
    ...nothingNew,
    observed: observedWhileStoring,
    stored,
    not_stored: notStored,
    cancel: giveUpOutput,
    tick: ignore('not_yet'),
  },
  succeeded: finalRow,
  failed: finalRow,
  canceled: finalRow,
}

/** Whether the event belongs to an attempt that the job no longer depends on. */
const isLate = (state: JobState, event: JobEvent): boolean =>
  'attempt' in event &&
  event.attempt !== undefined &&
  (isFinal(state.job.phase) || event.attempt !== state.job.attempt || isGivenUp(attemptOf(state, event.attempt)))

/** Whether the attempt certainly cost nothing: no prediction was created, or it failed, or it never started. */
const isFree = ({ state, outcome, prediction_id, orphans }: AttemptRecord): boolean =>
  state === 'closed' &&
  orphans.length === 0 &&
  (outcome === 'failed' || outcome === 'aborted' || (prediction_id === null && outcome !== UNDECIDED))

/** Whether a job was billed is unknown while it is unknown for one of its other attempts. */
function billedHonestly(decision: Decision, { attempts }: JobState): Decision {
  if (decision.kind !== 'commit') return decision
  const { error } = decision.job
  if (error?.billed !== 'no') return decision
  return attempts.every((attempt) => attempt.n === decision.attempt?.n || isFree(attempt))
    ? decision
    : { ...decision, job: { ...decision.job, error: { ...error, billed: 'unknown' } } }
}

/** Decides the change of the job by `event`. Pure. */
export function transition(state: JobState, event: JobEvent, context: TransitionContext): Decision {
  return billedHonestly(decide(state, event, context), state)
}

function decide(state: JobState, event: JobEvent, context: TransitionContext): Decision {
  const late = isLate(state, event)
  const row = transitions[state.job.phase]
  switch (event.type) {
    case 'intend':
      return row.intend(state, event, context)
    case 'not_prepared':
      return row.not_prepared(state, event, context)
    case 'not_sent':
      return (late ? lateAttempt : row).not_sent(state, event, context)
    case 'refused':
      return (late ? lateAttempt : row).refused(state, event, context)
    case 'lost':
      return (late ? lateAttempt : row).lost(state, event, context)
    case 'forgotten':
      return row.forgotten(state, event, context)
    case 'superseded':
      return late ? ignored('no_news') : row.superseded(state, event, context)
    case 'observed':
      return (late ? lateAttempt : row).observed(state, event, context)
    case 'not_listed':
      return (late ? lateAttempt : row).not_listed(state, event, context)
    case 'missing':
      return (late ? lateAttempt : row).missing(state, event, context)
    case 'stored':
      return late ? ignored('no_news') : row.stored(state, event, context)
    case 'not_stored':
      return late ? ignored('no_news') : row.not_stored(state, event, context)
    case 'cancel_done':
      return row.cancel_done(state, event, context)
    case 'cancel':
      return row.cancel(state, event, context)
    case 'batch_stopped':
      return row.batch_stopped(state, event, context)
    case 'tick':
      return (late ? lateAttempt : row).tick(state, event, context)
  }
}
