import { countOutputs } from '../../credits/rules/count-outputs.ts'
import { actualPrice } from '../../credits/rules/price.ts'
import type { CommitScriptInput } from './commit-script.ts'
import type { JobKeys } from '../record/job-keys.ts'
import { isFinal, type JobRecord } from '../rules/job.ts'
import { FIRST_KEEP } from '../rules/keep.ts'
import type { Crowd } from '../ports.ts'

/** Plans the changes of a commit to state that jobs share: slots of the preset, the batch, the tenant's credits. */

const inFlight = ({ phase }: JobRecord): boolean => phase !== 'queued' && !isFinal(phase)

/** Whether the job holds a slot of its preset. */
export const takesSlot = (job: JobRecord): boolean => job.in_flight_limit !== null && inFlight(job)

export const slotsOf = (keys: JobKeys, { tenant, preset }: Pick<JobRecord, 'tenant' | 'preset'>): string =>
  keys.slots(tenant, preset ?? '')

/** The crowds in which the job may wait for other jobs to end; empty when only the account's budget limits it. */
export function crowdsOf(keys: JobKeys, job: JobRecord): { crowd: Crowd; key: string }[] {
  const { tenant, preset, batch } = job
  return [
    ...(job.in_flight_limit === null
      ? []
      : [{ crowd: 'preset_limit' as const, key: keys.crowd('preset_limit', `${tenant}:${preset ?? ''}`) }]),
    ...(batch === null ? [] : crowdsOfBatch(keys, batch)),
  ]
}

export const crowdsOfBatch = (keys: JobKeys, batch: string): { crowd: Crowd; key: string }[] =>
  (['sequence', 'max_spend'] as const).map((crowd) => ({ crowd, key: keys.crowd(crowd, batch) }))

/** Plans the guards of the job's next POST. */
export function planBegin(input: CommitScriptInput, keys: JobKeys, job: JobRecord): void {
  if (job.in_flight_limit !== null) input.add('room', slotsOf(keys, job), job.in_flight_limit, job.id)
  if (job.batch === null) return
  if (job.in_sequence) input.add('first', keys.batchLive(job.batch), job.id)
  input.add('may_begin', keys.batch(job.batch), job.estimate, job.attempt === 0 ? 1 : 0)
}

export function planSlot(input: CommitScriptInput, keys: JobKeys, before: JobRecord, after: JobRecord): void {
  if (takesSlot(before) === takesSlot(after)) return
  input.add(takesSlot(after) ? 'sadd' : 'srem', slotsOf(keys, after), after.id)
}

export function planBatchMove(input: CommitScriptInput, keys: JobKeys, before: JobRecord, after: JobRecord): void {
  const { batch } = after
  if (batch === null) return
  const key = keys.batch(batch)
  if (before.attempt === 0 && after.attempt > 0) input.add('hincrby', key, 'committed', after.estimate)
  if (before.status === after.status) return
  input
    .add('in_batch', key, input.indexOf(keys.batchLive(batch)), after.id, before.status, after.status)
    // The batch's own retention, that of the job kept longest, may defer this clean-up.
    .add('batch_done', keys.retention, (after.keep?.[1] ?? FIRST_KEEP.job) * 1000, batch)
}

/** Plans the holds of jobs that are accepted together; the commit returns `short` when the tenant cannot afford all. */
export function planHold(input: CommitScriptInput, keys: JobKeys, jobs: readonly JobRecord[]): void {
  const priced = jobs.filter(({ price }) => price !== null)
  const [first] = priced
  if (!first) return
  const account = keys.credits(first.tenant)
  const pairs = priced.flatMap(({ id, estimate }) => [estimate, id])
  input
    .add(
      'afford',
      account,
      priced.reduce((sum, { estimate }) => sum + estimate, 0),
    )
    .add('hold', account, input.indexOf(keys.ledger(first.tenant)), first.batch ?? '', ...pairs)
}

/** The charge of a final job; null: none, the hold is released. `actual` null: the metrics do not determine the price. */
export function chargeOf(job: JobRecord): { actual: number | null } | null {
  const { price, error } = job
  const charged =
    job.phase === 'succeeded' || (job.phase === 'canceled' && job.charge_canceled && error?.billed !== 'no')
  if (price === null || !charged) return null
  const actual = actualPrice(price, { metrics: job.metrics, outputs: countOutputs(job) })
  return { actual: 'amount' in actual ? actual.amount : null }
}

/** The label under which spending is summed. */
export const spendingLabel = (job: JobRecord): string =>
  job.preset ?? job.model ?? job.deployment ?? job.version ?? 'unknown'

const dayOf = (now: number): string => new Date(now).toISOString().slice(0, 10)

/** Plans the one settlement of a job's hold, in the commit that makes the job final. */
export function planSettlement(input: CommitScriptInput, keys: JobKeys, job: JobRecord, now: number): void {
  const { price, tenant, batch } = job
  if (price === null) return
  const charge = chargeOf(job)
  if (charge && charge.actual === null) input.add('hset', keys.job(job.id), 'charge_estimated', 'true')
  input.add(
    'settle',
    keys.credits(tenant),
    input.indexOf(keys.ledger(tenant)),
    input.indexOf(keys.spending(tenant, dayOf(now))),
    batch === null ? 0 : input.indexOf(keys.batch(batch)),
    charge ? 'capture' : 'release',
    job.estimate,
    charge?.actual ?? '',
    job.id,
    batch ?? '',
    spendingLabel(job),
    job.attempt > 0 ? 1 : 0,
  )
}
