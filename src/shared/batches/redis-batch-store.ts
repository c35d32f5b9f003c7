import type { Redis } from 'ioredis'
import { z } from 'zod'
import { dueBatch } from '../jobs/record/due-member.ts'
import { newCommitId } from '../jobs/record/commit-id.ts'
import { planAcceptance, planIdempotency, planRecord, type PlanOptions } from '../jobs/commit/commit-plan.ts'
import { deleteRecord } from '../jobs/commit/record-plan.ts'
import { CommitScriptInput, type CommitReply, type CommitRunner } from '../jobs/commit/commit-script.ts'
import type { JobRecord } from '../jobs/rules/job.ts'
import { CROWDS } from '../jobs/rules/sharing.ts'
import type { BatchRecord } from './rules/batch.ts'
import { decodeBatch, encodeBatch } from './batch-codec.ts'
import type { BatchAccepted, BatchStore } from './ports.ts'
import type { BudgetTerms } from '../credits/rules/spending-budget.ts'
import { overBudget, withBudgets, type Budgets } from '../jobs/commit/with-budgets.ts'
import type { AcceptTerms } from '../jobs/rules/acceptance.ts'

/** Approximate size of the records that one commit writes, bytes; the script blocks Redis. */
const DRAFT_BYTES = 64 * 1024
const FORGET_AT_ONCE = 200

const entrySchema = z.object({ batch: z.string(), body: z.string() })

/** Groups of jobs whose records have about `DRAFT_BYTES` together. */
function* drafts(jobs: readonly JobRecord[]): Generator<JobRecord[]> {
  let group: JobRecord[] = []
  let bytes = 0
  for (const job of jobs) {
    group.push(job)
    bytes += JSON.stringify(job).length
    if (bytes < DRAFT_BYTES) continue
    yield group
    group = []
    bytes = 0
  }
  if (group.length > 0) yield group
}

export function createRedisBatchStore(options: {
  redis: Redis
  plan: PlanOptions
  account: string
  commits: CommitRunner
  confirmDurable: () => Promise<void>
  /** Budgets that count accepted jobs; absent: none. */
  budgets?: Omit<Budgets, 'now'>
}): BatchStore {
  const { redis, plan, account, commits, confirmDurable, budgets } = options
  const { keys, timings } = plan

  const inputFor = (id: string): CommitScriptInput => new CommitScriptInput(keys.batch(id), keys.account(account))

  const run = async (
    script: 'new_work' | 'always',
    input: CommitScriptInput,
    revision: number | null,
    notAfter?: number,
  ): Promise<CommitReply> =>
    commits.run(script, input, {
      id: newCommitId(),
      revision,
      ...(notAfter === undefined ? {} : { notAfter }),
    })

  /** Writes the drafts, one commit for each group; the first creates the batch. Returns the batch's revision. */
  async function writeDrafts(batch: BatchRecord, jobs: readonly JobRecord[]): Promise<number> {
    let rev = 0
    let written = 0
    for (const group of drafts(jobs)) {
      const input = inputFor(batch.id)
      if (rev === 0)
        input
          .add('hset', keys.batch(batch.id), ...encodeBatch(batch))
          .setMoment(keys.batch(batch.id), 'created_at', { in: 0 })
      input
        .dueAt(keys.due, dueBatch(batch.id).member, { in: timings.draftLife })
        .add('zadd_from', keys.batchJobs(batch.id), written, ...group.map(({ id }) => id))
      for (const job of group) planRecord(input, job, plan)
      const { status } = (await run('new_work', input, rev === 0 ? null : rev)).result
      if (status !== 'applied' && status !== 'repeated') throw new Error(`draft of ${batch.id}: ${status}`)
      rev++
      written += group.length
    }
    return rev
  }

  function acceptance(
    batch: BatchRecord,
    jobs: readonly JobRecord[],
    idempotency: { entry: string; body: string } | null,
    limits: AcceptTerms,
  ): CommitScriptInput {
    const input = inputFor(batch.id)
    planIdempotency(input, keys, { batch: batch.id }, idempotency)
    planAcceptance(input, jobs, plan, limits)
    // All jobs but the first wait for the one before. A job that becomes final releases the next one, even before the next
    // one was ever processed.
    const later = batch.in_sequence ? jobs.slice(1) : []
    if (later.length > 0) input.add('zadd_all', keys.crowd('sequence', batch.id), ...later.map(({ id }) => id))
    return input
      .add('hset', keys.batch(batch.id), 'state', 'accepted')
      .add('zrem', keys.due, dueBatch(batch.id).member)
      .add('zadd_all', keys.tenantBatches(batch.tenant), batch.id)
      .add('zadd_from', keys.batchLive(batch.id), 0, ...jobs.map(({ id }) => id))
      .add('xadd', keys.events, plan.keepEvents, 'job', '', 'tenant', batch.tenant, 'batch', batch.id)
  }

  async function read(id: string): Promise<BatchRecord | null> {
    return decodeBatch(await redis.hgetall(keys.batch(id)))
  }

  async function forget(batch: BatchRecord): Promise<void> {
    const isDraft = batch.state === 'draft'
    for (;;) {
      const ids = isDraft ? await redis.zrange(keys.batchJobs(batch.id), '0', String(FORGET_AT_ONCE - 1)) : []
      const input = inputFor(batch.id)
      for (const id of ids) deleteRecord(input, keys, id).add('zrem', keys.batchJobs(batch.id), id)
      const isLast = ids.length < FORGET_AT_ONCE
      if (isLast) {
        if (batch.idempotency !== null && !isDraft) input.add('del', keys.idempotency(batch.idempotency))
        input
          .add('zrem', keys.due, dueBatch(batch.id).member)
          .add('zrem', keys.retention, batch.id)
          .add('zrem', keys.tenantBatches(batch.tenant), batch.id)
          .add('del', keys.batchJobs(batch.id))
          .add('del', keys.batchLive(batch.id))
          .add('del', keys.batch(batch.id))
        for (const crowd of CROWDS) input.add('del', keys.crowd(crowd, batch.id))
      }
      const current = await redis.hget(keys.batch(batch.id), 'rev')
      // Accepted in the meantime, or removed by another sweep.
      if (current === null || (isDraft && (await redis.hget(keys.batch(batch.id), 'state')) !== 'draft')) return
      const { status } = (await run('always', input, Number(current))).result
      if (status === 'stale') continue
      if (isLast) return
    }
  }

  async function acceptOnce(
    batch: BatchRecord,
    jobs: readonly JobRecord[],
    idempotency: { entry: string; body: string } | null,
    limits: AcceptTerms,
  ): Promise<BatchAccepted | { status: 'budgets_changed' }> {
    const rev = await writeDrafts(batch, jobs)
    const notAfter = commits.clock.now() + timings.acceptWithin
    const input = acceptance(batch, jobs, idempotency, limits)
    const { result, owed } = await run('new_work', input, rev, notAfter)
    switch (result.status) {
      case 'applied':
      case 'repeated': {
        await confirmDurable()
        const accepted = await read(batch.id)
        if (!accepted) throw new Error(`${batch.id} was accepted but cannot be read`)
        return { status: 'accepted', batch: accepted, owed: input.owedBy({ owed }) }
      }
      case 'taken':
      case 'too_late':
      case 'full':
      case 'over_quota':
      case 'budgets_changed':
      case 'short':
      case 'beyond':
        await forget(batch)
        return result
      case 'over_budget':
        await forget(batch)
        return overBudget(result, limits.budgets)
      default:
        throw new Error(`unexpected result of accepting ${batch.id}: ${result.status}`)
    }
  }

  return {
    read,
    forget,

    async accept(batch, jobs, idempotency, limits) {
      const once = async (charged: readonly JobRecord[], terms?: BudgetTerms) =>
        acceptOnce(batch, charged, idempotency, { ...limits, budgets: terms })
      const result = budgets ? await withBudgets({ ...budgets, now: commits.clock.now }, jobs, once) : await once(jobs)
      return result.status === 'budgets_changed' ? { status: 'too_late' } : result
    },

    async list(tenant, { limit, before }) {
      const from = before === undefined ? '+' : `(${before}`
      const ids = await redis.zrange(keys.tenantBatches(tenant), from, '-', 'BYLEX', 'REV', 'LIMIT', 0, limit)
      return (await Promise.all(ids.map(read))).filter((batch) => batch !== null)
    },

    async jobs(id, { limit, after }) {
      const key = keys.batchJobs(id)
      const place = after === undefined ? -1 : Number((await redis.zscore(key, after)) ?? NaN)
      return Number.isNaN(place) ? [] : redis.zrange(key, String(place + 1), String(place + limit))
    },

    live: (id) => redis.zrange(keys.batchLive(id), '0', '-1'),

    async idempotent(entry) {
      const text = await redis.get(keys.idempotency(entry))
      // The durability of the earlier accept may not have been confirmed.
      if (text !== null) await confirmDurable()
      return text === null ? null : (entrySchema.safeParse(JSON.parse(text)).data ?? null)
    },

    async stop(batch) {
      const input = inputFor(batch.id)
        .add('stop_batch', keys.batch(batch.id), 'canceled')
        .dueAt(keys.due, dueBatch(batch.id).member, { in: timings.ringAgain.min })
      return (await run('always', input, batch.rev)).result.status === 'applied'
    },

    async keepUntil(id, at) {
      await redis.zadd(keys.retention, 'XX', String(at), id)
    },

    async rearm(id, inMs) {
      if (inMs === null) await redis.zrem(keys.due, dueBatch(id).member)
      else await redis.zadd(keys.due, 'XX', String(Math.round(commits.clock.now() + inMs)), dueBatch(id).member)
    },
  }
}
