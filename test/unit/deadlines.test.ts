import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import {
  cancelAfter,
  runDeadline,
  runLimit,
  stopDeadline,
  untilNextTick,
} from '../../src/shared/jobs/rules/deadlines.ts'
import type { JobState } from '../../src/shared/jobs/rules/job.ts'
import { DEFAULT_TIMINGS } from '../../src/shared/jobs/rules/timings.ts'
import { transition } from '../../src/shared/jobs/rules/transitions.ts'
import { examples } from '../support/property-seed.ts'
import { context, jobRecord, NOW, stateIn } from './support/job-states.ts'

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
    expect(cancelAfter({ timeout: 60 })).toBe(60_000)
    expect(runLimit({ timeout: 60 }, DEFAULT_TIMINGS)).toBeGreaterThan(60_000)
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
