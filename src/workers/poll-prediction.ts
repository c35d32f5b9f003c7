import type { Lifecycle } from '../shared/jobs/lifecycle.ts'
import { attemptOf } from '../shared/jobs/rules/job.ts'
import { dueAttempt } from '../shared/jobs/record/due-member.ts'
import type { DueTimes, JobLoader } from '../shared/jobs/ports.ts'
import { expiresSoon, type Timings } from '../shared/jobs/rules/timings.ts'
import type { Logger } from '../shared/process/logger.ts'
import { createTroubleLog } from '../shared/process/trouble-log.ts'
import { isTerminal } from '../shared/replicate/rules/prediction.ts'
import type { Accounts } from '../shared/replicate/accounts.ts'
import type { NextPolls } from './next-poll.ts'

export interface PollDependencies {
  store: JobLoader & DueTimes
  lifecycle: Lifecycle
  accounts: Pick<Accounts, 'of'>
  timings: Timings
  nextPoll: NextPolls
  log: Logger
}

/** Polls one open prediction, and schedules its next poll. */
export function createPollPrediction({ store, lifecycle, accounts, timings, nextPoll, log }: PollDependencies) {
  const trouble = createTroubleLog(log)
  return async (id: string, attempt: number, signal: AbortSignal): Promise<void> => {
    const member = dueAttempt(id, attempt)
    const { now, state } = await store.load(id)
    const record = state && attemptOf(state, attempt)
    if (!record || record.state !== 'open' || record.prediction_id === null) return
    const created = state.job.prediction_created_at ?? record.intended_at
    const { upstream, reads } = accounts.of(record.account)
    const budget = reads.of(expiresSoon(now - created, timings) ? 'expiring' : 'poll')
    await budget.take(signal)
    const outcome = await upstream.get(record.prediction_id)
    const fields = { job: id, attempt, prediction: record.prediction_id }
    if (outcome.kind === 'prediction') {
      trouble.ended(id, fields, 'the prediction can be read again')
      await lifecycle.observe(id, attempt, outcome.prediction, 'poll')
      if (isTerminal(outcome.prediction.status)) return
    } else {
      trouble.failed(id, { ...fields, outcome }, 'the prediction could not be read; retrying')
    }
    // A 404 is evidence only while upstream accepts the account.
    if (outcome.kind === 'not_found') await budget.take(signal)
    if (outcome.kind === 'not_found' && (await upstream.account()) === 'well') {
      const result = await lifecycle.apply(id, { type: 'missing', attempt }, 'poll')
      if (result.kind === 'applied') return
    }
    const wait = await nextPoll(record.account, now - record.intended_at)
    await store.rearm(member, outcome.kind === 'rate_limited' ? Math.max(wait, outcome.retryAfterMs) : wait)
  }
}
