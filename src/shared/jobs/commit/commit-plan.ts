import type { Cause, JobRecord, JobState } from '../rules/job.ts'
import { attemptOf, effectKey, isFinal, newAttempt } from '../rules/job.ts'
import type { HistoryLine } from '../record/history-line.ts'
import type { JobKeys } from '../record/job-keys.ts'
import type { AcceptLimits } from '../ports.ts'
import { firstCleanUp } from '../rules/keep.ts'
import type { Purge, PurgePart } from '../rules/purge.ts'
import { isMoment, writeAttempt, writeJob, writeLine, writeNewJob } from './record-plan.ts'
import { inputHash } from '../rules/run-facts.ts'
import type { Timings } from '../rules/timings.ts'
import { planBegin, planBatchMove, planHold, planSettlement, planSlot } from './share-plan.ts'
import { CommitScriptInput } from './commit-script.ts'
import { amountOf, type StoredAmount, type StoredQuota } from '../../limits/rules/stored.ts'
import type { AttemptChanges, Commit, Health } from '../rules/decision.ts'
import { attemptId, dueAttempt, dueEffect, dueJob, keptFilesMember } from '../record/due-member.ts'

/** Moves the job between the sets and counters of its phase and status. */
function moveIndexes(input: CommitScriptInput, keys: JobKeys, before: JobRecord, after: JobRecord): void {
  if (after.phase !== before.phase)
    input.add('hincrby', keys.phases, before.phase, -1).add('hincrby', keys.phases, after.phase, 1)
  if (after.status !== before.status)
    input
      .add('zrem', keys.tenantStatus(after.tenant, before.status), after.id)
      .add('zadd', keys.tenantStatus(after.tenant, after.status), 0, after.id)
}

function announce(input: CommitScriptInput, keys: JobKeys, job: JobRecord, rev: number, keepEvents: number): void {
  const { id, tenant, batch, status, phase } = job
  const fields = ['job', id, 'tenant', tenant, 'rev', rev, 'status', status, 'phase', phase, 'batch', batch ?? '']
  input.add('xadd', keys.events, keepEvents, ...fields)
}

/** Moves an attempt between the sets of its state. */
function moveAttempt(
  input: CommitScriptInput,
  keys: JobKeys,
  { job, attempts }: JobState,
  { n, changes }: { n: number; changes: AttemptChanges },
): void {
  const before = attempts.find((one) => one.n === n)
  if (changes.state === undefined || changes.state === before?.state) return
  const member = attemptId(job.id, n)
  if (before?.state === 'open') input.add('srem', keys.open(job.account), member)
  if (before?.state === 'unknown') input.add('zrem', keys.unknown(job.account), member)
  if (changes.state === 'open') input.add('sadd', keys.open(job.account), member)
  if (changes.state === 'unknown')
    input.dueAt(keys.unknown(job.account), member, changes.intended_at ?? before?.intended_at ?? 0)
}

/** Causes that report what a webhook should have reported. */
const POLLED: ReadonlySet<Cause> = new Set(['poll', 'list'])

/** Consecutive faults, or concurrent unknown outcomes, that trip the circuit breaker of the account. */
const FAULT_LIMIT = 3
const UNKNOWN_LIMIT = 10

function judgeHealth(
  input: CommitScriptInput,
  keys: JobKeys,
  account: string,
  health: Health | undefined,
  { troublePause }: Timings,
): void {
  const { first, longest } = troublePause
  if (health === 'healthy') input.add('healthy', keys.account(account))
  if (health === 'refused') input.add('fault', keys.account(account), 1, first, longest, 'account')
  if (health === 'webhook_refused') input.add('fault', keys.account(account), 1, first, longest, 'webhook')
  if (health === 'fault') input.add('fault', keys.account(account), FAULT_LIMIT, first, longest, 'upstream')
}

/** Updates the circuit breaker after an attempt changed: one more unknown outcome, or a probe that was not sent. */
function judgeAttempt(
  input: CommitScriptInput,
  keys: JobKeys,
  { job, attempts }: JobState,
  { n, changes }: { n: number; changes: AttemptChanges },
  { troublePause }: Timings,
): void {
  if (changes.state === 'unknown') input.add('crowd', keys.unknown(job.account), UNKNOWN_LIMIT, troublePause.longest)
  const claim = attempts.find((one) => one.n === n)?.claim
  if (changes.outcome === 'not_sent' && claim) input.add('probe_back', keys.account(job.account), claim)
}

/** Writes a line of history for each change of interest to an operator. */
function remember(
  input: CommitScriptInput,
  keys: JobKeys,
  { job, attempts }: JobState,
  after: JobRecord,
  commit: Commit,
  cause: Cause,
): void {
  const { attempt, note } = commit
  const from = attempts.find(({ n }) => n === attempt?.n)?.state
  const to = attempt?.changes.state
  if (after.phase === job.phase && to === from && note === undefined) return
  const line: HistoryLine = {
    phase: after.phase,
    status: after.status,
    cause,
    attempt: attempt?.n ?? after.attempt,
    prediction: attempt?.changes.prediction_id ?? after.prediction_id,
    ...(to === undefined || to === from ? {} : { attempt_state: to }),
    ...(note === undefined ? {} : { note }),
    ...(after.error && after.error !== job.error ? { error: after.error.code } : {}),
  }
  writeLine(input, keys, job.id, job.rev + 1, line)
}

/** The record with its changes applied; relative moments become ms since 1970, from `now`. */
export function applyChanges<T extends object>(record: T, changes: object, now: number): T {
  const entries = Object.entries(changes).filter(([, value]) => value !== undefined)
  return {
    ...record,
    ...Object.fromEntries(entries.map(([field, value]) => [field, isMoment(value) ? now + value.in : value])),
  }
}

/** The state after `commit`, as the script writes it at `now`. */
export function applyCommit(state: JobState, commit: Commit, now: number): JobState {
  const { attempt, effects } = commit
  const attempts = [...state.attempts]
  if (attempt) {
    const at = attempts.findIndex(({ n }) => n === attempt.n)
    const before = attempts[at] ?? newAttempt(attempt.n)
    attempts.splice(at === -1 ? attempts.length : at, 1, applyChanges(before, attempt.changes, now))
  }
  const job = applyChanges(state.job, commit.job, now)
  return {
    job: { ...job, rev: state.job.rev + 1, partial: job.phase === 'running' ? job.partial : null },
    attempts,
    effects: [...state.effects.filter((effect) => !effects.remove.includes(effectKey(effect))), ...effects.add],
  }
}

/** Counts the files of the job for its tenant, instead of what it counted before. */
function countStored(input: CommitScriptInput, keys: JobKeys, { tenant }: JobRecord, amount: StoredAmount): void {
  input.add('count_stored', keys.stored, tenant, amount.bytes, amount.files)
}

/** Default of `keepEvents`: more than half an hour of transitions at 600 jobs a minute. */
export const KEEP_EVENTS = 100_000

export interface PlanOptions {
  keys: JobKeys
  timings: Timings
  /** Length of the event stream, in transitions. */
  keepEvents: number
  /** Limits of stored files at acceptance; absent: none. */
  quota?: StoredQuota
}

/**
 * Plans everything that changes together with the record: attempt, outbox, indexes, due times, counters, credits, batch,
 * event. `now`: ms, approximate time of Redis; it only determines the day of the spending.
 */
export function planCommit(
  state: JobState,
  commit: Commit,
  cause: Cause,
  { keys, timings, keepEvents }: PlanOptions,
  now: number,
): CommitScriptInput {
  const { job } = state
  const { attempt, effects, due } = commit
  const after = applyCommit(state, commit, 0).job
  const input = new CommitScriptInput(keys.job(job.id), keys.account(job.account))

  if (attempt?.changes.prediction_id)
    input
      .add('mine', keys.prediction(job.account, attempt.changes.prediction_id), attemptId(job.id, attempt.n))
      .add('set', keys.prediction(job.account, attempt.changes.prediction_id), attemptId(job.id, attempt.n))

  if (commit.takesBudget) planBegin(input, keys, job)
  writeJob(input, keys, job, commit.job, after)
  moveIndexes(input, keys, job, after)
  planSlot(input, keys, job, after)
  planBatchMove(input, keys, job, after)
  if (commit.stopsBatch && job.batch) input.add('stop_batch', keys.batch(job.batch), commit.stopsBatch)

  if (attempt) {
    writeAttempt(input, keys, job.id, attemptOf(state, attempt.n), attempt)
    moveAttempt(input, keys, state, attempt)
    if (due.attempt === null) input.add('zrem', keys.due, dueAttempt(job.id, attempt.n).member)
    else if (due.attempt !== undefined) input.dueAt(keys.due, dueAttempt(job.id, attempt.n).member, due.attempt)
  }

  for (const effect of effects.add) {
    if (effect.kind === 'store') input.add('zadd', keys.storing, effect.expires_at, `${job.id}:${effect.attempt}`)
    input
      .add('hset', keys.outbox(job.id), effectKey(effect), JSON.stringify(effect))
      .dueAt(keys.due, dueEffect(job.id, effectKey(effect)).member, { in: timings.ringAgain.min })
  }
  for (const key of effects.remove) {
    if (key.startsWith('store:')) input.add('zrem', keys.storing, `${job.id}:${key.slice('store:'.length)}`)
    input.add('hdel', keys.outbox(job.id), key).add('zrem', keys.due, dueEffect(job.id, key).member)
  }

  if (commit.job.artifacts !== undefined && job.artifacts.length + after.artifacts.length > 0)
    countStored(input, keys, after, amountOf(after.artifacts))

  if (isFinal(after.phase)) {
    if (!isFinal(job.phase)) {
      input.add('zrem', keys.due, dueJob(job.id).member)
      input.dueAt(keys.retention, job.id, { in: firstCleanUp(job, timings.keepPredictionIndex) })
      const by = attempt?.changes.finished_by ?? state.attempts.find(({ n }) => n === job.attempt)?.finished_by
      if (by) input.add('hincrby', keys.counters, `finished_by:${by}`, 1)
      input.add('hincrby', keys.counters, `jobs:${after.phase}`, 1)
      planSettlement(input, keys, after, now)
    }
  } else if (due.job !== undefined) {
    input.dueAt(keys.due, dueJob(job.id).member, due.job)
  }

  if (commit.orphans) input.add('hincrby', keys.counters, 'orphan_predictions', commit.orphans)
  if (commit.pause) input.add('pause', keys.account(job.account), commit.pause.for, commit.pause.reason)
  if (cause === 'webhook') input.add('hset', keys.account(job.account), 'silence', 0)
  else if (POLLED.has(cause) && attempt?.changes.state === 'closed')
    input.add('hincrby', keys.account(job.account), 'silence', 1)
  judgeHealth(input, keys, job.account, commit.health, timings)
  if (attempt) judgeAttempt(input, keys, state, attempt, timings)
  remember(input, keys, state, after, commit, cause)
  announce(input, keys, after, job.rev + 1, keepEvents)
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

/** Plans the acceptance of jobs that have records: limit of the queue, indexes, holds, first due times. */
export function planAcceptance(
  input: CommitScriptInput,
  jobs: readonly JobRecord[],
  { keys, timings, quota }: PlanOptions,
  limits: AcceptLimits,
): void {
  const [first] = jobs
  if (!first) return
  const ids = jobs.map(({ id }) => id)
  if (limits.queuedJobs !== null)
    input.add('below', keys.tenantStatus(first.tenant, 'queued'), limits.queuedJobs, jobs.length)
  // Only here: the outputs of accepted jobs are paid for and always stored.
  if (quota && jobs.some(({ store }) => store === 'copy')) {
    const { stored_bytes: bytes = '', stored_files: files = '' } = quota.defaults
    input.add('may_store', keys.stored, input.indexOf(quota.tenants), first.tenant, String(bytes), String(files))
  }
  planHold(input, keys, jobs)
  input
    .add('zadd_all', keys.tenantJobs(first.tenant), ...ids)
    .add('zadd_all', keys.tenantStatus(first.tenant, first.status), ...ids)
    .add('hincrby', keys.phases, first.phase, jobs.length)
  const soon = Math.min(timings.ringAgain.min, ...jobs.map(({ start_within }) => start_within * 1000))
  input.add('zadd_in', keys.due, soon, ...ids.map((id) => dueJob(id).member))
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
  limits: AcceptLimits,
): CommitScriptInput {
  const { keys, keepEvents } = options
  const input = new CommitScriptInput(keys.job(job.id), keys.account(job.account))
  planIdempotency(input, keys, { job: job.id }, idempotency)
  planRecord(input, job, options)
  planAcceptance(input, [job], options, limits)
  announce(input, keys, job, 1, keepEvents)
  return input
}

/** Plans the removal of a final job, or of parts of it. */
export function planPurge({ job, attempts }: JobState, purge: Purge, { keys }: PlanOptions): CommitScriptInput {
  const input = new CommitScriptInput(keys.job(job.id), keys.account(job.account))
  const goes = (part: PurgePart): boolean => purge.remove === 'record' || purge.parts.includes(part)
  if (goes('index'))
    for (const { prediction_id, account } of attempts)
      if (prediction_id) input.add('del', keys.prediction(account, prediction_id))
  if (goes('entry') && job.idempotency) input.add('del', keys.idempotency(job.idempotency))
  if (purge.remove === 'parts') {
    const gone = { input: null, output: null, input_sha256: inputHash(job) }
    if (goes('payload') && (job.input !== null || job.output !== null))
      writeJob(input, keys, job, gone, { ...job, ...gone })
    return input.dueAt(keys.retention, job.id, purge.next)
  }
  // Marked as foreign, so that a listing that still shows them does not count them as orphans.
  if (purge.early)
    for (const { account, prediction_id, orphans } of attempts)
      for (const id of prediction_id === null ? orphans : [prediction_id, ...orphans])
        input.add('zadd_in', keys.foreign(account), 0, id)
  const amount = amountOf(job.artifacts)
  // Files that are kept forever no longer count: nothing refers to them.
  if (amount.files > 0) countStored(input, keys, job, purge.kept ? amount : { bytes: 0, files: 0 })
  if (purge.kept)
    input
      .add('set', keys.keptFiles(job.id), JSON.stringify({ ...purge.kept.files, until: purge.kept.until, ...amount }))
      .dueAt(keys.retention, keptFilesMember(job.id), purge.kept.until)
  input
    .add('zrem', keys.tenantJobs(job.tenant), job.id)
    .add('zrem', keys.tenantStatus(job.tenant, job.status), job.id)
    .add('hincrby', keys.phases, job.phase, -1)
    .add('zrem', keys.retention, job.id)
  return deleteRecord(input, keys, job.id)
}

/** Deletes every key of one job. */
export const deleteRecord = (input: CommitScriptInput, keys: JobKeys, id: string): CommitScriptInput =>
  [...keys.documents(id), keys.outbox(id), keys.job(id)].reduce((all, key) => all.add('del', key), input)
