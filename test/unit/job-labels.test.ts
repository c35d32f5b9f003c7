import * as fc from 'fast-check'
import { expect, test } from 'vitest'
import { ulid } from 'ulid'
import {
  AFTER_DIGEST,
  labelDigest,
  labeledJob,
  labelMember,
  labelMembers,
} from '../../src/shared/jobs/record/label-member.ts'
import { labelsOf, passes, type JobFilter, type Label } from '../../src/shared/jobs/rules/job-filter.ts'
import { json } from '../support/arbitrary-records.ts'
import { jobRecord } from './support/job-states.ts'

const ids = fc.stringMatching(/^[0-7][0-9A-HJKMNP-TV-Z]{25}$/).map((text) => `job_${text}`)
const labels = fc.tuple(fc.string(), fc.string())
const order = (a: string, b: string): number => Math.sign(Buffer.compare(Buffer.from(a), Buffer.from(b)))

test('a member names its job, sorts within its label as the id does, and is as long as any other', () => {
  fc.assert(
    fc.property(labels, ids, ids, (label, one, other) => {
      const digest = labelDigest(label)
      const member = labelMember(digest, one)
      expect([labeledJob(member), Buffer.byteLength(member)]).toEqual([one, 26])
      expect(order(member, labelMember(digest, other))).toBe(order(one, other))
      expect([order(member, digest), order(member, digest + AFTER_DIGEST)]).toEqual([1, -1])
    }),
  )
})

test('another label has other members, also when its name and value read the same together', () => {
  const all: Label[] = [
    ['metadata.a', 'b'],
    ['metadata.ab', ''],
    ['metadata.user', 'x'],
    ['user', 'x'],
    ['metadata.a', 'B'],
  ]
  expect(new Set(all.map(labelDigest)).size).toBe(all.length)
})

test.each(['', 'x', 'x'.repeat(25), `${'x'.repeat(26)}y`])('%j is no member', (text) => {
  expect(labeledJob(text)).toBeNull()
})

test('the labels of a job are its user and its first ten plain fields, as texts', () => {
  const many = Object.fromEntries(Array.from({ length: 12 }, (_, i) => [`f${i}`, i]))
  const metadata = { text: 'x', deep: { no: 1 }, list: [1], none: null, big: 1e21, yes: true, ...many }
  expect(labelsOf({ user: 'u', metadata })).toEqual([
    ['user', 'u'],
    ['metadata.text', 'x'],
    ['metadata.big', '1e+21'],
    ['metadata.yes', 'true'],
    ...Array.from({ length: 7 }, (_, i) => [`metadata.f${i}`, String(i)]),
  ])
  expect(labelsOf({ user: null, metadata: { deep: {} } })).toEqual([])
  expect(labelsOf({ user: null, metadata: JSON.parse('{"__proto__":"x"}') })).toEqual([])
  expect(labelMembers(jobRecord('queued', { user: 'u', metadata }))).toHaveLength(11)
})

test('a job passes the filter of each of its labels, and none of a label that it lacks', () => {
  const metadatas = fc.dictionary(fc.string({ maxLength: 2 }), json, { maxKeys: 4 })
  fc.assert(
    fc.property(metadatas, labels, (metadata, other) => {
      const job = jobRecord('queued', { id: `job_${ulid()}`, metadata: JSON.parse(JSON.stringify(metadata)) })
      const own = labelsOf(job)
      expect(passes(job, { labels: own })).toBe(true)
      const hasOther = own.some(([name, value]) => name === other[0] && value === other[1])
      expect(passes(job, { labels: [...own, other] })).toBe(hasOther)
    }),
  )
})

test('a time is from the first bound on, and before the second', () => {
  const job = jobRecord('queued', { created_at: 5, preset: 'p', batch: null })
  const cases: [Partial<JobFilter>, boolean][] = [
    [{ created_after: 5 }, true],
    [{ created_after: 6 }, false],
    [{ created_before: 6 }, true],
    [{ created_before: 5 }, false],
    [{ preset: 'p' }, true],
    [{ preset: 'q' }, false],
    [{ batch: 'bat_1' }, false],
  ]
  for (const [filter, expected] of cases)
    expect([filter, passes(job, { labels: [], ...filter })]).toEqual([filter, expected])
})
