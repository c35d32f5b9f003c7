import { describe, expect, test } from 'vitest'
import {
  attemptOf,
  effectKey,
  isFinal,
  PHASES,
  type JobRecord,
  type JobState,
} from '../../src/shared/jobs/rules/job.ts'
import { MAX_OUTPUT_FILES } from '../../src/shared/artifacts/rules/output.ts'
import { applyCommit } from '../../src/shared/jobs/rules/apply-commit.ts'
import { DEFAULT_TIMINGS } from '../../src/shared/jobs/rules/timings.ts'
import type { Commit, Decision, JobEvent, TransitionContext } from '../../src/shared/jobs/rules/decision.ts'
import { transition } from '../../src/shared/jobs/rules/transitions.ts'
import {
  attemptRecord,
  CLAIM,
  context,
  jobRecord,
  NOW,
  outlived,
  OWN,
  prediction,
  resubmitting,
  stateIn,
} from './support/job-states.ts'

/**
 * The whole table, one test for each cell. A cell holds the phase that the event leads to (`> phase`; `> =` stays in
 * it), or why the event is ignored. Events are news of attempt 1, by the holder of its claim: in `queued` that is an
 * attempt that Redis forgot, in `resubmitting` the one that failed.
 */
const TABLE = `
event           | queued         | submitting     | unknown        | created        | running        | resubmitting  | stopping      | storing       | succeeded     | failed        | canceled
intend          | > submitting   | no_news        | no_news        | no_news        | no_news        | > =           | no_news       | no_news       | no_news       | no_news       | no_news
not_ready       | > =            | no_news        | no_news        | no_news        | no_news        | > =           | no_news       | no_news       | no_news       | no_news       | no_news
never_ready     | > failed       | no_news        | no_news        | no_news        | no_news        | > failed      | no_news       | no_news       | no_news       | no_news       | no_news
not_sent        | not_the_claim  | > queued       | > queued       | not_the_claim  | not_the_claim  | not_the_claim | not_the_claim | not_the_claim | not_the_claim | not_the_claim | not_the_claim
limited         | not_the_claim  | > queued       | > queued       | not_the_claim  | not_the_claim  | not_the_claim | not_the_claim | not_the_claim | not_the_claim | not_the_claim | not_the_claim
rejected        | not_the_claim  | > failed       | > failed       | not_the_claim  | not_the_claim  | not_the_claim | not_the_claim | not_the_claim | not_the_claim | not_the_claim | not_the_claim
lost            | not_the_claim  | > unknown      | no_news        | not_the_claim  | not_the_claim  | not_the_claim | not_the_claim | not_the_claim | not_the_claim | not_the_claim | not_the_claim
forgotten       | > unknown      | no_news        | no_news        | no_news        | no_news        | no_news       | no_news       | no_news       | no_news       | no_news       | no_news
superseded      | no_news        | > queued       | > queued       | no_news        | no_news        | no_news       | no_news       | no_news       | no_news       | no_news       | no_news
starting        | > created      | > created      | > created      | no_news        | no_news        | no_news       | no_news       | storing       | final         | final         | final
processing      | > running      | > running      | > running      | > running      | no_news        | no_news       | no_news       | storing       | final         | final         | final
strange         | > created      | > created      | > created      | no_news        | no_news        | no_news       | no_news       | storing       | final         | final         | final
succeeded_text  | > succeeded    | > succeeded    | > succeeded    | > succeeded    | > succeeded    | no_news       | > succeeded   | storing       | final         | final         | final
succeeded_file  | > storing      | > storing      | > storing      | > storing      | > storing      | no_news       | > storing     | storing       | final         | final         | final
succeeded_gone  | > failed       | > failed       | > failed       | > failed       | > failed       | no_news       | > failed      | storing       | final         | final         | final
failed          | > failed       | > failed       | > failed       | > failed       | > failed       | no_news       | > canceled    | storing       | final         | final         | final
failed_platform | > resubmitting | > resubmitting | > resubmitting | > resubmitting | > resubmitting | no_news       | > canceled    | storing       | final         | final         | final
canceled        | > failed       | > failed       | > failed       | > failed       | > failed       | no_news       | > canceled    | storing       | final         | final         | final
aborted         | > failed       | > failed       | > failed       | > failed       | > failed       | no_news       | > canceled    | storing       | final         | final         | final
not_listed      | no_news        | no_news        | > =            | no_news        | no_news        | no_news       | no_news       | no_news       | no_news       | no_news       | no_news
missing         | no_news        | no_news        | no_news        | > =            | > =            | no_news       | > =           | no_news       | no_news       | no_news       | no_news
stored          | no_news        | no_news        | no_news        | no_news        | no_news        | no_news       | no_news       | > succeeded   | no_news       | no_news       | no_news
not_stored      | no_news        | no_news        | no_news        | no_news        | no_news        | no_news       | no_news       | > failed      | no_news       | no_news       | no_news
cancel_done     | no_news        | no_news        | no_news        | no_news        | no_news        | no_news       | > =           | no_news       | no_news       | no_news       | no_news
cancel          | > canceled     | > stopping     | > stopping     | > stopping     | > stopping     | > canceled    | stopping      | storing       | final         | final         | final
give_up         | > canceled     | > stopping     | > stopping     | > stopping     | > stopping     | > canceled    | stopping      | > canceled    | final         | final         | final
tick_early      | not_yet        | not_yet        | not_yet        | not_yet        | not_yet        | not_yet       | not_yet       | not_yet       | final         | final         | final
tick_late       | > failed       | > unknown      | > failed       | > stopping     | > stopping     | > failed      | > canceled    | not_yet       | final         | final         | final
`

/** From here on a listing is evidence about an attempt that was intended at `NOW`. */
const LISTED =
  DEFAULT_TIMINGS.permit + DEFAULT_TIMINGS.createTimeout + DEFAULT_TIMINGS.clockSkew + DEFAULT_TIMINGS.listingLag

const EVENTS: Record<string, JobEvent> = {
  intend: { type: 'intend', claim: 'another-commit' },
  not_ready: { type: 'not_prepared', error: null, pause: null, health: 'fault' },
  never_ready: {
    type: 'not_prepared',
    error: { code: 'input_too_large', message: 'no', retryable: false, billed: 'no' },
    pause: null,
    health: null,
  },
  not_sent: { type: 'not_sent', attempt: 1, claim: CLAIM },
  limited: {
    type: 'refused',
    attempt: 1,
    claim: CLAIM,
    outcome: 'rate_limited',
    error: null,
    pause: { for: 30_000, reason: 'rate_limited' },
    health: null,
  },
  rejected: {
    type: 'refused',
    attempt: 1,
    claim: CLAIM,
    outcome: 'refused_422',
    error: { code: 'input_rejected', message: 'no', retryable: false, billed: 'no' },
    pause: null,
    health: 'healthy',
  },
  lost: { type: 'lost', attempt: 1, claim: CLAIM, reason: 'ECONNRESET' },
  forgotten: { type: 'forgotten', attempt: 1, reason: 'ECONNRESET' },
  superseded: { type: 'superseded', attempt: 1 },
  starting: { type: 'observed', attempt: 1, prediction: prediction('starting') },
  processing: { type: 'observed', attempt: 1, prediction: prediction('processing') },
  strange: { type: 'observed', attempt: 1, prediction: prediction('queued2') },
  succeeded_text: { type: 'observed', attempt: 1, prediction: prediction('succeeded', { output: 'hello' }) },
  succeeded_file: {
    type: 'observed',
    attempt: 1,
    prediction: prediction('succeeded', { output: ['https://replicate.delivery/out.webp'] }),
  },
  succeeded_gone: { type: 'observed', attempt: 1, prediction: prediction('succeeded', { data_removed: true }) },
  failed: { type: 'observed', attempt: 1, prediction: prediction('failed', { error: 'out of memory' }) },
  failed_platform: {
    type: 'observed',
    attempt: 1,
    prediction: prediction('failed', { error: 'Prediction interrupted; please retry (code: PA)' }),
  },
  canceled: { type: 'observed', attempt: 1, prediction: prediction('canceled') },
  aborted: { type: 'observed', attempt: 1, prediction: prediction('aborted', { started_at: null }) },
  not_listed: { type: 'not_listed', attempt: 1, began: NOW + LISTED },
  missing: { type: 'missing', attempt: 1 },
  stored: { type: 'stored', attempt: 1, output: ['art_1'], artifacts: [] },
  not_stored: { type: 'not_stored', attempt: 1, message: 'gone' },
  cancel_done: { type: 'cancel_done', attempt: 1, prediction_id: OWN },
  cancel: { type: 'cancel' },
  give_up: { type: 'cancel', gives_up_output: true },
  tick_early: { type: 'tick' },
  tick_late: { type: 'tick' },
}

/** While a job is retried, its newest attempt holds its progress. A cell holds phase and state of the attempt. */
const RESUBMITTING = `
event           | intended               | unknown                | open
intend          | no_news                | no_news                | no_news
not_ready       | no_news                | no_news                | no_news
never_ready     | no_news                | no_news                | no_news
not_sent        | > resubmitting closed  | > resubmitting closed  | not_the_claim
limited         | > resubmitting closed  | > resubmitting closed  | not_the_claim
rejected        | > failed closed        | > failed closed        | not_the_claim
lost            | > resubmitting unknown | no_news                | not_the_claim
forgotten       | no_news                | no_news                | no_news
superseded      | > resubmitting closed  | > resubmitting closed  | no_news
starting        | > resubmitting open    | > resubmitting open    | no_news
processing      | > running open         | > running open         | > running open
strange         | > resubmitting open    | > resubmitting open    | no_news
succeeded_text  | > succeeded closed     | > succeeded closed     | > succeeded closed
succeeded_file  | > storing closed       | > storing closed       | > storing closed
succeeded_gone  | > failed closed        | > failed closed        | > failed closed
failed          | > failed closed        | > failed closed        | > failed closed
failed_platform | > resubmitting closed  | > resubmitting closed  | > resubmitting closed
canceled        | > failed closed        | > failed closed        | > failed closed
aborted         | > failed closed        | > failed closed        | > failed closed
not_listed      | no_news                | > resubmitting unknown | no_news
missing         | no_news                | no_news                | > resubmitting open
stored          | no_news                | no_news                | no_news
not_stored      | no_news                | no_news                | no_news
cancel_done     | no_news                | no_news                | no_news
cancel          | > stopping intended    | > stopping unknown     | > stopping open
give_up         | > stopping intended    | > stopping unknown     | > stopping open
tick_early      | not_yet                | not_yet                | not_yet
tick_late       | > resubmitting unknown | > failed closed        | > stopping open
`

/** News of an attempt that its job does not wait for any more. A cell holds the state of the attempt; the job stays. */
const OUTLIVED = `
event           | intended         | unknown          | open             | closed
not_sent        | closed           | closed           | not_the_claim    | not_the_claim
limited         | closed           | closed           | not_the_claim    | not_the_claim
rejected        | closed           | closed           | not_the_claim    | not_the_claim
lost            | unknown          | no_news          | not_the_claim    | not_the_claim
forgotten       | no_news          | no_news          | no_news          | no_news
superseded      | no_news          | no_news          | no_news          | no_news
starting        | open             | open             | no_news          | final
processing      | open             | open             | no_news          | final
strange         | open             | open             | no_news          | final
succeeded_text  | closed           | closed           | closed           | final
succeeded_file  | closed           | closed           | closed           | final
succeeded_gone  | closed           | closed           | closed           | final
failed          | closed           | closed           | closed           | final
failed_platform | closed           | closed           | closed           | final
canceled        | closed           | closed           | closed           | final
aborted         | closed           | closed           | closed           | final
not_listed      | no_news          | unknown          | no_news          | no_news
missing         | no_news          | no_news          | open             | no_news
stored          | no_news          | no_news          | no_news          | no_news
not_stored      | no_news          | no_news          | no_news          | no_news
cancel_done     | no_news          | no_news          | no_news          | no_news
tick_early      | not_yet          | not_yet          | not_yet          | no_news
tick_late       | unknown          | closed           | not_yet          | no_news
`

const LONG_AFTER = NOW + 8 * 24 * 3600 * 1000

function cellsOf<Column extends string>(table: string, columns: readonly Column[]) {
  const [header = [], ...rows] = table
    .trim()
    .split('\n')
    .map((line) => line.split('|').map((cell) => cell.trim()))
  return {
    header: header.slice(1),
    events: rows.map(([event = '']) => event),
    cells: rows.flatMap(([event = '', ...expected]) =>
      columns.map((column, i) => ({ event, column, expected: expected[i] ?? '' })),
    ),
  }
}
const ATTEMPT_STATES = ['intended', 'unknown', 'open', 'closed'] as const
const whole = cellsOf(TABLE, PHASES)
const anew = cellsOf(RESUBMITTING, ['intended', 'unknown', 'open'])
const late = cellsOf(OUTLIVED, ATTEMPT_STATES)

test('the tables have a cell for each phase or state, and each event', () => {
  expect(whole.header).toEqual([...PHASES])
  expect(anew.header).toEqual(['intended', 'unknown', 'open'])
  expect(late.header).toEqual([...ATTEMPT_STATES])
  const events = Object.keys(EVENTS).sort()
  expect(whole.events.sort()).toEqual(events)
  expect(anew.events.sort()).toEqual(events)
  expect([...late.events, 'cancel', 'give_up', 'intend', 'never_ready', 'not_ready'].sort()).toEqual(events)
})

/** `attempt`: which one the event is news of. */
function eventNamed(name: string, attempt = 1): JobEvent {
  const event = EVENTS[name]
  if (!event) throw new Error(`there is no event ${name}`)
  return 'attempt' in event ? { ...event, attempt } : event
}
const timeOf = (event: string): number => (event === 'tick_late' ? LONG_AFTER : NOW)

const outcome = (state: JobState, decision: Decision): string => {
  if (decision.kind === 'ignored') return decision.reason
  const { phase } = applyCommit(state, decision, NOW).job
  return `> ${phase === state.job.phase ? '=' : phase}`
}

describe('each cell', () => {
  test.for(whole.cells)('$column + $event: $expected', ({ event, column, expected }) => {
    const state = stateIn(column)
    const decision = transition(state, eventNamed(event), context(timeOf(event)))
    expect(outcome(state, decision)).toBe(expected)
    if (isFinal(column)) expect(decision.kind).toBe('ignored')
  })

  test.for(anew.cells)('resubmitting, attempt $column + $event: $expected', ({ event, column, expected }) => {
    const state = resubmitting(column)
    const decision = transition(state, eventNamed(event, 2), context(timeOf(event)))
    if (decision.kind === 'ignored') return expect(decision.reason).toBe(expected)
    const { job, attempts } = applyCommit(state, decision, NOW)
    expect(`> ${job.phase} ${attempts[1]?.state}`).toBe(expected)
    expect(attempts[0]).toEqual(state.attempts[0])
  })

  test.for(late.cells)('late, attempt $column + $event: $expected', ({ event, column, expected }) => {
    const state = outlived(column)
    const asked = eventNamed(event)
    const decision = transition(
      state,
      asked.type === 'tick' ? { type: 'tick', attempt: 1 } : asked,
      context(timeOf(event)),
    )
    if (decision.kind === 'ignored') return expect(decision.reason).toBe(expected)
    expect(decision.job).toEqual({})
    const [attempt] = applyCommit(state, decision, NOW).attempts
    expect(attempt?.state).toBe(expected)
    expect(decision.due.attempt === null).toBe(expected === 'closed')
  })
})

const decide = (state: JobState, event: JobEvent, now = NOW, changes: Partial<TransitionContext> = {}): Commit => {
  const decision = transition(state, event, context(now, changes))
  if (decision.kind !== 'commit') throw new Error(`${event.type} was ignored: ${decision.reason}`)
  return decision
}
const after = (state: JobState, event: JobEvent, now = NOW, changes: Partial<TransitionContext> = {}): JobState =>
  applyCommit(state, decide(state, event, now, changes), now)
const observe = (seen = prediction('starting')): JobEvent => ({
  type: 'observed',
  attempt: 1,
  prediction: seen,
})

describe('an intent', () => {
  test('takes a token, numbers the attempt, names its author, and is due when the author falls silent', () => {
    const commit = decide(stateIn('queued'), { type: 'intend', claim: 'c1' })
    expect(commit.takesBudget).toBe(true)
    expect(commit.attempt).toMatchObject({ n: 1, changes: { state: 'intended', claim: 'c1', account: 'default' } })
    expect(commit.due).toEqual({
      job: { in: DEFAULT_TIMINGS.intentSilence },
      attempt: { in: DEFAULT_TIMINGS.intentSilence },
    })
  })

  test.each(['submitting', 'unknown'] as const)('in %s, only its author may say what became of it', (phase) => {
    const state = stateIn(phase)
    const events = ['not_sent', 'limited', 'rejected', 'lost'].flatMap((name) => EVENTS[name] ?? [])
    for (const event of events)
      expect(transition(state, { ...event, claim: 'somebody-else' } as JobEvent, context(NOW))).toEqual({
        kind: 'ignored',
        reason: 'not_the_claim',
      })
  })

  test('is taken back with its attempt closed, and the job waits for its turn again', () => {
    const state = after(stateIn('submitting'), { type: 'not_sent', attempt: 1, claim: CLAIM })
    expect(state.job).toMatchObject({ phase: 'queued', status: 'queued', attempt: 1 })
    expect(state.attempts).toMatchObject([{ n: 1, state: 'closed', outcome: 'not_sent', prediction_id: null }])
    const next = after(state, { type: 'intend', claim: 'c2' })
    expect(next.job.attempt).toBe(2)
    expect(next.attempts).toMatchObject([
      { n: 1, state: 'closed' },
      { n: 2, state: 'intended', claim: 'c2' },
    ])
  })

  test('that was limited pauses creation, and the job is looked at when the pause ends', () => {
    const limited = EVENTS.limited
    if (!limited) throw new Error('no such event')
    const commit = decide(stateIn('submitting'), limited)
    expect(commit.pause).toEqual({ for: 30_000, reason: 'rate_limited' })
    expect(commit.due.job).toEqual({ in: 30_000 })
    expect(commit.due.attempt).toBeNull()
  })

  test('whose author fell silent becomes unknown, not a second POST', () => {
    const at = NOW + DEFAULT_TIMINGS.intentSilence
    const state = after(stateIn('submitting'), { type: 'tick' }, at)
    expect(state.job.phase).toBe('unknown')
    expect(state.attempts).toMatchObject([{ state: 'unknown', outcome: 'author_silent' }])
    expect(transition(state, { type: 'intend', claim: 'c2' }, context(at)).kind).toBe('ignored')
    // The author was only slow: its word still counts.
    expect(after(state, { type: 'not_sent', attempt: 1, claim: CLAIM }, at).job.phase).toBe('queued')
  })

  test('is adopted by a webhook before its own answer came; the answer then brings no news', () => {
    const adopted = after(stateIn('submitting'), observe(prediction('processing')))
    expect(adopted.job).toMatchObject({ phase: 'running', prediction_id: OWN })
    for (const late of [EVENTS.starting, EVENTS.lost, EVENTS.limited, EVENTS.not_sent])
      if (late) expect(transition(adopted, late, context(NOW)).kind).toBe('ignored')
  })
})

describe('a job that waits', () => {
  const waiting = (start_within: number): JobState => ({
    ...stateIn('queued'),
    job: jobRecord('queued', { start_within }),
  })
  const notReady = (pause: { for: number; reason: 'storage' } | null): JobEvent => ({
    type: 'not_prepared',
    error: null,
    pause,
    health: null,
  })

  test('is prepared again after its age, not before a pause ends, and not after its time to be started', () => {
    const due = (start_within: number, age: number, pause: number | null) =>
      decide(waiting(start_within), notReady(pause === null ? null : { for: pause, reason: 'storage' }), NOW + age).due
        .job
    expect(due(86_400, 20_000, null)).toEqual({ in: 10_000 })
    expect(due(86_400, 20_000, 15_000)).toEqual({ in: 15_000 })
    expect(due(60, 58_000, null)).toEqual({ in: 2000 })
    // Its time is over, and pauses moved it later: the cut ends.
    expect(due(60, 60_000, null)).toEqual({ in: 30_000 })
  })

  test.each(['canceled', 'failure_rate', 'max_spend'] as const)(
    'ends when its batch stops (%s), and says so',
    (reason) => {
      const stop = { type: 'batch_stopped', reason } as const
      for (const phase of ['queued', 'resubmitting'] as const) {
        const commit = decide(stateIn(phase), stop)
        expect(commit).toMatchObject({
          stopsBatch: reason,
          job: { phase: 'canceled', error: { code: 'batch_stopped', retryable: true, billed: 'no' } },
        })
      }
      for (const phase of PHASES)
        if (phase !== 'queued' && phase !== 'resubmitting')
          expect([phase, transition(stateIn(phase), stop, context(NOW)).kind]).toEqual([phase, 'ignored'])
      for (const how of ['intended', 'unknown', 'open'] as const)
        expect([how, transition(resubmitting(how), stop, context(NOW)).kind]).toEqual([how, 'ignored'])
    },
  )
})

describe('a prediction that comes to light', () => {
  const { timeoutGrace } = DEFAULT_TIMINGS

  test('gives its job the time that it may take, and what upstream counts beside it', () => {
    const { due } = decide(stateIn('submitting'), observe())
    expect(due.job).toEqual({ in: stateIn('submitting').job.timeout * 1000 + timeoutGrace })
  })

  test('may run for the timeout from its creation, not from its POST', () => {
    const running = stateIn('running')
    const state = { ...running, job: { ...running.job, submitted_at: NOW - 50_000 } }
    const due = NOW + state.job.timeout * 1000 + timeoutGrace
    expect(transition(state, { type: 'tick' }, context(due - 1)).kind).toBe('ignored')
    expect(transition(state, { type: 'tick' }, context(due)).kind).toBe('commit')
  })

  test('keeps the time of its creation, and a next one has its own', () => {
    const unnamed = observe(prediction('processing', { created_at: null }))
    expect(after(stateIn('created'), unnamed, NOW + 60_000).job.prediction_created_at).toBe(NOW)
    const state = resubmitting('intended')
    const again = { ...state, job: { ...state.job, prediction_created_at: NOW - 100_000 } }
    const event = { ...observe(prediction('starting', { created_at: NOW + 50 })), attempt: 2 } as JobEvent
    expect(after(again, event).job.prediction_created_at).toBe(NOW + 50)
  })

  test('of an intent that Redis forgot was sent when it was created, and only the next one is believed', () => {
    const event = observe(prediction('starting', { created_at: NOW - 5000 }))
    const { job, attempts } = after(stateIn('queued'), event)
    expect([job.submitted_at, attempts[0]?.intended_at]).toEqual([NOW - 5000, NOW - 5000])
    expect(transition(stateIn('queued'), { ...event, attempt: 2 } as JobEvent, context(NOW))).toEqual({
      kind: 'ignored',
      reason: 'unknown_attempt',
    })
  })

  test('of an earlier attempt that was given up is late, though its job waits', () => {
    const undecided = (n: number) => attemptRecord({ n, state: 'unknown', outcome: 'undecided', claim: `c${n}` })
    const state: JobState = {
      job: jobRecord('queued', { attempt: 2 }),
      attempts: [undecided(1), undecided(2)],
      effects: [],
    }
    expect(decide(state, observe())).toMatchObject({
      job: {},
      orphans: 1,
      effects: { add: [{ kind: 'cancel', attempt: 1 }] },
    })
    expect(after(state, { ...observe(), attempt: 2 } as JobEvent).job).toMatchObject({ phase: 'created', attempt: 2 })
  })
})

describe('a prediction that no attempt owns', () => {
  const other = prediction('processing', { id: 'other' })
  const closedAttempt = attemptRecord({ state: 'closed', outcome: 'rate_limited', closed_at: NOW })

  test.each<{ when: string; state: JobState }>([
    { when: 'while another runs', state: stateIn('running') },
    { when: 'while the outputs of another are stored', state: stateIn('storing') },
    { when: 'after the job succeeded', state: stateIn('succeeded') },
    { when: 'after the job failed', state: stateIn('failed') },
    { when: 'while a stop is on its way', state: stateIn('stopping') },
    {
      when: 'for an attempt that was closed as not sent, while the job waits',
      state: { ...stateIn('queued'), job: jobRecord('queued', { attempt: 1 }), attempts: [closedAttempt] },
    },
    {
      when: 'for an earlier attempt',
      state: {
        ...stateIn('running'),
        job: jobRecord('running', { attempt: 2, prediction_id: OWN }),
        attempts: [closedAttempt, attemptRecord({ n: 2, claim: 'c2', state: 'open', prediction_id: OWN })],
      },
    },
  ])('is recorded, counted and cancelled: $when', ({ state }) => {
    const commit = decide(state, observe(other))
    expect(commit.orphans).toBe(1)
    expect(commit.effects.add).toMatchObject([{ kind: 'cancel', prediction_id: 'other', attempt: 1 }])
    const next = applyCommit(state, commit, NOW)
    expect(next.job).toEqual({ ...state.job, rev: state.job.rev + 1 })
    expect(next.attempts.find(({ n }) => n === 1)?.orphans).toEqual(['other'])
    // Seen again: nothing new. Ended: its cancel is not owed any more.
    expect(transition(next, observe(other), context(NOW))).toEqual({ kind: 'ignored', reason: 'no_news' })
    const ended = decide(next, observe(prediction('canceled', { id: 'other' })))
    expect(ended.effects.remove).toEqual(['cancel:1:other'])
    expect(ended.orphans).toBeUndefined()
  })

  test('is only recorded when it has ended already', () => {
    const commit = decide(stateIn('running'), observe(prediction('succeeded', { id: 'other', output: 'x' })))
    expect(commit).toMatchObject({ orphans: 1, effects: { add: [], remove: [] } })
    expect(commit.job).toEqual({})
  })

  test('its cancel does not move the due time of the attempt that owns another', () => {
    const state = after(stateIn('running'), observe(other))
    expect(decide(state, { type: 'cancel_done', attempt: 1, prediction_id: 'other' }).due).toEqual({})
  })
})

describe('an attempt that outlives its job', () => {
  const canceledWhileUnknown: JobState = {
    job: jobRecord('canceled', { attempt: 1, completed_at: NOW }),
    attempts: [attemptRecord({ state: 'unknown' })],
    effects: [],
  }

  test('surfaces: cancelled and counted, the job stays as it is', () => {
    const commit = decide(canceledWhileUnknown, observe())
    expect(commit).toMatchObject({ job: {}, orphans: 1, effects: { add: [{ kind: 'cancel', prediction_id: OWN }] } })
    const open = applyCommit(canceledWhileUnknown, commit, NOW)
    expect(open.attempts).toMatchObject([{ state: 'open', prediction_id: OWN }])
    const ended = decide(open, observe(prediction('canceled')))
    expect(applyCommit(open, ended, NOW)).toMatchObject({ attempts: [{ state: 'closed' }], effects: [] })
    expect(ended.due.attempt).toBeNull()
    expect(ended.orphans).toBeUndefined()
  })

  test('surfaces ended, or beside another prediction: counted all the same', () => {
    const ended = decide(canceledWhileUnknown, observe(prediction('succeeded', { output: 'x' })))
    expect(ended).toMatchObject({ job: {}, orphans: 1, effects: { add: [] }, due: { attempt: null } })
    const other = decide(outlived('open'), observe(prediction('processing', { id: 'other' })))
    expect(other).toMatchObject({
      job: {},
      orphans: 1,
      attempt: { changes: { orphans: ['other'] } },
      effects: { add: [{ kind: 'cancel', prediction_id: 'other' }] },
    })
  })

  test('that was limited pauses creation all the same', () => {
    expect(decide(outlived('intended'), eventNamed('limited')).pause).toEqual({ for: 30_000, reason: 'rate_limited' })
  })

  test('is closed by the word of its author', () => {
    for (const event of [EVENTS.not_sent, EVENTS.limited, EVENTS.rejected]) {
      if (!event) throw new Error('no such event')
      const commit = decide(canceledWhileUnknown, event)
      expect(commit).toMatchObject({ job: {}, attempt: { changes: { state: 'closed' } }, due: { attempt: null } })
    }
  })

  test('is closed undecided when upstream has forgotten it', () => {
    const early = transition(canceledWhileUnknown, { type: 'tick', attempt: 1 }, context(NOW + 1000))
    expect(early.kind).toBe('ignored')
    const commit = decide(
      canceledWhileUnknown,
      { type: 'tick', attempt: 1 },
      NOW + DEFAULT_TIMINGS.outputLifetime + 60_000,
    )
    expect(commit.attempt?.changes).toMatchObject({ state: 'closed', outcome: 'undecided' })
  })

  test('that is in no record is an unknown attempt', () => {
    expect(transition(canceledWhileUnknown, { ...EVENTS.starting, attempt: 7 } as JobEvent, context(NOW))).toEqual({
      kind: 'ignored',
      reason: 'unknown_attempt',
    })
  })
})

describe('a stop', () => {
  const stopping = (reason: 'canceled' | 'timeout'): JobState => {
    const state = stateIn('stopping')
    return { ...state, job: { ...state.job, stop: { reason, requested_at: NOW } } }
  }
  const unsent: JobState = {
    job: jobRecord('stopping', { attempt: 1, status: 'queued', stop: { reason: 'canceled', requested_at: NOW } }),
    attempts: [attemptRecord({})],
    effects: [],
  }

  test.each([
    { reason: 'canceled', ends: 'canceled', phase: 'canceled', code: 'canceled', billed: 'yes' },
    { reason: 'canceled', ends: 'aborted', phase: 'canceled', code: 'canceled', billed: 'no' },
    { reason: 'canceled', ends: 'failed', phase: 'canceled', code: 'canceled', billed: 'no' },
    { reason: 'timeout', ends: 'canceled', phase: 'failed', code: 'timeout', billed: 'yes' },
    { reason: 'timeout', ends: 'aborted', phase: 'failed', code: 'timeout', billed: 'no' },
    { reason: 'timeout', ends: 'failed', phase: 'failed', code: 'timeout', billed: 'no' },
  ] as const)('($reason) that upstream ends as $ends is $phase, billed $billed', ({ reason, ends, ...expected }) => {
    const { job, effects } = after(
      stopping(reason),
      observe(prediction(ends, ends === 'aborted' ? { started_at: null } : {})),
    )
    expect(job).toMatchObject({ phase: expected.phase, error: { code: expected.code, billed: expected.billed } })
    expect(effects).toEqual([])
  })

  test('of a prediction that never ran costs nothing', () => {
    const { job } = after(stopping('canceled'), observe(prediction('canceled', { started_at: null })))
    expect(job.error?.billed).toBe('no')
  })

  test.each(['canceled', 'timeout'] as const)('(%s) loses against a success, which is captured', (reason) => {
    const text = after(stopping(reason), observe(prediction('succeeded', { output: 'done' })))
    expect(text.job).toMatchObject({ phase: 'succeeded', output: 'done', error: null })
    expect(text.effects).toEqual([])
  })

  test('that upstream does not answer ends without its word', () => {
    const late = NOW + DEFAULT_TIMINGS.stopBound
    expect(transition(stopping('canceled'), { type: 'tick' }, context(late - 1)).kind).toBe('ignored')
    const { job, attempts, effects } = after(stopping('canceled'), { type: 'tick' }, late)
    expect(job).toMatchObject({ phase: 'canceled', error: { billed: 'unknown' } })
    // The prediction may still run: its attempt and its cancel stay.
    expect(attempts).toMatchObject([{ state: 'open' }])
    expect(effects.map(effectKey)).toEqual([`cancel:1:${OWN}`])
  })

  test('cancels what runs, whichever attempt that is, and is looked at when it should have ended', () => {
    const due = { job: { in: DEFAULT_TIMINGS.stopBound } }
    const running = decide(stateIn('running'), { type: 'cancel' })
    expect(running).toMatchObject({ due, effects: { add: [{ kind: 'cancel', attempt: 1, prediction_id: OWN }] } })
    const again = decide(resubmitting('open'), { type: 'cancel' })
    expect(again).toMatchObject({ due, effects: { add: [{ kind: 'cancel', attempt: 2, prediction_id: OWN }] } })
    for (const state of [stateIn('submitting'), stateIn('unknown'), resubmitting('intended')])
      expect(decide(state, { type: 'cancel' })).toMatchObject({ due, effects: { add: [] } })
  })

  test.each<[what: string, billed: string, attempt: Parameters<typeof attemptRecord>[0]]>([
    ['was not sent', 'no', { outcome: 'not_sent' }],
    ['was not sent but left an orphaned prediction', 'unknown', { outcome: 'not_sent', orphans: ['x'] }],
    ['stayed undecided', 'unknown', { outcome: 'undecided' }],
    ['failed', 'no', { outcome: 'failed', prediction_id: OWN }],
    ['was canceled', 'unknown', { outcome: 'canceled', prediction_id: OWN }],
    ['was lost upstream', 'unknown', { outcome: 'provider_lost', prediction_id: OWN }],
  ])('of a job that waits, whose attempt %s, is billed: %s', (_what, billed, attempt) => {
    const state: JobState = {
      job: jobRecord('queued', { attempt: 1 }),
      attempts: [attemptRecord({ state: 'closed', ...attempt })],
      effects: [],
    }
    expect(after(state, { type: 'cancel' }).job.error?.billed).toBe(billed)
  })

  test('of a POST that never left is final and free', () => {
    for (const event of [EVENTS.not_sent, EVENTS.limited, EVENTS.rejected]) {
      if (!event) throw new Error('no such event')
      const { job, attempts } = after(unsent, event)
      expect(job).toMatchObject({ phase: 'canceled', error: { code: 'canceled', billed: 'no' } })
      expect(attempts).toMatchObject([{ state: 'closed' }])
    }
  })

  test('cancels the prediction that surfaces meanwhile, and keeps the public status', () => {
    const { job, attempts, effects } = after(unsent, observe(prediction('processing')))
    expect(job).toMatchObject({ phase: 'stopping', status: 'queued', prediction_id: OWN })
    expect(attempts).toMatchObject([{ state: 'open', prediction_id: OWN }])
    expect(effects.map(effectKey)).toEqual([`cancel:1:${OWN}`])
  })

  test('is not undone because a next attempt was found', () => {
    expect(transition(unsent, eventNamed('superseded'), context(NOW))).toEqual({ kind: 'ignored', reason: 'no_news' })
  })

  test('keeps an attempt due whose POST is lost', () => {
    const commit = decide(unsent, { type: 'lost', attempt: 1, claim: CLAIM, reason: 'ECONNRESET' })
    expect(commit.job).toEqual({})
    expect(commit.due.attempt).toEqual({ in: DEFAULT_TIMINGS.listAgain.min })
  })

  test('looks again soon once upstream took the cancel', () => {
    const commit = decide(stopping('canceled'), { type: 'cancel_done', attempt: 1, prediction_id: OWN })
    expect(commit).toMatchObject({ attempt: { n: 1 }, due: { attempt: { in: 1000 } } })
  })
})

describe('an end', () => {
  const running = stateIn('running')

  test('upstream that was not requested here is a failure, not a cancel', () => {
    const { job } = after(running, observe(prediction('canceled', { completed_at: NOW })))
    expect(job).toMatchObject({ phase: 'failed', error: { code: 'canceled_upstream', billed: 'yes' } })
  })

  test('upstream of a prediction that may have run is billed, of one that surely did not is free', () => {
    const unstarted = observe(prediction('canceled', { started_at: null, completed_at: NOW }))
    expect(after(running, unstarted).job.error).toMatchObject({ code: 'canceled_upstream', billed: 'yes' })
    expect(after(stateIn('created'), unstarted).job.error).toMatchObject({ code: 'canceled_upstream', billed: 'no' })
  })

  test('needs no look at its attempt any more; a copy that is owed is looked at later', () => {
    const ends = (name: string, phase: 'running' | 'submitting') => decide(stateIn(phase), eventNamed(name)).due
    expect(ends('succeeded_text', 'running')).toEqual({ attempt: null })
    expect(ends('rejected', 'submitting')).toEqual({ attempt: null })
    expect(ends('succeeded_file', 'running')).toEqual({ attempt: null, job: { in: DEFAULT_TIMINGS.ringAgain.max } })
  })

  test('in success whose output is still there is a success, even if upstream has removed the rest', () => {
    const { job } = after(running, observe(prediction('succeeded', { data_removed: true, output: 'text' })))
    expect(job).toMatchObject({ phase: 'succeeded', output: 'text' })
  })

  test('by Cancel-After is a timeout', () => {
    const completed_at = NOW + running.job.timeout * 1000
    const { job } = after(running, observe(prediction('canceled', { completed_at })), completed_at)
    expect(job).toMatchObject({ phase: 'failed', error: { code: 'timeout', billed: 'yes' } })
  })

  test('in success keeps what was measured and owes the copy until the files are removed', () => {
    const done = prediction('succeeded', {
      output: ['https://replicate.delivery/a.png'],
      metrics: { predict_time: 1.5 },
      completed_at: NOW + 5000,
    })
    const commit = decide(running, observe(done), NOW + 6000)
    expect(commit.effects.add).toMatchObject([
      {
        kind: 'store',
        output: ['https://replicate.delivery/a.png'],
        output_pending: false,
        expires_at: NOW + DEFAULT_TIMINGS.outputLifetime,
        give_up_at: NOW + 5000 + DEFAULT_TIMINGS.storeDeadline,
      },
    ])
    const { job } = applyCommit(running, commit, NOW + 6000)
    expect(job).toMatchObject({ phase: 'storing', status: 'processing', metrics: { predict_time: 1.5 }, progress: 1 })
  })

  test('means what the schema of its model says, that was frozen into the job', () => {
    const output = ['cat', 'dog']
    const end = (output_shape: JobRecord['output_shape'], value: JobRecord['output'] = output): JobRecord => {
      const state = { ...running, job: { ...running.job, output_shape } }
      return applyCommit(state, decide(state, observe(prediction('succeeded', { output: value }))), NOW).job
    }
    expect(end(null)).toMatchObject({ phase: 'succeeded', output })
    expect(end('json')).toMatchObject({ phase: 'succeeded', output })
    expect(end('text')).toMatchObject({ phase: 'succeeded', output: 'catdog' })
    expect(end('files')).toMatchObject({ phase: 'storing' })
    const page = { title: 'A page', source_url: 'http://example.com/page', score: 0.9 }
    expect(end(null, page)).toMatchObject({ phase: 'succeeded', output: page })
    expect(end({ files: ['source_url'] }, page)).toMatchObject({ phase: 'storing' })
    // Known by the time of the intent only; what was frozen stays.
    const intended = (output_shape: JobRecord['output_shape']): JobRecord => {
      const state = stateIn('queued')
      const job = { ...state.job, output_shape }
      const event: JobEvent = { type: 'intend', claim: 'c', output_shape: 'files' }
      return applyCommit({ ...state, job }, decide({ ...state, job }, event), NOW).job
    }
    expect(intended(null).output_shape).toBe('files')
    expect(intended('text').output_shape).toBe('text')
  })

  test('with more files than a record holds is lost at once, and says the limit', () => {
    const of = (files: number): JobRecord => {
      const output = Array.from({ length: files }, (_, i) => `https://replicate.delivery/${i}.png`)
      return applyCommit(running, decide(running, observe(prediction('succeeded', { output }))), NOW).job
    }
    expect(of(MAX_OUTPUT_FILES)).toMatchObject({ phase: 'storing' })
    expect(of(MAX_OUTPUT_FILES + 1)).toMatchObject({
      phase: 'failed',
      error: { code: 'output_not_stored', billed: 'yes', message: 'The output has 10001 files. The limit is 10000.' },
    })
  })

  test('whose output is given up while it is stored was paid, and owes nothing more', () => {
    const storing = stateIn('storing')
    const { job, effects } = applyCommit(storing, decide(storing, { type: 'cancel', gives_up_output: true }), NOW)
    expect(job).toMatchObject({ phase: 'canceled', error: { code: 'canceled', billed: 'yes' } })
    expect(job.error?.message).toContain('output was being stored')
    expect(effects).toEqual([])
    // A copy that comes after that changes nothing.
    const late: JobEvent = { type: 'stored', attempt: 1, output: ['art_1'], artifacts: [] }
    expect(transition({ ...storing, job, effects }, late, context(NOW)).kind).toBe('ignored')
  })

  test('is not caused by the copy of an earlier attempt', () => {
    const storing = stateIn('storing')
    const second = { ...storing, job: { ...storing.job, attempt: 2 } }
    for (const name of ['stored', 'not_stored'])
      expect(transition(second, eventNamed(name), context(NOW))).toEqual({ kind: 'ignored', reason: 'no_news' })
  })

  test('of which a part is lost fails, and keeps what was stored', () => {
    const storing = stateIn('storing')
    const kept = { output: ['art_0', null], output_artifact: null, artifacts: [] }
    const event: JobEvent = { type: 'not_stored', attempt: 1, message: 'gone', kept }
    expect(applyCommit(storing, decide(storing, event), NOW).job).toMatchObject({
      phase: 'failed',
      output: ['art_0', null],
      error: { code: 'output_not_stored', billed: 'yes' },
    })
  })

  test('with an output too large for the record is fetched again by the copy', () => {
    const output = 'x'.repeat(40_000)
    const commit = decide(running, observe(prediction('succeeded', { output })))
    expect(commit.effects.add).toMatchObject([{ kind: 'store', output: null, output_pending: true }])
  })

  test('records the source of the news', () => {
    for (const cause of ['webhook', 'poll', 'cancel', 'create'] as const) {
      const decision = transition(running, observe(prediction('failed')), { ...context(NOW), cause })
      expect(decision).toMatchObject({ attempt: { changes: { finished_by: cause, state: 'closed' } } })
    }
  })
})

describe('a create that Redis forgot, of which its author knows no more,', () => {
  const forgotten = (attempt: number): JobEvent => ({ type: 'forgotten', attempt, reason: 'ECONNRESET' })

  test.each([
    { phase: 'queued', attempt: 1, becomes: 'unknown' },
    { phase: 'resubmitting', attempt: 2, becomes: 'resubmitting' },
  ] as const)('is written down as unknown in $phase, as of now', ({ phase, attempt, becomes }) => {
    const at = NOW + 7000
    const commit = decide(stateIn(phase), forgotten(attempt), at)
    expect(commit).toMatchObject({ health: 'fault', due: { attempt: { in: DEFAULT_TIMINGS.listAgain.min } } })
    const state = applyCommit(stateIn(phase), commit, at)
    expect(state.job).toMatchObject({ phase: becomes, attempt, prediction_id: null })
    expect(attemptOf(state, attempt)).toMatchObject({ state: 'unknown', intended_at: at, claim: 'recovered' })
    // Nothing is sent before it is found out.
    expect(transition(state, { type: 'intend', claim: 'c' }, context(at)).kind).toBe('ignored')
    const news = { ...observe(prediction('starting')), attempt } as JobEvent
    expect(attemptOf(after(state, news, at), attempt)).toMatchObject({ state: 'open', prediction_id: OWN })
  })

  test('changes nothing when it is known after all, or when another one came since', () => {
    const found = after(stateIn('queued'), observe(prediction('starting')))
    for (const [state, attempt] of [
      [found, 1],
      [stateIn('queued'), 2],
      [stateIn('resubmitting'), 1],
    ] as const)
      expect(transition(state, forgotten(attempt), context(NOW)).kind).toBe('ignored')
  })
})

describe('an unknown outcome', () => {
  const unknown = stateIn('unknown')
  const listed = (began: number): JobEvent => ({ type: 'not_listed', attempt: 1, began })
  const { listingGap, undecidable } = DEFAULT_TIMINGS

  test('of our own is a fault of upstream, and is looked for by listing', () => {
    const commit = decide(stateIn('submitting'), eventNamed('lost'))
    const { listAgain, ringAgain } = DEFAULT_TIMINGS
    expect(commit).toMatchObject({
      health: 'fault',
      due: { attempt: { in: listAgain.min }, job: { in: ringAgain.min } },
    })
  })

  test('is listed again after the first listing as soon as a second one may count', () => {
    const { due } = decide(unknown, listed(NOW + LISTED))
    expect(due).toEqual({ attempt: { in: listingGap + DEFAULT_TIMINGS.listAgain.min } })
  })

  test('is not judged by a listing that began before everything sent must show', () => {
    expect(transition(unknown, listed(NOW + LISTED - 1), context(NOW + LISTED))).toEqual({
      kind: 'ignored',
      reason: 'not_yet',
    })
  })

  test('is known not to exist by two complete listings, far enough apart', () => {
    const once = after(unknown, listed(NOW + LISTED))
    expect(once).toMatchObject({ job: { phase: 'unknown' }, attempts: [{ absent_since: NOW + LISTED }] })
    for (const began of [NOW, NOW + LISTED, NOW + LISTED + listingGap - 1])
      expect(transition(once, listed(began), context(began))).toEqual({ kind: 'ignored', reason: 'not_yet' })
    const commit = decide(once, listed(NOW + LISTED + listingGap))
    expect(commit).toMatchObject({ job: { phase: 'queued' }, due: { attempt: null }, note: 'not_created' })
    const twice = applyCommit(once, commit, NOW + LISTED + listingGap)
    expect(twice.attempts).toMatchObject([{ state: 'closed', outcome: 'not_created' }])
    expect(after(twice, { type: 'intend', claim: 'c2' }).job).toMatchObject({ phase: 'submitting', attempt: 2 })
  })

  test('is adopted after the first of the two', () => {
    const once = after(unknown, listed(NOW + LISTED))
    const adopted = after(once, observe(prediction('processing')))
    expect(adopted).toMatchObject({ job: { phase: 'running' }, attempts: [{ state: 'open' }] })
    expect(transition(adopted, listed(NOW + LISTED + listingGap), context(NOW)).kind).toBe('ignored')
  })

  test.each(['intended', 'unknown'] as const)('of a stop (%s) that never was ends it for free', (how) => {
    const stopping = after({ ...unknown, attempts: [attemptRecord({ state: how })] }, { type: 'cancel' })
    const lost = how === 'unknown' ? stopping : after(stopping, eventNamed('lost'))
    const twice = after(after(lost, listed(NOW + LISTED)), listed(NOW + LISTED + listingGap))
    expect(twice).toMatchObject({
      job: { phase: 'canceled', error: { billed: 'no' } },
      attempts: [{ state: 'closed' }],
    })
  })

  test.each(['unknown', 'stopping'] as const)(
    'that stays undecidable ends a job in %s, with an unknown bill',
    (phase) => {
      const state: JobState = {
        ...unknown,
        job: jobRecord(phase, {
          attempt: 1,
          ...(phase === 'stopping' ? { stop: { reason: 'canceled', requested_at: NOW + undecidable } } : {}),
        }),
      }
      expect(transition(state, { type: 'tick', attempt: 1 }, context(NOW + undecidable - 1)).kind).toBe('ignored')
      const { job, attempts } = after(state, { type: 'tick', attempt: 1 }, NOW + undecidable)
      expect(job.error).toMatchObject({ code: phase === 'unknown' ? 'outcome_unknown' : 'canceled', billed: 'unknown' })
      expect(attempts).toMatchObject([{ state: 'unknown', outcome: 'undecided' }])
    },
  )

  describe('that stays undecidable, of a job that wants to be sent again,', () => {
    const again = (state: JobState): JobState => ({ ...state, job: { ...state.job, on_unknown: 'retry' } })
    const givenUp = after(again(unknown), { type: 'tick' }, NOW + undecidable)
    const sent = after(givenUp, { type: 'intend', claim: 'c2' })

    test('puts it into the line, and is looked for as long as upstream may show it', () => {
      const commit = decide(again(unknown), { type: 'tick' }, NOW + undecidable)
      expect(commit.due).toMatchObject({ attempt: { in: DEFAULT_TIMINGS.listAgain.max } })
      expect(givenUp).toMatchObject({
        job: { phase: 'queued' },
        attempts: [{ state: 'unknown', outcome: 'undecided' }],
      })
      for (const state of [givenUp, sent]) {
        const tick = { type: 'tick', attempt: 1 } as const
        const end = NOW + DEFAULT_TIMINGS.outputLifetime
        expect(transition(state, tick, context(end - 1))).toEqual({ kind: 'ignored', reason: 'not_yet' })
        expect(after(state, tick, end)).toMatchObject({
          job: { phase: state.job.phase },
          attempts: [{ state: 'closed', outcome: 'undecided' }, ...state.attempts.slice(1)],
        })
        const absent = after(after(state, listed(NOW + undecidable)), listed(NOW + undecidable + listingGap))
        expect(absent).toMatchObject({
          job: { phase: state.job.phase },
          attempts: [{ state: 'closed', outcome: 'not_created' }, ...state.attempts.slice(1)],
        })
      }
    })

    test('is adopted while the job waits, and counted and cancelled after it was sent again', () => {
      expect(after(givenUp, observe(prediction('processing')))).toMatchObject({
        job: { phase: 'running', prediction_id: OWN, attempt: 1 },
        attempts: [{ state: 'open', prediction_id: OWN }],
      })
      expect(decide(sent, observe())).toMatchObject({ orphans: 1, effects: { add: [{ kind: 'cancel', attempt: 1 }] } })
      expect(after(sent, observe(prediction('succeeded')))).toMatchObject({
        job: { phase: 'submitting', attempt: 2, prediction_id: null },
        attempts: [{ state: 'closed', outcome: 'succeeded', prediction_id: OWN }, { state: 'intended' }],
      })
    })

    test('is settled by its author, who only stood still', () => {
      for (const event of [EVENTS.not_sent, EVENTS.limited]) {
        const { job, attempts } = after(givenUp, event ?? { type: 'cancel' })
        expect(job.phase).toBe('queued')
        expect(attempts).toMatchObject([{ state: 'closed' }])
      }
    })

    test('is not put into the line a second time by what comes of the next', () => {
      for (const state of [sent, givenUp])
        expect(transition(state, eventNamed('superseded'), context(NOW + undecidable))).toEqual({
          kind: 'ignored',
          reason: 'no_news',
        })
    })

    test('does so between two predictions, too', () => {
      const anew = after(again(resubmitting('unknown')), { type: 'tick', attempt: 2 }, NOW + undecidable)
      expect(anew).toMatchObject({ job: { phase: 'resubmitting' }, attempts: [{}, { outcome: 'undecided' }] })
      expect(transition(anew, { type: 'tick', attempt: 2 }, context(NOW + undecidable)).kind).toBe('ignored')
      expect(after(anew, { type: 'intend', claim: 'c3' }).job).toMatchObject({ phase: 'resubmitting', attempt: 3 })
    })

    const end = (state: JobState, event: JobEvent, now?: number) => after(state, event, now).job.error?.billed
    test('leaves what it cost unknown, however the job ends', () => {
      expect(end(givenUp, { type: 'cancel' })).toBe('unknown')
      expect(end(givenUp, { type: 'tick' }, LONG_AFTER)).toBe('unknown')
      const own = { id: 'second' }
      const second = { ...observe(prediction('starting', own)), attempt: 2 } as JobEvent
      const running = after(sent, second)
      const failed = { ...observe(prediction('failed', { ...own, error: 'no' })), attempt: 2 } as JobEvent
      expect(end(running, failed)).toBe('unknown')
      const rejected = { ...eventNamed('rejected', 2), claim: 'c2' } as JobEvent
      expect(end(sent, rejected)).toBe('unknown')
      // Once it is known not to exist, or to have failed, it cost nothing.
      const absent = after(after(running, listed(NOW + undecidable)), listed(NOW + undecidable + listingGap))
      expect(end(absent, failed)).toBe('no')
      expect(end(after(running, observe(prediction('failed'))), failed)).toBe('no')
      expect(end(after(running, observe(prediction('succeeded'))), failed)).toBe('unknown')
    })
  })

  test('that stays undecidable when upstream cannot show it any more is closed at once', () => {
    const late = after(unknown, { type: 'tick' }, NOW + DEFAULT_TIMINGS.outputLifetime)
    expect(late).toMatchObject({ job: { phase: 'failed' }, attempts: [{ state: 'closed', outcome: 'undecided' }] })
  })

  test('of an attempt that outlived its job is closed by two listings, too', () => {
    const state = outlived('unknown')
    const once = after(state, listed(NOW + LISTED))
    expect(decide(once, listed(NOW + LISTED + listingGap)).due).toEqual({ attempt: null })
    expect(after(once, listed(NOW + LISTED + listingGap))).toMatchObject({
      job: { phase: 'canceled' },
      attempts: [{ state: 'closed', outcome: 'not_created', finished_by: 'list' }],
    })
  })
})

describe('a prediction that upstream does not know', () => {
  const { lostAfter } = DEFAULT_TIMINGS
  const missing: JobEvent = { type: 'missing', attempt: 1 }
  const once = after(stateIn('running'), missing)

  test('is asked for again, and is lost when it stays so', () => {
    const commit = decide(stateIn('running'), missing)
    expect(commit).toMatchObject({ job: {}, due: { attempt: { in: lostAfter } } })
    expect(once.attempts).toMatchObject([{ state: 'open', missing_since: NOW }])
    expect(transition(once, missing, context(NOW + lostAfter - 1)).kind).toBe('ignored')
    expect(after(once, missing, NOW + lostAfter)).toMatchObject({
      job: { phase: 'failed', error: { code: 'provider_lost', billed: 'unknown' } },
      attempts: [{ state: 'closed', outcome: 'provider_lost' }],
    })
  })

  test.each<[where: string, state: JobState]>([
    ['while it runs', stateIn('running')],
    ['before it runs', stateIn('created')],
    ['while it is being stopped', stateIn('stopping')],
    [
      'while the job is retried',
      {
        ...resubmitting('open'),
        attempts: stateIn('running').attempts,
        job: { ...resubmitting('open').job, attempt: 1 },
      },
    ],
    ['after its job', outlived('open')],
  ])('for a moment is not lost the next time, %s', (_where, state) => {
    const blip = after(state, missing)
    const status = state.job.phase === 'running' ? 'processing' : 'starting'
    const seen = after(blip, observe(prediction(status)))
    expect(seen.attempts).toMatchObject([{ missing_since: null }])
    expect(seen.job).toEqual({ ...blip.job, rev: blip.job.rev + 1 })
    // Then there is no news in it any more.
    expect(transition(seen, observe(prediction(status)), context(NOW)).kind).toBe('ignored')
    const again = decide(seen, missing, NOW + 10 * lostAfter)
    expect(again.attempt?.changes.state).toBeUndefined()
  })

  test('for a moment is not lost either when it is seen again further on', () => {
    const further = after(after(stateIn('created'), missing), observe(prediction('processing')))
    expect(further).toMatchObject({ job: { phase: 'running' }, attempts: [{ state: 'open', missing_since: null }] })
  })

  test('needs no cancel any more, and ends a stop with an unknown bill', () => {
    const gone = after(after(stateIn('stopping'), missing), missing, NOW + lostAfter)
    expect(gone).toMatchObject({ job: { phase: 'canceled', error: { billed: 'unknown' } }, effects: [] })
  })

  test('leaves a job that is final as it is', () => {
    const gone = after(after(outlived('open'), missing), missing, NOW + lostAfter)
    expect(gone.job).toEqual({ ...outlived('open').job, rev: gone.job.rev, updated_at: NOW + lostAfter })
    expect(gone.attempts).toMatchObject([{ state: 'closed', outcome: 'provider_lost' }])
  })
})

describe('a job that is retried', () => {
  const platform = eventNamed('failed_platform')

  test('restarts its start deadline, by the pause clock, and shows nothing of the failed run', () => {
    const running = stateIn('running')
    const shown = { ...running, job: { ...running.job, progress: 0.5, partial: 'Once upon' } }
    const next = after(shown, platform, NOW + 7000, { paused: 5000 })
    expect(next.job).toMatchObject({
      phase: 'resubmitting',
      status: 'processing',
      resubmissions: 1,
      start_since: NOW + 7000,
      start_paused: 5000,
      progress: null,
      partial: null,
    })
  })

  test('is so as often as it may be, and then fails by the class of the error', () => {
    const running = stateIn('running')
    const twice = { ...running, job: { ...running.job, resubmissions: 2 } }
    expect(after(twice, platform).job).toMatchObject({
      phase: 'failed',
      error: { code: 'platform_interrupted', billed: 'no', retryable: true },
    })
    const never = { ...running, job: { ...running.job, resubmit_limit: 0 } }
    expect(after(never, platform).job.phase).toBe('failed')
  })

  test('by a next attempt keeps its public status and forgets the failed prediction', () => {
    const intended = after(stateIn('resubmitting'), { type: 'intend', claim: 'c2' })
    expect(intended.job).toMatchObject({ phase: 'resubmitting', status: 'processing', attempt: 2, prediction_id: null })
    const started = after(intended, { ...observe(prediction('starting', { id: 'p2' })), attempt: 2 } as JobEvent)
    expect(started.job).toMatchObject({
      phase: 'resubmitting',
      status: 'processing',
      prediction_id: 'p2',
      started_at: null,
    })
  })

  test('takes news of a next attempt that Redis forgot, and its status does not go back', () => {
    const news = { ...observe(prediction('starting', { id: 'p2' })), attempt: 2 } as JobEvent
    const { job, attempts } = after(stateIn('resubmitting'), news)
    expect(job).toMatchObject({ phase: 'resubmitting', status: 'processing', attempt: 2, prediction_id: 'p2' })
    expect(attempts[1]).toMatchObject({ n: 2, state: 'open', prediction_id: 'p2', claim: 'recovered' })
  })

  test('ends free when it is canceled between two attempts', () => {
    expect(after(stateIn('resubmitting'), { type: 'cancel' }).job).toMatchObject({
      phase: 'canceled',
      error: { billed: 'no' },
    })
  })

  test('is stopped by its timeout, counted from the creation of the newest prediction', () => {
    const state = resubmitting('open')
    const due = NOW + state.job.timeout * 1000 + DEFAULT_TIMINGS.timeoutGrace
    expect(transition(state, { type: 'tick' }, context(due - 1)).kind).toBe('ignored')
    expect(after(state, { type: 'tick' }, due)).toMatchObject({
      job: { phase: 'stopping', stop: { reason: 'timeout' } },
      effects: [{ kind: 'cancel', attempt: 2, prediction_id: OWN }],
    })
  })
})

describe('the time to be started', () => {
  const waiting = (phase: 'queued' | 'resubmitting'): JobState => {
    const state = stateIn(phase)
    return { ...state, job: { ...state.job, start_within: 60, start_since: NOW, start_paused: 10_000 } }
  }

  test.each(['queued', 'resubmitting'] as const)('of a job in %s does not count pauses', (phase) => {
    const expires = (now: number, paused: number): boolean =>
      transition(waiting(phase), { type: 'tick' }, context(now, { paused })).kind === 'commit'
    expect(expires(NOW + 59_999, 10_000)).toBe(false)
    expect(expires(NOW + 60_000, 10_000)).toBe(true)
    expect(expires(NOW + 60_000, 10_001)).toBe(false)
    expect(expires(NOW + 90_000, 40_001)).toBe(false)
    expect(expires(NOW + 90_000, 40_000)).toBe(true)
    // A clock that was lost adds nothing, and takes nothing.
    expect(expires(NOW + 60_000, 0)).toBe(true)
    expect(expires(NOW + 59_999, 0)).toBe(false)
  })
})

describe('the first look at a prediction', () => {
  const { pollOnly, pollWithWebhooks } = DEFAULT_TIMINGS
  const first = (changes: Partial<TransitionContext>) =>
    decide(stateIn('submitting'), observe(), NOW, changes).due.attempt

  test.each<[when: string, changes: Partial<TransitionContext>, ms: number]>([
    ['comes soon without webhooks', { webhooks: false, expected: 60_000 }, pollOnly.first],
    ['comes early while run times are unknown', { expected: null }, pollWithWebhooks.first],
    ['comes a little after the expected end', { expected: 20_000 }, 20_000 + pollWithWebhooks.first],
    ['does not come sooner for runs of no time', { expected: 1 }, pollWithWebhooks.first + 1],
    ['comes in time, however long runs take', { expected: 3_600_000 }, pollWithWebhooks.max + pollWithWebhooks.first],
  ])('%s', (_when, changes, ms) => {
    expect(first(changes)).toEqual({ in: ms })
  })
})

describe('health', () => {
  test.each<[what: string, event: string, health: Commit['health']]>([
    ['a prediction that came to be', 'starting', 'healthy'],
    ['a refusal of the request', 'rejected', 'healthy'],
    ['a limit', 'limited', undefined],
    ['a lost answer', 'lost', 'fault'],
  ])('of upstream by %s', (_what, event, health) => {
    expect(decide(stateIn('submitting'), eventNamed(event)).health).toBe(health)
  })

  test('does not change with later news of a prediction', () => {
    expect(decide(stateIn('created'), eventNamed('processing')).health).toBeUndefined()
  })

  test.each<
    [what: string, state: JobState, cause: TransitionContext['cause'], attempt: number, health: Commit['health']]
  >([
    ['by its webhook while its POST is in flight', stateIn('submitting'), 'webhook', 1, 'healthy'],
    ['by the list while its POST is in flight', stateIn('submitting'), 'list', 1, 'healthy'],
    ['by the late answer of its author', stateIn('unknown'), 'create', 1, 'healthy'],
    ['by its webhook after its outcome was unknown', stateIn('unknown'), 'webhook', 1, undefined],
    ['by the list after its outcome was unknown', stateIn('unknown'), 'list', 1, undefined],
    ['by the list after Redis forgot it', stateIn('queued'), 'list', 1, undefined],
    ['by its webhook after Redis forgot it', stateIn('queued'), 'webhook', 1, undefined],
    ['for a job that is over, while its POST is in flight', outlived('intended'), 'webhook', 1, 'healthy'],
    ['for a job that is over, after its outcome was unknown', outlived('unknown'), 'list', 1, undefined],
  ])('of upstream by a prediction that comes to light %s', (_what, state, cause, attempt, health) => {
    const event = eventNamed('starting', attempt)
    expect(decide(state, event, NOW, { cause }).health).toBe(health)
  })

  test('of upstream does not change when one of our workers falls silent', () => {
    const at = NOW + DEFAULT_TIMINGS.intentSilence
    expect(decide(stateIn('submitting'), { type: 'tick' }, at).health).toBeUndefined()
    expect(decide(outlived('intended'), { type: 'tick', attempt: 1 }, at).health).toBeUndefined()
  })
})
