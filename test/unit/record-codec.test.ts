import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { z } from 'zod'
import { encodeHistory } from '../../src/shared/jobs/record/history-line.ts'
import type { HistoryLine } from '../../src/shared/jobs/rules/history.ts'
import { ATTEMPT_FIELDS, JOB_FIELDS, type Effect, type Field, type JobRecord } from '../../src/shared/jobs/rules/job.ts'
import { OWED_TYPES } from '../../src/shared/notifications/rules/event-types.ts'
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
import { quickCheck } from '../../src/shared/jobs/record/quick-check.ts'
import { placeOf, present } from '../../src/shared/jobs/record/record-fields.ts'
import { attempts, jobs, json, lines, whole, withoutHistory, word } from '../support/arbitrary-records.ts'
import { jobRecord, NOW } from './support/job-states.ts'

const accepted: HistoryLine = { phase: 'queued', status: 'queued', cause: 'api', attempt: 0, prediction: null }
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
  fc.record({
    v: fc.constant(2 as const),
    kind: fc.constant('notice' as const),
    id: fc.constant('01KGX5Q8Z2V7M4N6P9R3S5T8W1'),
    type: fc.constantFrom(...OWED_TYPES),
  }),
  fc.record({ v: fc.constant(2 as const), kind: fc.constant('carry' as const), notification: word }),
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

/** Values that are nearly those of some field. */
const almost = fc.constantFrom(
  { reason: 'canceled', requested_at: 1, more: 1 },
  { reason: 'canceled' },
  { batch: 'b', position: '1' },
  { batch: 'b', position: 1, more: null },
  { files: ['a'] },
  { files: Array.from({ length: 65 }, () => 'a') },
  { code: 'c', message: 'm', retryable: true, billed: 'perhaps' },
  { per_run: 1 },
  { per_run: 1, expect: {} },
  { per_output: 1, expect: {} },
  [{ id: 'a', key: 'k', media_type: 't', bytes: 1, sha256: '' }],
  [{ id: 'a', key: 'k', media_type: 't', bytes: 1, sha256: '', width: 1, height: 1, duration: 1 }],
  ['start'],
  ['start', 'never'],
  [1, 2, null],
  [1, 2],
  [1, 2, 3, 4],
  ['1', 2, 3],
  'text',
  'none',
)

describe('a record', () => {
  test('of a job is read as it was written', () => {
    fc.assert(
      fc.property(jobs, fc.boolean(), (job, sparse) => {
        const { id, hash, documents } = stored(job, sparse)
        expect(decodeJob({ id, hash: [...hash, ...OTHERS], documents })).toEqual({ ...job, updated_at: 1 })
      }),
    )
  })

  test('of a job changed with the newest line of its history, or without one when the job last changed', () => {
    const job = jobRecord('succeeded', { started_at: NOW + 1, completed_at: NOW + 2 })
    const changedAt = (changes: Partial<JobRecord>, ...history: string[]): number | undefined => {
      const { id, hash, documents } = stored({ ...job, ...changes })
      return decodeJob({ id, hash: [...hash, ...history], documents })?.updated_at
    }
    expect(changedAt({}, 'h2', '7 sw1i', 'h10', '9 Sh1+c', 'h1', '5 qa0')).toBe(9)
    expect(changedAt({})).toBe(NOW + 2)
    expect(changedAt({ completed_at: null })).toBe(NOW + 1)
    expect(changedAt({ completed_at: null, started_at: null })).toBe(NOW)
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
    expect(() => decodeEffects(['store:1', '{"v":3,"kind":"dream"}'])).toThrow(NewerRecordError)
  })

  test('that is broken is an error, never a guess', () => {
    expect(() => decodeJob(stored(broken))).toThrow()
    const good = stored(jobRecord('queued'))
    expect(() => decodeJob({ ...good, hash: ['attempt', '1'] })).toThrow()
    expect(() => decodeJob({ ...good, documents: [null, null, null] })).toThrow()
    expect(() => decodeJob({ ...good, documents: ['{}[', null, null] })).toThrow()
    expect(decodeJob(good)).toEqual(jobRecord('queued'))
  })

  test('is refused when one of its fields is refused by the table, and else read as the table reads it', () => {
    const texts = new Set(['tenant', 'account', 'phase', 'status', 'prediction_id'])
    const names = Object.keys(JOB_FIELDS).filter(
      (name) => !texts.has(name) && !['v', 'id', 'partial', 'updated_at'].includes(name),
    )
    const schemas = new Map(Object.entries<Field>(JOB_FIELDS).map(([name, { schema }]) => [name, schema]))
    fc.assert(
      fc.property(jobs, fc.constantFrom(...names), fc.oneof(json, almost), (job, name, value) => {
        const { id, hash: fields, documents } = stored({ ...job, [name]: value })
        const parsed = schemas.get(name)?.safeParse(value)
        const read = (): JobRecord | null => decodeJob({ id, hash: fields, documents })
        if (parsed?.success) expect(read()).toEqual(withoutHistory({ ...job, [name]: parsed.data }))
        else expect(read).toThrow(z.ZodError)
      }),
      { numRuns: 1000 },
    )
  })
})

describe('a quick check', () => {
  test('accepts only what its schema accepts and leaves as it is', () => {
    const fields = [...Object.values<Field>(JOB_FIELDS), ...Object.values<Field>(ATTEMPT_FIELDS)]
    const own = fc.oneof(jobs, attempts).chain((record) => fc.constantFrom<unknown>(...Object.values(record)))
    fc.assert(
      fc.property(fc.constantFrom(...fields), fc.oneof(own, json, almost), ({ schema }, value) => {
        if (!quickCheck(schema)(value)) return
        const parsed = schema.safeParse(value)
        expect(parsed.success && parsed.data).toEqual(value)
      }),
      { numRuns: 5000 },
    )
  })

  test('knows the usual values of every field, so that zod is not needed for them', () => {
    fc.assert(
      fc.property(jobs, attempts, (job, attempt) => {
        const free = { ...job, price: null, output_shape: null }
        const unknown = (fields: Record<string, Field>, record: object): string[] =>
          Object.entries(record).flatMap(([name, value]) => {
            const field = fields[name]
            return field === undefined || quickCheck(field.schema)(value) ? [] : [name]
          })
        expect([...unknown(JOB_FIELDS, free), ...unknown(ATTEMPT_FIELDS, attempt)]).toEqual([])
      }),
    )
  })

  test('never accepts a number that is none, an object that hides a prototype, or one with more fields than are known', () => {
    expect(quickCheck(JOB_FIELDS.timeout.schema)(Number.NaN)).toBe(false)
    expect(quickCheck(JOB_FIELDS.metadata.schema)(JSON.parse('{"__proto__":{}}'))).toBe(false)
    expect(quickCheck(JOB_FIELDS.stop.schema)({ reason: 'canceled', requested_at: 1, more: 1 })).toBe(false)
  })
})
