import { inlineOutput, MAX_INLINE_OUTPUT } from '../artifacts/output.ts'
import { isTerminal, type Prediction, type TerminalStatus } from '../replicate/prediction.ts'
import { progressFromLogs } from '../replicate/progress-from-logs.ts'
import {
  attemptOf,
  effectKey,
  isFinal,
  type ArtifactRecord,
  type AttemptRecord,
  type Billed,
  type Cause,
  type Effect,
  type JobError,
  type JobRecord,
  type JobState,
  type Json,
  type Phase,
} from './job.ts'
import { withinStart, type Timings } from './timings.ts'

/**
 * The state machine of a job: one pure table decides. `transition(state, event, context)` answers the changes to
 * commit, or why there are none. Nothing else in genqueue changes a job.
 *
 *   queued --intend--> submitting --observed--> created --> running --> storing --> succeeded
 *     ^                  |  |                      |           |           |
 *     +--not_sent/refused+  +--lost--> unknown     +--failed / canceled / aborted upstream--> failed | canceled
 *                                                  +--cancel, deadline--> stopping --> final
 *
 * Webhooks may be early, late, doubled or reordered, commits may be repeated, and workers may die anywhere; so every
 * phase accepts every event, and what brings no news is ignored.
 */

/** A moment: absolute (ms), or so many ms after the commit, by the clock of Redis. */
export type Moment = number | { in: number }

type WithMoments<T> = { [K in keyof T]?: number extends T[K] ? T[K] | Moment : T[K] }
export type JobChanges = WithMoments<Omit<JobRecord, 'v' | 'id' | 'rev' | 'tenant' | 'account'>>
export type AttemptChanges = WithMoments<Omit<AttemptRecord, 'v' | 'n'>>

export interface Commit {
  kind: 'commit'
  job: JobChanges
  attempt?: { n: number; changes: AttemptChanges }
  effects: { add: Effect[]; remove: string[] }
  /** `attempt`: of the attempt that the commit names; null: it needs no look any more. */
  due: { job?: Moment; attempt?: Moment | null }
  /** The commit takes a token of the account's create budget, or is refused. */
  takesBudget?: true
  /** Creation stops for every job of the account, ms from the commit. */
  pause?: { for: number; reason: PauseReason }
  /** Predictions that nobody owns came to light. */
  orphans?: number
}
export interface Ignored {
  kind: 'ignored'
  reason: 'no_news' | 'final' | 'storing' | 'stopping' | 'unknown_attempt' | 'not_the_claim' | 'not_yet'
}
export type Decision = Commit | Ignored

export type PauseReason = 'rate_limited' | 'unreachable' | 'account'

export type JobEvent =
  /** A worker is about to POST; `claim` is the id of this very commit. */
  | { type: 'intend'; claim: string }
  /** The holder of the claim did not send a byte. */
  | { type: 'not_sent'; attempt: number; claim: string }
  /** Upstream surely created nothing. `error` null: the job goes back into the line. */
  | {
      type: 'refused'
      attempt: number
      claim: string
      outcome: string
      error: JobError | null
      pause: { for: number; reason: PauseReason } | null
    }
  /** The holder of the claim does not know what became of its POST. */
  | { type: 'lost'; attempt: number; claim: string; reason: string }
  /** A prediction as upstream tells it: the create's answer, a webhook, a GET, a cancel's answer. */
  | { type: 'observed'; attempt: number; prediction: Prediction; webhook_id?: string }
  | { type: 'stored'; attempt: number; output: Json; artifacts: ArtifactRecord[] }
  | { type: 'not_stored'; attempt: number; message: string }
  /** Upstream took the cancel, or has nothing to cancel. */
  | { type: 'cancel_done'; attempt: number; prediction_id: string }
  | { type: 'cancel' }
  /** A due time came: of the job, or of one attempt. */
  | { type: 'tick'; attempt?: number }

export interface TransitionContext {
  /** ms, Redis clock, at most a moment old */
  now: number
  cause: Cause
  timings: Timings
  /** Whether webhooks can reach us: decides when the first poll is due. */
  webhooks: boolean
}

type Rule<E extends JobEvent['type']> = (
  state: JobState,
  event: Extract<JobEvent, { type: E }>,
  context: TransitionContext,
) => Decision

type Row = { [E in JobEvent['type']]: Rule<E> }

const ignored = (reason: Ignored['reason']): Ignored => ({ kind: 'ignored', reason })
const ignore = (reason: Ignored['reason']) => (): Ignored => ignored(reason)

const commit = (job: JobChanges, rest: Partial<Omit<Commit, 'kind' | 'job'>> = {}): Commit => ({
  kind: 'commit',
  job,
  effects: { add: [], remove: [] },
  due: {},
  ...rest,
})

const NOW: Moment = { in: 0 }

const failed = (code: string, message: string, retryable: boolean, billed: Billed): JobChanges => ({
  phase: 'failed',
  status: 'failed',
  error: { code, message, retryable, billed },
  completed_at: NOW,
})

const canceled = (billed: Billed): JobChanges => ({
  phase: 'canceled',
  status: 'canceled',
  error: { code: 'canceled', message: 'The job was canceled on request.', retryable: true, billed },
  completed_at: NOW,
})

const closed = (outcome: string, cause: Cause | null): AttemptChanges => ({
  state: 'closed',
  outcome,
  finished_by: cause,
  closed_at: NOW,
})

/** What a stop leads to when nothing runs upstream any more. */
const stopped = (job: JobRecord, billed: Billed): JobChanges =>
  job.stop?.reason === 'timeout'
    ? failed('timeout', `The prediction did not end within ${job.timeout} s.`, true, billed)
    : canceled(billed)

// --- queued -----------------------------------------------------------------------------------------------------

const intend: Rule<'intend'> = ({ job }, { claim }, { timings }) =>
  commit(
    { phase: 'submitting', status: 'queued', attempt: job.attempt + 1, submitted_at: NOW },
    {
      attempt: {
        n: job.attempt + 1,
        changes: { account: job.account, state: 'intended', claim, intended_at: NOW, orphans: [] },
      },
      due: { job: { in: timings.intentSilence }, attempt: { in: timings.intentSilence } },
      takesBudget: true,
    },
  )

const tickQueued: Rule<'tick'> = ({ job }, _event, { now }) =>
  now >= job.created_at + job.start_within * 1000
    ? commit(failed('start_within_expired', `The job could not be started within ${job.start_within} s.`, true, 'no'))
    : ignored('not_yet')

// --- a POST is under way, or its outcome is unknown ---------------------------------------------------------------

/** Only its author may say what became of an intent, and only while no prediction was found for it. */
const speaksForIntent = (attempt: AttemptRecord | undefined, claim: string): attempt is AttemptRecord =>
  attempt !== undefined &&
  attempt.claim === claim &&
  attempt.prediction_id === null &&
  (attempt.state === 'intended' || attempt.state === 'unknown')

const notSent: Rule<'not_sent'> = (state, { attempt, claim }, { now, timings }) => {
  if (!speaksForIntent(attemptOf(state, attempt), claim)) return ignored('not_the_claim')
  const settled = { n: attempt, changes: closed('not_sent', null) }
  return state.job.phase === 'stopping'
    ? commit(stopped(state.job, 'no'), { attempt: settled, due: { attempt: null } })
    : commit(
        { phase: 'queued', status: 'queued' },
        { attempt: settled, due: { job: { in: withinStart(state.job, now, timings.ringAgain.min) }, attempt: null } },
      )
}

const refused: Rule<'refused'> = (state, event, { now, timings }) => {
  if (!speaksForIntent(attemptOf(state, event.attempt), event.claim)) return ignored('not_the_claim')
  const rest = {
    attempt: { n: event.attempt, changes: closed(event.outcome, 'create' as const) },
    ...(event.pause ? { pause: event.pause } : {}),
  }
  if (state.job.phase === 'stopping') return commit(stopped(state.job, 'no'), { ...rest, due: { attempt: null } })
  if (event.error === null) {
    const wait = Math.max(event.pause?.for ?? 0, timings.ringAgain.min)
    return commit(
      { phase: 'queued', status: 'queued' },
      { ...rest, due: { job: { in: withinStart(state.job, now, wait) }, attempt: null } },
    )
  }
  const { code, message, retryable, billed } = event.error
  return commit(failed(code, message, retryable, billed), { ...rest, due: { attempt: null } })
}

const becomesUnknown = (state: JobState, n: number, reason: string, timings: Timings): Commit =>
  commit(state.job.phase === 'submitting' ? { phase: 'unknown' } : {}, {
    attempt: { n, changes: { state: 'unknown', outcome: reason } },
    due: {
      attempt: { in: timings.ringAgain.min },
      ...(state.job.phase === 'submitting' ? { job: { in: timings.ringAgain.min } } : {}),
    },
  })

const lost: Rule<'lost'> = (state, { attempt, claim, reason }, { timings }) => {
  const record = attemptOf(state, attempt)
  if (!speaksForIntent(record, claim)) return ignored('not_the_claim')
  return record.state === 'unknown' ? ignored('no_news') : becomesUnknown(state, attempt, reason, timings)
}

/** An intent whose author fell silent: nobody will ever tell what became of the POST. */
const tickIntent: Rule<'tick'> = (state, { attempt }, { now, timings }) => {
  const record = attemptOf(state, attempt ?? state.job.attempt)
  return record?.state === 'intended' && now >= record.intended_at + timings.intentSilence
    ? becomesUnknown(state, record.n, 'author_silent', timings)
    : ignored('not_yet')
}

// --- news from upstream -------------------------------------------------------------------------------------------

const cancelEffect = (attempt: number, predictionId: string, now: number): Effect => ({
  v: 1,
  kind: 'cancel',
  attempt,
  prediction_id: predictionId,
  requested_at: now,
})

const cancelsOf = (state: JobState, attempt: number, predictionId: string): string[] =>
  state.effects
    .filter((e) => e.kind === 'cancel' && e.attempt === attempt && e.prediction_id === predictionId)
    .map(effectKey)

/** A prediction with our token that no attempt owns: recorded, cancelled upstream, counted. */
function orphan(state: JobState, record: AttemptRecord, prediction: Prediction, now: number): Decision {
  if (record.orphans.includes(prediction.id)) {
    const settled = isTerminal(prediction.status) ? cancelsOf(state, record.n, prediction.id) : []
    return settled.length > 0 ? commit({}, { effects: { add: [], remove: settled } }) : ignored('no_news')
  }
  return commit(
    {},
    {
      attempt: { n: record.n, changes: { orphans: [...record.orphans, prediction.id] } },
      effects: {
        add: isTerminal(prediction.status) ? [] : [cancelEffect(record.n, prediction.id, now)],
        remove: [],
      },
      orphans: 1,
    },
  )
}

const predictionTimes = (job: JobRecord, prediction: Prediction): JobChanges => ({
  prediction_created_at: job.prediction_created_at ?? prediction.created_at ?? NOW,
  ...(prediction.started_at === null ? {} : { started_at: prediction.started_at }),
})

const observed: Rule<'observed'> = (state, event, context) => {
  const { job } = state
  const { prediction } = event
  const record = attemptOf(state, event.attempt)
  if (record === undefined) return ignored('unknown_attempt')
  if (record.prediction_id !== null && record.prediction_id !== prediction.id)
    return orphan(state, record, prediction, context.now)
  if (record.state === 'closed' && record.prediction_id === null) return orphan(state, record, prediction, context.now)

  const adopts = record.prediction_id === null
  const attempt: AttemptChanges = {
    ...(adopts ? { prediction_id: prediction.id, state: 'open', outcome: null } : {}),
    ...(event.webhook_id === undefined ? {} : { webhook_id: event.webhook_id }),
  }
  const seen: JobChanges = { prediction_id: prediction.id, ...predictionTimes(job, prediction) }

  if (isTerminal(prediction.status)) {
    const end = ending(state, event.attempt, prediction, prediction.status, context)
    return {
      ...end,
      job: { ...seen, metrics: prediction.metrics ?? {}, ...end.job },
      attempt: { n: event.attempt, changes: { ...attempt, ...closed(prediction.status, context.cause) } },
      effects: { add: end.effects.add, remove: cancelsOf(state, event.attempt, prediction.id) },
      due: { ...end.due, attempt: null },
    }
  }

  const firstPoll = { in: (context.webhooks ? context.timings.pollWithWebhooks : context.timings.pollOnly).first }
  if (job.phase === 'stopping')
    return adopts
      ? commit(seen, {
          attempt: { n: event.attempt, changes: attempt },
          effects: { add: [cancelEffect(event.attempt, prediction.id, context.now)], remove: [] },
          due: { attempt: firstPoll },
        })
      : ignored('no_news')

  const runs = prediction.status === 'processing'
  if (!adopts && (!runs || job.phase === 'running')) return ignored('no_news')
  return commit(
    {
      ...seen,
      phase: runs ? 'running' : 'created',
      status: runs ? 'processing' : 'starting',
      ...(prediction.logs ? { progress: progressFromLogs(prediction.logs) } : {}),
    },
    {
      attempt: { n: event.attempt, changes: attempt },
      due: adopts ? { job: { in: job.timeout * 1000 + context.timings.timeoutGrace }, attempt: firstPoll } : {},
    },
  )
}

/** The owned prediction is final upstream: what that makes of the job. */
function ending(
  { job }: JobState,
  attempt: number,
  prediction: Prediction,
  status: TerminalStatus,
  { now, timings }: TransitionContext,
): Commit {
  const ran = prediction.started_at !== null || job.phase === 'running' ? 'yes' : 'no'
  switch (status) {
    case 'succeeded':
      return success(attempt, prediction, now, timings)
    case 'failed':
      return commit(
        job.stop
          ? stopped(job, 'no')
          : failed('prediction_failed', prediction.error ?? 'Replicate gave no reason.', true, 'no'),
      )
    case 'canceled': {
      if (job.stop) return commit(stopped(job, ran))
      const from = prediction.created_at ?? job.prediction_created_at ?? now
      const until = prediction.completed_at ?? now
      return commit(
        until >= from + job.timeout * 1000 - 1000
          ? failed('timeout', `The prediction did not end within ${job.timeout} s.`, true, ran)
          : failed('canceled_upstream', 'The prediction was canceled at Replicate, not by genqueue.', true, ran),
      )
    }
    case 'aborted':
      return commit(
        job.stop
          ? stopped(job, 'no')
          : failed('timeout', `The prediction did not begin within ${job.timeout} s of its creation.`, true, 'no'),
      )
  }
}

function success(attempt: number, prediction: Prediction, now: number, timings: Timings): Commit {
  if (prediction.data_removed && prediction.output === null)
    return commit(
      failed('output_not_stored', 'Replicate had removed the output before it could be copied.', true, 'yes'),
    )
  const inline = inlineOutput(prediction.output)
  if (inline)
    return commit({
      phase: 'succeeded',
      status: 'succeeded',
      output: inline.value,
      progress: 1,
      error: null,
      completed_at: NOW,
    })
  const tooLarge = Buffer.byteLength(JSON.stringify(prediction.output)) > MAX_INLINE_OUTPUT
  return commit(
    { phase: 'storing', status: 'processing', progress: 1 },
    {
      effects: {
        add: [
          {
            v: 1,
            kind: 'store',
            attempt,
            output: tooLarge ? null : prediction.output,
            output_pending: tooLarge,
            expires_at: (prediction.created_at ?? now) + timings.outputLifetime,
            give_up_at: (prediction.completed_at ?? now) + timings.storeDeadline,
          },
        ],
        remove: [],
      },
      due: { job: { in: timings.ringAgain.max } },
    },
  )
}

// --- stopping -----------------------------------------------------------------------------------------------------

const stopUnsent: Rule<'cancel'> = (_state, _event, { now, timings }) =>
  commit(
    { phase: 'stopping', stop: { reason: 'canceled', requested_at: now } },
    { due: { job: { in: timings.stopBound } } },
  )

function stopRunning(state: JobState, reason: 'canceled' | 'timeout', { now, timings }: TransitionContext): Commit {
  const { attempt, prediction_id } = state.job
  return commit(
    { phase: 'stopping', stop: { reason, requested_at: now } },
    {
      effects: { add: prediction_id === null ? [] : [cancelEffect(attempt, prediction_id, now)], remove: [] },
      due: { job: { in: timings.stopBound } },
    },
  )
}

const cancelRunning: Rule<'cancel'> = (state, _event, context) => stopRunning(state, 'canceled', context)

const tickPrediction: Rule<'tick'> = (state, _event, context) => {
  const { job } = state
  const from = job.prediction_created_at ?? job.submitted_at ?? job.created_at
  return context.now >= from + job.timeout * 1000 + context.timings.timeoutGrace
    ? stopRunning(state, 'timeout', context)
    : ignored('not_yet')
}

const tickStopping: Rule<'tick'> = (state, event, context) => {
  const { job } = state
  if (job.stop && context.now >= job.stop.requested_at + context.timings.stopBound)
    return commit(stopped(job, 'unknown'))
  return tickIntent(state, event, context)
}

const cancelDone: Rule<'cancel_done'> = (state, { attempt, prediction_id }) => {
  const effects = { add: [], remove: cancelsOf(state, attempt, prediction_id) }
  if (effects.remove.length === 0) return ignored('no_news')
  const record = attemptOf(state, attempt)
  // Upstream took the cancel but may not have ended the prediction yet: look again soon.
  return record?.state === 'open' && record.prediction_id === prediction_id
    ? commit({}, { attempt: { n: attempt, changes: {} }, effects, due: { attempt: { in: 1000 } } })
    : commit({}, { effects })
}

// --- storing ------------------------------------------------------------------------------------------------------

const storeKey = (attempt: number): string => `store:${attempt}`

const stored: Rule<'stored'> = (_state, { attempt, output, artifacts }) =>
  commit(
    { phase: 'succeeded', status: 'succeeded', output, artifacts, error: null, completed_at: NOW },
    { effects: { add: [], remove: [storeKey(attempt)] } },
  )

/** The owned prediction has told everything; another one with our token is nobody's. */
const observedWhileStoring: Rule<'observed'> = (state, { attempt, prediction }, { now }) => {
  const record = attemptOf(state, attempt)
  return record && record.prediction_id !== prediction.id ? orphan(state, record, prediction, now) : ignored('storing')
}

const notStored: Rule<'not_stored'> = (_state, { attempt, message }) =>
  commit(failed('output_not_stored', message, true, 'yes'), { effects: { add: [], remove: [storeKey(attempt)] } })

// --- the table ----------------------------------------------------------------------------------------------------

/** In these phases an event can only be old news, or a mistake of the caller. */
const nothingNew = {
  intend: ignore('no_news'),
  not_sent: ignore('not_the_claim'),
  refused: ignore('not_the_claim'),
  lost: ignore('not_the_claim'),
  stored: ignore('no_news'),
  not_stored: ignore('no_news'),
}

const outcomeOpen: Row = {
  ...nothingNew,
  not_sent: notSent,
  refused,
  lost,
  observed,
  cancel_done: cancelDone,
  cancel: stopUnsent,
  tick: tickIntent,
}

const predictionLives: Row = {
  ...nothingNew,
  observed,
  cancel_done: cancelDone,
  cancel: cancelRunning,
  tick: tickPrediction,
}

const finalRow: Row = {
  ...nothingNew,
  observed: ignore('final'),
  cancel_done: cancelDone,
  cancel: ignore('final'),
  tick: ignore('final'),
}

export const transitions: Record<Phase, Row> = {
  queued: {
    ...nothingNew,
    intend,
    // Every attempt so far is closed as not created: what surfaces for one is nobody's.
    observed: (state, event, context) => lateAttempt.observed(state, event, context),
    cancel_done: cancelDone,
    cancel: () => commit(canceled('no')),
    tick: tickQueued,
  },
  submitting: outcomeOpen,
  unknown: outcomeOpen,
  created: predictionLives,
  running: predictionLives,
  stopping: { ...outcomeOpen, cancel: ignore('stopping'), tick: tickStopping },
  storing: {
    ...nothingNew,
    observed: observedWhileStoring,
    cancel_done: cancelDone,
    stored,
    not_stored: notStored,
    cancel: ignore('storing'),
    tick: ignore('not_yet'),
  },
  succeeded: finalRow,
  failed: finalRow,
  canceled: finalRow,
}

/** News of an attempt that the job does not depend on any more: only its own record changes. */
const lateAttempt: Pick<Row, 'not_sent' | 'refused' | 'lost' | 'observed' | 'tick'> = {
  not_sent: (state, { attempt, claim }) =>
    speaksForIntent(attemptOf(state, attempt), claim)
      ? commit({}, { attempt: { n: attempt, changes: closed('not_sent', null) }, due: { attempt: null } })
      : ignored('not_the_claim'),
  refused: (state, { attempt, claim, outcome, pause }) =>
    speaksForIntent(attemptOf(state, attempt), claim)
      ? commit(
          {},
          {
            attempt: { n: attempt, changes: closed(outcome, 'create') },
            due: { attempt: null },
            ...(pause ? { pause } : {}),
          },
        )
      : ignored('not_the_claim'),
  lost,
  observed: (state, { attempt, prediction, webhook_id }, context) => {
    const record = attemptOf(state, attempt)
    if (record === undefined) return ignored('unknown_attempt')
    if (record.state === 'closed' && record.prediction_id === prediction.id) return ignored('final')
    if (record.state === 'closed' || (record.prediction_id !== null && record.prediction_id !== prediction.id))
      return orphan(state, record, prediction, context.now)
    const surfaced = record.prediction_id === null
    const ended = isTerminal(prediction.status)
    if (!surfaced && !ended) return ignored('no_news')
    return commit(
      {},
      {
        attempt: {
          n: attempt,
          changes: {
            prediction_id: prediction.id,
            ...(webhook_id === undefined ? {} : { webhook_id }),
            ...(ended ? closed(prediction.status, context.cause) : { state: 'open' as const, outcome: null }),
          },
        },
        effects: {
          add: surfaced && !ended ? [cancelEffect(attempt, prediction.id, context.now)] : [],
          remove: ended ? cancelsOf(state, attempt, prediction.id) : [],
        },
        due: { attempt: ended ? null : { in: context.timings.pollWithWebhooks.first } },
        ...(surfaced ? { orphans: 1 } : {}),
      },
    )
  },
  tick: (state, event, context) => {
    const record = attemptOf(state, event.attempt ?? 0)
    if (record === undefined || record.state === 'closed') return ignored('no_news')
    // Replicate has removed the prediction by then, and a customer's answer does not depend on it any more.
    if (record.state === 'unknown' && context.now >= record.intended_at + context.timings.outputLifetime)
      return commit({}, { attempt: { n: record.n, changes: closed('undecided', 'sweep') }, due: { attempt: null } })
    return tickIntent(state, event, context)
  },
}

const isLate = (job: JobRecord, event: JobEvent): boolean =>
  'attempt' in event && event.attempt !== undefined && (isFinal(job.phase) || event.attempt !== job.attempt)

/** Decides what `event` makes of the job. Pure. */
export function transition(state: JobState, event: JobEvent, context: TransitionContext): Decision {
  const { job } = state
  const late = isLate(job, event)
  switch (event.type) {
    case 'intend':
      return transitions[job.phase].intend(state, event, context)
    case 'not_sent':
      return (late ? lateAttempt : transitions[job.phase]).not_sent(state, event, context)
    case 'refused':
      return (late ? lateAttempt : transitions[job.phase]).refused(state, event, context)
    case 'lost':
      return (late ? lateAttempt : transitions[job.phase]).lost(state, event, context)
    case 'observed':
      return (late ? lateAttempt : transitions[job.phase]).observed(state, event, context)
    case 'stored':
      return late ? ignored('no_news') : transitions[job.phase].stored(state, event, context)
    case 'not_stored':
      return late ? ignored('no_news') : transitions[job.phase].not_stored(state, event, context)
    case 'cancel_done':
      return transitions[job.phase].cancel_done(state, event, context)
    case 'cancel':
      return transitions[job.phase].cancel(state, event, context)
    case 'tick':
      return (late ? lateAttempt : transitions[job.phase]).tick(state, event, context)
  }
}
