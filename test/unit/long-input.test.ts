import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { filesOf } from '../../src/shared/inputs/rules/reference.ts'
import { shortened, splitInput } from '../../src/shared/jobs/rules/long-input.ts'
import { inputHash } from '../../src/shared/jobs/rules/run-facts.ts'
import type { JsonObject } from '../../src/shared/values/json.ts'
import { examples } from '../support/property-seed.ts'
import { jobRecord } from './support/job-states.ts'

const KB = 1024
const split = (input: JsonObject) => splitInput(jobRecord('queued', { input }))
const bytes = (value: unknown): number => Buffer.byteLength(JSON.stringify(value))

describe('an input', () => {
  test.each<[string, JsonObject, boolean]>([
    ['of 16 KiB is in the record', { prompt: 'x'.repeat(16 * KB - bytes({ prompt: '' })) }, false],
    ['one byte longer is beside it', { prompt: 'x'.repeat(16 * KB - bytes({ prompt: '' }) + 1) }, true],
    ['counts in bytes', { prompt: 'é'.repeat(8 * KB) }, true],
    ['of many short texts is in the record', { texts: Array.from({ length: 100 }, () => 'x'.repeat(KB)) }, false],
  ])('%s', (_name, input, isBeside) => {
    const { job, beside } = split(input)
    expect(beside !== null).toBe(isBeside)
    expect(job.input_bytes).toBe(isBeside ? bytes(input) : null)
    if (!isBeside) expect(job.input).toBe(input)
  })

  test('beside the record is whole there; the record has the beginning of each long text, and the digest of the whole', () => {
    const upload = '/v1/uploads/upl_01ARZ3NDEKTSV4RRFFQ69G5FAV'
    const input = {
      seed: 7,
      image: upload,
      messages: [{ role: 'user', text: `${'a'.repeat(199)}\u{1F98A}${'b'.repeat(20_000)}` }],
    }
    const { job, beside } = split(input)
    expect(JSON.parse(beside ?? '')).toEqual(input)
    expect(job.input).toEqual({ ...input, messages: [{ role: 'user', text: `${'a'.repeat(199)}\u2026` }] })
    expect([...filesOf(job.input).keys()]).toEqual([...filesOf(input).keys()])
    expect(inputHash(job)).toBe(inputHash(jobRecord('queued', { input })))
    expect(inputHash(job)).not.toBe(inputHash({ input: job.input, input_sha256: null }))
  })

  test('loses nothing but the ends of texts of more than 1,024 characters', () => {
    fc.assert(
      fc.property(
        fc.dictionary(
          fc.string(),
          fc.oneof(fc.jsonValue(), fc.string({ unit: 'grapheme', minLength: 500, maxLength: 1100 })),
        ),
        (input) => {
          const walk = (long: unknown, short: unknown): void => {
            if (typeof long === 'string' && long.length > KB) {
              expect(String(short).length).toBeLessThanOrEqual(201)
              expect(long.startsWith(String(short).slice(0, -1))).toBe(true)
              if (long.isWellFormed()) expect(String(short).isWellFormed()).toBe(true)
            } else if (typeof long === 'object' && long !== null && typeof short === 'object' && short !== null) {
              expect(Object.keys(short)).toEqual(Object.keys(long))
              for (const [key, value] of Object.entries(long)) walk(value, Reflect.get(short, key))
            } else expect(short).toBe(long)
          }
          walk(input, shortened(input as JsonObject))
        },
      ),
      { numRuns: examples(100) },
    )
  })
})
