import type { Lifecycle } from '../shared/jobs/lifecycle.ts'
import { dueAttempt } from '../shared/jobs/due-member.ts'
import type { JobStore } from '../shared/jobs/ports.ts'
import { expiresSoon, type Timings } from '../shared/jobs/timings.ts'
import type { ReadBudget } from '../shared/limits/budget.ts'
import type { Logger } from '../shared/logger.ts'
import { isTerminal, type Prediction } from '../shared/replicate/prediction.ts'
import type { PredictionPort } from '../shared/replicate/prediction-port.ts'
import { eachPage } from './list-window.ts'
import type { NextPoll } from './next-poll.ts'

export interface WindowDependencies {
  store: JobStore
  lifecycle: Lifecycle
  upstream: PredictionPort
  reads: ReadBudget
  timings: Timings
  nextPoll: NextPoll
  log: Logger
}

const AT_ONCE = 25

/**
 * Looks at many open predictions by listing the time in which they were created: a hundred for one request. Rows carry
 * the whole prediction, so every open one of the window is served, due or not.
 */
export function createPollWindow({ store, lifecycle, upstream, reads, timings, nextPoll, log }: WindowDependencies) {
  async function serve(account: string, listed: Prediction[]): Promise<void> {
    const owners = await store.openOwners(
      account,
      listed.map(({ id }) => id),
    )
    const now = await store.now()
    async function show(prediction: Prediction): Promise<void> {
      const owner = owners.get(prediction.id)
      if (!owner) return
      const { job, attempt } = owner
      await lifecycle.observe(job, attempt, prediction, 'list')
      if (isTerminal(prediction.status)) return
      await store.rearm(dueAttempt(job, attempt), await nextPoll(now - (prediction.created_at ?? now)))
    }
    for (let at = 0; at < listed.length; at += AT_ONCE) await Promise.all(listed.slice(at, at + AT_ONCE).map(show))
  }

  return async (account: string, created: { after: number; before: number }, signal: AbortSignal): Promise<void> => {
    const { clockSkew } = timings
    const window = { after: created.after - clockSkew, before: created.before + clockSkew }
    const age = (await store.now()) - created.after
    const budget = reads.of(expiresSoon(age, timings) ? 'expiring' : 'poll')
    const sources = { upstream, reads: budget }
    const failure = await eachPage(sources, window, signal, (listed) => serve(account, listed))
    if (failure !== null) log.warn({ account, ...failure }, 'the predictions could not be listed')
  }
}
