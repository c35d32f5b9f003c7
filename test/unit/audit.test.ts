import { describe, expect, test } from 'vitest'
import { checkJob, ghost, type LoadedJob } from '../../src/shared/audit/rules/check-job.ts'
import {
  checkBudget,
  checkCounters,
  checkUpstream,
  type AttemptFacts,
} from '../../src/shared/audit/rules/check-upstream.ts'
import { INVARIANTS } from '../../src/shared/audit/rules/finding.ts'
import {
  effectKey,
  isFinal,
  PHASES,
  type AttemptRecord,
  type Effect,
  type JobRecord,
  type JobState,
  type Phase,
} from '../../src/shared/jobs/rules/job.ts'
import { createJobKeys } from '../../src/shared/jobs/record/job-keys.ts'
import { labelDigest, labelMember, labelMembers } from '../../src/shared/jobs/record/label-member.ts'
import { scopesOf } from '../../src/shared/jobs/rules/place.ts'
import { isInFlight } from '../../src/shared/jobs/rules/sharing.ts'
import { amountOf } from '../../src/shared/limits/rules/stored.ts'
import { DEFAULT_TIMINGS } from '../../src/shared/jobs/rules/timings.ts'
import { FIRST_KEEP } from '../../src/shared/jobs/rules/keep.ts'
import type { Prediction } from '../../src/shared/replicate/rules/prediction.ts'
import { createWebhookTokens } from '../../src/shared/replicate/rules/webhook-token.ts'
import { oneKey } from '../../src/shared/values/signing-keys.ts'
import { attemptRecord, JOB, jobRecord, NOW, OWN, prediction, stateIn } from './support/job-states.ts'

const keys = createJobKeys('unit')
const timings = DEFAULT_TIMINGS
const LATER = NOW + 60_000
const ATTEMPT = `${JOB}:1`

/** The state with everything in Redis that should name it. */
function loadedFrom(state: JobState): LoadedJob {
  const { job, attempts, effects } = state
  const open = attempts.filter((one) => one.state === 'open')
  const stores = effects.flatMap((one): [number, number][] =>
    one.kind === 'store' ? [[one.attempt, one.expires_at]] : [],
  )
  const members = [
    ...(isFinal(job.phase) ? [] : [`job:${job.id}`]),
    ...attempts.filter((one) => one.state !== 'closed').map(({ n }) => `attempt:${job.id}:${n}`),
    ...effects.flatMap((effect) => (effect.kind === 'carry' ? [] : `effect:${job.id}:${effectKey(effect)}`)),
  ]
  return {
    now: LATER,
    state,
    outbox: effects.map(effectKey),
    inTenantIndex: true,
    labels: labelMembers(state.job),
    inStatusIndexes: [job.status],
    retention: isFinal(job.phase) ? LATER : null,
    due: new Map(members.map((member) => [member, LATER])),
    open: new Set(open.map(({ n }) => n)),
    unknown: new Map(attempts.filter((one) => one.state === 'unknown').map((one) => [one.n, one.intended_at])),
    storing: new Map(stores),
    owners: new Map(
      attempts.flatMap(({ n, prediction_id }) => (prediction_id ? [[prediction_id, `${job.id}:${n}`]] : [])),
    ),
    idempotency: job.idempotency === null ? null : job.id,
    flight: isInFlight(job) ? scopesOf(job) : [],
    batchPlace: job.position,
    hasBatch: job.batch !== null,
    counted: amountOf(job.artifacts),
    hasLogs: false,
    hasInput: job.input_bytes !== null,
    carried: new Map(),
  }
}

const ERROR = { code: 'prediction_failed', message: 'It failed.', retryable: true, billed: 'no' as const }

/** As jobs really are: a failed one says why. */
function soundState(phase: Phase): JobState {
  const state = stateIn(phase)
  const job = { ...state.job, error: phase === 'failed' || phase === 'canceled' ? ERROR : null }
  return { ...state, job }
}

const options = { keys, timings, keep: { usual: FIRST_KEEP } }
const check = (loaded: LoadedJob, quiescent = false): string[] =>
  checkJob(loaded, { ...options, quiescent }).map(({ invariant, id }) => `${invariant} ${id}`)
const withJob = (state: JobState, changes: Partial<JobRecord>): JobState => ({
  ...state,
  job: { ...state.job, ...changes },
})
const withAttempts = (state: JobState, ...attempts: AttemptRecord[]): JobState => ({ ...state, attempts })
const changed = (state: JobState, changes: Partial<AttemptRecord>): JobState =>
  withAttempts(state, ...state.attempts.map((one) => ({ ...one, ...changes })))

test.each(PHASES)('a sound job that is %s has no findings', (phase) => {
  expect(check(loadedFrom(soundState(phase)))).toEqual([])
})

describe('a record', () => {
  const cases: [string, JobState, string[]][] = [
    ['of two minds', withJob(soundState('created'), { status: 'processing' }), [`status_fits_phase ${JOB}`]],
    [
      'that stops without a stop request',
      withJob(soundState('stopping'), { stop: null }),
      [`status_fits_phase ${JOB}`],
    ],
    [
      'that should stop and runs',
      withJob(soundState('running'), { stop: { reason: 'canceled', requested_at: NOW } }),
      [`status_fits_phase ${JOB}`],
    ],
    ['that ended at no time', withJob(soundState('succeeded'), { completed_at: null }), [`final_complete ${JOB}`]],
    ['that ended and still runs', withJob(soundState('running'), { completed_at: NOW }), [`final_complete ${JOB}`]],
    ['that failed without a reason', withJob(soundState('failed'), { error: null }), [`final_complete ${JOB}`]],
    ['that succeeded with an error', withJob(soundState('succeeded'), { error: ERROR }), [`final_complete ${JOB}`]],
    [
      'whose output names a file that it does not have',
      withJob(soundState('succeeded'), { output: { a: ['art_01ARZ3NDEKTSV4RRFFQ69G5FAV_1_0'] } }),
      [`artifact_stored ${JOB}`],
    ],
  ]
  test.each(cases)('%s is found', (_name, state, expected) => {
    expect(check(loadedFrom(state))).toEqual(expected)
  })
})

describe('attempts', () => {
  const closed = attemptRecord({ state: 'closed', outcome: 'not_created', closed_at: NOW })
  const cases: [string, JobState, string[]][] = [
    [
      'with a gap',
      withAttempts(withJob(soundState('queued'), { attempt: 3 }), closed, { ...closed, n: 3 }),
      [`attempts_in_order ${JOB}`],
    ],
    [
      'that the job does not know',
      withAttempts(withJob(soundState('queued'), { attempt: 0 }), closed),
      [`attempts_in_order ${JOB}`],
    ],
    [
      'of which an earlier one is open',
      withAttempts(
        withJob(soundState('submitting'), { attempt: 2 }),
        attemptRecord({ state: 'unknown' }),
        attemptRecord({ n: 2 }),
      ),
      [`one_attempt_open ${ATTEMPT}`],
    ],
    [
      'of another state than the phase',
      changed(soundState('submitting'), { state: 'unknown' }),
      [`attempt_fits_phase ${JOB}`],
    ],
    [
      'that failed under a success',
      changed(soundState('succeeded'), { outcome: 'failed' }),
      [`attempt_fits_phase ${JOB}`],
    ],
    [
      'with another prediction than the job',
      withJob(soundState('running'), { prediction_id: 'other' }),
      [`attempt_fits_phase ${JOB}`],
    ],
    ['without a claim', changed(soundState('submitting'), { claim: '' }), [`attempt_consistent ${ATTEMPT}`]],
    [
      'that are open without a prediction',
      withJob(changed(soundState('stopping'), { prediction_id: null }), { prediction_id: null }),
      [`attempt_consistent ${ATTEMPT}`],
    ],
    [
      'that are unknown with a prediction',
      changed(soundState('unknown'), { prediction_id: OWN }),
      [`attempt_consistent ${ATTEMPT}`],
    ],
    ['that closed at no time', changed(soundState('failed'), { closed_at: null }), [`attempt_consistent ${ATTEMPT}`]],
    ['that closed for no reason', changed(soundState('failed'), { outcome: null }), [`attempt_consistent ${ATTEMPT}`]],
  ]
  test.each(cases)('%s are found', (_name, state, expected) => {
    expect(check(loadedFrom(state))).toEqual(expected)
  })
})

describe('the outbox', () => {
  const carry: Effect = { v: 2, kind: 'carry', notification: 'ntf_1' }
  const carrying = (state: string | null): LoadedJob => ({
    ...loadedFrom({ ...soundState('succeeded'), effects: [carry] }),
    carried: new Map([['ntf_1', state]]),
  })
  test.each(['pending', 'held'])('may carry a notification that is %s', (state) => {
    expect(check(carrying(state))).toEqual([])
  })
  test.each(['delivered', 'failed', null])('must not carry one that is %s', (state) => {
    expect(check(carrying(state))).toEqual([`effect_fits ${JOB}:carry:ntf_1`])
  })
  test('has a due time for each notice', () => {
    const notice: Effect = { v: 2, kind: 'notice', id: '01KGX5Q8Z2V7M4N6P9R3S5T8W1', type: 'job.succeeded' }
    const loaded = loadedFrom({ ...soundState('succeeded'), effects: [notice] })
    expect(check(loaded)).toEqual([])
    expect(check({ ...loaded, due: new Map() })).toEqual([`due ${JOB}:notice:${notice.id}`])
  })

  const store = soundState('storing').effects
  const cancel = (attempt: number): Effect => ({ v: 1, kind: 'cancel', attempt, prediction_id: OWN, requested_at: NOW })
  const cases: [string, LoadedJob, string[]][] = [
    ['empty while the job stores', loadedFrom({ ...soundState('storing'), effects: [] }), [`effect_fits ${JOB}`]],
    [
      'with a row of no attempt',
      loadedFrom({ ...soundState('running'), effects: [cancel(2)] }),
      [`effect_fits ${JOB}:cancel:2:${OWN}`],
    ],
    [
      'that stores for a finished job',
      loadedFrom({ ...soundState('succeeded'), effects: store }),
      [`effect_fits ${JOB}:store:1`],
    ],
    [
      'with a row under another name',
      { ...loadedFrom(soundState('storing')), outbox: ['store:7'] },
      [`effect_fits ${JOB}:store:1`],
    ],
  ]
  test.each(cases)('%s is found', (_name, loaded, expected) => {
    expect(check(loaded)).toEqual(expected)
  })
})

describe('what names a job', () => {
  const running = loadedFrom(soundState('running'))
  const succeeded = loadedFrom(soundState('succeeded'))
  const unknown = loadedFrom(soundState('unknown'))
  const storing = loadedFrom(soundState('storing'))
  const labeled = loadedFrom(withJob(soundState('running'), { user: 'u', metadata: { a: 1 } }))
  const member = `job:${JOB}`
  const attempt = `attempt:${ATTEMPT}`
  const cases: [string, LoadedJob, string, unknown[]][] = [
    [
      'missing in its tenant index',
      { ...running, inTenantIndex: false },
      `indexed ${JOB}`,
      [['zadd', keys.tenantJobs('default'), '0', JOB]],
    ],
    [
      'in the index of another status',
      { ...running, inStatusIndexes: ['queued', 'processing'] },
      `indexed ${JOB}`,
      [['zrem', keys.tenantStatus('default', 'queued'), JOB]],
    ],
    [
      'missing in the index of its status',
      { ...running, inStatusIndexes: [] },
      `indexed ${JOB}`,
      [['zadd', keys.tenantStatus('default', 'processing'), '0', JOB]],
    ],
    [
      'missing in the index of one of its labels',
      { ...labeled, labels: labeled.labels.slice(0, 1) },
      `indexed ${JOB}`,
      [['zadd', keys.tenantLabels('default'), '0', labelMember(labelDigest(['metadata.a', '1']), JOB)]],
    ],
    [
      'never to be cleaned up',
      { ...succeeded, retention: null },
      `retention ${JOB}`,
      [['zadd', keys.retention, 'NX', String(NOW + 6000 + timings.keepPredictionIndex), JOB]],
    ],
    [
      'to be cleaned up while it runs',
      { ...running, retention: 1 },
      `retention ${JOB}`,
      [['zrem', keys.retention, JOB]],
    ],
    [
      'without a due time',
      { ...running, due: new Map([[attempt, 1]]) },
      `due ${JOB}`,
      [['zadd', keys.due, 'NX', String(LATER), member]],
    ],
    [
      'whose attempt has no due time',
      { ...running, due: new Map([[member, 1]]) },
      `due ${ATTEMPT}`,
      [['zadd', keys.due, 'NX', String(LATER), attempt]],
    ],
    [
      'whose outbox has no due time',
      { ...storing, due: new Map([[member, 1]]) },
      `due ${JOB}:store:1`,
      [['zadd', keys.due, 'NX', String(LATER), `effect:${JOB}:store:1`]],
    ],
    [
      'due although final',
      { ...succeeded, due: new Map([[member, 1]]) },
      `due_member_open ${member}`,
      [['zrem', keys.due, member]],
    ],
    [
      'with a closed attempt that is due',
      { ...succeeded, due: new Map([[attempt, 1]]) },
      `due_member_open ${attempt}`,
      [['zrem', keys.due, attempt]],
    ],
    [
      'open and not in the set',
      { ...running, open: new Set() },
      `open_set ${ATTEMPT}`,
      [['sadd', keys.open('default'), ATTEMPT]],
    ],
    [
      'closed and in the set',
      { ...succeeded, open: new Set([1]) },
      `open_set ${ATTEMPT}`,
      [['srem', keys.open('default'), ATTEMPT]],
    ],
    [
      'unknown since another time',
      { ...unknown, unknown: new Map([[1, 5]]) },
      `unknown_set ${ATTEMPT}`,
      [['zadd', keys.unknown('default'), String(NOW), ATTEMPT]],
    ],
    [
      'known and in the set of unknowns',
      { ...running, unknown: new Map([[1, NOW]]) },
      `unknown_set ${ATTEMPT}`,
      [['zrem', keys.unknown('default'), ATTEMPT]],
    ],
    [
      'not to be stored in time',
      { ...storing, storing: new Map() },
      `storing_set ${ATTEMPT}`,
      [['zadd', keys.storing, String(NOW + timings.outputLifetime), ATTEMPT]],
    ],
    [
      'stored and to be stored',
      { ...succeeded, storing: new Map([[1, NOW]]) },
      `storing_set ${ATTEMPT}`,
      [['zrem', keys.storing, ATTEMPT]],
    ],
    [
      'not found by its prediction',
      { ...running, owners: new Map([[OWN, null]]) },
      `prediction_owned_once ${ATTEMPT}`,
      [['set', keys.prediction('default', OWN), ATTEMPT, 'NX']],
    ],
    [
      'whose prediction leads elsewhere',
      { ...running, owners: new Map([[OWN, 'job_b:1']]) },
      `prediction_owned_once ${ATTEMPT}`,
      [],
    ],
    [
      'not named by its idempotency entry',
      { ...loadedFrom(withJob(soundState('running'), { idempotency: 'entry' })), idempotency: 'job_b' },
      `idempotent ${JOB}`,
      [],
    ],
  ]
  test.each(cases)('%s is found, with its cure', (_name, loaded, expected, fix) => {
    expect(check(loaded)).toEqual([expected])
    const [problem] = checkJob(loaded, { ...options, quiescent: false })
    expect(problem).toMatchObject({ fix, repairable: fix.length > 0, guard: { job: JOB, rev: '3' } })
  })

  test('may forget the prediction and the key of an old job', () => {
    const old = loadedFrom(withJob(soundState('succeeded'), { idempotency: 'entry' }))
    const forgotten = { ...old, owners: new Map([[OWN, null]]), idempotency: null }
    expect(check({ ...forgotten, now: NOW + 6000 + FIRST_KEEP.payload * 1000 })).toEqual([])
    expect(check(forgotten)).toEqual([`prediction_owned_once ${ATTEMPT}`, `idempotent ${JOB}`])
  })

  test('one prediction of two attempts is found', () => {
    const first = attemptRecord({ state: 'closed', outcome: 'failed', prediction_id: OWN, closed_at: NOW })
    const state = withAttempts(
      withJob(soundState('running'), { attempt: 2 }),
      first,
      attemptRecord({ n: 2, state: 'open', prediction_id: OWN }),
    )
    expect(check({ ...loadedFrom(state), owners: new Map([[OWN, `${JOB}:2`]]) })).toEqual([
      `prediction_owned_once ${ATTEMPT}`,
      `prediction_owned_once ${JOB}:2`,
    ])
  })
})

test('at rest everything is final and nothing is owed', () => {
  for (const phase of ['succeeded', 'failed', 'canceled'] as const)
    expect(check(loadedFrom(soundState(phase)), true)).toEqual([])
  expect(check(loadedFrom(soundState('stopping')), true)).toEqual([
    `at_rest ${JOB}`,
    `at_rest ${ATTEMPT}`,
    `at_rest ${JOB}:cancel:1:${OWN}`,
  ])
})

test('an index names nothing that does not exist', () => {
  const loaded = loadedFrom(soundState('storing'))
  expect(ghost({ kind: 'job', job: JOB }, loaded)).toBeNull()
  expect(ghost({ kind: 'attempt', job: JOB, attempt: 1 }, loaded)).toBeNull()
  expect(ghost({ kind: 'effect', job: JOB, effect: 'store:1' }, loaded)).toBeNull()
  expect(ghost({ kind: 'job', job: JOB }, null)).toMatch(/job does not exist/)
  expect(ghost({ kind: 'attempt', job: JOB, attempt: 2 }, loaded)).toMatch(/attempt does not exist/)
  expect(ghost({ kind: 'effect', job: JOB, effect: 'store:2' }, loaded)).toMatch(/row does not exist/)
})

test('counters are compared with a recount, less exactly while jobs move', () => {
  const recount = new Map([['queued', 3]])
  const found = (said: Record<string, number>, moved = 0) =>
    checkCounters(keys.phases, said, recount, moved).map(({ id, fix }) => [id, ...fix])
  expect(found({ queued: 3, running: 0 })).toEqual([])
  expect(found({ queued: 5, running: -1 })).toEqual([
    ['queued', ['hincrby', keys.phases, 'queued', '-2']],
    ['running', ['hincrby', keys.phases, 'running', '1']],
  ])
  expect(found({})).toEqual([['queued', ['hincrby', keys.phases, 'queued', '3']]])
  expect(found({ queued: 5 }, 2)).toEqual([])
  // Then a repair would be a guess.
  expect(found({ queued: 6 }, 2)).toEqual([['queued']])
})

describe('the create budget', () => {
  const at = (...times: number[]) => times.map((time, i) => ({ id: `job:${i}`, at: NOW + time }))
  const limits = { perMinute: 60, burst: 2 }
  test('allows the burst and the rate', () => {
    expect(checkBudget(at(0, 0, 1000, 2000, 3000, 10_000, 10_000, 11_000), limits)).toEqual([])
  })
  test('is exceeded by one create too many, in any order', () => {
    expect(checkBudget(at(0, 0, 900), limits).map(({ id }) => id)).toEqual(['job:2'])
    expect(checkBudget(at(900, 0, 0), limits).map(({ id }) => id)).toEqual(['job:0'])
    expect(checkBudget(at(0, 0, 1000, 2000, 2500), limits)).toHaveLength(1)
  })
})

describe("upstream's books", () => {
  const tokens = createWebhookTokens({ deployment: 'dep', keys: oneKey(Buffer.alloc(32, 1)), publicUrl: () => null })
  const BEGAN = NOW + 20 * 60_000
  const row = (status: string, changes: Partial<Prediction> = {}, attempt = 1): Prediction =>
    prediction(status, { webhook: tokens.url(JOB, attempt), ...changes })
  const closed = (outcome: string, changes: Partial<AttemptRecord> = {}): AttemptRecord =>
    attemptRecord({ state: 'closed', prediction_id: OWN, outcome, closed_at: NOW, ...changes })
  const fact = (phase: Phase, attempt: AttemptRecord, job: Partial<JobRecord> = {}): AttemptFacts => ({
    job: jobRecord(phase, { attempt: attempt.n, ...job }),
    attempt,
    canceling: [],
  })
  const compare = (
    predictions: Prediction[],
    facts: AttemptFacts[],
    options: { quiescent?: boolean; unread?: string[] } = {},
  ): string[] =>
    checkUpstream(
      { began: BEGAN, predictions, tokens },
      new Map(facts.map((one) => [`${one.job.id}:${one.attempt.n}`, one])),
      new Set(options.unread),
      { timings, quiescent: options.quiescent ?? false },
    ).map(({ invariant, id }) => `${invariant} ${id}`)

  const sound: [string, Prediction[], AttemptFacts[]][] = [
    ['a success', [row('succeeded')], [fact('succeeded', closed('succeeded'))]],
    ['a run', [row('processing')], [fact('running', attemptRecord({ state: 'open', prediction_id: OWN }))]],
    ['a create in flight', [row('starting')], [fact('unknown', attemptRecord({ state: 'unknown' }))]],
    [
      'a counted orphan',
      [row('succeeded'), row('canceled', { id: 'twin' })],
      [fact('succeeded', closed('succeeded', { orphans: ['twin'] }))],
    ],
    ['a stranger', [prediction('processing', { webhook: 'https://elsewhere.example/hook' })], []],
    [
      'a prediction of a job that was cleaned up',
      [row('succeeded', { created_at: BEGAN - 2 * timings.outputLifetime })],
      [],
    ],
    ['one that ended after it was listed', [row('processing')], [fact('succeeded', closed('succeeded'))]],
    [
      'an output that could not be stored',
      [row('succeeded')],
      [fact('failed', closed('succeeded'), { error: { ...ERROR, code: 'output_not_stored', billed: 'yes' } })],
    ],
    [
      'a stop that did not wait',
      [row('succeeded')],
      [fact('canceled', closed('succeeded'), { error: { ...ERROR, code: 'canceled', billed: 'unknown' } })],
    ],
    ['one that upstream has removed', [], [fact('failed', closed('provider_lost'))]],
    [
      'one after the other',
      [row('failed'), row('succeeded', { id: 'next', created_at: NOW + 5000 }, 2)],
      [
        fact('succeeded', closed('failed'), { attempt: 2 }),
        fact('succeeded', closed('succeeded', { n: 2, prediction_id: 'next' })),
      ],
    ],
  ]
  test.each(sound)('with %s have no findings', (_name, predictions, facts) => {
    expect(compare(predictions, facts)).toEqual([])
  })

  test('with our token and no attempt', () => {
    expect(compare([row('processing')], [])).toEqual([`prediction_ours ${OWN}`])
    expect(compare([row('processing')], [], { unread: [JOB] })).toEqual([])
  })

  test('with an uncounted orphan', () => {
    const facts = [fact('succeeded', closed('succeeded'))]
    expect(compare([row('succeeded'), row('processing', { id: 'twin' })], facts)).toEqual(['prediction_ours twin'])
    const none = [fact('queued', closed('not_created', { prediction_id: null }))]
    expect(compare([row('processing')], none)).toEqual([`prediction_ours ${OWN}`])
  })

  test('without a prediction that we own', () => {
    const owned = fact('succeeded', closed('succeeded'))
    expect(compare([], [owned])).toEqual([`prediction_found ${ATTEMPT}`])
    const fresh = fact('succeeded', closed('succeeded', { intended_at: BEGAN - 1000 }))
    expect(compare([], [fresh])).toEqual([])
    expect(compare([], [fresh], { quiescent: true })).toEqual([`prediction_found ${ATTEMPT}`])
    expect(
      compare([], [fact('succeeded', closed('succeeded', { intended_at: BEGAN - timings.outputLifetime }))]),
    ).toEqual([])
  })

  test('with another end', () => {
    expect(compare([row('failed')], [fact('succeeded', closed('succeeded'))])).toEqual([`upstream_agrees ${ATTEMPT}`])
    expect(compare([row('succeeded')], [fact('failed', closed('succeeded'), { error: ERROR })])).toEqual([
      `upstream_agrees ${JOB}`,
    ])
    expect(compare([row('processing')], [fact('succeeded', closed('succeeded'))], { quiescent: true })).toEqual([
      `upstream_agrees ${ATTEMPT}`,
    ])
  })

  test('with two live predictions of a job', () => {
    const first = fact('running', closed('undecided'), { attempt: 2 })
    const second = fact('running', attemptRecord({ n: 2, state: 'open', prediction_id: 'next' }))
    const next = row('processing', { id: 'next', created_at: NOW + 4000 }, 2)
    expect(compare([row('processing'), next], [first, second])).toEqual([`one_live_prediction ${JOB}`])
    expect(compare([row('failed'), next], [{ ...first, attempt: closed('failed') }, second])).toEqual([
      `one_live_prediction ${JOB}`,
    ])
    expect(compare([row('processing'), next], [{ ...first, canceling: [OWN] }, second])).toEqual([])
  })
})

describe('what a job shares', () => {
  const limited = (phase: Phase): LoadedJob => loadedFrom(withJob(soundState(phase), { preset: 'picture' }))

  test.each(PHASES)('has no findings when it is sound and %s', (phase) => {
    expect(check(limited(phase))).toEqual([])
  })

  test('is a slot that it should not hold, or should', () => {
    for (const phase of PHASES) {
      const loaded = limited(phase)
      const scopes = scopesOf(loaded.state.job)
      const flight = isInFlight(loaded.state.job) ? scopes.slice(1) : scopes.slice(0, 1)
      expect(check({ ...loaded, flight })).toEqual([`slots_match ${JOB}`])
    }
  })

  test('is its place in a batch, as long as the batch is there', () => {
    const loaded = loadedFrom(withJob(soundState('succeeded'), { batch: 'bat_1', position: 3 }))
    expect(check(loaded)).toEqual([])
    expect(check({ ...loaded, batchPlace: 4 })).toEqual([`batch_counted ${JOB}`])
    expect(check({ ...loaded, batchPlace: null })).toEqual([`batch_counted ${JOB}`])
    expect(check({ ...loaded, batchPlace: null, hasBatch: false })).toEqual([])
  })
})

test('what is wrong is logs that a job does not keep, or no longer', () => {
  const kept = (changes: object): string[] =>
    check({ ...loadedFrom(withJob(soundState('succeeded'), changes)), hasLogs: true })
  expect(kept({ via: 'replicate' })).toEqual([])
  expect(kept({ via: 'jobs' })).toEqual([`record_complete ${JOB}`])
  expect(kept({ via: 'replicate', input: null })).toEqual([`record_complete ${JOB}`])
})

test('what is wrong is a long input that is missing, or that nobody needs', () => {
  const long = loadedFrom(withJob(soundState('queued'), { input_bytes: 20_000 }))
  expect(check(long)).toEqual([])
  expect(check({ ...long, hasInput: false })).toEqual([`input_kept ${JOB}`])
  expect(check({ ...loadedFrom(soundState('queued')), hasInput: true })).toEqual([`record_complete ${JOB}`])
})

test('every invariant is described in a sentence', () => {
  for (const sentence of Object.values(INVARIANTS)) expect(sentence).toMatch(/^[A-Z].*\.$/)
})
