import type { Cause, JobRecord, JobState } from './job.ts'
import { effectKey, isFinal, newAttempt } from './job.ts'
import { encodeHistory, type HistoryLine } from './history-line.ts'
import type { JobKeys } from './job-keys.ts'
import { encodeDocument, encodeField, placeOf, DOCUMENTS } from './record-codec.ts'
import type { Timings } from './timings.ts'
import type { AttemptChanges, Commit, Health, Moment } from './decision.ts'

/** The guards and writes of one run of commit.lua, with every key that they name. */
export class CommitScriptInput {
  readonly keys: string[]
  readonly operations: string[] = []

  constructor(job: string, account: string) {
    this.keys = [job, account]
  }

  add(operation: string, key: string, ...args: (string | number)[]): this {
    let index = this.keys.indexOf(key)
    if (index === -1) index = this.keys.push(key) - 1
    this.operations.push(operation, String(index + 1), String(args.length), ...args.map(String))
    return this
  }

  /** `field` at a moment, in a hash. */
  setMoment(key: string, field: string, moment: Moment): this {
    return typeof moment === 'number'
      ? this.add('hset', key, field, moment)
      : this.add('hset_in', key, field, moment.in)
  }

  /** `member` due at a moment. */
  dueAt(key: string, member: string, moment: Moment): this {
    return typeof moment === 'number'
      ? this.add('zadd', key, Math.round(moment), member)
      : this.add('zadd_in', key, Math.round(moment.in), member)
  }
}

const isMoment = (value: unknown): value is { in: number } =>
  typeof value === 'object' && value !== null && 'in' in value && Object.keys(value).length === 1

const dueJob = (job: string): string => `job:${job}`
const dueAttempt = (job: string, n: number): string => `attempt:${job}:${n}`
const dueEffect = (job: string, key: string): string => `effect:${job}:${key}`

function setFields(input: CommitScriptInput, key: string, prefix: string, changes: Record<string, unknown>): void {
  const plain: string[] = []
  for (const [field, value] of Object.entries(changes)) {
    if (value === undefined) continue
    if (isMoment(value)) input.setMoment(key, prefix + field, value)
    else plain.push(prefix + field, encodeField(field, value))
  }
  if (plain.length > 0) input.add('hset', key, ...plain)
}

/** The hash takes the fields that changed; a document that has one is written anew. */
function setJob(input: CommitScriptInput, keys: JobKeys, changes: Record<string, unknown>, after: JobRecord): void {
  const changed = Object.entries(changes).filter(([, value]) => value !== undefined)
  const at = (place: string): [string, unknown][] => changed.filter(([field]) => placeOf(field) === place)
  setFields(input, keys.job(after.id), '', Object.fromEntries(at('hash')))
  for (const document of DOCUMENTS)
    if (at(document).length > 0) input.add('set', keys[document](after.id), encodeDocument(document, after))
}

/** What a new record need not say. */
const withoutNulls = (fields: object): Record<string, unknown> =>
  Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== null))

/** Moves the job between the sets and counters that follow from its phase and status. */
function moveIndexes(input: CommitScriptInput, keys: JobKeys, before: JobRecord, after: JobRecord): void {
  if (after.phase !== before.phase)
    input.add('hincrby', keys.phases, before.phase, -1).add('hincrby', keys.phases, after.phase, 1)
  if (after.status !== before.status)
    input
      .add('zrem', keys.tenantStatus(after.tenant, before.status), after.id)
      .add('zadd', keys.tenantStatus(after.tenant, after.status), 0, after.id)
}

function announce(input: CommitScriptInput, keys: JobKeys, job: JobRecord, rev: number, keepEvents: number): void {
  const { id, tenant, status, phase } = job
  input.add('xadd', keys.events, keepEvents, 'job', id, 'tenant', tenant, 'rev', rev, 'status', status, 'phase', phase)
}

/** Moves an attempt between the sets that follow from its state. */
function moveAttempt(
  input: CommitScriptInput,
  keys: JobKeys,
  { job, attempts }: JobState,
  { n, changes }: { n: number; changes: AttemptChanges },
): void {
  const before = attempts.find((one) => one.n === n)
  if (changes.state === undefined || changes.state === before?.state) return
  const member = `${job.id}:${n}`
  if (before?.state === 'open') input.add('srem', keys.open(job.account), member)
  if (before?.state === 'unknown') input.add('zrem', keys.unknown(job.account), member)
  if (changes.state === 'open') input.add('sadd', keys.open(job.account), member)
  if (changes.state === 'unknown') input.add('zadd', keys.unknown(job.account), before?.intended_at ?? 0, member)
}

/** Causes by which we found out what a webhook should have told. */
const ASKED: ReadonlySet<Cause> = new Set(['poll', 'list'])

/** So many faults in a row, or outcomes that are unknown at once, stop creation for the account. */
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
  if (health === 'fault')
    input
      .add('fault', keys.account(account), FAULT_LIMIT, first, longest, 'upstream')
      .add('crowd', keys.unknown(account), UNKNOWN_LIMIT, longest)
}

/** How many entries of a job's history are kept. */
const KEEP_HISTORY = 100

/** One line of history for each change that a person would want to read about. */
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
  input.add('rpush_now', keys.history(job.id), KEEP_HISTORY, encodeHistory(line))
}

/** The record with its changes applied; moments become ms once `now` is known. */
export function applyChanges<T extends object>(record: T, changes: object, now: number): T {
  const entries = Object.entries(changes).filter(([, value]) => value !== undefined)
  return {
    ...record,
    ...Object.fromEntries(entries.map(([field, value]) => [field, isMoment(value) ? now + value.in : value])),
  }
}

/** What `commit` makes of `state`, as the script will have written it at `now`. */
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

export interface PlanOptions {
  keys: JobKeys
  timings: Timings
  /** How many transitions the event stream keeps. */
  keepEvents: number
}

/** Everything that changes together with the record: attempt, outbox, indexes, due times, counters, the event. */
export function planCommit(
  state: JobState,
  commit: Commit,
  cause: Cause,
  { keys, timings, keepEvents }: PlanOptions,
): CommitScriptInput {
  const { job } = state
  const { attempt, effects, due } = commit
  const after = applyCommit(state, commit, 0).job
  const input = new CommitScriptInput(keys.job(job.id), keys.account(job.account))

  if (attempt?.changes.prediction_id)
    input
      .add('mine', keys.prediction(job.account, attempt.changes.prediction_id), `${job.id}:${attempt.n}`)
      .add('set', keys.prediction(job.account, attempt.changes.prediction_id), `${job.id}:${attempt.n}`)

  setJob(input, keys, commit.job, after)
  if (job.phase === 'running' && after.phase !== 'running') input.add('del', keys.partial(job.id))
  moveIndexes(input, keys, job, after)

  if (attempt) {
    const known = state.attempts.some(({ n }) => n === attempt.n)
    const changes = known ? attempt.changes : withoutNulls({ v: 1, ...attempt.changes })
    setFields(input, keys.attempts(job.id), `${attempt.n}.`, changes)
    moveAttempt(input, keys, state, attempt)
    if (due.attempt === null) input.add('zrem', keys.due, dueAttempt(job.id, attempt.n))
    else if (due.attempt !== undefined) input.dueAt(keys.due, dueAttempt(job.id, attempt.n), due.attempt)
  }

  for (const effect of effects.add) {
    if (effect.kind === 'store') input.add('zadd', keys.storing, effect.expires_at, `${job.id}:${effect.attempt}`)
    input
      .add('hset', keys.outbox(job.id), effectKey(effect), JSON.stringify(effect))
      .dueAt(keys.due, dueEffect(job.id, effectKey(effect)), { in: timings.ringAgain.min })
  }
  for (const key of effects.remove) {
    if (key.startsWith('store:')) input.add('zrem', keys.storing, `${job.id}:${key.slice('store:'.length)}`)
    input.add('hdel', keys.outbox(job.id), key).add('zrem', keys.due, dueEffect(job.id, key))
  }

  if (isFinal(after.phase)) {
    if (!isFinal(job.phase)) {
      input.add('zrem', keys.due, dueJob(job.id))
      input.dueAt(keys.retention, job.id, { in: timings.keepPredictionIndex })
      const by = attempt?.changes.finished_by ?? state.attempts.find(({ n }) => n === job.attempt)?.finished_by
      if (by) input.add('hincrby', keys.counters, `finished_by:${by}`, 1)
      input.add('hincrby', keys.counters, `jobs:${after.phase}`, 1)
    }
  } else if (due.job !== undefined) {
    input.dueAt(keys.due, dueJob(job.id), due.job)
  }

  if (commit.orphans) input.add('hincrby', keys.counters, 'orphan_predictions', commit.orphans)
  if (commit.pause) input.add('pause', keys.account(job.account), commit.pause.for, commit.pause.reason)
  if (cause === 'webhook') input.add('hset', keys.account(job.account), 'silence', 0)
  else if (ASKED.has(cause) && attempt?.changes.state === 'closed')
    input.add('hincrby', keys.account(job.account), 'silence', 1)
  judgeHealth(input, keys, job.account, commit.health, timings)
  remember(input, keys, state, after, commit, cause)
  announce(input, keys, after, job.rev + 1, keepEvents)
  return input
}

/** A new job: the record, its indexes, the idempotency entry, its first due time, the event. */
export function planCreate(
  job: JobRecord,
  idempotency: { entry: string; body: string } | null,
  { keys, timings, keepEvents }: PlanOptions,
): CommitScriptInput {
  const input = new CommitScriptInput(keys.job(job.id), keys.account(job.account))
  if (idempotency)
    input
      .add('free', keys.idempotency(idempotency.entry))
      .add('set', keys.idempotency(idempotency.entry), JSON.stringify({ job: job.id, body: idempotency.body }))
  const fields = Object.entries(withoutNulls(job)).filter(([field]) => field !== 'rev' && placeOf(field) !== 'result')
  setJob(input, keys, { ...Object.fromEntries(fields), created_at: { in: 0 }, start_since: { in: 0 } }, job)
  input.add('hset_paused', keys.job(job.id), 'start_paused')
  input
    .add('zadd', keys.tenantJobs(job.tenant), 0, job.id)
    .add('zadd', keys.tenantStatus(job.tenant, job.status), 0, job.id)
    .add('hincrby', keys.phases, job.phase, 1)
    .dueAt(keys.due, dueJob(job.id), { in: Math.min(timings.ringAgain.min, job.start_within * 1000) })
  const line = encodeHistory({ phase: job.phase, status: job.status, cause: 'api', attempt: 0, prediction: null })
  input.add('rpush_now', keys.history(job.id), KEEP_HISTORY, line)
  announce(input, keys, job, 1, keepEvents)
  return input
}

/** Removal of a final job, or of parts of it; `next` is when the following clean-up is due. */
export function planPurge(
  { job, attempts }: JobState,
  stage: 'index' | 'payload' | 'all',
  { keys, timings }: PlanOptions,
): CommitScriptInput {
  const input = new CommitScriptInput(keys.job(job.id), keys.account(job.account))
  const since = job.completed_at ?? job.created_at
  for (const { prediction_id, account } of attempts)
    if (prediction_id) input.add('del', keys.prediction(account, prediction_id))
  if (stage === 'index') return input.dueAt(keys.retention, job.id, since + timings.keepPayload)
  if (job.idempotency) input.add('del', keys.idempotency(job.idempotency))
  if (stage === 'payload') {
    const gone = { input: null, output: null }
    setJob(input, keys, gone, { ...job, ...gone })
    return input.dueAt(keys.retention, job.id, since + timings.keepJob)
  }
  return input
    .add('zrem', keys.tenantJobs(job.tenant), job.id)
    .add('zrem', keys.tenantStatus(job.tenant, job.status), job.id)
    .add('hincrby', keys.phases, job.phase, -1)
    .add('zrem', keys.retention, job.id)
    .add('del', keys.attempts(job.id))
    .add('del', keys.outbox(job.id))
    .add('del', keys.history(job.id))
    .add('del', keys.order(job.id))
    .add('del', keys.result(job.id))
    .add('del', keys.partial(job.id))
    .add('del', keys.job(job.id))
}
