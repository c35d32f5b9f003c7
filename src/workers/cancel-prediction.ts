import { attemptOf, effectKey } from '../shared/jobs/rules/job.ts'
import type { Lifecycle } from '../shared/jobs/lifecycle.ts'
import { dueEffect } from '../shared/jobs/record/due-member.ts'
import type { DueTimes, JobLoader } from '../shared/jobs/ports.ts'
import { ageBased, type Timings } from '../shared/jobs/rules/timings.ts'
import type { Logger } from '../shared/process/logger.ts'
import { createTroubleLog } from '../shared/process/trouble-log.ts'
import type { Accounts } from '../shared/replicate/accounts.ts'

export interface CancelDependencies {
  store: JobLoader & DueTimes
  lifecycle: Lifecycle
  accounts: Pick<Accounts, 'of'>
  timings: Timings
  log: Logger
}

/** Carries out one cancel effect; retried until upstream accepts it. The response is applied as news of the prediction. */
export function createCancelPrediction({ store, lifecycle, accounts, timings, log }: CancelDependencies) {
  const trouble = createTroubleLog(log)
  return async (id: string, key: string, signal: AbortSignal): Promise<void> => {
    const member = dueEffect(id, key)
    const { now, state } = await store.load(id)
    const effect = state?.effects.find((one) => effectKey(one) === key)
    if (!state || !effect || effect.kind !== 'cancel') return
    const { attempt, prediction_id } = effect
    const account = effect.account ?? attemptOf(state, attempt)?.account ?? state.job.account
    const { upstream, reads } = accounts.of(account)
    await reads.of('cancel').take(signal)
    const outcome = await upstream.cancel(prediction_id)
    const fields = { job: id, attempt, prediction: prediction_id }
    if (outcome.kind === 'prediction' || outcome.kind === 'not_found')
      trouble.ended(member.member, fields, 'a cancel request succeeded after failures')
    switch (outcome.kind) {
      case 'prediction':
        await lifecycle.observe(id, attempt, outcome.prediction, 'cancel', { account })
        await lifecycle.apply(id, { type: 'cancel_done', attempt, prediction_id }, 'cancel')
        return
      case 'not_found':
        await lifecycle.apply(id, { type: 'cancel_done', attempt, prediction_id }, 'cancel')
        return
      case 'rate_limited':
        await store.rearm(member, outcome.retryAfterMs)
        return
      case 'failed':
        trouble.failed(member.member, { ...fields, reason: outcome.reason }, 'the cancel request failed; retrying')
        await store.rearm(member, ageBased(now - effect.requested_at, timings.retryEffect))
    }
  }
}
