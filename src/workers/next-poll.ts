import type { JobFigures, WebhookSilence } from '../shared/jobs/ports.ts'
import { ageBased, type Timings } from '../shared/jobs/rules/timings.ts'

/** ms until the next poll of a prediction of this age, ms, in an account. */
export type NextPolls = (account: string, age: number) => Promise<number>

/** Polls get half of the read budget: the more predictions are open, the less often each is polled. */
export function createNextPoll(options: {
  store: Pick<JobFigures, 'openPredictions'> & Pick<WebhookSilence, 'webhooksSilent'>
  /** The read budget of an account. */
  readsPerMinute: (account: string) => number
  timings: Timings
  webhooks: () => boolean
}): NextPolls {
  const { store, readsPerMinute, timings, webhooks } = options
  return async (account, age) => {
    const bounds = webhooks() && !(await store.webhooksSilent(account)) ? timings.pollWithWebhooks : timings.pollOnly
    const floor = ((await store.openPredictions(account)) / (readsPerMinute(account) / 2)) * 60_000
    const wait = Math.min(Math.max(floor, ageBased(age, bounds)), timings.longestPoll)
    const left = timings.outputLifetime - timings.beforeRemoval - age
    return left > 0 ? Math.min(wait, Math.max(left, bounds.min)) : Math.min(wait, bounds.max)
  }
}
