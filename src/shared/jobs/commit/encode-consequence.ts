import { attemptId, dueAttempt, dueEffect, dueJob, dueNotice, keptFilesMember } from '../record/due-member.ts'
import type { JobKeys } from '../record/job-keys.ts'
import { labelDigest, labelMember } from '../record/label-member.ts'
import { flightMember, lineMember } from '../record/line-member.ts'
import { SPENDING_KEPT } from '../../credits/rules/spending.ts'
import type { Consequence, Settlement } from '../rules/consequence.ts'
import type { Moment } from '../rules/decision.ts'
import { attemptOf, effectKey, type JobRecord, type JobState } from '../rules/job.ts'
import type { CommitScriptInput } from './commit-script.ts'
import { deleteRecord, writeAttempt, writeFolded, writeJob, writeLine } from './record-plan.ts'

/** What an encoding needs to know besides the consequence. */
export interface Encoding {
  keys: JobKeys
  /** The state before the commit. */
  state: JobState
  /** The account that the commit concerns. */
  account: string
  /** Length of the event stream, in transitions. */
  keepEvents: number
  /** Fields of the job's hash, for a commit that folds the record. */
  hash?: readonly string[]
}

/** Encodes one consequence as guards and writes of commit.lua: one case for each kind, and no decision. */
export function encodeConsequence(input: CommitScriptInput, one: Consequence, encoding: Encoding): void {
  const { keys, state, account, keepEvents } = encoding
  const { job } = state
  const { id, tenant } = job
  const formerAccount = (n: number): string => attemptOf(state, n)?.account ?? account
  switch (one.kind) {
    case 'own_prediction': {
      const key = keys.prediction(account, one.prediction)
      input.add('mine', key, attemptId(id, one.attempt)).add('set', key, attemptId(id, one.attempt))
      return
    }
    case 'need_lease':
      input.add('leased', keys.places, id, one.lease)
      return
    case 'need_room':
      input.add('room', keys.flight, input.indexOf(keys.limits), input.indexOf(keys.pauses), id, ...one.scopes)
      return
    case 'need_turn':
      input.add('first', keys.batchLive(one.batch), id)
      return
    case 'need_batch_budget':
      input.add('may_begin', keys.batch(one.batch), one.held, one.isFirst ? 1 : 0)
      return

    case 'job':
      writeJob(input, keys, job, one.changes, one.after)
      return
    case 'job_folded':
      if (!writeFolded(input, keys, { ...state, job: one.after }, encoding.hash ?? []))
        writeJob(input, keys, job, one.changes, one.after)
      return
    case 'partial_removed':
      input.add('del', keys.partial(id))
      return
    case 'input_removed':
      input.add('del', keys.input(id))
      return
    case 'logs':
      if (one.text === '') input.add('del', keys.logs(id))
      else input.add('set', keys.logs(id), one.text)
      return
    case 'attempt':
      writeAttempt(input, keys, id, attemptOf(state, one.n), one)
      return
    case 'effect_added':
      input
        .add('hset', keys.outbox(id), effectKey(one.effect), JSON.stringify(one.effect))
        .dueAt(keys.due, dueEffect(id, effectKey(one.effect)).member, one.due)
      return
    case 'effect_removed':
      input.add('hdel', keys.outbox(id), one.key).add('zrem', keys.due, dueEffect(id, one.key).member)
      return

    case 'owed': {
      const field = effectKey(one.notice)
      input.owe(keys.outbox(id), {
        due: keys.due,
        subscribed: keys.subscribed(tenant),
        field,
        member: dueEffect(id, field).member,
        after: one.due.in,
        own: one.own,
        when: '',
        owed: { job: id, notice: one.notice },
      })
      return
    }
    case 'owed_by_tenant':
      oweByTenant(input, keys, one.to ?? tenant, one)
      return

    case 'phase':
      input.add('hincrby', keys.phases, one.from, -1).add('hincrby', keys.phases, one.to, 1)
      return
    case 'status':
      input.add('zrem', keys.tenantStatus(tenant, one.from), id).add('zadd', keys.tenantStatus(tenant, one.to), 0, id)
      return
    case 'job_due':
      setScore(input, keys.due, dueJob(id).member, one.at)
      return
    case 'attempt_due':
      setScore(input, keys.due, dueAttempt(id, one.n).member, one.at)
      return
    case 'attempt_open':
      if (one.isOpen) input.add('sadd', keys.open(account), attemptId(id, one.n))
      else input.add('srem', keys.open(formerAccount(one.n)), attemptId(id, one.n))
      return
    case 'attempt_unknown':
      setScore(
        input,
        keys.unknown(one.since === null ? formerAccount(one.n) : account),
        attemptId(id, one.n),
        one.since,
      )
      return
    case 'copy_pending':
      setScore(input, keys.storing, attemptId(id, one.attempt), one.until)
      return
    case 'clean_up':
      setScore(input, keys.retention, id, one.at)
      return
    case 'count':
      input.add('hincrby', keys.counters, one.counter, one.by)
      return

    case 'in_flight':
      if (one.move === 'take') input.add('zadd_all', keys.flight, ...one.scopes.map((scope) => flightMember(scope, id)))
      else input.land(keys, id, one.scopes)
      return
    case 'line_left':
      input.add('zrem', keys.line, lineMember(one.place))
      return
    case 'place_given_up':
      input.add('hdel', keys.places, id)
      return
    case 'batch_committed':
      input.add('hincrby', keys.batch(one.batch), 'committed', one.held)
      return
    case 'batch_status':
      input
        .add('in_batch', keys.batch(one.batch), input.indexOf(keys.batchLive(one.batch)), id, one.from, one.to)
        .add('batch_done', keys.retention, one.keep, one.batch)
      return
    case 'batch_stopped':
      input.add('stop_batch', keys.batch(one.batch), one.reason)
      return
    case 'stored':
      input.add('count_stored', keys.stored, tenant, one.bytes, one.files)
      return
    case 'webhook':
      if (one.was === 'received') input.add('hset', keys.account(account), 'silence', 0)
      else input.add('hincrby', keys.account(account), 'silence', 1)
      return
    case 'settle':
      settle(input, one, encoding)
      return
    case 'upstream_cost': {
      const key = keys.upstreamCosts(one.day)
      input.add('count_spending', key, SPENDING_KEPT, one.held, one.model)
      input.add('hincrby', key, `upstream:${one.model}`, one.amount)
      return
    }

    case 'breaker_success':
      input.add('healthy', keys.account(account))
      return
    case 'breaker_fault':
      input.add('fault', keys.account(account), one.limit, one.first, one.longest, one.reason)
      return
    case 'breaker_unknown':
      input.add('crowd', keys.unknown(account), one.limit, one.pause)
      return
    case 'breaker_unsent':
      input.add('probe_back', keys.account(account), one.claim)
      return
    case 'breaker_pause':
      input.add('pause', keys.account(account), one.for, one.reason)
      return
    case 'model_pass': {
      const { pauses, clocks } = breakerKeys(input, keys)
      input.add('model_pass', keys.modelBreakers, pauses, clocks, one.target, Math.round(one.lease))
      return
    }
    case 'model_works': {
      const { pauses, clocks } = breakerKeys(input, keys)
      input.add('model_works', keys.modelBreakers, pauses, clocks, one.target, one.sent)
      return
    }
    case 'model_fault': {
      const { target, sent, limit, first, longest } = one
      const { pauses, clocks } = breakerKeys(input, keys)
      input.add('model_fault', keys.modelBreakers, pauses, clocks, target, sent, limit, first, longest)
      return
    }
    case 'create_throttled': {
      const { perMinute = '', burst = null } = one.stated ?? {}
      input.add('throttled', keys.account(account), Math.round(one.for), one.sent, perMinute, burst ?? '')
      return
    }

    case 'prediction_forgotten':
      input.add('del', keys.prediction(one.account, one.prediction))
      return
    case 'idempotency_forgotten':
      input.add('del', keys.idempotency(one.entry))
      return
    case 'labels_forgotten':
      for (const label of one.labels) input.add('zrem', keys.tenantLabels(tenant), labelMember(labelDigest(label), id))
      return
    case 'prediction_foreign':
      input.add('zadd_in', keys.foreign(one.account), 0, one.prediction)
      return
    case 'files_kept': {
      const { kept, until, bytes, files } = one
      input
        .add('set', keys.keptFiles(id), JSON.stringify({ ...kept, until, bytes, files }))
        .dueAt(keys.retention, keptFilesMember(id), until)
      return
    }
    case 'record_removed':
      input
        .add('zrem', keys.tenantJobs(tenant), id)
        .add('zrem', keys.tenantStatus(tenant, job.status), id)
        .add('hincrby', keys.phases, job.phase, -1)
        .add('zrem', keys.retention, id)
      deleteRecord(input, keys, id, job)
      return

    case 'history':
      writeLine(input, keys, id, one.rev, one.line)
      return
    case 'event':
      announce(input, keys, { id, tenant, batch: job.batch, ...one }, keepEvents)
      return
    default:
      one satisfies never
  }
}

/** The pauses of the circuit breakers of models, and their clocks. */
const breakerKeys = (input: CommitScriptInput, keys: JobKeys) => ({
  pauses: input.indexOf(keys.pauses),
  clocks: input.indexOf(keys.pauseClocks),
})

/** Sets the score of a member to a moment; null: removes the member. */
function setScore(input: CommitScriptInput, key: string, member: string, at: Moment | null): void {
  if (at === null) input.add('zrem', key, member)
  else input.dueAt(key, member, at)
}

function settle(input: CommitScriptInput, settlement: Settlement, { keys, state: { job } }: Encoding): void {
  const { by, held, actual, isEstimated, label, hasBegun, batch, day, budgets, groups } = settlement
  if (isEstimated) input.add('hset', keys.job(job.id), 'charge_estimated', 'true')
  input.add(
    'settle',
    keys.credits(job.tenant),
    input.indexOf(keys.ledger(job.tenant)),
    input.indexOf(keys.spending(job.tenant, day)),
    batch === null ? 0 : input.indexOf(keys.batch(batch)),
    by,
    held,
    actual ?? '',
    job.id,
    batch ?? '',
    label,
    hasBegun ? 1 : 0,
  )
  if (by === 'capture')
    for (const [group, name] of Object.entries(groups)) {
      const key = group === 'tenant' ? keys.allSpending(day) : keys.spendingBy(job.tenant, group, day)
      input.add('count_spending', key, SPENDING_KEPT, held, name)
    }
  for (const [id, period, subject] of budgets)
    input.add('correct_budget', keys.budgetCounts(id, period), id, subject, held)
}

/** Owes a row of the tenant's outbox. */
export function oweByTenant(
  input: CommitScriptInput,
  keys: JobKeys,
  tenant: string,
  { notice, own, when, due }: Omit<Extract<Consequence, { kind: 'owed_by_tenant' }>, 'kind' | 'to'>,
): void {
  input.owe(keys.notices(tenant), {
    due: keys.due,
    subscribed: keys.subscribed(tenant),
    field: notice.id,
    member: dueNotice(tenant, notice.id).member,
    after: due.in,
    own,
    when,
    owed: { tenant, notice },
  })
}

/** Appends to the event stream. */
export function announce(
  input: CommitScriptInput,
  keys: JobKeys,
  { id, tenant, batch, rev, status, phase }: Pick<JobRecord, 'id' | 'tenant' | 'batch' | 'rev' | 'status' | 'phase'>,
  keepEvents: number,
): void {
  const fields = ['job', id, 'tenant', tenant, 'rev', rev, 'status', status, 'phase', phase, 'batch', batch ?? '']
  input.add('xadd', keys.events, keepEvents, ...fields)
}
