import {
  inlineOutput,
  linkedOutput,
  MAX_INLINE_OUTPUT,
  MAX_OUTPUT_FILES,
  planOutput,
  type Meaning,
} from '../../artifacts/rules/output.ts'
import { MAX_JSON_DEPTH } from '../../values/json-depth.ts'
import type { Json } from '../../values/json.ts'
import { classifyFailure, isOfPlatform } from '../../replicate/rules/failure-classes.ts'
import { isTerminal, type Prediction, type TerminalStatus } from '../../replicate/rules/prediction.ts'
import { keptLogs } from '../../replicate/rules/last-logs.ts'
import { progressFromLogs } from '../../replicate/rules/progress-from-logs.ts'
import {
  closed,
  commit,
  failed,
  ignored,
  inAccount,
  NOW,
  stopped,
  type AttemptChanges,
  type Commit,
  type Decision,
  type JobChanges,
  type Rule,
  type TransitionContext,
} from './decision.ts'
import { cancelAfter, runDeadline, timeoutMessage, withinDeadline } from './deadlines.ts'
import {
  attemptOf,
  effectKey,
  keepsLogs,
  newAttempt,
  RECOVERED,
  type AttemptRecord,
  type JobRecord,
  type JobState,
  type Work,
} from './job.ts'
import { runFacts } from './run-facts.ts'

/** Rules of what upstream reports about predictions, from any source. */

/** `account`: where the prediction is, if that is not the account of the attempt. */
export const cancelEffect = (attempt: number, predictionId: string, now: number, account?: string): Work => ({
  v: 1,
  kind: 'cancel',
  attempt,
  prediction_id: predictionId,
  requested_at: now,
  ...(account === undefined ? {} : { account }),
})

export const cancelsOf = (state: JobState, attempt: number, predictionId: string): string[] =>
  state.effects
    .filter((e) => e.kind === 'cancel' && e.attempt === attempt && e.prediction_id === predictionId)
    .map(effectKey)

/** A prediction with our token that no attempt owns: recorded, canceled upstream, counted. */
export function orphan(
  state: JobState,
  record: AttemptRecord,
  { prediction, account }: { prediction: Prediction; account?: string },
  now: number,
): Decision {
  if (record.orphans.includes(prediction.id)) {
    const settled = isTerminal(prediction.status) ? cancelsOf(state, record.n, prediction.id) : []
    return settled.length > 0 ? commit({}, { effects: { add: [], remove: settled } }) : ignored('no_news')
  }
  const elsewhere = account === record.account ? undefined : account
  return commit(
    {},
    {
      attempt: { n: record.n, changes: { orphans: [...record.orphans, prediction.id] } },
      effects: {
        add: isTerminal(prediction.status) ? [] : [cancelEffect(record.n, prediction.id, now, elsewhere)],
        remove: [],
      },
      orphans: 1,
      note: 'orphan',
    },
  )
}

const predictionTimes = (job: JobRecord, prediction: Prediction): JobChanges => ({
  prediction_created_at: job.prediction_created_at ?? prediction.created_at ?? NOW,
  ...(prediction.started_at === null ? {} : { started_at: prediction.started_at }),
})

/** ms until the first poll: with webhooks, after the expected completion; without webhooks, soon. */
export function firstPoll({ webhooks, expected, timings }: TransitionContext): number {
  if (!webhooks) return timings.pollOnly.first
  const { first, max } = timings.pollWithWebhooks
  return Math.max(first, Math.min(expected ?? 0, max) + (expected === null ? 0 : first))
}

/** A prediction without news; it only ends a series of 404 responses. */
export const seenAgain = ({ n, missing_since }: AttemptRecord): Decision =>
  missing_since === null ? ignored('no_news') : commit({}, { attempt: { n, changes: { missing_since: null } } })

/**
 * Whether a newly found prediction shows that creates work now: it was in the response of the create, or was seen while the
 * POST may still be in flight. A prediction of an unknown outcome proves nothing about the present.
 */
export const wellBy = ({ state, claim }: AttemptRecord, { cause }: TransitionContext): { health?: 'healthy' } =>
  cause === 'create' || (state === 'intended' && claim !== RECOVERED) ? { health: 'healthy' } : {}

/** ms until genqueue stops a prediction that was just found. */
function untilRunEnds(job: JobRecord, { created_at }: Prediction, { now, timings }: TransitionContext): number {
  return Math.max(runDeadline({ ...job, prediction_created_at: created_at ?? now }, timings) - now, 0)
}

export const observed: Rule<'observed'> = (state, event, context) => {
  const { job } = state
  const { prediction } = event
  const record = attemptOf(state, event.attempt)
  if (record === undefined) return ignored('unknown_attempt')
  if (record.prediction_id !== null && record.prediction_id !== prediction.id)
    return orphan(state, record, event, context.now)
  if (record.state === 'closed')
    return record.prediction_id === null ? orphan(state, record, event, context.now) : ignored('no_news')

  const adopts = record.prediction_id === null
  const { account = record.account } = event
  const attempt: AttemptChanges = {
    ...(adopts ? { prediction_id: prediction.id, state: 'open', outcome: null } : {}),
    ...(adopts && account !== record.account ? { account } : {}),
    ...(event.webhook_id === undefined ? {} : { webhook_id: event.webhook_id }),
    ...(record.missing_since === null ? {} : { missing_since: null }),
  }
  const before: JobRecord = adopts ? { ...job, prediction_created_at: null, started_at: null } : job
  const seen: JobChanges = {
    prediction_id: prediction.id,
    ...(adopts ? inAccount(job, account, context) : {}),
    ...predictionTimes(before, prediction),
  }
  const health = adopts ? wellBy(record, context) : {}

  if (isTerminal(prediction.status)) {
    const end = ending(state, event.attempt, prediction, prediction.status, context)
    return {
      ...end,
      ...health,
      ...modelSignal(prediction, prediction.status),
      job: { ...seen, metrics: prediction.metrics ?? {}, ...runFacts(job, prediction), ...end.job },
      attempt: { n: event.attempt, changes: { ...attempt, ...closed(prediction.status, context.cause) } },
      effects: { add: end.effects.add, remove: cancelsOf(state, event.attempt, prediction.id) },
      due: { ...end.due, attempt: null },
      ...(keepsLogs(job) ? { logs: keptLogs(prediction.logs) } : {}),
    }
  }

  const poll = { in: firstPoll(context) }
  if (job.phase === 'stopping')
    return adopts
      ? commit(seen, {
          ...health,
          attempt: { n: event.attempt, changes: attempt },
          effects: { add: [cancelEffect(event.attempt, prediction.id, context.now)], remove: [] },
          due: { attempt: poll },
        })
      : seenAgain(record)

  const runs = prediction.status === 'processing'
  if (!adopts && (!runs || job.phase === 'running')) return seenAgain(record)
  return commit(
    {
      ...seen,
      ...(runs
        ? { phase: 'running', status: 'processing' }
        : job.phase === 'resubmitting'
          ? {}
          : { phase: 'created', status: 'starting' }),
      ...(prediction.logs ? { progress: progressFromLogs(prediction.logs) } : {}),
    },
    {
      ...health,
      attempt: { n: event.attempt, changes: attempt },
      due: adopts ? { job: { in: untilRunEnds(job, prediction, context) }, attempt: poll } : {},
    },
  )
}

/**
 * A prediction of the attempt that would come next: Redis lost the intent (a crash can lose the last second), so the job is
 * queued although it was sent. The prediction is adopted as if the intent existed.
 */
export const recovered: Rule<'observed'> = (state, event, context) => {
  const { job } = state
  const n = event.attempt
  if (n !== job.attempt + 1) return ignored('unknown_attempt')
  const { account = job.account } = event
  const intent: AttemptChanges = {
    account,
    state: 'intended',
    claim: RECOVERED,
    intended_at: event.prediction.created_at ?? context.now,
    orphans: [],
  }
  const lost: AttemptRecord = {
    ...newAttempt(n),
    account,
    claim: RECOVERED,
    intended_at: event.prediction.created_at ?? context.now,
  }
  const remembered: JobState = {
    ...state,
    job: {
      ...job,
      phase: job.phase === 'resubmitting' ? job.phase : 'unknown',
      attempt: n,
      submitted_at: lost.intended_at,
    },
    attempts: [...state.attempts, lost],
  }
  const decision = observed(remembered, event, context)
  if (decision.kind === 'ignored' || !decision.attempt) return decision
  return {
    ...decision,
    job: { attempt: n, submitted_at: lost.intended_at, ...decision.job },
    attempt: { n, changes: { ...intent, ...decision.attempt.changes } },
    note: 'recovered',
  }
}

/** The change of the job when its prediction is final upstream. */
function ending(
  { job }: JobState,
  attempt: number,
  prediction: Prediction,
  status: TerminalStatus,
  context: TransitionContext,
): Commit {
  const { now, timings } = context
  const ran = prediction.started_at !== null || job.phase === 'running' ? 'yes' : 'no'
  switch (status) {
    case 'succeeded':
      return success(job, attempt, prediction, context)
    case 'failed':
      return failure(job, prediction, context)
    case 'canceled': {
      if (job.stop) return commit(stopped(job, ran))
      const from = prediction.created_at ?? job.prediction_created_at ?? now
      const until = prediction.completed_at ?? now
      return commit(
        until >= from + cancelAfter(job) - Math.min(1000, timings.timeoutGrace)
          ? failed('timeout', timeoutMessage(job, now), true, ran)
          : failed('canceled_upstream', 'The prediction was canceled at Replicate, not by genqueue.', true, ran),
      )
    }
    case 'aborted':
      return commit(
        job.stop
          ? stopped(job, 'no')
          : failed(
              'timeout',
              timeoutMessage(job, now, `The prediction did not start within ${job.timeout} s of its creation.`),
              true,
              'no',
            ),
      )
  }
}

/** What the end of a prediction says about its model at Replicate. */
function modelSignal(prediction: Prediction, status: TerminalStatus): Pick<Commit, 'model'> {
  if (status === 'succeeded') return { model: 'works' }
  if (status !== 'failed') return {}
  return { model: isOfPlatform(prediction.error) ? 'fails' : 'works' }
}

/** A failure of the platform is retried inside the job; a failure of the model or the input fails the job. */
function failure(job: JobRecord, prediction: Prediction, context: TransitionContext): Commit {
  const { now, timings, paused } = context
  if (job.stop) return commit(stopped(job, 'no'))
  const { code, resubmit, hopeless } = classifyFailure(prediction.error)
  if (resubmit && job.resubmissions < job.resubmit_limit)
    return commit(
      {
        phase: 'resubmitting',
        status: 'processing',
        resubmissions: job.resubmissions + 1,
        progress: null,
        started_at: null,
        metrics: {},
        start_since: NOW,
        start_paused: paused,
      },
      { due: { job: { in: withinDeadline(job, now, timings.ringAgain.min) } }, note: code },
    )
  return commit(failed(code, prediction.error ?? 'Replicate returned no reason.', !hopeless, 'no'))
}

const TOO_DEEP = `The output is nested too deeply to be stored. The limit is ${MAX_JSON_DEPTH} levels.`

/** The output when the job can succeed immediately: nothing to copy, and small enough for the record. */
const withoutCopy = ({ store }: JobRecord, output: Json, meaning: Meaning): { value: Json } | null =>
  inlineOutput(output, meaning) ?? (store === 'none' ? linkedOutput(output, meaning) : null)

export const tooManyFiles = (files: number): string =>
  `The output has ${files} files. The limit is ${MAX_OUTPUT_FILES}.`

function success(
  job: JobRecord,
  attempt: number,
  prediction: Prediction,
  { now, timings, delivers }: TransitionContext,
): Commit {
  const meaning: Meaning = { shape: job.output_shape, delivers }
  if (prediction.data_removed && prediction.output === null)
    return commit(failed('output_not_stored', 'Replicate removed the output before it could be copied.', true, 'yes'))
  if (prediction.output_too_deep) return commit(failed('output_not_stored', TOO_DEEP, true, 'yes'))
  const isLeftOut = prediction.output_left_out !== undefined
  const files = planOutput(prediction.output, meaning).files.length
  if (files > MAX_OUTPUT_FILES) return commit(failed('output_not_stored', tooManyFiles(files), false, 'yes'))
  const inline = isLeftOut ? null : withoutCopy(job, prediction.output, meaning)
  if (inline)
    return commit({
      phase: 'succeeded',
      status: 'succeeded',
      output: inline.value,
      progress: 1,
      error: null,
      completed_at: NOW,
    })
  const tooLarge = isLeftOut || Buffer.byteLength(JSON.stringify(prediction.output)) > MAX_INLINE_OUTPUT
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

/** A known prediction is lost when upstream returns 404 for `lostAfter`, while it accepts the account. */
export const missing: Rule<'missing'> = (state, { attempt }, { now, timings }) => {
  const record = attemptOf(state, attempt)
  if (record?.state !== 'open') return ignored('no_news')
  if (record.missing_since === null)
    return commit(
      {},
      { attempt: { n: attempt, changes: { missing_since: NOW } }, due: { attempt: { in: timings.lostAfter } } },
    )
  if (now < record.missing_since + timings.lostAfter) return ignored('not_yet')
  const lost = {
    attempt: { n: attempt, changes: closed('provider_lost', 'poll') },
    effects: { add: [], remove: cancelsOf(state, attempt, record.prediction_id ?? '') },
    due: { attempt: null },
  }
  return commit(
    state.job.stop
      ? stopped(state.job, 'unknown')
      : failed('provider_lost', 'Replicate no longer has the prediction.', true, 'unknown'),
    lost,
  )
}
