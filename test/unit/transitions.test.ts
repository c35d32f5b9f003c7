import { describe, expect, test } from 'vitest'
import { effectKey, isFinal, PHASES, type JobState, type Phase } from '../../src/shared/jobs/job.ts'
import { applyCommit } from '../../src/shared/jobs/commit-plan.ts'
import { DEFAULT_TIMINGS } from '../../src/shared/jobs/timings.ts'
import { transition, type Commit, type Decision, type JobEvent } from '../../src/shared/jobs/transitions.ts'
import { attemptRecord, CLAIM, context, jobRecord, NOW, OWN, prediction, stateIn } from './support/job-states.ts'

/**
 * The whole table, one test for each cell. A cell tells the phase that the event leads to (`> phase`; `> =` stays in
 * it), or why the event is ignored. Events are news of the current attempt, by the holder of its claim.
 */
const TABLE = `
event          | queued          | submitting  | unknown     | created       | running       | stopping      | storing       | succeeded     | failed        | canceled
intend         | > submitting    | no_news     | no_news     | no_news       | no_news       | no_news       | no_news       | no_news       | no_news       | no_news
not_sent       | not_the_claim   | > queued    | > queued    | not_the_claim | not_the_claim | not_the_claim | not_the_claim | not_the_claim | not_the_claim | not_the_claim
limited        | not_the_claim   | > queued    | > queued    | not_the_claim | not_the_claim | not_the_claim | not_the_claim | not_the_claim | not_the_claim | not_the_claim
rejected       | not_the_claim   | > failed    | > failed    | not_the_claim | not_the_claim | not_the_claim | not_the_claim | not_the_claim | not_the_claim | not_the_claim
lost           | not_the_claim   | > unknown   | no_news     | not_the_claim | not_the_claim | not_the_claim | not_the_claim | not_the_claim | not_the_claim | not_the_claim
starting       | unknown_attempt | > created   | > created   | no_news       | no_news       | no_news       | storing       | final         | final         | final
processing     | unknown_attempt | > running   | > running   | > running     | no_news       | no_news       | storing       | final         | final         | final
strange        | unknown_attempt | > created   | > created   | no_news       | no_news       | no_news       | storing       | final         | final         | final
succeeded_text | unknown_attempt | > succeeded | > succeeded | > succeeded   | > succeeded   | > succeeded   | storing       | final         | final         | final
succeeded_file | unknown_attempt | > storing   | > storing   | > storing     | > storing     | > storing     | storing       | final         | final         | final
succeeded_gone | unknown_attempt | > failed    | > failed    | > failed      | > failed      | > failed      | storing       | final         | final         | final
failed         | unknown_attempt | > failed    | > failed    | > failed      | > failed      | > canceled    | storing       | final         | final         | final
canceled       | unknown_attempt | > failed    | > failed    | > failed      | > failed      | > canceled    | storing       | final         | final         | final
aborted        | unknown_attempt | > failed    | > failed    | > failed      | > failed      | > canceled    | storing       | final         | final         | final
stored         | no_news         | no_news     | no_news     | no_news       | no_news       | no_news       | > succeeded   | no_news       | no_news       | no_news
not_stored     | no_news         | no_news     | no_news     | no_news       | no_news       | no_news       | > failed      | no_news       | no_news       | no_news
cancel_done    | no_news         | no_news     | no_news     | no_news       | no_news       | > =           | no_news       | no_news       | no_news       | no_news
cancel         | > canceled      | > stopping  | > stopping  | > stopping    | > stopping    | stopping      | storing       | final         | final         | final
tick_early     | not_yet         | not_yet     | not_yet     | not_yet       | not_yet       | not_yet       | not_yet       | final         | final         | final
tick_late      | > failed        | > unknown   | not_yet     | > stopping    | > stopping    | > canceled    | not_yet       | final         | final         | final
`

const EVENTS: Record<string, JobEvent> = {
  intend: { type: 'intend', claim: 'another-commit' },
  not_sent: { type: 'not_sent', attempt: 1, claim: CLAIM },
  limited: {
    type: 'refused',
    attempt: 1,
    claim: CLAIM,
    outcome: 'rate_limited',
    error: null,
    pause: { for: 30_000, reason: 'rate_limited' },
  },
  rejected: {
    type: 'refused',
    attempt: 1,
    claim: CLAIM,
    outcome: 'refused_422',
    error: { code: 'input_rejected', message: 'no', retryable: false, billed: 'no' },
    pause: null,
  },
  lost: { type: 'lost', attempt: 1, claim: CLAIM, reason: 'ECONNRESET' },
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
  canceled: { type: 'observed', attempt: 1, prediction: prediction('canceled') },
  aborted: { type: 'observed', attempt: 1, prediction: prediction('aborted', { started_at: null }) },
  stored: { type: 'stored', attempt: 1, output: ['art_1'], artifacts: [] },
  not_stored: { type: 'not_stored', attempt: 1, message: 'gone' },
  cancel_done: { type: 'cancel_done', attempt: 1, prediction_id: OWN },
  cancel: { type: 'cancel' },
  tick_early: { type: 'tick' },
  tick_late: { type: 'tick' },
}

const LONG_AFTER = NOW + 8 * 24 * 3600 * 1000

const [header = [], ...rows] = TABLE.trim()
  .split('\n')
  .map((line) => line.split('|').map((cell) => cell.trim()))
const cells = rows.flatMap(([event = '', ...expected]) =>
  expected.map((cell, i) => ({ event, phase: header[i + 1] as Phase, expected: cell })),
)

test('the table has a cell for each phase and each event', () => {
  expect(header.slice(1)).toEqual([...PHASES])
  expect(rows.map(([event]) => event).sort()).toEqual(Object.keys(EVENTS).sort())
})

const outcome = (state: JobState, decision: Decision): string => {
  if (decision.kind === 'ignored') return decision.reason
  const { phase } = applyCommit(state, decision, NOW).job
  return `> ${phase === state.job.phase ? '=' : phase}`
}

describe('each cell', () => {
  test.for(cells)('$phase + $event: $expected', ({ event, phase, expected }) => {
    const state = stateIn(phase)
    const asked = EVENTS[event]
    if (!asked) throw new Error(`there is no event ${event}`)
    const decision = transition(state, asked, context(event === 'tick_late' ? LONG_AFTER : NOW))
    expect(outcome(state, decision)).toBe(expected)
    if (isFinal(phase)) expect(decision.kind).toBe('ignored')
  })
})

const decide = (state: JobState, event: JobEvent, now = NOW): Commit => {
  const decision = transition(state, event, context(now))
  if (decision.kind !== 'commit') throw new Error(`${event.type} was ignored: ${decision.reason}`)
  return decision
}
const after = (state: JobState, event: JobEvent, now = NOW): JobState =>
  applyCommit(state, decide(state, event, now), now)
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
      when: 'for an attempt that was told not to exist, while the job waits',
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

  test('of which nobody knows is an unknown attempt', () => {
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

  test('keeps an attempt due whose POST is lost', () => {
    const commit = decide(unsent, { type: 'lost', attempt: 1, claim: CLAIM, reason: 'ECONNRESET' })
    expect(commit.job).toEqual({})
    expect(commit.due.attempt).toEqual({ in: DEFAULT_TIMINGS.ringAgain.min })
  })

  test('looks again soon once upstream took the cancel', () => {
    const commit = decide(stopping('canceled'), { type: 'cancel_done', attempt: 1, prediction_id: OWN })
    expect(commit).toMatchObject({ attempt: { n: 1 }, due: { attempt: { in: 1000 } } })
  })
})

describe('an end', () => {
  const running = stateIn('running')

  test('upstream that nobody here asked for is a failure, not a cancel', () => {
    const { job } = after(running, observe(prediction('canceled', { completed_at: NOW })))
    expect(job).toMatchObject({ phase: 'failed', error: { code: 'canceled_upstream', billed: 'yes' } })
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

  test('with an output too large for the record is fetched again by the copy', () => {
    const output = 'x'.repeat(40_000)
    const commit = decide(running, observe(prediction('succeeded', { output })))
    expect(commit.effects.add).toMatchObject([{ kind: 'store', output: null, output_pending: true }])
  })

  test('tells who brought the news', () => {
    for (const cause of ['webhook', 'poll', 'cancel', 'create'] as const) {
      const decision = transition(running, observe(prediction('failed')), { ...context(NOW), cause })
      expect(decision).toMatchObject({ attempt: { changes: { finished_by: cause, state: 'closed' } } })
    }
  })
})
