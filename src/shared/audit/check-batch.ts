import type { BatchRecord } from '../batches/batch.ts'
import { isFinal, STATUSES, type JobRecord } from '../jobs/job.ts'
import { FIRST_KEEP } from '../jobs/keep.ts'
import type { JobKeys } from '../jobs/job-keys.ts'
import type { Command, Invariant, Problem } from './finding.ts'

/** What a batch adds up of a job. */
export type BatchJob = Pick<JobRecord, 'id' | 'phase' | 'status' | 'attempt' | 'estimate' | 'captured' | 'uncollected'>

/** A batch with its jobs and everything that names it, all of one moment. */
export interface LoadedBatch {
  /** ms, Redis clock */
  now: number
  batch: BatchRecord
  /** What is captured, and what is held for jobs that have begun: against `max_spend`. */
  committed: number
  /** By their places; null: retention has removed it. */
  jobs: [id: string, job: BatchJob | null][]
  live: string[]
  inTenantIndex: boolean
  /** Scores; null: not in it. */
  due: number | null
  retention: number | null
}

const sum = (jobs: readonly BatchJob[], of: (job: BatchJob) => number): number =>
  jobs.reduce((total, job) => total + of(job), 0)

/** The counts of a batch against its jobs, and the indexes that it should be in. */
export function checkBatch(loaded: LoadedBatch, { keys }: { keys: JobKeys }): Problem[] {
  const { batch, now } = loaded
  const { id } = batch
  const say = (invariant: Invariant, detail: string, fix: Command[] = []): Problem => ({
    invariant,
    id,
    detail,
    repairable: fix.length > 0,
    fix,
    guard: null,
  })
  if (batch.state === 'draft') {
    if (loaded.due !== null) return []
    return [say('due', 'a draft, and no due time', [['zadd', keys.due, 'NX', String(now), `batch:${id}`]])]
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
    problems.push(say('retention', 'complete, and no clean-up waits for it', [['zadd', keys.retention, 'NX', at, id]]))
  }
  if (batch.completed_at === null && loaded.retention !== null)
    problems.push(say('retention', 'not complete, and to be cleaned up'))
  return problems
}

function miscounts({ batch, committed, jobs, live }: LoadedBatch): string[] {
  const wrong: string[] = []
  const expect = (name: string, told: number, counted: number): void => {
    if (told !== counted) wrong.push(`${name} says ${told}, there are ${counted}`)
  }
  const there = jobs.flatMap(([, job]) => job ?? [])
  const open = there.filter(({ phase }) => !isFinal(phase))
  const allThere = there.length === jobs.length
  expect('total', batch.total, jobs.length)
  expect(
    'the counts together',
    STATUSES.reduce((all, status) => all + batch.counts[status], 0),
    jobs.length,
  )
  for (const status of STATUSES) {
    const counted = there.filter((job) => job.status === status).length
    // Of those that are gone nobody knows how they ended.
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
  for (const id of live) if (!openIds.has(id)) wrong.push(`${id} is live, and it has ended`)
  const liveIds = new Set(live)
  for (const id of openIds) if (!liveIds.has(id)) wrong.push(`${id} has not ended, and it is not live`)
  if ((batch.completed_at !== null) !== (open.length === 0))
    wrong.push(`completed_at ${batch.completed_at ?? 'missing'}, ${open.length} jobs have not ended`)
  return wrong
}
