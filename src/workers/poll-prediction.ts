import type { Lifecycle } from '../shared/jobs/lifecycle.ts'
import { attemptOf, isFinal } from '../shared/jobs/job.ts'
import type { DueMember, JobStore } from '../shared/jobs/ports.ts'
import { ageBased, type Timings } from '../shared/jobs/timings.ts'
import type { Budget } from '../shared/limits/budget.ts'
import type { Logger } from '../shared/logger.ts'
import { isTerminal } from '../shared/replicate/prediction.ts'
import type { PredictionPort } from '../shared/replicate/prediction-port.ts'

export interface PollDependencies {
  store: JobStore
  lifecycle: Lifecycle
  upstream: PredictionPort
  reads: Budget
  readsPerMinute: number
  timings: Timings
  webhooks: () => boolean
  log: Logger
}

/** Asks upstream about one open prediction, and says when to ask again. */
export function createPollPrediction(dependencies: PollDependencies) {
  const { store, lifecycle, upstream, reads, timings, webhooks, log } = dependencies

  /** Half of the read budget is for polls: with many predictions open each is asked less often. */
  async function nextPollIn(account: string, age: number): Promise<number> {
    const bounds = webhooks() ? timings.pollWithWebhooks : timings.pollOnly
    const floor = ((await store.openPredictions(account)) / (dependencies.readsPerMinute / 2)) * 60_000
    return Math.max(floor, ageBased(age, bounds))
  }

  return async (id: string, attempt: number, signal: AbortSignal): Promise<void> => {
    const member: DueMember = { kind: 'attempt', member: `attempt:${id}:${attempt}`, job: id, attempt }
    const { now, state } = await store.load(id)
    const record = state && attemptOf(state, attempt)
    if (!state || !record || record.state !== 'open' || record.prediction_id === null) return
    await reads.take(signal)
    const outcome = await upstream.get(record.prediction_id)
    if (outcome.kind === 'prediction') {
      const result = await lifecycle.observe(id, attempt, outcome.prediction, 'poll')
      if (isTerminal(outcome.prediction.status)) return
      if (result.kind === 'applied' && isFinal(result.state.job.phase)) return
    } else {
      log.warn({ job: id, attempt, prediction: record.prediction_id, outcome }, 'the prediction could not be read')
    }
    const wait = await nextPollIn(record.account, now - record.intended_at)
    await store.rearm(member, outcome.kind === 'rate_limited' ? Math.max(wait, outcome.retryAfterMs) : wait)
  }
}
