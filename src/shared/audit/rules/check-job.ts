import { parseArtifactId } from '../../artifacts/rules/artifact-links.ts'
import { isTerminal } from '../../replicate/rules/prediction.ts'
import {
  attemptOf,
  effectKey,
  isFinal,
  keepsLogs,
  STATUSES,
  type AttemptRecord,
  type AttemptState,
  type JobRecord,
  type JobState,
  type Phase,
  type Status,
} from '../../jobs/rules/job.ts'
import { attemptId, dueAttempt, dueEffect, dueJob } from '../../jobs/record/due-member.ts'
import type { JobKeys } from '../../jobs/record/job-keys.ts'
import { flightMember } from '../../jobs/record/line-member.ts'
import { labelMembers } from '../../jobs/record/label-member.ts'
import { scopesOf } from '../../jobs/rules/place.ts'
import { isInFlight } from '../../jobs/rules/sharing.ts'
import { isGivenUp } from '../../jobs/rules/submit.ts'
import { endsOf, firstCleanUp, type DeploymentKeep } from '../../jobs/rules/keep.ts'
import { amountOf, type StoredAmount } from '../../limits/rules/stored.ts'
import type { Timings } from '../../jobs/rules/timings.ts'
import type { Json } from '../../values/json.ts'
import { correctStored, countsOtherwise } from './correct-stored.ts'
import { problem, type Command, type Invariant, type Problem } from './finding.ts'

/** A job with everything in Redis that names it, read atomically. */
export interface LoadedJob {
  /** ms, Redis clock */
  now: number
  state: JobState
  /** Names of the outbox rows as stored. */
  outbox: string[]
  inTenantIndex: boolean
  inStatusIndexes: Status[]
  /** Its members of the index by labels. */
  labels: string[]
  /** Score; null: not in the index. */
  retention: number | null
  /** Scores of its members of the due index: the job, its attempts and its outbox rows, where they are due. */
  due: Map<string, number>
  /** Numbers of the attempts in the open set. */
  open: Set<number>
  unknown: Map<number, number>
  storing: Map<number, number>
  /** Entry of the prediction index for each prediction that the attempts own. */
  owners: Map<string, string | null>
  /** The job that its idempotency entry names. */
  idempotency: string | null
  /** The scopes in which it counts as in flight. */
  flight: string[]
  /** Its position in its batch; null: no batch, or the batch does not list it. */
  batchPlace: number | null
  /** Whether its batch exists; retention may remove the batch first. */
  hasBatch: boolean
  /** What its files count for the quota of its tenant. */
  counted: StoredAmount
  /** Whether logs are kept with it. */
  hasLogs: boolean
  /** Whether its input is kept beside its record. */
  hasInput: boolean
  /** The state of each notification that is sent with the job; null: it does not exist. */
  carried: Map<string, string | null>
}

export interface CheckOptions {
  keys: JobKeys
  timings: Timings
  /** Retention of records that do not contain it. */
  keep: Pick<DeploymentKeep, 'usual'>
  quiescent: boolean
}

const STATUSES_OF: Record<Phase, readonly Status[]> = {
  queued: ['queued'],
  submitting: ['queued'],
  unknown: ['queued'],
  created: ['starting'],
  running: ['processing'],
  resubmitting: ['processing'],
  stopping: ['queued', 'starting', 'processing'],
  storing: ['processing'],
  succeeded: ['succeeded'],
  failed: ['failed'],
  canceled: ['canceled'],
}

/** Allowed states of the newest attempt; `none`: no attempt yet. */
const STATES_OF: Record<Phase, readonly (AttemptState | 'none')[]> = {
  queued: ['none', 'closed'],
  submitting: ['intended'],
  unknown: ['unknown'],
  created: ['open'],
  running: ['open'],
  resubmitting: ['intended', 'unknown', 'open', 'closed'],
  stopping: ['intended', 'unknown', 'open'],
  storing: ['closed'],
  succeeded: ['closed'],
  // A stop has a deadline: a prediction that is found later changes the attempt only.
  failed: ['none', 'intended', 'unknown', 'open', 'closed'],
  canceled: ['none', 'intended', 'unknown', 'open', 'closed'],
}

type Say = (invariant: Invariant, id: string, detail: string, fix?: Command[]) => Problem

/** Checks the invariants of one job, its attempts, outbox rows and index entries. */
export function checkJob(loaded: LoadedJob, options: CheckOptions): Problem[] {
  const { job } = loaded.state
  const guard = { job: job.id, rev: String(job.rev) }
  const say: Say = (invariant, id, detail, fix = []) => problem(invariant, id, detail, fix, guard)
  return [
    ...checkRecord(job, say),
    ...checkLogs(loaded, options, say),
    ...checkInput(loaded, options, say),
    ...checkAttempts(loaded.state, say),
    ...checkEffects(loaded, options, say),
    ...checkIndexes(loaded, options, say),
    ...checkDue(loaded, options, say),
    ...checkAttemptSets(loaded, options, say),
    ...checkOwners(loaded, options, say),
    ...checkIdempotency(loaded, options, say),
    ...checkShares(loaded, options, say),
    ...checkCounted(loaded, options, say),
    ...(options.quiescent ? checkRest(loaded, say) : []),
  ]
}

function checkRecord(job: JobRecord, say: Say): Problem[] {
  const problems: Problem[] = []
  if (!STATUSES_OF[job.phase].includes(job.status))
    problems.push(say('status_fits_phase', job.id, `phase ${job.phase}, status ${job.status}`))
  if (job.phase === 'stopping' && job.stop === null)
    problems.push(say('status_fits_phase', job.id, 'stopping without a stop request'))
  if (job.stop !== null && job.phase !== 'stopping' && job.phase !== 'storing' && !isFinal(job.phase))
    problems.push(say('status_fits_phase', job.id, `a stop was requested, but the phase is ${job.phase}`))
  const final = isFinal(job.phase)
  if (final !== (job.completed_at !== null))
    problems.push(say('final_complete', job.id, `${job.phase}, completed_at ${job.completed_at ?? 'missing'}`))
  const failed = job.phase === 'failed' || job.phase === 'canceled'
  if (failed !== (job.error !== null))
    problems.push(say('final_complete', job.id, `${job.phase}, error ${job.error?.code ?? 'missing'}`))
  const known = new Set(job.artifacts.map(({ id }) => id))
  for (const id of artifactIds(job.output))
    if (!known.has(id)) problems.push(say('artifact_stored', job.id, `the output names ${id}, which has no record`))
  return problems
}

function checkLogs({ state: { job }, hasLogs }: LoadedJob, { keys }: CheckOptions, say: Say): Problem[] {
  if (!hasLogs || (keepsLogs(job) && job.input !== null)) return []
  return [say('record_complete', job.id, 'its logs still exist', [['del', keys.logs(job.id)]])]
}

function checkInput({ state: { job }, hasInput }: LoadedJob, { keys }: CheckOptions, say: Say): Problem[] {
  if (hasInput === (job.input_bytes !== null)) return []
  return [
    hasInput
      ? say('record_complete', job.id, 'its long input still exists', [['del', keys.input(job.id)]])
      : say('input_kept', job.id, 'its long input is missing'),
  ]
}

function checkCounted({ state: { job }, counted }: LoadedJob, { keys }: CheckOptions, say: Say): Problem[] {
  const amount = amountOf(job.artifacts)
  if (counted.bytes === amount.bytes && counted.files === amount.files) return []
  return [
    say('stored_counted', job.id, countsOtherwise(counted, amount), [
      ['hset', keys.job(job.id), 'counted_bytes', String(amount.bytes), 'counted_files', String(amount.files)],
      ...correctStored(keys, job.tenant, counted, amount),
    ]),
  ]
}

function artifactIds(output: Json): string[] {
  if (typeof output === 'string') return parseArtifactId(output) ? [output] : []
  if (output === null || typeof output !== 'object') return []
  return Object.values(output).flatMap(artifactIds)
}

function checkAttempts({ job, attempts }: JobState, say: Say): Problem[] {
  const problems: Problem[] = []
  if (attempts.some(({ n }, i) => n !== i + 1))
    problems.push(say('attempts_in_order', job.id, `attempts ${attempts.map(({ n }) => n).join(', ')}`))
  const newest = attempts.at(-1)
  if (job.attempt !== (newest?.n ?? 0))
    problems.push(say('attempts_in_order', job.id, `attempt ${job.attempt} of ${newest?.n ?? 0}`))
  for (const attempt of attempts) {
    if (attempt !== newest && attempt.state !== 'closed' && !mayOutlast(job, attempt))
      problems.push(say('one_attempt_open', attemptId(job.id, attempt.n), `${attempt.state}, but not the newest`))
    const wrong = inconsistency(attempt)
    if (wrong) problems.push(say('attempt_consistent', attemptId(job.id, attempt.n), wrong))
  }
  const state = isGivenUp(newest) ? 'closed' : (newest?.state ?? 'none')
  if (!STATES_OF[job.phase].includes(state))
    problems.push(say('attempt_fits_phase', job.id, `${job.phase}, newest attempt ${state}`))
  else if ((job.phase === 'succeeded' || job.phase === 'storing') && newest?.outcome !== 'succeeded')
    problems.push(say('attempt_fits_phase', job.id, `${job.phase}, newest attempt ${newest?.outcome ?? 'open'}`))
  const names = job.prediction_id !== null || ['created', 'running', 'storing', 'succeeded'].includes(job.phase)
  if (names && job.prediction_id !== (newest?.prediction_id ?? null))
    problems.push(
      say(
        'attempt_fits_phase',
        job.id,
        `prediction ${job.prediction_id ?? 'missing'}, that of the newest attempt ${newest?.prediction_id ?? 'missing'}`,
      ),
    )
  return problems
}

/** With `on_unknown: retry` an earlier attempt may be undecided, and its prediction may still be found. */
const mayOutlast = ({ on_unknown }: JobRecord, attempt: AttemptRecord): boolean =>
  on_unknown === 'retry' && (isGivenUp(attempt) || attempt.state === 'open')

function inconsistency({ claim, state, prediction_id, outcome, closed_at }: AttemptRecord): string | null {
  if (claim === '') return 'it has no claim'
  const mustOwn = state === 'open' || (outcome !== null && isTerminal(outcome))
  if (mustOwn && prediction_id === null) return `${state}${outcome ? `, ${outcome}` : ''} without a prediction`
  if ((state === 'intended' || state === 'unknown') && prediction_id !== null) return `${state} with a prediction`
  if ((state === 'closed') !== (closed_at !== null)) return `${state}, closed_at ${closed_at ?? 'missing'}`
  if (state === 'closed' && outcome === null) return 'closed without an outcome'
  return null
}

function checkEffects({ state, outbox, carried }: LoadedJob, { keys }: CheckOptions, say: Say): Problem[] {
  const { job, effects } = state
  const problems: Problem[] = []
  for (const effect of effects) {
    const key = effectKey(effect)
    const id = `${job.id}:${key}`
    if (!outbox.includes(key)) problems.push(say('effect_fits', id, 'stored under another name'))
    if ('attempt' in effect && !attemptOf(state, effect.attempt))
      problems.push(say('effect_fits', id, 'the attempt does not exist'))
    if (effect.kind === 'carry') {
      const is = carried.get(effect.notification) ?? null
      if (is !== 'pending' && is !== 'held')
        problems.push(
          say('effect_fits', id, `kept for a notification that is ${is ?? 'gone'}`, [
            ['hdel', keys.outbox(job.id), key],
          ]),
        )
    }
    if (effect.kind === 'store' && (job.phase !== 'storing' || effect.attempt !== job.attempt))
      problems.push(say('effect_fits', id, `the job is ${job.phase}, attempt ${job.attempt}`))
  }
  if (job.phase === 'storing' && !effects.some(({ kind }) => kind === 'store'))
    problems.push(say('effect_fits', job.id, 'storing without a store row in the outbox'))
  return problems
}

function checkIndexes({ state, now, ...loaded }: LoadedJob, { keys, timings }: CheckOptions, say: Say): Problem[] {
  const { job } = state
  const problems: Problem[] = []
  if (!loaded.inTenantIndex)
    problems.push(
      say('indexed', job.id, 'not in the index of its tenant', [['zadd', keys.tenantJobs(job.tenant), '0', job.id]]),
    )
  for (const status of STATUSES) {
    const listed = loaded.inStatusIndexes.includes(status)
    const key = keys.tenantStatus(job.tenant, status)
    if (listed && status !== job.status)
      problems.push(say('indexed', job.id, `${job.status}, but in the index of ${status}`, [['zrem', key, job.id]]))
    if (!listed && status === job.status)
      problems.push(say('indexed', job.id, `not in the index of ${status}`, [['zadd', key, '0', job.id]]))
  }
  // The jobs of a release without this index have no member at all.
  if (loaded.labels.length > 0)
    for (const member of labelMembers(job))
      if (!loaded.labels.includes(member))
        problems.push(
          say('indexed', job.id, 'not in the index of one of its labels', [
            ['zadd', keys.tenantLabels(job.tenant), '0', member],
          ]),
        )
  const final = isFinal(job.phase)
  if (final && loaded.retention === null) {
    const at = String(
      Math.round(Math.max(now, (job.completed_at ?? now) + firstCleanUp(job, timings.keepPredictionIndex))),
    )
    problems.push(
      say('retention', job.id, 'final, but no clean-up is scheduled', [['zadd', keys.retention, 'NX', at, job.id]]),
    )
  }
  if (!final && loaded.retention !== null)
    problems.push(
      say('retention', job.id, `${job.phase}, but a clean-up is scheduled`, [['zrem', keys.retention, job.id]]),
    )
  return problems
}

function checkDue({ state, due, now }: LoadedJob, { keys }: CheckOptions, say: Say): Problem[] {
  const { job, attempts, effects } = state
  const problems: Problem[] = []
  const expect = (open: boolean, member: string, id: string, what: string): void => {
    if (open && !due.has(member))
      problems.push(say('due', id, `${what}, but it has no due time`, [['zadd', keys.due, 'NX', String(now), member]]))
    if (!open && due.has(member)) problems.push(say('due_member_open', member, what, [['zrem', keys.due, member]]))
  }
  expect(!isFinal(job.phase), dueJob(job.id).member, job.id, job.phase)
  for (const { n, state: at } of attempts)
    expect(at !== 'closed', dueAttempt(job.id, n).member, attemptId(job.id, n), `the attempt is ${at}`)
  for (const effect of effects) {
    const key = effectKey(effect)
    expect(effect.kind !== 'carry', dueEffect(job.id, key).member, `${job.id}:${key}`, 'the row is in the outbox')
  }
  return problems
}

function checkAttemptSets({ state, open, unknown, storing }: LoadedJob, { keys }: CheckOptions, say: Say): Problem[] {
  const { job, attempts, effects } = state
  const problems: Problem[] = []
  for (const { n, account, state: at, intended_at } of attempts) {
    const id = attemptId(job.id, n)
    if (at === 'open' && !open.has(n))
      problems.push(say('open_set', id, 'open, but not in the set', [['sadd', keys.open(account), id]]))
    if (at !== 'open' && open.has(n))
      problems.push(say('open_set', id, `${at}, but in the set`, [['srem', keys.open(account), id]]))
    if (at === 'unknown' && unknown.get(n) !== intended_at)
      problems.push(
        say('unknown_set', id, `unknown since ${intended_at}, in the set: ${unknown.get(n) ?? 'missing'}`, [
          ['zadd', keys.unknown(account), String(intended_at), id],
        ]),
      )
    if (at !== 'unknown' && unknown.has(n))
      problems.push(say('unknown_set', id, `${at}, but in the set`, [['zrem', keys.unknown(account), id]]))
    const store = effects.find((effect) => effect.kind === 'store' && effect.attempt === n)
    if (store?.kind === 'store' && storing.get(n) !== store.expires_at)
      problems.push(
        say('storing_set', id, `removed at ${store.expires_at}, in the set: ${storing.get(n) ?? 'missing'}`, [
          ['zadd', keys.storing, String(store.expires_at), id],
        ]),
      )
    if (!store && storing.has(n))
      problems.push(say('storing_set', id, 'no store row, but in the set', [['zrem', keys.storing, id]]))
  }
  return problems
}

function checkOwners({ state, owners, now }: LoadedJob, { keys, timings }: CheckOptions, say: Say): Problem[] {
  const { job, attempts } = state
  const problems: Problem[] = []
  const seen = new Set<string>()
  // The prediction index of a final job is removed first.
  const forgotten = job.completed_at !== null && now >= job.completed_at + timings.keepPredictionIndex
  for (const { n, account, prediction_id } of attempts) {
    if (prediction_id === null) continue
    const id = attemptId(job.id, n)
    if (seen.has(prediction_id))
      problems.push(say('prediction_owned_once', id, `${prediction_id} already has an attempt`))
    seen.add(prediction_id)
    const owner = owners.get(prediction_id) ?? null
    if (owner === null && !forgotten)
      problems.push(
        say('prediction_owned_once', id, `${prediction_id} is not in the index`, [
          ['set', keys.prediction(account, prediction_id), id, 'NX'],
        ]),
      )
    if (owner !== null && owner !== id)
      problems.push(say('prediction_owned_once', id, `the index assigns ${prediction_id} to ${owner}`))
  }
  return problems
}

function checkIdempotency({ state, idempotency, now }: LoadedJob, { keep }: CheckOptions, say: Say): Problem[] {
  const { job } = state
  if (job.idempotency === null || idempotency === job.id) return []
  const ends = endsOf(job, keep)
  if (idempotency === null && ends !== null && now >= ends.entry) return []
  return [say('idempotent', job.id, `its entry names ${idempotency ?? 'no job'}`)]
}

/** Checks state that jobs share: what is in flight, and batches. */
function checkShares({ state, flight, batchPlace, hasBatch }: LoadedJob, { keys }: CheckOptions, say: Say): Problem[] {
  const { job } = state
  const problems: Problem[] = []
  const holds = isInFlight(job)
  const wrong = scopesOf(job).filter((scope) => flight.includes(scope) !== holds)
  for (const scope of wrong) {
    const member = flightMember(scope, job.id)
    problems.push(
      say('slots_match', job.id, `${job.phase}, but ${holds ? 'not in' : 'in'} flight for ${scope}`, [
        holds ? ['zadd', keys.flight, '0', member] : ['zrem', keys.flight, member],
      ]),
    )
  }
  if (job.batch !== null && hasBatch && job.position !== batchPlace)
    problems.push(
      say(
        'batch_counted',
        job.id,
        `position ${job.position} of ${job.batch}, which lists it at ${batchPlace ?? 'none'}`,
      ),
    )
  return problems
}

function checkRest({ state }: LoadedJob, say: Say): Problem[] {
  const { job, attempts, effects } = state
  return [
    ...(isFinal(job.phase) ? [] : [say('at_rest', job.id, job.phase)]),
    ...attempts
      .filter((attempt) => attempt.state !== 'closed')
      .map((attempt) => say('at_rest', attemptId(job.id, attempt.n), attempt.state)),
    ...effects.map((effect) => say('at_rest', `${job.id}:${effectKey(effect)}`, 'owed')),
  ]
}

/** Target of an index member, batches excepted. */
export type IndexMember =
  | { kind: 'job'; job: string }
  | { kind: 'attempt'; job: string; attempt: number }
  | { kind: 'effect'; job: string; effect: string }

/** Why an index must not name this; null when it may. Members of completed work are found by `checkJob`. */
export function ghost(member: IndexMember, loaded: LoadedJob | null): string | null {
  if (loaded === null) return 'the job does not exist'
  if (member.kind === 'attempt' && !attemptOf(loaded.state, member.attempt)) return 'the attempt does not exist'
  if (member.kind === 'effect' && !loaded.outbox.includes(member.effect)) return 'the outbox row does not exist'
  return null
}
