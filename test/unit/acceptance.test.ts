import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { acceptanceOf, type AcceptConsequence } from '../../src/shared/jobs/rules/acceptance.ts'
import type { JobRecord } from '../../src/shared/jobs/rules/job.ts'
import { DEFAULT_TIMINGS } from '../../src/shared/jobs/rules/timings.ts'
import { jobRecord } from './support/job-states.ts'

const QUOTA = { tenants: 'tenants', defaults: { stored_bytes: 5 } }
const PRICE: JobRecord['price'] = { per_run: 1, expect: {} }
const NOTICE = '01KGX5Q8Z2V7M4N6P9R3S5T8W1'
const RING = DEFAULT_TIMINGS.ringAgain.min

const accept = (
  [first, ...others]: readonly [Partial<JobRecord>, ...Partial<JobRecord>[]],
  { queuedJobs = null, quota = null }: { queuedJobs?: number | null; quota?: typeof QUOTA | null } = {},
): AcceptConsequence[] =>
  acceptanceOf(
    [jobRecord('queued', first), ...others.map((one) => jobRecord('queued', one))],
    { queuedJobs },
    quota,
    DEFAULT_TIMINGS,
    () => NOTICE,
  )
const LISTED = { kind: 'listed', status: 'queued', phase: 'queued' }

describe('an acceptance', () => {
  test('of a free job without limits lists it, and makes it due', () => {
    expect(accept([{}])).toEqual([LISTED, { kind: 'first_due', in: RING }])
    expect(accept([{ cancel_after: 5 }, {}])).toEqual([LISTED, { kind: 'first_due', in: 5000 }])
  })

  test('of jobs with labels lets them be found by these', () => {
    const [, labels] = accept([
      { id: 'job_1', user: 'u' },
      { id: 'job_2', metadata: { deep: {} } },
      { id: 'job_3', metadata: { a: 1 } },
    ])
    expect(labels).toEqual({
      kind: 'labeled',
      labels: [
        { job: 'job_1', label: ['user', 'u'] },
        { job: 'job_3', label: ['metadata.a', '1'] },
      ],
    })
  })

  test('needs room for all jobs where the queue is limited', () => {
    expect(accept([{}, {}], { queuedJobs: 9 })[0]).toEqual({ kind: 'need_queue_room', limit: 9, jobs: 2 })
  })

  test('needs storage where a quota exists and the output of any job is copied', () => {
    const needs = (first: Partial<JobRecord>, quota: typeof QUOTA | null): boolean =>
      accept([first, { store: 'none' }], { quota }).some(({ kind }) => kind === 'need_storage')
    expect(needs({ store: 'copy' }, QUOTA)).toBe(true)
    expect(needs({ store: 'none' }, QUOTA)).toBe(false)
    expect(needs({ store: 'copy' }, null)).toBe(false)
  })

  test('holds the estimate of each priced job, and asks for all of them together', () => {
    const priced = fc.record({ price: fc.constantFrom(PRICE, null), estimate: fc.nat(1000) })
    fc.assert(
      fc.property(priced, fc.array(priced, { maxLength: 5 }), fc.constantFrom(null, 'bat_1'), (one, more, batch) => {
        const jobs = [one, ...more].map((job, i) => ({ ...job, batch, id: `job_${i}` }))
        const [first = {}, ...others] = jobs
        const holds = accept([first, ...others]).filter((consequence) => consequence.kind === 'hold')
        const expected = jobs.filter(({ price }) => price !== null)
        const hold = {
          kind: 'hold',
          batch,
          total: expected.reduce((sum, { estimate }) => sum + estimate, 0),
          holds: expected.map(({ id, estimate }) => ({ job: id, amount: estimate, budgets: [] })),
        }
        expect(holds).toEqual(expected.length === 0 ? [] : [hold])
        // The holds may take the balance below its threshold.
        const low = { kind: 'owed_when_low', notice: { v: 1, id: NOTICE, type: 'credits.low' }, due: { in: RING } }
        const owed = accept([first, ...others]).filter(({ kind }) => kind === 'owed_when_low')
        expect(owed).toEqual(expected.length === 0 ? [] : [low])
      }),
    )
  })

  test('makes the jobs due by the first deadline of a start at the latest', () => {
    const due = (...seconds: [number, ...number[]]) => {
      const [first, ...others] = seconds
      return accept([{ start_within: first }, ...others.map((start_within) => ({ start_within }))]).at(-1)
    }
    expect(due(86_400)).toEqual({ kind: 'first_due', in: RING })
    expect(due(86_400, 2)).toEqual({ kind: 'first_due', in: 2000 })
  })
})
