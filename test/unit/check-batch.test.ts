import { describe, expect, test } from 'vitest'
import { checkBatch, type BatchJob, type LoadedBatch } from '../../src/shared/audit/rules/check-batch.ts'
import type { BatchRecord } from '../../src/shared/batches/rules/batch.ts'
import { createJobKeys } from '../../src/shared/jobs/record/job-keys.ts'
import { DEFAULT_TIMINGS } from '../../src/shared/jobs/rules/timings.ts'
import { NOW } from './support/job-states.ts'

const options = { keys: createJobKeys('unit'), timings: DEFAULT_TIMINGS }
const BATCH = 'bat_01ARZ3NDEKTSV4RRFFQ69G5FAV'

const job = (id: string, changes: Partial<BatchJob>): [string, BatchJob] => [
  id,
  { id, phase: 'queued', status: 'queued', attempt: 0, estimate: 10, captured: null, uncollected: 0, ...changes },
]

const gone: LoadedBatch['jobs'][0] = ['d', null]

/** One that waits, one that runs, one that succeeded, one that failed. */
const running: LoadedBatch = {
  now: NOW,
  batch: {
    v: 1,
    id: BATCH,
    rev: 2,
    tenant: 'default',
    state: 'accepted',
    total: 4,
    counts: { queued: 1, starting: 0, processing: 1, succeeded: 1, failed: 1, canceled: 0 },
    in_sequence: false,
    stop_rate: null,
    max_spend: null,
    stopped: null,
    estimate: 40,
    held: 20,
    captured: 8,
    uncollected: 3,
    metadata: {},
    webhook: null,
    retry_of: null,
    keep: null,
    idempotency: null,
    created_at: NOW,
    completed_at: null,
  },
  committed: 18,
  jobs: [
    job('a', {}),
    job('b', { phase: 'running', status: 'processing', attempt: 1 }),
    job('c', { phase: 'succeeded', status: 'succeeded', attempt: 1, captured: 8, uncollected: 3 }),
    job('d', { phase: 'failed', status: 'failed', attempt: 1, captured: 0 }),
  ],
  live: ['a', 'b'],
  inTenantIndex: true,
  due: null,
  retention: null,
}

const over: LoadedBatch = {
  ...running,
  batch: {
    ...running.batch,
    total: 2,
    counts: { queued: 0, starting: 0, processing: 0, succeeded: 1, failed: 1, canceled: 0 },
    estimate: 20,
    held: 0,
    completed_at: NOW,
  },
  committed: 8,
  jobs: running.jobs.slice(2),
  live: [],
  retention: NOW + 1,
}

const withBatch = (loaded: LoadedBatch, changes: Partial<BatchRecord>): LoadedBatch => ({
  ...loaded,
  batch: { ...loaded.batch, ...changes },
})
const found = (loaded: LoadedBatch): string[] => checkBatch(loaded, options).map(({ invariant }) => invariant)

test.each([
  ['that runs', running],
  ['that is over', over],
  ['of which retention has removed a job', { ...over, jobs: [...over.jobs.slice(0, 1), gone] }],
  ['that is a draft', { ...withBatch(running, { state: 'draft' }), due: NOW, inTenantIndex: false, live: [] }],
])('a sound batch %s has no findings', (_, loaded) => {
  expect(found(loaded)).toEqual([])
})

describe('a batch', () => {
  const { counts } = running.batch
  test.each<[string, LoadedBatch, string[]]>([
    ['with another total', withBatch(running, { total: 5 }), ['batch_counted']],
    ['that counts a job twice', withBatch(running, { counts: { ...counts, queued: 2 } }), ['batch_counted']],
    [
      'that counts one as another',
      withBatch(running, { counts: { ...counts, succeeded: 2, failed: 0 } }),
      ['batch_counted'],
    ],
    ['that holds another amount', withBatch(running, { held: 30 }), ['batch_counted']],
    ['that captured another amount', withBatch(running, { captured: 9 }), ['batch_counted']],
    ['that lost another amount', withBatch(running, { uncollected: 0 }), ['batch_counted']],
    ['that was estimated otherwise', withBatch(running, { estimate: 41 }), ['batch_counted']],
    ['that committed another amount', { ...running, committed: 8 }, ['batch_counted']],
    ['that forgot a live job', { ...running, live: ['a'] }, ['batch_counted']],
    ['in which a job outlives itself', { ...running, live: ['a', 'b', 'c'] }, ['batch_counted']],
    ['that is over too early', { ...withBatch(running, { completed_at: NOW }), retention: NOW }, ['batch_counted']],
    ['that does not end', { ...withBatch(over, { completed_at: null }), retention: null }, ['batch_counted']],
    ['that its tenant does not find', { ...running, inTenantIndex: false }, ['indexed']],
    ['without a clean-up time', { ...over, retention: null }, ['retention']],
    ['that is cleaned up while it runs', { ...running, retention: NOW }, ['retention']],
    ['that is a draft for ever', withBatch(running, { state: 'draft' }), ['due']],
    [
      'whose counts cannot be those of jobs that are gone',
      {
        ...withBatch(over, { counts: { ...over.batch.counts, succeeded: 0, canceled: 1 } }),
        jobs: [job('c', { phase: 'succeeded', status: 'succeeded' }), ['d', null]],
      },
      ['batch_counted'],
    ],
  ])('%s is found', (_, loaded, expected) => {
    expect(found(loaded)).toEqual(expected)
  })
})
