import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { encodeHistory, type HistoryLine } from '../../src/shared/jobs/record/history-line.ts'
import { OUTPUT_KINDS } from '../../src/shared/artifacts/rules/output-shape.ts'
import {
  CAUSES,
  ON_UNKNOWN,
  PHASES,
  STATUSES,
  STORE_POLICIES,
  WEBHOOK_EVENTS,
  type AttemptRecord,
  type Effect,
  type JobRecord,
} from '../../src/shared/jobs/rules/job.ts'
import {
  decodeAttempts,
  decodeEffects,
  decodeHistory,
  decodeJob,
  encodeDocument,
  encodeField,
  NewerRecordError,
  type StoredJob,
} from '../../src/shared/jobs/record/record-codec.ts'
import { ATTEMPT_FIELDS, JOB_FIELDS, placeOf, present } from '../../src/shared/jobs/record/record-fields.ts'
import { jobRecord } from './support/job-states.ts'

const word = fc.string({ minLength: 1, unit: 'grapheme' }).filter((text) => text.isWellFormed())
const orNull = <T>(arbitrary: fc.Arbitrary<T>) => fc.option(arbitrary, { nil: null })
const whole = fc.integer({ min: 0, max: Number.MAX_SAFE_INTEGER })
/** As JSON keeps it: no -0. A `__proto__` key is refused where it could come in. */
const json = fc
  .jsonValue()
  .filter((value) => !JSON.stringify(value).includes('__proto__'))
  .map((value) => JSON.parse(JSON.stringify(value)) as JobRecord['output'])
const object = fc
  .dictionary(
    fc.string().filter((key) => key !== '__proto__'),
    json,
  )
  .map((value) => JSON.parse(JSON.stringify(value)) as JobRecord['metadata'])

const jobs: fc.Arbitrary<JobRecord> = fc.record({
  v: fc.constant(1 as const),
  id: word,
  rev: whole,
  tenant: word,
  account: word,
  phase: fc.constantFrom(...PHASES),
  status: fc.constantFrom(...STATUSES),
  attempt: whole,
  model: orNull(word),
  version: orNull(word),
  deployment: orNull(word),
  preset: orNull(word),
  batch: orNull(word),
  position: orNull(whole),
  in_sequence: fc.boolean(),
  output_shape: orNull(
    fc.oneof(fc.constantFrom(...OUTPUT_KINDS), fc.record({ files: fc.array(word, { maxLength: 5 }) })),
  ),
  key_pattern: orNull(word),
  named_as: orNull(fc.record({ batch: word, position: whole })),
  output_artifact: orNull(word),
  prediction_id: orNull(word),
  input: orNull(object),
  metadata: object,
  webhook_events: fc.subarray([...WEBHOOK_EVENTS]),
  timeout: whole,
  start_within: whole,
  start_since: whole,
  start_paused: whole,
  on_unknown: fc.constantFrom(...ON_UNKNOWN),
  resubmissions: whole,
  resubmit_limit: whole,
  store: fc.constantFrom(...STORE_POLICIES),
  in_flight_limit: orNull(whole),
  price: fc.constantFrom(null, { per_run: 1000, per_output: 5, expect: { outputs: { input: 'n', default: 1 } } }),
  charge_canceled: fc.boolean(),
  estimate: whole,
  captured: orNull(whole),
  uncollected: whole,
  charge_estimated: fc.boolean(),
  keep: orNull(fc.tuple(whole, whole, orNull(whole))),
  retry_of: orNull(word),
  output: json,
  resolved_version: orNull(word),
  seed: orNull(whole),
  input_sha256: orNull(word),
  artifacts: fc.array(
    fc.record({
      id: word,
      key: word,
      media_type: word,
      bytes: whole,
      sha256: fc.string(),
      width: orNull(whole),
      height: orNull(whole),
      duration: orNull(whole),
      thumbnail: orNull(fc.record({ key: word, bytes: whole })),
    }),
    { maxLength: 3 },
  ),
  progress: orNull(fc.double({ min: 0, max: 1, noNaN: true }).map((value) => value + 0)),
  partial: orNull(word),
  error: orNull(
    fc.record({
      code: fc.string(),
      message: fc.string(),
      retryable: fc.boolean(),
      billed: fc.constantFrom('no' as const, 'yes' as const, 'unknown' as const),
    }),
  ),
  metrics: object,
  stop: orNull(fc.record({ reason: fc.constantFrom('canceled' as const, 'timeout' as const), requested_at: whole })),
  idempotency: orNull(word),
  created_at: whole,
  submitted_at: orNull(whole),
  prediction_created_at: orNull(whole),
  started_at: orNull(whole),
  completed_at: orNull(whole),
})

const attempts: fc.Arbitrary<Omit<AttemptRecord, 'n'>> = fc.record({
  v: fc.constant(1 as const),
  account: word,
  state: fc.constantFrom('intended' as const, 'unknown' as const, 'open' as const, 'closed' as const),
  claim: word,
  intended_at: whole,
  prediction_id: orNull(word),
  outcome: orNull(word),
  finished_by: orNull(fc.constantFrom(...CAUSES)),
  webhook_id: orNull(word),
  orphans: fc.array(word, { maxLength: 3 }),
  absent_since: orNull(whole),
  missing_since: orNull(whole),
  closed_at: orNull(whole),
})

const accepted: HistoryLine = { phase: 'queued', status: 'queued', cause: 'api', attempt: 0, prediction: null }
const lines: fc.Arbitrary<HistoryLine> = fc.record(
  {
    phase: fc.constantFrom(...PHASES),
    status: fc.constantFrom(...STATUSES),
    cause: fc.constantFrom(...CAUSES),
    attempt: whole,
    prediction: orNull(word),
    attempt_state: fc.constantFrom('intended' as const, 'unknown' as const, 'open' as const, 'closed' as const),
    note: word,
    error: word,
  },
  { requiredKeys: ['phase', 'status', 'cause', 'attempt', 'prediction'] },
)

const effects: fc.Arbitrary<Effect> = fc.oneof(
  fc.record({
    v: fc.constant(1 as const),
    kind: fc.constant('store' as const),
    attempt: whole,
    output: json,
    output_pending: fc.boolean(),
    expires_at: whole,
    give_up_at: whole,
  }),
  fc.record({
    v: fc.constant(1 as const),
    kind: fc.constant('cancel' as const),
    attempt: whole,
    prediction_id: word,
    requested_at: whole,
  }),
)

const hash = (fields: object, prefix = ''): string[] =>
  Object.entries(fields).flatMap(([name, value]) => [prefix + name, encodeField(name, value)])

/** As a new record is written: without what its absence says, too. */
const stored = (job: JobRecord, sparse = false): StoredJob => {
  const fields = (sparse ? present(JOB_FIELDS, job) : Object.entries(job)).filter(([name]) => placeOf(name) === 'hash')
  return {
    id: job.id,
    hash: hash(Object.fromEntries(fields)),
    documents: [encodeDocument('order', job), encodeDocument('result', job), job.partial],
  }
}
/** What else stands in the hash. */
const OTHERS = ['c0', 'a', 'c7', 'b', 'progress_at', '123', '2.state', 'open', 'h12', '1 qa0']
const broken = { ...jobRecord('queued'), phase: 'dreaming' } as unknown as JobRecord

describe('a record', () => {
  test('of a job is read as it was written', () => {
    fc.assert(
      fc.property(jobs, fc.boolean(), (job, sparse) => {
        const { id, hash, documents } = stored(job, sparse)
        expect(decodeJob({ id, hash: [...hash, ...OTHERS], documents })).toEqual(job)
      }),
    )
  })

  test('of attempts is read as it was written, in order', () => {
    fc.assert(
      fc.property(fc.array(attempts, { maxLength: 12 }), (list) => {
        const records = list.map((attempt, index) => ({ n: index + 1, ...attempt }))
        const written = (fields: object, n: number): string[] =>
          hash(n % 2 === 0 ? fields : Object.fromEntries(present(ATTEMPT_FIELDS, fields)), `${n}.`)
        const fields = records.toReversed().flatMap(({ n, ...rest }) => written(rest, n))
        expect(decodeAttempts(['phase', 'queued', ...fields, ...hash({ v: 1 })])).toEqual(records)
      }),
    )
  })

  test('of an effect is read as it was written', () => {
    fc.assert(
      fc.property(effects, (effect) => {
        expect(decodeEffects(['key', JSON.stringify(effect)])).toEqual([JSON.parse(JSON.stringify(effect))])
      }),
    )
  })

  test('of a history is read as it was written, in order, and names predictions by their attempts', () => {
    fc.assert(
      fc.property(fc.array(fc.tuple(whole, fc.oneof(lines, fc.constant(accepted)))), (reported) => {
        const attempts = reported.flatMap(([, { prediction }], n) =>
          hash({ state: 'open', claim: 'c', intended_at: 1, prediction_id: prediction }, `${n}.`),
        )
        const entries = reported.map(([at, line], attempt) => ({ at, entry: { ...line, attempt } }))
        const kept = entries.map(({ at, entry }, i) => [`h${i + 8}`, `${at} ${encodeHistory(entry)}`])
        expect(decodeHistory([...kept.toReversed().flat(), ...attempts])).toEqual(entries)
      }),
    )
  })

  test('that does not exist is none', () => {
    expect(decodeJob({ id: 'job_1', hash: [], documents: [null, null, null] })).toBeNull()
    expect(decodeAttempts([])).toEqual([])
    expect(decodeHistory([])).toEqual([])
    expect(decodeEffects([])).toEqual([])
  })

  test('of a newer release is left alone, with any content', () => {
    expect(() =>
      decodeJob({ id: 'job_1', hash: ['v', '2', 'phase', 'dreaming', 'rev', '?'], documents: ['?', null, null] }),
    ).toThrow(NewerRecordError)
    expect(() => decodeAttempts(['1.v', '2', '1.state', 'dreaming', '1.orphans', '?'])).toThrow(NewerRecordError)
    expect(() => decodeEffects(['store:1', '{"v":2,"kind":"dream"}'])).toThrow(NewerRecordError)
  })

  test('that is broken is an error, never a guess', () => {
    expect(() => decodeJob(stored(broken))).toThrow()
    const good = stored(jobRecord('queued'))
    expect(() => decodeJob({ ...good, hash: ['attempt', '1'] })).toThrow()
    expect(() => decodeJob({ ...good, documents: [null, null, null] })).toThrow()
    expect(() => decodeJob({ ...good, documents: ['{}[', null, null] })).toThrow()
    expect(decodeJob(good)).toEqual(jobRecord('queued'))
  })
})
