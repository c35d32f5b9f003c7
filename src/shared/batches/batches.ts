import { monotonicFactory } from 'ulid'
import type { JobRecord } from '../jobs/rules/job.ts'
import type { Doorbells, DueTimes, JobFinder, JobReader } from '../jobs/ports.ts'
import type { Lifecycle } from '../jobs/lifecycle.ts'
import { newRecord, type NewJob } from '../jobs/rules/new-job.ts'
import { untilReady } from '../jobs/rules/deadlines.ts'
import { placeOf } from '../jobs/rules/place.ts'
import { mapLimited } from '../values/concurrency.ts'
import type { Inputs, TakenFiles } from '../inputs/inputs.ts'
import type { OverBudget } from '../credits/rules/spending-budget.ts'
import type { StoredBeyond } from '../limits/rules/stored.ts'
import type { Logger } from '../process/logger.ts'
import type { Timings } from '../jobs/rules/timings.ts'
import { newBatch, type BatchRecord, type NewBatch } from './rules/batch.ts'
import type { BatchStore } from './ports.ts'
import type { AcceptTerms } from '../jobs/rules/acceptance.ts'

export type BatchAcceptResult =
  | { kind: 'accepted'; batch: BatchRecord }
  | { kind: 'replayed'; batch: BatchRecord }
  | { kind: 'key_reused' | 'too_late' }
  | { kind: 'full'; limit: number }
  | { kind: 'over_quota'; beyond: StoredBeyond }
  | ({ kind: 'over_budget' } & OverBudget)
  | { kind: 'short'; missing: number }
  | { kind: 'beyond' }

const AT_ONCE = 25

/** The use cases of a batch: accept, cancel, clean up, read. */
export function createBatches({
  store,
  jobs,
  lifecycle,
  doorbells,
  inputs,
  timings,
  log,
}: {
  store: BatchStore
  jobs: JobReader & Pick<JobFinder, 'idempotent'> & DueTimes
  lifecycle: Lifecycle
  doorbells: Doorbells
  inputs: Pick<Inputs, 'attach' | 'release' | 'estimate'>
  timings: Timings
  log: Logger
}) {
  const nextUlid = monotonicFactory()

  /** A lost doorbell only delays a job: every job of the batch is due soon. */
  async function ring(jobs: readonly JobRecord[]): Promise<void> {
    try {
      await doorbells.submit(...jobs.map(placeOf))
    } catch (error) {
      log.warn({ err: error }, 'could not queue the jobs of a batch; the sweep queues them within seconds')
    }
  }

  async function replayed(entry: string, body: string): Promise<BatchAcceptResult> {
    const known = await store.idempotent(entry)
    const batch = known && (await store.read(known.batch))
    if (!known || !batch) return { kind: 'too_late' }
    return known.body === body ? { kind: 'replayed', batch } : { kind: 'key_reused' }
  }

  /** Cancels the jobs that are not final. */
  async function cancelLive(id: string): Promise<void> {
    await mapLimited(await store.live(id), AT_ONCE, (job) => lifecycle.apply(job, { type: 'cancel' }, 'api'))
  }

  return {
    newBatchId: (): string => `bat_${nextUlid()}`,

    /** Throws InputFilesError when files that the inputs name, or that were extracted from them, cannot be kept. */
    async accept(
      request: NewBatch,
      id: string,
      items: readonly NewJob[],
      idempotency: { entry: string; body: string } | null,
      limits: AcceptTerms,
      files: TakenFiles = new Map(),
    ): Promise<BatchAcceptResult> {
      const applicants = items.map(({ input }) => ({ id: lifecycle.newJobId(), input }))
      const attached = await inputs.attach(request.tenant, applicants, files)
      const estimates = await mapLimited(items, AT_ONCE, ({ price }, position) =>
        inputs.estimate(price, attached[position] ?? {}),
      )
      const records = items.map((item, position) =>
        newRecord(
          { ...item, input: attached[position] ?? {}, estimate: estimates[position] ?? 0 },
          applicants[position]?.id ?? '',
          null,
          {
            batch: id,
            position,
            in_sequence: request.in_sequence,
          },
        ),
      )
      const batch = newBatch(request, id, records, idempotency?.entry ?? null)
      const result = await store.accept(batch, records, idempotency, limits)
      if (result.status !== 'accepted')
        await inputs.release(records.map((record) => ({ id: record.id, input: record.input ?? {} })))
      switch (result.status) {
        case 'accepted': {
          log.info({ batch: id, tenant: request.tenant, jobs: records.length }, 'batch accepted')
          await lifecycle.ringFor(result.owed)
          const first = request.in_sequence ? records.slice(0, 1) : records
          await ring(first.filter((record) => untilReady(record, Date.now()) === 0))
          return { kind: 'accepted', batch: result.batch }
        }
        case 'taken':
          return idempotency ? replayed(idempotency.entry, idempotency.body) : { kind: 'too_late' }
        case 'full':
          return { kind: 'full', limit: result.limit }
        case 'over_quota':
          return { kind: 'over_quota', beyond: result.beyond }
        case 'over_budget': {
          const { status: kind, ...over } = result
          return { kind, ...over }
        }
        case 'short':
          return { kind: 'short', missing: result.missing }
        case 'beyond':
          return { kind: 'beyond' }
        case 'too_late':
          return { kind: 'too_late' }
      }
    },

    /** Result of an earlier request with the same key; null: none. */
    async known({ entry, body }: { entry: string; body: string }): Promise<BatchAcceptResult | null> {
      return (await store.idempotent(entry)) ? replayed(entry, body) : null
    },

    /** Stops the batch and cancels its jobs in flight. Returns false when it was complete or stopped already. */
    async cancel(batch: BatchRecord): Promise<boolean> {
      if (batch.completed_at !== null || !(await store.stop(batch))) return false
      await cancelLive(batch.id)
      return true
    },

    /** Handles a due time: removes a draft that was not accepted, and completes the cancellation of a canceled batch. */
    async tend(id: string): Promise<void> {
      const batch = await store.read(id)
      if (batch?.state === 'draft') return store.forget(batch)
      if (!batch || batch.completed_at !== null) return store.rearm(id, null)
      if (batch.stopped === 'canceled') await cancelLive(id)
      await store.rearm(id, timings.ringAgain.max)
    },

    /** Removes the record, or defers that when its retention lasts longer than `now`, ms. */
    async forget(id: string, now: number): Promise<void> {
      const batch = await store.read(id)
      if (!batch) return
      const until = (batch.completed_at ?? now) + (batch.keep ?? 0) * 1000
      await (until > now ? store.keepUntil(id, until) : store.forget(batch))
    },

    read: (id: string) => store.read(id),
    list: (tenant: string, options: { limit: number; before?: string }) => store.list(tenant, options),

    /**
     * Records of its jobs by position, without those that retention has removed. `last`: the last id of the page; null on
     * the last page.
     */
    async jobsOf(
      id: string,
      { limit, after }: { limit: number; after?: string },
    ): Promise<{ records: JobRecord[]; last: string | null }> {
      const ids = await store.jobs(id, { limit: limit + 1, ...(after === undefined ? {} : { after }) })
      const page = ids.slice(0, limit)
      const records = (await Promise.all(page.map((job) => jobs.read(job)))).filter((job) => job !== null)
      return { records, last: ids.length > limit ? (page.at(-1) ?? null) : null }
    },
  }
}

export type Batches = ReturnType<typeof createBatches>
