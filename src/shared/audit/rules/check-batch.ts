import type { BatchRecord } from '../../batches/rules/batch.ts'
import { dueBatch } from '../../jobs/record/due-member.ts'
import { isFinal, STATUSES, type JobRecord } from '../../jobs/rules/job.ts'
import { FIRST_KEEP } from '../../jobs/rules/keep.ts'
import type { JobKeys } from '../../jobs/record/job-keys.ts'
import { problem, type Command, type Invariant, type Problem } from './finding.ts'

/** The fields of a job that a batch counts. */
export type BatchJob = Pick<JobRecord, 'id' | 'phase' | 'status' | 'attempt' | 'estimate' | 'captured' | 'uncollected'>

/** A batch with its jobs and everything that names it, read atomically. */
export interface LoadedBatch {
  /** ms, Redis clock */
  now: number
  batch: BatchRecord
  /** Captured plus held for started jobs, micro-credits; limited by `max_spend`. */
  committed: number
  /** By position; null: removed by retention. */
  jobs: [id: string, job: BatchJob | null][]
  live: string[]
  inTenantIndex: boolean
  /** Scores; null: not in the index. */
  due: number | null
  retention: number | null
}

const sum = (jobs: readonly BatchJob[], of: (job: BatchJob) => number): number =>
  jobs.reduce((total, job) => total + of(job), 0)

/** Checks the counts of a batch against its jobs, and its index entries. */
export function checkBatch(loaded: LoadedBatch, { keys }: { keys: JobKeys }): Problem[] {
  const { batch, now } = loaded
  const { id } = batch
  const say = (invariant: Invariant, detail: string, fix?: Command[]): Problem => problem(invariant, id, detail, fix)
  if (batch.state === 'draft') {
    if (loaded.due !== null) return []
    return [say('due', 'a draft without a due time', [['zadd', keys.due, 'NX', String(now), dueBatch(id).member]])]
  }
  const problems: Problem[] = []
  const wrong = miscounts(loaded)
  if (wrong.length > 0) problems.push(say('batch_counted', wrong.join('; ')))
  if (!loaded.inTenantIndex)
    problems.push(
      say('indexed', 'not in the index of its tenant', [['zadd', keys.tenantBatches(batch.tenant), '0', id]]),
    )
  if (batch.completed_at !== null && loaded.retention === null) {
    const at = String(Math.max(now, batch.completed_at + (batch.keep ?? FIRST_KEEP.job) * 1000))
    problems.push(say('retention', 'complete, but no clean-up is scheduled', [['zadd', keys.retention, 'NX', at, id]]))
  }
  if (batch.completed_at === null && loaded.retention !== null)
    problems.push(say('retention', 'not complete, but a clean-up is scheduled'))
  return problems
}

function miscounts({ batch, committed, jobs, live }: LoadedBatch): string[] {
  const wrong: string[] = []
  const expect = (name: string, recorded: number, counted: number): void => {
    if (recorded !== counted) wrong.push(`${name} is ${recorded}, but the jobs add up to ${counted}`)
  }
  const there = jobs.flatMap(([, job]) => job ?? [])
  const open = there.filter(({ phase }) => !isFinal(phase))
  const allThere = there.length === jobs.length
  expect('total', batch.total, jobs.length)
  expect(
    'the sum of the counts',
    STATUSES.reduce((all, status) => all + batch.counts[status], 0),
    jobs.length,
  )
  for (const status of STATUSES) {
    const counted = there.filter((job) => job.status === status).length
    // The final status of removed jobs is unknown.
    if (allThere || status === 'queued' || status === 'starting' || status === 'processing')
      expect(status, batch.counts[status], counted)
    else if (batch.counts[status] < counted) expect(status, batch.counts[status], counted)
  }
  expect(
    'held',
    batch.held,
    sum(open, ({ estimate }) => estimate),
  )
  if (allThere) {
    const captured = sum(there, (job) => job.captured ?? 0)
    expect(
      'estimate',
      batch.estimate,
      sum(there, ({ estimate }) => estimate),
    )
    expect('captured', batch.captured, captured)
    expect(
      'uncollected',
      batch.uncollected,
      sum(there, (job) => job.uncollected),
    )
    const begun = open.filter(({ attempt }) => attempt > 0)
    expect('committed', committed, captured + sum(begun, ({ estimate }) => estimate))
  }
  const openIds = new Set(open.map(({ id }) => id))
  for (const id of live) if (!openIds.has(id)) wrong.push(`${id} is in the live set, but is final`)
  const liveIds = new Set(live)
  for (const id of openIds) if (!liveIds.has(id)) wrong.push(`${id} is not final, but is missing in the live set`)
  if ((batch.completed_at !== null) !== (open.length === 0))
    wrong.push(`completed_at ${batch.completed_at ?? 'missing'}, but ${open.length} jobs are not final`)
  return wrong
}
