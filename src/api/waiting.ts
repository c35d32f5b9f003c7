import { CONDITIONS, type ConditionName } from '../shared/conditions/rules/condition.ts'
import type { Conditions } from '../shared/conditions/conditions.ts'
import { attemptOf, type JobRecord } from '../shared/jobs/rules/job.ts'
import type { JobWait, JobWaits } from '../shared/jobs/job-waits.ts'
import {
  pauseOfAll,
  type AccountRoom,
  type CreateRate,
  type CreateRates,
  type CreationPause,
  type Crowds,
  type JobLine,
  type JobLoader,
  type Pause,
} from '../shared/jobs/ports.ts'
import { waitsForIntent } from '../shared/jobs/rules/submit.ts'
import { accountScope, brokenTarget, isAccountScope, pauseScopesOf } from '../shared/jobs/rules/place.ts'
import type { ManualPauses } from '../shared/limits/ports.ts'
import { sumOf } from '../shared/values/sum.ts'
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
  store: JobLoader & CreationPause & CreateRates & AccountRoom & Pick<Crowds, 'crowdOf'> & Pick<JobLine, 'blockedBy'>
  /** Names of the accounts that a job may use. */
  accountsFor: (job: Pick<JobRecord, 'tenant' | 'preset'>) => readonly string[]
  conditions: Pick<Conditions, 'all'>
  waits: Pick<JobWaits, 'of'>
  manual: ManualPauses
}

/** Conditions that stop creation, in the order of display; pauses are read separately. */
const stopsJobs = (name: ConditionName): boolean => CONDITIONS[name].stopsCreation && !name.startsWith('pause_')

/** Conditions of one account, which do not stop jobs that may use another one. */
const OF_ACCOUNT: ReadonlySet<ConditionName> = new Set(['token_refused', 'recovery_listing'])

/** Reason why a job waits, from its record, the pauses of its accounts and the deployment's conditions. */
export function createWaiting({ store, accountsFor, conditions, waits, manual }: WaitingDependencies) {
  /** The pause by an operator that holds the job up in each of its accounts. */
  async function heldBy(job: JobRecord, accounts: readonly string[]): ReturnType<ManualPauses['pausedBy']> {
    const pauses = await Promise.all(accounts.map((account) => manual.pausedBy(pauseScopesOf({ ...job, account }))))
    return pauses.includes(null) ? null : (pauses[0] ?? null)
  }

  /** The scope whose limit holds the job up. */
  async function blockedBy(job: JobRecord, accounts: readonly string[]): Promise<string | null> {
    const blocked = await store.blockedBy(job)
    const [first] = accounts
    // Set aside for an account: whether that is a pause or a limit is read below.
    const isAside = blocked !== null && isAccountScope(blocked)
    if ((blocked !== null && !isAside) || first === undefined) return blocked
    const room = await Promise.all(accounts.map((account) => store.hasRoom(account)))
    return room.includes(true) ? null : accountScope(first)
  }

  async function turnOf(job: JobRecord, isNew: boolean): Promise<Waiting> {
    if (job.not_before !== null && job.not_before > Date.now()) return { for: 'start', at: job.not_before }
    const accounts = accountsFor(job)
    const [crowd, blocked, held, pauses, lasting, wait, rates] = await Promise.all([
      isNew ? null : store.crowdOf(job),
      isNew ? null : blockedBy(job, accounts),
      heldBy(job, accounts),
      Promise.all(accounts.map((account) => store.pause(account))),
      conditions.all(),
      isNew ? null : waits.of(job.id),
      Promise.all(accounts.map((account) => store.createRate(account))),
    ])
    const isStopped = (name: ConditionName): boolean =>
      stopsJobs(name) && (accounts.length === 1 || !OF_ACCOUNT.has(name))
    const condition = lasting.find(({ name }) => isStopped(name))?.name ?? null
    const rate = { perMinute: sumOf(rates, (one) => one.perMinute), ceiling: sumOf(rates, (one) => one.ceiling) }
    const pause = pauseOfAll(pauses)
    const isBroken = held !== null && brokenTarget(held.scope) !== null
    const holder = isBroken ? { blocked: held.scope, manual: null } : { blocked, manual: held?.reason ?? null }
    return { for: 'turn', crowd, ...holder, pause, condition, wait, rate }
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

export type WaitingOf = ReturnType<typeof createWaiting>
