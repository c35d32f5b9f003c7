import { CONDITIONS, type ConditionName } from '../shared/conditions/rules/condition.ts'
import type { Conditions } from '../shared/conditions/conditions.ts'
import { attemptOf, type JobRecord } from '../shared/jobs/rules/job.ts'
import type { JobWait, JobWaits } from '../shared/jobs/job-waits.ts'
import type { CreateRate, CreateRates, CreationPause, Crowds, JobLine, JobLoader, Pause } from '../shared/jobs/ports.ts'
import { waitsForIntent } from '../shared/jobs/rules/submit.ts'
import { pauseScopesOf } from '../shared/jobs/rules/place.ts'
import type { ManualPauses } from '../shared/limits/ports.ts'
import type { Crowd } from '../shared/jobs/rules/sharing.ts'

/** Reason why a job waits; null: it is not waiting. */
export type Waiting =
  | { for: 'outcome' }
  | { for: 'stop'; since: number }
  | { for: 'store'; wait: JobWait | null }
  | { for: 'start'; at: number }
  | {
      for: 'turn'
      crowd: Crowd | null
      /** The scope whose limit or pause holds the job up. */
      blocked: string | null
      /** Why an operator has paused the job. */
      manual: string | null
      pause: Pause | null
      condition: ConditionName | null
      wait: JobWait | null
      rate: Pick<CreateRate, 'perMinute' | 'ceiling'>
    }
  | null

export interface WaitingDependencies {
  store: JobLoader & CreationPause & CreateRates & Pick<Crowds, 'crowdOf'> & Pick<JobLine, 'blockedBy'>
  account: string
  conditions: Pick<Conditions, 'all'>
  waits: Pick<JobWaits, 'of'>
  manual: ManualPauses
}

/** Conditions that stop creation, in the order of display; pauses are read separately. */
const stopsJobs = (name: ConditionName): boolean => CONDITIONS[name].stopsCreation && !name.startsWith('pause_')

/** Reason why a job waits, from its record, the account's pauses and the deployment's conditions. */
export function createWaiting({ store, account, conditions, waits, manual }: WaitingDependencies) {
  async function turnOf(job: JobRecord, isNew: boolean): Promise<Waiting> {
    if (job.not_before !== null && job.not_before > Date.now()) return { for: 'start', at: job.not_before }
    const [crowd, blocked, held, pause, lasting, wait, { perMinute, ceiling }] = await Promise.all([
      isNew ? null : store.crowdOf(job),
      isNew ? null : store.blockedBy(job),
      manual.pausedBy(pauseScopesOf(job)),
      store.pause(account),
      conditions.all(),
      isNew ? null : waits.of(job.id),
      store.createRate(account),
    ])
    const condition = lasting.find(({ name }) => stopsJobs(name))?.name ?? null
    const rate = { perMinute, ceiling }
    return { for: 'turn', crowd, blocked, manual: held?.reason ?? null, pause, condition, wait, rate }
  }

  /** During a resubmission the newest attempt decides whether the job waits. */
  async function whileResubmitted(id: string): Promise<Waiting> {
    const { state } = await store.load(id)
    if (state?.job.phase !== 'resubmitting') return null
    if (waitsForIntent(state)) return turnOf(state.job, false)
    return attemptOf(state, state.job.attempt)?.state === 'unknown' ? { for: 'outcome' } : null
  }

  /** `isNew`: the job was accepted a moment ago, so only what holds up every job can hold it up. */
  return async (job: JobRecord, isNew = false): Promise<Waiting> => {
    switch (job.phase) {
      case 'queued':
        return turnOf(job, isNew)
      case 'unknown':
        return { for: 'outcome' }
      case 'resubmitting':
        return whileResubmitted(job.id)
      case 'storing':
        return { for: 'store', wait: await waits.of(job.id) }
      case 'stopping':
        return { for: 'stop', since: job.stop?.requested_at ?? job.created_at }
      default:
        return null
    }
  }
}
