import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { cancelAfter, deadlineOf, runDeadline, runLimit, stopDeadline } from '../../src/shared/jobs/rules/deadlines.ts'
import { untilNextTick } from '../../src/shared/jobs/rules/next-tick.ts'
import type { JobState } from '../../src/shared/jobs/rules/job.ts'
import { DEFAULT_TIMINGS } from '../../src/shared/jobs/rules/timings.ts'
import { transition } from '../../src/shared/jobs/rules/transitions.ts'
import { examples } from '../support/property-seed.ts'
import { context, jobRecord, NOW, prediction, resubmitting, stateIn } from './support/job-states.ts'

/** The longest delay of a tick behind its deadline, ms. */
const LATE = 100

const RUNS = { numRuns: examples(200) }
const ages = fc.nat(3 * 24 * 3_600_000)
const withTimeout = (state: JobState, timeout: number): JobState => ({ ...state, job: { ...state.job, timeout } })
const ends = (state: JobState, now: number): boolean =>
  transition(state, { type: 'tick' }, context(now)).kind === 'commit'

describe('the deadline of a run', () => {
  test('counts from the creation of the prediction, from its request while that is unknown, from the acceptance before', () => {
    const job = jobRecord('running', { created_at: 1, submitted_at: 2, prediction_created_at: 3, timeout: 60 })
    const limit = 60_000 + DEFAULT_TIMINGS.timeoutGrace
    expect(runLimit(job, DEFAULT_TIMINGS)).toBe(limit)
    expect(runDeadline(job, DEFAULT_TIMINGS)).toBe(3 + limit)
    expect(runDeadline({ ...job, prediction_created_at: null }, DEFAULT_TIMINGS)).toBe(2 + limit)
    expect(runDeadline({ ...job, prediction_created_at: null, submitted_at: null }, DEFAULT_TIMINGS)).toBe(1 + limit)
  })

  test('is later than the moment at which Replicate cancels the prediction by itself', () => {
    const job = jobRecord('running', { timeout: 60 })
    expect(cancelAfter(job)).toBe(60_000)
    expect(runLimit(job, DEFAULT_TIMINGS)).toBeGreaterThan(60_000)
  })

  test.for(['created', 'running'] as const)('%s: a tick stops the run exactly from then on', (phase) => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 86_400 }), ages, (timeout, age) => {
        const state = withTimeout(stateIn(phase), timeout)
        expect(ends(state, NOW + age)).toBe(NOW + age >= runDeadline(state.job, DEFAULT_TIMINGS))
      }),
      RUNS,
    )
  })
})

describe('the deadline of a job', () => {
  test('counts from its acceptance, and only where it has one', () => {
    expect(deadlineOf(jobRecord('queued'))).toBeNull()
    expect(deadlineOf(jobRecord('running', { cancel_after: 60, created_at: 5 }))).toBe(60_005)
  })

  test.for([
    ['the rest of the deadline, in whole seconds', { cancel_after: 100, submitted_at: NOW + 59_001 }, 40],
    ['the timeout when that is shorter', { cancel_after: 1800, submitted_at: NOW + 1000 }, 600],
    ['five seconds at least, as Replicate demands', { cancel_after: 100, submitted_at: NOW + 99_000 }, 5],
    ['all of it before the request', { cancel_after: 100, submitted_at: null }, 100],
  ] as const)('a prediction may run for %s', ([, changes, seconds]) => {
    expect(cancelAfter(jobRecord('running', { timeout: 600, ...changes }))).toBe(seconds * 1000)
  })

  const before = [
    ['in line', stateIn('queued')],
    ['with a request in flight', stateIn('submitting')],
    ['unknown', stateIn('unknown')],
    ['in line again', stateIn('resubmitting')],
    ['with a next request in flight', resubmitting('intended')],
    ['unknown again', resubmitting('unknown')],
  ] as const
  test.for(before)(
    '%s: one tick ends the job exactly from then on, and comes just after it',
    ([, { job, ...state }]) => {
      fc.assert(
        fc.property(fc.integer({ min: 1, max: 86_399 }), ages, (cancel_after, age) => {
          const limited = { ...state, job: { ...job, cancel_after } }
          const [deadline, now] = [NOW + cancel_after * 1000, NOW + age]
          const decision = transition(limited, { type: 'tick' }, context(now))
          const ended =
            decision.kind === 'commit' &&
            (decision.job.error?.code === 'timeout' || decision.job.stop?.reason === 'timeout')
          if (now < job.start_since + job.start_within * 1000) expect(ended).toBe(now >= deadline)
          expect(untilNextTick(limited, now, DEFAULT_TIMINGS)).toBeLessThanOrEqual(Math.max(deadline - now, 0) + LATE)
        }),
        RUNS,
      )
    },
  )

  test.for([
    ['that no request was sent for', stateIn('queued'), 'no'],
    ['whose earlier prediction failed', stateIn('resubmitting'), 'no'],
  ] as const)('a job %s fails with timeout at its deadline, and costs nothing', ([, { job, ...state }, billed]) => {
    const late = { ...state, job: { ...job, cancel_after: 60 } }
    expect(transition(late, { type: 'tick' }, context(NOW + 60_000))).toMatchObject({
      job: {
        phase: 'failed',
        error: { code: 'timeout', message: 'The job did not complete within 60 s of its acceptance.', billed },
      },
    })
  })

  test('no request is sent from then on', () => {
    const { job, ...state } = stateIn('queued')
    const late = { ...state, job: { ...job, cancel_after: 60 } }
    const intend = (now: number) => transition(late, { type: 'intend', claim: 'c' }, context(now))
    expect(intend(NOW + 59_999)).toMatchObject({ job: { phase: 'submitting' }, due: { job: { in: 1 } } })
    expect(intend(NOW + 60_000)).toEqual({ kind: 'ignored', reason: 'overdue' })
  })

  test('a prediction that Replicate canceled then is a timeout of the job, and not a cancel from elsewhere', () => {
    const { job, ...state } = stateIn('running')
    const canceledAt = (completed_at: number) =>
      transition(
        { ...state, job: { ...job, cancel_after: 60, submitted_at: NOW + 20_000 } },
        {
          type: 'observed',
          attempt: 1,
          prediction: prediction('canceled', { created_at: NOW + 20_500, completed_at }),
        },
        context(completed_at),
      )
    expect(canceledAt(NOW + 60_500)).toMatchObject({
      job: {
        error: { code: 'timeout', message: 'The job did not complete within 60 s of its acceptance.', billed: 'yes' },
      },
    })
    expect(canceledAt(NOW + 40_000)).toMatchObject({ job: { error: { code: 'canceled_upstream' } } })
  })

  test('a run is stopped after it as after the timeout of the run', () => {
    const { job, ...state } = stateIn('running')
    const late = { ...state, job: { ...job, cancel_after: 60, submitted_at: NOW, prediction_created_at: NOW + 500 } }
    const end = NOW + 60_500 + DEFAULT_TIMINGS.timeoutGrace
    expect(ends(late, end - 1)).toBe(false)
    expect(transition(late, { type: 'tick' }, context(end))).toMatchObject({
      job: { phase: 'stopping', stop: { reason: 'timeout' } },
      effects: { add: [{ kind: 'cancel' }] },
    })
  })
})

describe('the deadline of a stop', () => {
  test('exists for a job that is being stopped', () => {
    expect(stopDeadline(stateIn('running').job, DEFAULT_TIMINGS)).toBeNull()
    expect(stopDeadline(stateIn('stopping').job, DEFAULT_TIMINGS)).toBe(NOW + DEFAULT_TIMINGS.stopBound)
  })

  test('a tick completes the stop exactly from then on', () => {
    fc.assert(
      fc.property(ages, (age) => {
        expect(ends(stateIn('stopping'), NOW + age)).toBe(age >= DEFAULT_TIMINGS.stopBound)
      }),
      RUNS,
    )
  })
})

describe('the next tick', () => {
  test.for(['created', 'running', 'stopping'] as const)('%s: one tick, just after the deadline', (phase) => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 86_400 }), ages, (timeout, age) => {
        const state = withTimeout(stateIn(phase), timeout)
        const now = NOW + age
        const wait = untilNextTick(state, now, DEFAULT_TIMINGS)
        expect(wait).toBeGreaterThanOrEqual(LATE)
        expect(ends(state, now + wait)).toBe(true)
        if (wait > LATE) expect(ends(state, now + wait - LATE - 1)).toBe(false)
      }),
      RUNS,
    )
  })

  test('a job in line: at long intervals, and never later than just after the end of start_within', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 86_400 }), ages, (start_within, age) => {
        const queued = stateIn('queued')
        const state = { ...queued, job: { ...queued.job, start_within } }
        const now = NOW + age
        const wait = untilNextTick(state, now, DEFAULT_TIMINGS)
        const left = NOW + start_within * 1000 - now
        const { lineCheck, ringAgain } = DEFAULT_TIMINGS
        expect(wait).toBeLessThanOrEqual((left > 0 ? Math.min(left, lineCheck) : ringAgain.max) + LATE)
        if (wait >= left) expect(ends(state, now + wait)).toBe(true)
      }),
      RUNS,
    )
  })
})
