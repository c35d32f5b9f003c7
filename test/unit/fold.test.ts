import { hash } from 'node:crypto'
import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { JOB_ORDER_2 } from '../../src/shared/jobs/record/fold-format.ts'
import { fold, type Folding } from '../../src/shared/jobs/record/fold.ts'
import { encodeHistory } from '../../src/shared/jobs/record/history-line.ts'
import {
  decodeAttempts,
  decodeHistory,
  decodeJob,
  encodeDocument,
  encodeField,
  historyLines,
  isUnreadableRecord,
  NewerRecordError,
  type StoredJob,
} from '../../src/shared/jobs/record/record-codec.ts'
import { placeOf, present } from '../../src/shared/jobs/record/record-fields.ts'
import {
  ATTEMPT_FIELDS,
  FINAL_PHASES,
  JOB_FIELDS,
  type AttemptRecord,
  type JobRecord,
} from '../../src/shared/jobs/rules/job.ts'
import { fromSevenBits, toSevenBits } from '../../src/shared/values/seven-bits.ts'
import { attempts, jobs, lines, whole } from '../support/arbitrary-records.ts'
import { attemptRecord, jobRecord, NOW } from './support/job-states.ts'

const ulid = fc.stringMatching(/^[0-9A-HJKMNP-TV-Z]{26}$/)
/** As clean-up finds them: final, without payload, with the id of the job in the keys of its files. */
const finals: fc.Arbitrary<JobRecord> = fc
  .tuple(jobs, ulid, fc.constantFrom(...FINAL_PHASES))
  .map(([job, id, phase]) => ({
    ...job,
    id: `job_${id}`,
    phase,
    status: phase,
    input: null,
    key_id: null,
    budgets: [],
    output: null,
    partial: null,
    artifacts: job.artifacts.map((artifact) => ({ ...artifact, key: `tenant/job_${id}/${artifact.key}` })),
  }))
const histories = fc.uniqueArray(
  fc.tuple(
    fc.integer({ min: 1, max: 500 }),
    fc.tuple(whole, lines).map(([at, line]) => `${at} ${encodeHistory(line)}`),
  ),
  { selector: ([rev]) => rev, maxLength: 20 },
)

const texts = (fields: Record<string, unknown>, prefix = ''): [string, string][] =>
  Object.entries(fields).map(([name, value]) => [prefix + name, encodeField(name, value)])

/** A record in Redis, with what only scripts read. */
function stored(job: JobRecord, all: readonly AttemptRecord[], history: readonly [number, string][]): StoredJob {
  const own = present(JOB_FIELDS, job).filter(([name]) => placeOf(name) === 'hash')
  const fields = [
    ...texts(Object.fromEntries(own)),
    ...all.flatMap(({ n, ...rest }) => texts(Object.fromEntries(present(ATTEMPT_FIELDS, rest)), `${n}.`)),
    ...history.map(([rev, line]) => [`h${rev}`, line]),
    ...['c0', 'c3', 'c7', 'progress_at', 'counted_bytes', 'counted_files', 'place_passed'].map((name) => [name, '1']),
  ]
  return {
    id: job.id,
    hash: fields.flat(),
    documents: [encodeDocument('order', job), encodeDocument('result', job), null],
  }
}

const namesOf = (hash: readonly string[]): string[] => hash.filter((_, at) => at % 2 === 0)

/** What the commit leaves of it. */
function folded(record: StoredJob, { remove, set }: Folding): StoredJob {
  const fields = new Map(namesOf(record.hash).map((name, at) => [name, record.hash[2 * at + 1] ?? '']))
  for (const name of remove) fields.delete(name)
  for (const [name, value] of set) fields.set(name, value)
  return { id: record.id, hash: [...fields].flat(), documents: [null, null, null] }
}

function foldStored(record: StoredJob): Folding | null {
  const job = decodeJob(record)
  if (!job) throw new Error('there is no record')
  const state = { job, attempts: decodeAttempts(record.hash) }
  return fold(state, { names: namesOf(record.hash), lines: historyLines(record.hash), newest: 'c3' })
}

const all = ({ id, hash, documents }: StoredJob) => [
  decodeJob({ id, hash, documents }),
  decodeAttempts(hash),
  decodeHistory(hash),
]

const FILE = { media_type: 'image/webp', bytes: 12_345, width: 1024, height: 1024, duration: null, thumbnail: null }
const [ID, CREATED] = ['job_01ARZ3NDEKTSV4RRFFQ69G5FAV', NOW]
const sample = (): StoredJob =>
  stored(
    jobRecord('succeeded', { id: ID, input: null, completed_at: NOW + 2000, attempt: 1, prediction_id: 'p' }),
    [attemptRecord({ state: 'closed', prediction_id: 'p', outcome: 'succeeded', closed_at: NOW + 2000 })],
    [
      [1, `${CREATED} qa0`],
      [2, `${CREATED + 5} sw1i`],
      [3, `${CREATED + 2000} Sh1+c`],
    ],
  )

describe('a folded record', () => {
  test('is read as it was before, or stays as it is when it is too long', () => {
    let short = 0
    fc.assert(
      fc.property(finals, fc.array(attempts, { maxLength: 4 }), histories, (job, list, history) => {
        const record = stored(
          job,
          list.map((attempt, i) => ({ ...attempt, n: i + 1 })),
          history,
        )
        const folding = foldStored(record)
        if (folding === null) return
        short++
        const after = folded(record, folding)
        expect(all(after)).toEqual(all(record))
        expect(namesOf(after.hash).filter((name) => !/^z\d+$/.test(name))).toEqual([
          'v',
          'rev',
          ...(job.tenant === 'default' ? [] : ['tenant']),
          'phase',
          'c3',
          'counted_bytes',
          'counted_files',
          'place_passed',
        ])
        for (const value of after.hash) if (value.length > 64) expect([job.tenant, String(job.rev)]).toContain(value)
        // Again, as a later clean-up folds it.
        const again = foldStored(after)
        expect(again && all(folded(after, again))).toEqual(all(record))
      }),
    )
    expect(short).toBeGreaterThan(10)
  })

  test('does not name the key that submitted the job', () => {
    const job = { ...jobRecord('succeeded', { id: ID, input: null, completed_at: NOW + 2000 }), key_id: 'Gq1xZ8mPw2Lk' }
    const record = stored(job, [], [[1, `${CREATED} qa0`]])
    const after = folded(record, foldStored(record) ?? { remove: [], set: [] })
    expect([decodeJob(record)?.key_id, decodeJob(after)?.key_id]).toEqual(['Gq1xZ8mPw2Lk', null])
  })

  test('is changed by what is written later: fields of the hash one by one, documents whole', () => {
    const record = { ...sample(), documents: [...sample().documents] }
    record.documents[0] = JSON.stringify({ model: 'owner/name', metadata: { a: 1 }, timeout: 5 })
    const after = folded(record, foldStored(record) ?? { remove: [], set: [] })
    const hash = [
      ...after.hash,
      '1.orphans',
      '["q"]',
      '2.state',
      'open',
      '2.claim',
      'c',
      '2.intended_at',
      '9',
      'stop',
      '',
    ]
    const late = { ...after, hash, documents: ['{"model":"owner/other"}', null, null] }
    expect(decodeJob(late)).toEqual({ ...decodeJob(record), model: 'owner/other', metadata: {}, timeout: 600 })
    expect(decodeAttempts(late.hash)).toEqual([
      { ...decodeAttempts(record.hash)[0], orphans: ['q'] },
      attemptRecord({ n: 2, state: 'open', claim: 'c', intended_at: 9 }),
    ])
    expect(decodeHistory([...after.hash, 'h4', `${CREATED + 3000} Sh1+`]).map(({ at }) => at - CREATED)).toEqual([
      0, 5, 2000, 3000,
    ])
  })

  test('has the names of rare fields only: a new field that most jobs have belongs into a new format', () => {
    const ordered: ReadonlySet<string> = new Set(JOB_ORDER_2)
    const beside = ['v', 'id', 'rev', 'tenant', 'phase', 'partial', 'updated_at', 'key_id', 'budgets']
    const named = Object.keys(JOB_FIELDS).filter((name) => !ordered.has(name) && !beside.includes(name))
    expect(named).toEqual(['input_bytes', 'user', 'priority', 'not_before', 'cancel_after', 'output_is_list'])
  })

  test('is left alone where its format is newer, and an error of this record where it is broken', () => {
    const record = sample()
    const after = folded(record, foldStored(record) ?? { remove: [], set: [] })
    const at = after.hash.indexOf('z0') + 1
    const first = after.hash[at] ?? ''
    const changed = (value: string): StoredJob => ({ ...after, hash: after.hash.with(at, value) })
    expect(() => decodeJob(changed(`3${first.slice(1)}`))).toThrow(NewerRecordError)
    expect(() => decodeAttempts(changed(`3${first.slice(1)}`).hash)).toThrow(NewerRecordError)
    for (const broken of ['2', `2${first.slice(20)}`, `2${first.slice(1).toUpperCase()}?`]) {
      const error: unknown = (() => {
        try {
          return decodeJob(changed(broken))
        } catch (thrown) {
          return thrown
        }
      })()
      expect(isUnreadableRecord(error)).toBe(true)
    }
  })

  test('of the first release that folded is read', () => {
    // Never change this text: it stands for what is in databases.
    const chunks =
      Buffer.from(FIRST_FOLDED, 'base64')
        .toString()
        .match(/[^]{1,63}/g) ?? []
    const hash = ['rev', '3', 'v', '2', 'phase', 'succeeded', ...chunks.flatMap((chunk, i) => [`z${i}`, chunk])]
    expect(all({ id: ID, hash, documents: [null, null, null] })).toEqual(all(sample()))
  })

  test('is not made of a history of an unknown form, nor of a record that is too long', () => {
    const odd = stored(jobRecord('failed', { id: ID }), [], [[1, 'some time ago']])
    expect(foldStored(odd)).toBeNull()
    const digests = (count: number) => Array.from({ length: count }, (_, i) => hash('sha256', `${i}`, 'hex'))
    const artifacts = digests(200).map((sha256, i) => ({ ...FILE, id: `art_${i}`, key: `key ${i}`, sha256 }))
    expect(foldStored(stored(jobRecord('succeeded', { id: ID, artifacts }), [], []))).toBeNull()
    const fewer = jobRecord('succeeded', { id: ID, artifacts: artifacts.slice(0, 20) })
    expect(foldStored(stored(fewer, [], []))?.set.length).toBeGreaterThan(10)
  })
})

describe('seven bits', () => {
  test('are ASCII, and the bytes that they were', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 300 }), (bytes) => {
        const text = toSevenBits(bytes)
        expect(Buffer.byteLength(text)).toBe(Math.ceil((bytes.length * 8) / 7))
        expect(Buffer.from(fromSevenBits(text))).toEqual(Buffer.from(bytes))
      }),
    )
  })
})

const FIRST_FOLDED = 'MWF1CAAiQxQvZ1JlXRY9F0wmYS8KUgITC2V0GCAABQEiIwFAYDdieA9JEhlMZlRqVEEGDAAGWAINARRpAQQBCCAfAGAA'
