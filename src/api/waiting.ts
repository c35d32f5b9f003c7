import { attemptOf, type JobRecord } from '../shared/jobs/job.ts'
import type { Crowd, JobStore, Pause } from '../shared/jobs/ports.ts'
import { waitsForIntent } from '../shared/jobs/rules-submit.ts'

/** What holds up a job; null: nothing of ours does, it is on its way. */
export type Waiting = { for: 'outcome' } | { for: 'turn'; crowd: Crowd | null; pause: Pause | null } | null

/** What a job waits for. Its record alone does not tell: pauses are the account's, attempts are beside it. */
export function createWaiting(store: Pick<JobStore, 'load' | 'pause' | 'crowdOf'>, account: string) {
  async function turnOf(job: JobRecord): Promise<Waiting> {
    const [crowd, pause] = await Promise.all([store.crowdOf(job), store.pause(account)])
    return { for: 'turn', crowd, pause }
  }

  /** While a job is made anew, its newest attempt says whether it waits. */
  async function whileMadeAnew(id: string): Promise<Waiting> {
    const { state } = await store.load(id)
    if (state?.job.phase !== 'resubmitting') return null
    if (waitsForIntent(state)) return turnOf(state.job)
    return attemptOf(state, state.job.attempt)?.state === 'unknown' ? { for: 'outcome' } : null
  }

  return async (job: JobRecord): Promise<Waiting> => {
    switch (job.phase) {
      case 'queued':
        return turnOf(job)
      case 'unknown':
        return { for: 'outcome' }
      case 'resubmitting':
        return whileMadeAnew(job.id)
      default:
        return null
    }
  }
}
