import { actualPrice, countOutputs } from '../credits/price.ts'
import type { CommitScriptInput } from './commit-script.ts'
import type { JobKeys } from './job-keys.ts'
import { isFinal, type JobRecord } from './job.ts'
import { FIRST_KEEP } from './keep.ts'
import type { Crowd } from './ports.ts'

/** What a commit changes of things that a job shares with others: the slots of its preset, its batch, its tenant's money. */

const inFlight = ({ phase }: JobRecord): boolean => phase !== 'queued' && !isFinal(phase)

/** Whether the job holds a slot of its preset. */
export const takesSlot = (job: JobRecord): boolean => job.in_flight_limit !== null && inFlight(job)

export const slotsOf = (keys: JobKeys, { tenant, preset }: Pick<JobRecord, 'tenant' | 'preset'>): string =>
  keys.slots(tenant, preset ?? '')

/** Where the job may wait for others to end; nowhere when nothing but the account's budget holds it up. */
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

/** What must be free before another POST of the job. */
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
    // The clean-up waits longer when the batch says so: for the job that is kept longest.
    .add('batch_done', keys.retention, (after.keep?.[1] ?? FIRST_KEEP.job) * 1000, batch)
}

/** The holds of jobs that are accepted together; `short` when the tenant cannot afford them all. */
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

/** What is owed for a job that ended; null: nothing, the hold is released. `actual` null: the metrics do not tell. */
export function chargeOf(job: JobRecord): { actual: number | null } | null {
  const { price, error } = job
  const charged =
    job.phase === 'succeeded' || (job.phase === 'canceled' && job.charge_canceled && error?.billed !== 'no')
  if (price === null || !charged) return null
  const actual = actualPrice(price, { metrics: job.metrics, outputs: countOutputs(job) })
  return { actual: 'amount' in actual ? actual.amount : null }
}

/** The name under which spending is added up. */
export const spendingLabel = (job: JobRecord): string =>
  job.preset ?? job.model ?? job.deployment ?? job.version ?? 'unknown'

const dayOf = (now: number): string => new Date(now).toISOString().slice(0, 10)

/** The one settlement of a job's hold, with the commit that ends it. */
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
