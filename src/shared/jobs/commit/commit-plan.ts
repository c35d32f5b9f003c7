import { monotonicFactory } from 'ulid'
import { randomFraction } from '../record/commit-id.ts'
import { dueJob } from '../record/due-member.ts'
import type { JobKeys } from '../record/job-keys.ts'
import { labelDigest, labelMember } from '../record/label-member.ts'
import { alertLevels, keepCountsUntil } from '../../credits/rules/spending-budget.ts'
import { type AcceptConsequence, type AcceptTerms, acceptanceOf } from '../rules/acceptance.ts'
import { accountOf } from '../rules/apply-commit.ts'
import { consequencesOf } from '../rules/commit-consequences.ts'
import type { Consequence } from '../rules/consequence.ts'
import type { Commit } from '../rules/decision.ts'
import type { Cause, JobRecord, JobState } from '../rules/job.ts'
import type { Purge } from '../rules/purge.ts'
import { purgeConsequences } from '../rules/purge-consequences.ts'
import type { Timings } from '../rules/timings.ts'
import type { StoredQuota } from '../../limits/rules/stored.ts'
import { CommitScriptInput } from './commit-script.ts'
import { announce, encodeConsequence, oweByTenant, type Encoding } from './encode-consequence.ts'
import { writeLine, writeNewJob } from './record-plan.ts'

/** Default of `keepEvents`: more than half an hour of transitions at 600 jobs a minute. */
export const KEEP_EVENTS = 100_000

/** Notices sort by creation, as ULIDs do. */
const newNotice = monotonicFactory(randomFraction)

export interface PlanOptions {
  keys: JobKeys
  timings: Timings
  /** Length of the event stream, in transitions. */
  keepEvents: number
  /** Limits of stored files at acceptance; absent: none. */
  quota?: StoredQuota
}

/** Plans a commit and everything that changes with it. `now`: ms, approximate time of Redis, for the day of the spending. */
export function planCommit(
  state: JobState,
  commit: Commit,
  cause: Cause,
  { keys, timings, keepEvents }: PlanOptions,
  now: number,
): CommitScriptInput {
  const account = accountOf(state, commit)
  return planned(consequencesOf(state, commit, { cause, now, timings, newNotice }), {
    keys,
    state,
    account,
    keepEvents,
  })
}

/** Plans the removal of a final job, or of parts of it. `hash`: the fields of its hash, from which it is folded. */
export function planPurge(
  state: JobState,
  purge: Purge,
  { keys, keepEvents }: PlanOptions,
  hash: readonly string[],
): CommitScriptInput {
  return planned(purgeConsequences(state, purge), { keys, state, account: state.job.account, keepEvents, hash })
}

function planned(consequences: readonly Consequence[], encoding: Encoding): CommitScriptInput {
  const { keys, state, account } = encoding
  const input = new CommitScriptInput(keys.job(state.job.id), keys.account(account))
  for (const one of consequences) encodeConsequence(input, one, encoding)
  return input
}

/** Plans the record of a new job, without any index entry. A job of a batch begins at revision 1. */
export function planRecord(input: CommitScriptInput, job: JobRecord, { keys }: PlanOptions): void {
  writeNewJob(input, keys, job)
  if (job.batch !== null) input.add('hset', keys.job(job.id), 'rev', 1)
  writeLine(input, keys, job.id, 1, {
    phase: job.phase,
    status: job.status,
    cause: 'api',
    attempt: 0,
    prediction: null,
  })
}

/** Plans the acceptance of jobs that have records: one case for each consequence, and no decision. */
export function planAcceptance(
  input: CommitScriptInput,
  jobs: readonly JobRecord[],
  { keys, timings, quota }: PlanOptions,
  limits: AcceptTerms,
): void {
  const [first, ...others] = jobs
  if (!first) return
  const { tenant } = first
  const ids = jobs.map(({ id }) => id)
  for (const one of acceptanceOf([first, ...others], limits, quota ?? null, timings, newNotice))
    switch (one.kind) {
      case 'need_queue_room':
        input.add('below', keys.tenantStatus(tenant, 'queued'), one.limit, one.jobs)
        break
      case 'need_storage': {
        const { stored_bytes: bytes = '', stored_files: files = '' } = one.quota.defaults
        input.add('may_store', keys.stored, input.indexOf(one.quota.tenants), tenant, String(bytes), String(files))
        break
      }
      case 'need_budgets':
        input.add('budgets_are', keys.budgets, ...one.known.flat())
        break
      case 'budget_charged':
        chargeBudget(input, keys, one)
        break
      case 'hold': {
        const holds = one.holds.flatMap(({ job, amount, budgets }) => [
          amount,
          job,
          budgets.length === 0 ? '' : JSON.stringify(budgets),
        ])
        input
          .add('afford', keys.credits(tenant), one.total)
          .add('hold', keys.credits(tenant), input.indexOf(keys.ledger(tenant)), one.batch ?? '', ...holds)
        break
      }
      case 'owed_when_low':
        oweByTenant(input, keys, tenant, { ...one, own: false, when: 'credits_low' })
        break
      case 'listed':
        input
          .add('zadd_all', keys.tenantJobs(tenant), ...ids)
          .add('zadd_all', keys.tenantStatus(tenant, one.status), ...ids)
          .add('hincrby', keys.phases, one.phase, jobs.length)
        break
      case 'labeled': {
        const members = one.labels.map(({ job, label }) => labelMember(labelDigest(label), job))
        input.add('zadd_all', keys.tenantLabels(tenant), ...members)
        break
      }
      case 'being_answered': {
        const { entry, job, process, forMs } = one.answering
        input.add('hset', keys.answering(entry), job, process).add('expire', keys.answering(entry), forMs)
        break
      }
      case 'first_due':
        input.add('zadd_in', keys.due, one.in, ...ids.map((id) => dueJob(id).member))
        break
      default:
        one satisfies never
    }
}

/** Plans what an acceptance would check, and nothing that it would write. */
export function planQuestion(jobs: readonly JobRecord[], plan: PlanOptions, limits: AcceptTerms): CommitScriptInput {
  const [{ id, account } = { id: '', account: '' }] = jobs
  const input = new CommitScriptInput(plan.keys.job(id), plan.keys.account(account))
  planAcceptance(input, jobs, plan, limits)
  return input.add('ask', plan.keys.job(id))
}

function chargeBudget(
  input: CommitScriptInput,
  keys: JobKeys,
  { charge, notice, due }: Extract<AcceptConsequence, { kind: 'budget_charged' }>,
): void {
  const { budget, period, subject, amount, receiver } = charge
  const { id, hard, limit } = budget
  const counts = keys.budgetCounts(id, period.name)
  input
    .add('may_spend', counts, id, subject, amount, hard ? limit : '', period.from, period.until)
    .add('charge_budget', counts, id, subject, amount, keepCountsUntil(period), alertLevels(budget).join(' '))
  oweByTenant(input, keys, receiver, { notice, own: false, when: `budget ${id} ${subject}`, due })
}

/** Plans the idempotency entry of the accepted job or batch. */
export function planIdempotency(
  input: CommitScriptInput,
  keys: JobKeys,
  accepted: { job: string } | { batch: string },
  idempotency: { entry: string; body: string } | null,
): void {
  if (idempotency)
    input
      .add('free', keys.idempotency(idempotency.entry))
      .add('set', keys.idempotency(idempotency.entry), JSON.stringify({ ...accepted, body: idempotency.body }))
}

/** Plans a new job: record, indexes, idempotency entry, hold, first due time, event. */
export function planCreate(
  job: JobRecord,
  idempotency: { entry: string; body: string } | null,
  options: PlanOptions,
  limits: AcceptTerms,
): CommitScriptInput {
  const { keys, keepEvents } = options
  const input = new CommitScriptInput(keys.job(job.id), keys.account(job.account))
  planIdempotency(input, keys, { job: job.id }, idempotency)
  planRecord(input, job, options)
  planAcceptance(input, [job], options, limits)
  announce(input, keys, { ...job, rev: 1 }, keepEvents)
  return input
}
