import { mapLimited } from '../shared/values/concurrency.ts'
import type { Lifecycle } from '../shared/jobs/lifecycle.ts'
import { attemptId, dueAttempt } from '../shared/jobs/record/due-member.ts'
import type { Doorbells, DueTimes, PredictionIndex, RedisClock } from '../shared/jobs/ports.ts'
import { expiresSoon, type Timings } from '../shared/jobs/rules/timings.ts'
import type { Logger } from '../shared/process/logger.ts'
import { createTroubleLog } from '../shared/process/trouble-log.ts'
import { isTerminal, type Prediction } from '../shared/replicate/rules/prediction.ts'
import type { Accounts } from '../shared/replicate/accounts.ts'
import { eachPage } from './list-window.ts'
import type { NextPolls } from './next-poll.ts'
import { unlessUnreadable } from './unless-unreadable.ts'

export interface WindowDependencies {
  store: Pick<PredictionIndex, 'openOwners'> & DueTimes & RedisClock
  lifecycle: Lifecycle
  doorbells: Pick<Doorbells, 'poll'>
  accounts: Pick<Accounts, 'of'>
  timings: Timings
  nextPoll: NextPolls
  log: Logger
}

/** `after`, `before`: bounds of the predictions' creation times, ms; `due`: open attempts that are due for a poll. */
export interface PolledWindow {
  after: number
  before: number
  due: readonly { job: string; attempt: number }[]
}

const AT_ONCE = 25

/**
 * Polls many open predictions by listing the time in which they were created: a hundred with one request. Rows contain the
 * status, so every open prediction of the window is served, due or not. A due prediction that is not listed is polled
 * individually: the listing failed, or the prediction is gone upstream, which only a 404 proves.
 */
export function createPollWindow(dependencies: WindowDependencies) {
  const { store, lifecycle, doorbells, accounts, timings, nextPoll, log } = dependencies
  const trouble = createTroubleLog(log)

  async function serve(account: string, listed: Prediction[], shown: Set<string>): Promise<void> {
    const owners = await store.openOwners(
      account,
      listed.map(({ id }) => id),
    )
    const now = await store.now()
    async function show(prediction: Prediction): Promise<void> {
      const owner = owners.get(prediction.id)
      if (!owner) return
      const { job, attempt } = owner
      // A worker of another release may be able to read the record, so a due attempt is polled below.
      if (!(await unlessUnreadable(log, job, () => lifecycle.observe(job, attempt, prediction, 'list')))) return
      shown.add(attemptId(job, attempt))
      if (isTerminal(prediction.status)) return
      await store.rearm(dueAttempt(job, attempt), await nextPoll(account, now - (prediction.created_at ?? now)))
    }
    await mapLimited(listed, AT_ONCE, show)
  }

  return async (account: string, created: PolledWindow, signal: AbortSignal): Promise<void> => {
    const { clockSkew } = timings
    const window = { after: created.after - clockSkew, before: created.before + clockSkew }
    const age = (await store.now()) - created.after
    const soon = expiresSoon(age, timings)
    const { upstream, reads } = accounts.of(account)
    const budget = reads.of(soon ? 'expiring' : 'poll')
    const shown = new Set<string>()
    const sources = { upstream, reads: budget }
    const failure = await eachPage(sources, window, signal, (listed) => serve(account, listed, shown))
    if (failure === null) trouble.ended(account, { account }, 'the predictions can be listed again')
    else trouble.failed(account, { account, ...failure }, 'the predictions could not be listed')
    // Polls would be refused or rate limited like the listing.
    if (failure !== null && failure.cause !== 'upstream') return
    for (const { job, attempt } of created.due)
      if (!shown.has(attemptId(job, attempt))) await doorbells.poll(job, attempt, soon)
  }
}
