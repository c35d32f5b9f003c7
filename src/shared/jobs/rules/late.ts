import { isTerminal } from '../../replicate/rules/prediction.ts'
import { closed, commit, ignored, type Row } from './decision.ts'
import { attemptOf } from './job.ts'
import {
  isBeyondFinding,
  isGivenUp,
  judgeAbsence,
  lost,
  speaksForIntent,
  tickIntent,
  UNDECIDED,
  waitsForIntent,
} from './submit.ts'
import { cancelEffect, cancelsOf, missing, observed, orphan, recovered, seenAgain, wellBy } from './upstream.ts'

/** Rules of an attempt that the job no longer depends on: only the attempt's record changes. */
export const lateAttempt: Pick<Row, 'not_sent' | 'refused' | 'lost' | 'observed' | 'not_listed' | 'missing' | 'tick'> =
  {
    not_sent: (state, { attempt, claim }) =>
      speaksForIntent(attemptOf(state, attempt), claim)
        ? commit({}, { attempt: { n: attempt, changes: closed('not_sent', null) }, due: { attempt: null } })
        : ignored('not_the_claim'),
    refused: (state, { attempt, claim, outcome, pause, health }) =>
      speaksForIntent(attemptOf(state, attempt), claim)
        ? commit(
            {},
            {
              attempt: { n: attempt, changes: closed(outcome, 'create') },
              due: { attempt: null },
              ...(pause ? { pause } : {}),
              ...(health ? { health } : {}),
            },
          )
        : ignored('not_the_claim'),
    lost,
    observed: (state, event, context) => {
      const { attempt, prediction, webhook_id } = event
      const record = attemptOf(state, attempt)
      if (record === undefined)
        return waitsForIntent(state) ? recovered(state, event, context) : ignored('unknown_attempt')
      // The attempt was given up but the job has not been sent again: the job adopts the prediction after all.
      if (isGivenUp(record) && attempt === state.job.attempt && waitsForIntent(state))
        return observed(state, event, context)
      if (record.state === 'closed' && record.prediction_id === prediction.id) return ignored('final')
      if (record.state === 'closed' || (record.prediction_id !== null && record.prediction_id !== prediction.id))
        return orphan(state, record, event, context.now)
      const surfaced = record.prediction_id === null
      const ended = isTerminal(prediction.status)
      if (!surfaced && !ended) return seenAgain(record)
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
          ...(surfaced ? { orphans: 1, ...wellBy(record, context), note: 'late' } : {}),
        },
      )
    },
    not_listed: (state, event, context) => {
      const verdict = judgeAbsence(state, event, context)
      return verdict === 'absent'
        ? commit({}, { attempt: { n: event.attempt, changes: closed('not_created', 'list') }, due: { attempt: null } })
        : verdict
    },
    missing: (state, event, context) => {
      const decision = missing(state, event, context)
      return decision.kind === 'commit' ? { ...decision, job: {} } : decision
    },
    tick: (state, event, context) => {
      const record = attemptOf(state, event.attempt ?? 0)
      if (record === undefined || record.state === 'closed') return ignored('no_news')
      // The result of the job no longer depends on it.
      if (record.state === 'unknown' && isBeyondFinding(record, context))
        return commit({}, { attempt: { n: record.n, changes: closed(UNDECIDED, 'sweep') }, due: { attempt: null } })
      return record.state === 'intended' ? tickIntent(state, event, context) : ignored('not_yet')
    },
  }
