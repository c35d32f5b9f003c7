import * as fc from 'fast-check'
import { scopesOf } from '../../src/shared/jobs/rules/place.ts'
import { describe, expect, test } from 'vitest'
import { CommitScriptInput } from '../../src/shared/jobs/commit/commit-script.ts'
import { encodeConsequence } from '../../src/shared/jobs/commit/encode-consequence.ts'
import { createJobKeys } from '../../src/shared/jobs/record/job-keys.ts'
import { applyCommit } from '../../src/shared/jobs/rules/apply-commit.ts'
import { consequencesOf, settlementOf } from '../../src/shared/jobs/rules/commit-consequences.ts'
import type { Consequence } from '../../src/shared/jobs/rules/consequence.ts'
import { commit, type Commit, type Health, type JobEvent } from '../../src/shared/jobs/rules/decision.ts'
import {
  CAUSES,
  effectKey,
  isFinal,
  PHASES,
  type ArtifactRecord,
  type Cause,
  type JobRecord,
  type JobState,
  type Phase,
} from '../../src/shared/jobs/rules/job.ts'
import { purgeConsequences } from '../../src/shared/jobs/rules/purge-consequences.ts'
import type { Purge, PurgePart } from '../../src/shared/jobs/rules/purge.ts'
import { DEFAULT_TIMINGS } from '../../src/shared/jobs/rules/timings.ts'
import { transition } from '../../src/shared/jobs/rules/transitions.ts'
import { examples } from '../support/property-seed.ts'
import {
  attemptRecord,
  context,
  jobRecord,
  NOW,
  outlived,
  OWN,
  prediction,
  resubmitting,
  stateIn,
} from './support/job-states.ts'

/** What a decision entails, for jobs in every phase, with and without price, batch and limit, and whatever they meet. */

type Kind = Consequence['kind']
type Of<K extends Kind> = Extract<Consequence, { kind: K }>
const only = <K extends Kind>(all: readonly Consequence[], kind: K): Of<K>[] =>
  all.filter((one): one is Of<K> => one.kind === kind)
const kinds = (all: readonly Consequence[]): Kind[] => all.map(({ kind }) => kind)

const timings = DEFAULT_TIMINGS
const NOTICE = '01KGX5Q8Z2V7M4N6P9R3S5T8W1'
const of = (state: JobState, decision: Commit, cause: Cause = 'worker'): Consequence[] =>
  consequencesOf(state, decision, { cause, now: NOW, timings, newNotice: () => NOTICE })

const artifact: ArtifactRecord = {
  id: 'art_1',
  key: 'default/a.png',
  media_type: 'image/png',
  bytes: 10,
  sha256: '',
  width: null,
  height: null,
  duration: null,
  thumbnail: { key: 'default/a.thumb', bytes: 2 },
}

const FEATURES: fc.Arbitrary<Partial<JobRecord>> = fc.record({
  batch: fc.constantFrom(null, 'bat_1'),
  in_sequence: fc.boolean(),
  priority: fc.constantFrom('interactive', 'batch'),
  preset: fc.constantFrom(null, 'portrait'),
  price: fc.constantFrom<JobRecord['price']>(null, { per_run: 5, expect: {} }, { per_predict_second: 7, expect: {} }),
  estimate: fc.constantFrom(0, 9),
  charge_canceled: fc.boolean(),
  keep: fc.constantFrom<JobRecord['keep']>(null, [60, 120, null]),
  on_unknown: fc.constantFrom('fail', 'retry'),
  via: fc.constantFrom('jobs', 'replicate'),
  idempotency: fc.constantFrom(null, 'entry'),
  webhook: fc.constantFrom<JobRecord['webhook']>(
    null,
    { url: 'https://example.com/', events: ['job.failed', 'batch.finished'], shape: 'genqueue', filter: null },
    { url: 'https://example.com/', events: ['job.started', 'job.succeeded'], shape: 'replicate', filter: null },
  ),
})

const STARTS: JobState[] = [
  ...PHASES.map(stateIn),
  ...(['intended', 'unknown', 'open'] as const).map(resubmitting),
  ...(['intended', 'unknown', 'open', 'closed'] as const).map(outlived),
]

/** Events that may concern attempt `n`, whose author holds `claim`. */
const events = (n: number, claim: string, at: number): JobEvent[] => [
  { type: 'intend', claim: `claim-of-${n + 1}` },
  { type: 'intend', claim: `claim-of-${n + 1}`, lease: 'lease' },
  { type: 'not_prepared', error: null, pause: { for: 1000, reason: 'upstream' }, health: 'fault' },
  { type: 'not_sent', attempt: n, claim },
  {
    type: 'refused',
    attempt: n,
    claim,
    outcome: 'refused_402',
    error: null,
    pause: { for: 1000, reason: 'account' },
    health: 'refused',
  },
  {
    type: 'refused',
    attempt: n,
    claim,
    outcome: 'rate_limited',
    error: null,
    pause: { for: 1000, reason: 'rate_limited' },
    throttled: { stated: { perMinute: 6, burst: 1 } },
    health: null,
  },
  {
    type: 'refused',
    attempt: n,
    claim,
    outcome: 'refused_422',
    error: { code: 'input_rejected', message: 'no', retryable: false, billed: 'no' },
    pause: null,
    health: 'healthy',
  },
  { type: 'lost', attempt: n, claim, reason: 'ECONNRESET' },
  { type: 'forgotten', attempt: n + 1, reason: 'ECONNRESET' },
  { type: 'superseded', attempt: n },
  ...[
    prediction('starting'),
    prediction('processing'),
    prediction('succeeded', { output: 'hello', metrics: { predict_time: 2 } }),
    prediction('succeeded', { output: 'hello' }),
    prediction('succeeded', { output: ['https://replicate.delivery/out.webp'] }),
    prediction('failed', { error: 'Prediction interrupted; please retry (code: PA)' }),
    prediction('failed', { error: 'out of memory' }),
    prediction('canceled'),
    prediction('starting', { id: 'another' }),
  ].map((one) => ({ type: 'observed' as const, attempt: n, prediction: one })),
  { type: 'not_listed', attempt: n, began: at },
  { type: 'missing', attempt: n },
  { type: 'stored', attempt: n, output: ['art_1'], artifacts: [artifact] },
  { type: 'not_stored', attempt: n, message: 'gone' },
  { type: 'cancel_done', attempt: n, prediction_id: OWN },
  { type: 'cancel' },
  { type: 'cancel', gives_up_output: true },
  { type: 'batch_stopped', reason: 'failure_rate' },
  { type: 'tick' },
  { type: 'tick', attempt: n },
]
const EVENTS = events(1, '', NOW).length

const walks = fc.record({
  start: fc.constantFrom(...STARTS),
  features: FEATURES,
  steps: fc.array(
    fc.record({
      event: fc.nat(EVENTS - 1),
      late: fc.nat(5_000_000),
      cause: fc.constantFrom(...CAUSES),
      newest: fc.boolean(),
    }),
    { minLength: 1, maxLength: 12, size: 'max' },
  ),
})

interface Step {
  before: JobState
  decision: Commit
  after: JobState
  cause: Cause
  all: Consequence[]
}

function stepsOf({ start, features, steps }: typeof walks extends fc.Arbitrary<infer T> ? T : never): Step[] {
  let state: JobState = { ...start, job: { ...start.job, ...features } }
  let now = NOW
  return steps.flatMap(({ event, late, cause, newest }) => {
    now += late
    const n = newest ? Math.max(1, state.job.attempt) : 1
    const claim = state.attempts.find((one) => one.n === n)?.claim ?? ''
    const [one = { type: 'tick' } as const] = events(n, claim, now).slice(event)
    const decision = transition(state, one, context(now, { cause }))
    if (decision.kind === 'ignored') return []
    const before = state
    state = applyCommit(before, decision, now)
    return { before, decision, after: state, cause, all: of(before, decision, cause) }
  })
}

/** Checks each commit of any walk. */
const each = (check: (step: Step) => unknown): void => {
  fc.assert(
    fc.property(walks, (walk) => {
      for (const step of stepsOf(walk)) check(step)
    }),
    { numRuns: examples(500) },
  )
}
const completes = ({ before, after }: Step): boolean => !isFinal(before.job.phase) && isFinal(after.job.phase)

describe('completion', () => {
  test('settles the hold of a priced job exactly once, and no other commit settles', () => {
    each((step) => {
      const { job } = step.after
      const settlements = only(step.all, 'settle')
      expect(settlements.length).toBe(job.price !== null && completes(step) ? 1 : 0)
      // The store asks for it again, to return the record as the script has written it.
      expect(settlementOf(step.before.job, job, NOW)).toEqual(settlements[0] ?? null)
      for (const { held, batch, hasBegun, day } of settlements)
        expect({ held, batch, hasBegun, day }).toEqual({
          held: job.estimate,
          batch: job.batch,
          hasBegun: job.attempt > 0,
          day: '2027-01-15',
        })
    })
  })

  test('captures for a success, and for a billed cancel where that is charged; everything else is released', () => {
    each((step) => {
      const { phase, charge_canceled, error } = step.after.job
      const isCanceled = phase === 'canceled' && charge_canceled && error?.billed !== 'no'
      for (const { by, actual, isEstimated } of only(step.all, 'settle')) {
        expect(by).toBe(phase === 'succeeded' || isCanceled ? 'capture' : 'release')
        expect(isEstimated).toBe(by === 'capture' && actual === null)
      }
    })
  })

  test('owes its start, also when nobody saw it run, and its end, to those that hear of that', () => {
    each((step) => {
      const [before, after] = [step.before.job, step.after.job]
      const isOver = completes(step)
      const ran = after.status === 'processing' || after.status === 'succeeded' || (isOver && after.started_at !== null)
      const wasSeen = before.status === 'processing' || isFinal(before.phase)
      const types = [...(ran && !wasSeen ? ['job.started'] : []), ...(isOver ? [`job.${after.status}`] : [])]
      const own = (type: string): boolean => after.webhook?.events.some((one) => one === type) ?? false
      expect(only(step.all, 'owed')).toEqual(
        types.map((type) => ({
          kind: 'owed',
          notice: { v: 2, kind: 'notice', id: NOTICE, type },
          own: own(type),
          due: { in: 10_000 },
        })),
      )
    })
  })

  test('of the last job of a batch, and a settlement, may owe events of the tenant', () => {
    each((step) => {
      const { batch, price, webhook } = step.after.job
      const isOver = completes(step)
      const owed = only(step.all, 'owed_by_tenant').map(({ notice: { type }, own, when }) => ({ type, own, when }))
      expect(owed).toEqual([
        ...(isOver && batch !== null
          ? [{ type: 'batch.finished', own: webhook?.events.includes('batch.finished') ?? false, when: 'batch_done' }]
          : []),
        ...(isOver && price !== null ? [{ type: 'credits.low', own: false, when: 'credits_low' }] : []),
      ])
    })
  })

  test('ends the due time, plans the clean-up and counts the job, once', () => {
    each((step) => {
      const isOver = completes(step)
      expect(only(step.all, 'job_due').filter(({ at }) => at === null).length).toBe(isOver ? 1 : 0)
      expect(only(step.all, 'clean_up').length).toBe(isOver ? 1 : 0)
      const counters = only(step.all, 'count').map(({ counter }) => counter)
      expect(counters.filter((name) => name.startsWith('jobs:'))).toEqual(
        isOver ? [`jobs:${step.after.job.phase}`] : [],
      )
      expect(counters.filter((name) => name.startsWith('finished_by:')).length).toBeLessThanOrEqual(isOver ? 1 : 0)
      if (isFinal(step.before.job.phase)) expect(only(step.all, 'job_due')).toEqual([])
    })
  })

  test.for<[name: string, changes: Partial<JobRecord>, expected: object]>([
    ['a price that is known', { price: { per_run: 5, expect: {} } }, { by: 'capture', actual: 5, isEstimated: false }],
    [
      'a price whose quantity is missing in the metrics',
      { price: { per_predict_second: 5, expect: { predict_seconds: 2 } } },
      { by: 'capture', actual: null, isEstimated: true },
    ],
    ['the preset as label', { preset: 'portrait' }, { label: 'portrait' }],
    ['the model as label', { model: 'owner/name' }, { label: 'owner/name' }],
    ['the deployment as label', { model: null, deployment: 'owner/own' }, { label: 'owner/own' }],
    ['the version as label', { model: null, version: 'abc' }, { label: 'abc' }],
  ])('settles with %s', ([, changes, expected]) => {
    const state = stateIn('running')
    const job = { ...state.job, price: { per_run: 1, expect: {} }, estimate: 9, ...changes }
    const ends = commit({ phase: 'succeeded', status: 'succeeded', output: 'hello' })
    expect(only(of({ ...state, job }, ends), 'settle')).toMatchObject([{ kind: 'settle', held: 9, ...expected }])
  })
})

describe('what jobs share', () => {
  const IN_FLIGHT: Phase[] = ['submitting', 'unknown', 'created', 'running', 'resubmitting', 'stopping', 'storing']
  const flies = ({ job }: JobState): boolean => IN_FLIGHT.includes(job.phase)

  test('a job counts as in flight, in all of its scopes, exactly from where it begins to where it ends', () => {
    each(({ before, after, all }) => {
      const moves = only(all, 'in_flight').map(({ move, scopes }) => [move, scopes])
      if (flies(before) === flies(after)) expect(moves).toEqual([])
      else expect(moves).toEqual([[flies(after) ? 'take' : 'release', scopesOf(after.job)]])
    })
  })

  test('a batch counts each change of status, and commits a hold with the first attempt', () => {
    each(({ before, after, all }) => {
      const { batch, status, attempt, estimate, error } = after.job
      const isMoved = batch !== null && status !== before.job.status
      expect(only(all, 'batch_status').map(({ from, to }) => [from, to])).toEqual(
        isMoved ? [[before.job.status, status]] : [],
      )
      const begins = batch !== null && before.job.attempt === 0 && attempt > 0
      expect(only(all, 'batch_committed')).toEqual(begins ? [{ kind: 'batch_committed', batch, held: estimate }] : [])
      const isStopped = batch !== null && error?.code === 'batch_stopped' && before.job.error === null
      expect(only(all, 'batch_stopped').length).toBe(isStopped ? 1 : 0)
    })
  })

  test('only an intent has conditions, besides the owner of a prediction', () => {
    each(({ before, decision, all }) => {
      const { batch, in_sequence, attempt } = before.job
      const conditions = all.filter(({ kind }) => kind.startsWith('need_'))
      if (!decision.takesBudget) expect(conditions).toEqual([])
      else
        expect(kinds(conditions)).toEqual([
          ...(decision.lease === undefined ? [] : ['need_lease']),
          'need_room',
          ...(batch === null ? [] : [...(in_sequence ? ['need_turn'] : []), 'need_batch_budget']),
        ])
      for (const { isFirst } of only(all, 'need_batch_budget')) expect(isFirst).toBe(attempt === 0)
      expect(only(all, 'own_prediction').length).toBe(decision.attempt?.changes.prediction_id ? 1 : 0)
    })
  })

  test('what files count is written when artifacts change', () => {
    const state = stateIn('storing')
    const stored = transition(
      state,
      { type: 'stored', attempt: 1, output: ['art_1'], artifacts: [artifact] },
      context(NOW),
    )
    if (stored.kind === 'ignored') throw new Error(stored.reason)
    expect(only(of(state, stored), 'stored')).toEqual([{ kind: 'stored', bytes: 12, files: 2 }])
    expect(only(of(stateIn('running'), commit({ artifacts: [] })), 'stored')).toEqual([])
  })
})

describe('indexes follow the record', () => {
  test('phase and status leave one list and enter another', () => {
    each(({ before, after, all }) => {
      const moved = <T>(from: T, to: T): T[][] => (from === to ? [] : [[from, to]])
      expect(only(all, 'phase').map(({ from, to }) => [from, to])).toEqual(moved(before.job.phase, after.job.phase))
      expect(only(all, 'status').map(({ from, to }) => [from, to])).toEqual(moved(before.job.status, after.job.status))
      expect(only(all, 'partial_removed').length).toBe(
        before.job.phase === 'running' && after.job.phase !== 'running' ? 1 : 0,
      )
    })
  })

  test('open and unknown attempts are those of the state', () => {
    each(({ before, after, all }) => {
      const open = new Set(before.attempts.filter(({ state }) => state === 'open').map(({ n }) => n))
      for (const { n, isOpen } of only(all, 'attempt_open')) {
        expect(open.has(n)).toBe(!isOpen)
        if (isOpen) open.add(n)
        else open.delete(n)
      }
      expect([...open]).toEqual(after.attempts.filter(({ state }) => state === 'open').map(({ n }) => n))
      const unknown = new Set(before.attempts.filter(({ state }) => state === 'unknown').map(({ n }) => n))
      for (const { n, since } of only(all, 'attempt_unknown')) {
        expect(unknown.has(n)).toBe(since === null)
        if (since === null) unknown.delete(n)
        else unknown.add(n)
      }
      expect([...unknown].sort()).toEqual(after.attempts.flatMap(({ n, state }) => (state === 'unknown' ? [n] : [])))
    })
  })

  test('an attempt that is not closed is due, and a closed one is not', () => {
    each(({ before, after, all, decision }) => {
      for (const { n, state } of after.attempts) {
        const [due] = only(all, 'attempt_due').filter((one) => one.n === n)
        const was = before.attempts.find((one) => one.n === n)?.state
        if (due) expect(due.at === null).toBe(state === 'closed')
        else expect(was === undefined || (was === 'closed') !== (state === 'closed'), decision.note).toBe(false)
      }
    })
  })

  test('the outbox and the outputs to copy are those of the state', () => {
    each(({ before, after, all }) => {
      const rows = new Set(before.effects.map(effectKey))
      const copies = new Set(before.effects.flatMap((one) => (one.kind === 'store' ? [one.attempt] : [])))
      for (const { effect } of only(all, 'effect_added')) rows.add(effectKey(effect))
      for (const { key } of only(all, 'effect_removed')) rows.delete(key)
      for (const { attempt, until } of only(all, 'copy_pending'))
        if (until === null) copies.delete(attempt)
        else copies.add(attempt)
      expect([...rows].sort()).toEqual(after.effects.map(effectKey).sort())
      expect([...copies]).toEqual(after.effects.flatMap((one) => (one.kind === 'store' ? [one.attempt] : [])))
    })
  })

  test('each commit is one event, and a line of history where an operator wants to know', () => {
    each(({ before, after, decision, all }) => {
      const { rev, status, phase } = after.job
      expect(rev).toBe(before.job.rev + 1)
      expect(only(all, 'event')).toEqual([{ kind: 'event', rev, status, phase }])
      const was = before.attempts.find(({ n }) => n === decision.attempt?.n)?.state
      const isNews =
        phase !== before.job.phase || decision.note !== undefined || was !== decision.attempt?.changes.state
      expect(only(all, 'history').map((one) => one.rev)).toEqual(isNews ? [rev] : [])
    })
  })
})

describe('signals of the account', () => {
  const BREAKER: Record<Health, object> = {
    healthy: { kind: 'breaker_success' },
    fault: { kind: 'breaker_fault', limit: 3, reason: 'upstream', ...timings.troublePause },
    refused: { kind: 'breaker_fault', limit: 1, reason: 'account', ...timings.troublePause },
    webhook_refused: { kind: 'breaker_fault', limit: 1, reason: 'webhook', ...timings.troublePause },
  }
  const breaker = (all: readonly Consequence[]): Consequence[] => all.filter(({ kind }) => kind.startsWith('breaker_'))

  test.for(Object.entries(BREAKER))('%s', ([health, expected]) => {
    const found = of(stateIn('queued'), { ...commit({}), health: health as Health })
    expect(breaker(found)).toEqual([expected])
  })

  test('a pause, an unknown outcome, and the unsent create of a claim', () => {
    const submitting = stateIn('submitting')
    const paused = of(stateIn('queued'), commit({}, { pause: { for: 5, reason: 'rate_limited' } }))
    expect(breaker(paused)).toEqual([{ kind: 'breaker_pause', for: 5, reason: 'rate_limited' }])
    const stated = { perMinute: 6, burst: null }
    const throttled = of(
      submitting,
      commit(
        {},
        {
          pause: { for: 5, reason: 'rate_limited' },
          throttled: { stated },
          attempt: { n: 1, changes: { outcome: 'rate_limited' } },
        },
      ),
    )
    const sent = submitting.attempts[0]?.intended_at
    expect(throttled).toContainEqual({ kind: 'create_throttled', for: 5, sent, stated })
    const unknown = of(submitting, commit({}, { attempt: { n: 1, changes: { state: 'unknown' } } }))
    expect(breaker(unknown)).toEqual([{ kind: 'breaker_unknown', limit: 10, pause: timings.troublePause.longest }])
    const unsent = commit({}, { attempt: { n: 1, changes: { state: 'closed', outcome: 'not_sent' } } })
    expect(breaker(of(submitting, unsent))).toEqual([{ kind: 'breaker_unsent', claim: 'claim-1' }])
    expect(breaker(of(stateIn('queued'), unsent))).toEqual([])
  })

  test('webhooks count as received with each, and as missed for each prediction that polling found over', () => {
    each(({ cause, decision, all }) => {
      const isOver = decision.attempt?.changes.state === 'closed'
      const expected =
        cause === 'webhook' ? ['received'] : (cause === 'poll' || cause === 'list') && isOver ? ['missed'] : []
      expect(only(all, 'webhook').map(({ was }) => was)).toEqual(expected)
    })
  })
})

describe('a removal', () => {
  const final: JobState = {
    job: jobRecord('succeeded', {
      attempt: 2,
      idempotency: 'entry',
      output: ['art_1'],
      artifacts: [artifact],
      completed_at: NOW,
    }),
    attempts: [
      attemptRecord({ state: 'closed', prediction_id: null, orphans: ['p0'] }),
      attemptRecord({ n: 2, state: 'closed', prediction_id: OWN }),
    ],
    effects: [],
  }
  test('of a record with labels removes it from their index', () => {
    const labeled = { ...final, job: { ...final.job, user: 'u', metadata: { a: 1, b: {} } } }
    const [gone] = only(purgeConsequences(labeled, { remove: 'record', early: false, kept: null }), 'labels_forgotten')
    expect(gone?.labels).toEqual([
      ['user', 'u'],
      ['metadata.a', '1'],
    ])
  })

  const files = { tenant: 'default', keys: [artifact.key], folders: [] }
  const TABLE: [name: string, purge: Purge, expected: Kind[]][] = [
    ['the index', { remove: 'parts', parts: ['index'], next: 1 }, ['prediction_forgotten', 'clean_up']],
    ['the entry', { remove: 'parts', parts: ['entry'], next: 1 }, ['idempotency_forgotten', 'clean_up']],
    ['the payload', { remove: 'parts', parts: ['payload'], next: 1 }, ['job_folded', 'clean_up']],
    ['nothing yet', { remove: 'parts', parts: [], next: 1 }, ['clean_up']],
    [
      'the record with its files',
      { remove: 'record', early: false, kept: null },
      ['prediction_forgotten', 'idempotency_forgotten', 'stored', 'record_removed'],
    ],
    [
      'the record while upstream still lists its predictions',
      { remove: 'record', early: true, kept: null },
      [
        'prediction_forgotten',
        'idempotency_forgotten',
        'prediction_foreign',
        'prediction_foreign',
        'stored',
        'record_removed',
      ],
    ],
    [
      'the record, without its files',
      { remove: 'record', early: false, kept: { files, until: 5 } },
      ['prediction_forgotten', 'idempotency_forgotten', 'stored', 'files_kept', 'record_removed'],
    ],
  ]

  test.for(TABLE)('%s', ([, purge, expected]) => {
    expect(kinds(purgeConsequences(final, purge))).toEqual(expected)
  })

  test('the digest of the input outlives it', () => {
    const [change] = only(purgeConsequences(final, { remove: 'parts', parts: ['payload'], next: 1 }), 'job_folded')
    expect(change?.changes).toEqual({
      input: null,
      output: null,
      input_sha256: expect.stringMatching(/^[0-9a-f]{64}$/),
    })
    expect(change?.after).toEqual({ ...final.job, ...change?.changes })
  })

  test('its logs go with the payload, where the job keeps them', () => {
    const logs = (via: JobRecord['via'], parts: PurgePart[], state: JobState = final) =>
      only(purgeConsequences({ ...state, job: { ...state.job, via } }, { remove: 'parts', parts, next: 1 }), 'logs')
    expect(logs('replicate', ['payload'])).toEqual([{ kind: 'logs', text: '' }])
    expect(logs('replicate', ['index', 'entry'])).toEqual([])
    expect(logs('jobs', ['payload'])).toEqual([])
    const owing = { ...final, attempts: [attemptRecord({ state: 'open', prediction_id: OWN })] }
    expect(logs('replicate', ['payload'], owing)).toHaveLength(1)
  })

  test('a long input goes with the payload, and its digest is that of the whole', () => {
    const long = { ...final, job: { ...final.job, input_bytes: 20_000, input_sha256: 'of the whole' } }
    const [change, ...others] = purgeConsequences(long, { remove: 'parts', parts: ['payload'], next: 1 })
      .filter(({ kind }) => kind === 'job_folded' || kind === 'input_removed')
      .toReversed()
    expect(change).toMatchObject({ changes: { input: null, input_bytes: null, input_sha256: 'of the whole' } })
    expect(others).toEqual([{ kind: 'input_removed' }])
  })

  test('folds a record without payload that owes nothing, and forgets the entry that is removed', () => {
    const parts = (...all: PurgePart[]): Purge => ({ remove: 'parts', parts: all, next: 1 })
    const { job } = final
    const bare: JobState = { ...final, job: { ...job, input: null, output: null, input_sha256: 'digest' } }
    expect(only(purgeConsequences(bare, parts('index')), 'job_folded')).toEqual([
      { kind: 'job_folded', changes: {}, after: bare.job },
    ])
    const [folded] = only(purgeConsequences(bare, parts('payload', 'entry')), 'job_folded')
    expect(folded).toEqual({
      kind: 'job_folded',
      changes: { idempotency: null },
      after: { ...bare.job, idempotency: null },
    })
    const open = attemptRecord({ state: 'open', prediction_id: OWN })
    const cancel = { v: 1, kind: 'cancel', attempt: 1, prediction_id: OWN, requested_at: NOW } as const
    for (const owing of [
      { ...final, attempts: [open] },
      { ...final, effects: [cancel] },
    ]) {
      expect(kinds(purgeConsequences(owing, parts('payload')))).not.toContain('job_folded')
      expect(only(purgeConsequences(owing, parts('payload')), 'job')).toHaveLength(1)
      expect(only(purgeConsequences({ ...owing, job: bare.job }, parts('payload')), 'job')).toEqual([])
    }
  })

  test('files count for the tenant while they are kept for a time, and no longer when they go or stay forever', () => {
    const counted = (kept: (Purge & { remove: 'record' })['kept']) =>
      only(purgeConsequences(final, { remove: 'record', early: false, kept }), 'stored')
    expect(counted(null)).toEqual([{ kind: 'stored', bytes: 0, files: 0 }])
    expect(counted({ files, until: 5 })).toEqual([{ kind: 'stored', bytes: 12, files: 2 }])
  })
})

test('every kind is met, and written: a consequence is at least one operation', () => {
  const seen = new Set<Kind>()
  const keys = createJobKeys('test')
  const write = (state: JobState, all: readonly Consequence[]): void => {
    for (const one of all) {
      const input = new CommitScriptInput(keys.job(state.job.id), keys.account(state.job.account))
      encodeConsequence(input, one, { keys, state, account: state.job.account, keepEvents: 10 })
      if (one.kind !== 'job' && one.kind !== 'attempt') expect(input.operations.length, one.kind).toBeGreaterThan(0)
      seen.add(one.kind)
    }
  }
  fc.assert(
    fc.property(walks, (walk) => {
      for (const { before, all } of stepsOf(walk)) write(before, all)
    }),
    // Whether chance finds a rare kind is not what is tested.
    { seed: 1, numRuns: 1000 },
  )
  const { job, ...running } = stateIn('running')
  const known = { ...running, job: { ...job, model: 'black-forest-labs/flux-schnell' } }
  write(known, of(known, commit({ phase: 'succeeded', status: 'succeeded', output: 'hello' })))
  const REMOVALS: Kind[] = [
    'job_folded',
    'input_removed',
    'prediction_forgotten',
    'idempotency_forgotten',
    'labels_forgotten',
    'prediction_foreign',
    'files_kept',
    'record_removed',
  ]
  const all: Record<Kind, true> = {
    own_prediction: true,
    need_lease: true,
    need_room: true,
    need_turn: true,
    need_batch_budget: true,
    job: true,
    job_folded: true,
    partial_removed: true,
    logs: true,
    input_removed: true,
    attempt: true,
    effect_added: true,
    effect_removed: true,
    phase: true,
    status: true,
    job_due: true,
    attempt_due: true,
    attempt_open: true,
    attempt_unknown: true,
    copy_pending: true,
    clean_up: true,
    count: true,
    in_flight: true,
    line_left: true,
    place_given_up: true,
    batch_committed: true,
    batch_status: true,
    batch_stopped: true,
    stored: true,
    webhook: true,
    settle: true,
    upstream_cost: true,
    breaker_success: true,
    breaker_fault: true,
    breaker_unknown: true,
    breaker_unsent: true,
    breaker_pause: true,
    create_throttled: true,
    model_pass: true,
    model_fault: true,
    model_works: true,
    owed: true,
    owed_by_tenant: true,
    prediction_forgotten: true,
    idempotency_forgotten: true,
    labels_forgotten: true,
    prediction_foreign: true,
    files_kept: true,
    record_removed: true,
    history: true,
    event: true,
  }
  expect([...seen, ...REMOVALS].sort()).toEqual(Object.keys(all).sort())
})
