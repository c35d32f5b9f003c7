import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { createJsonExtract, parseString, type LongStrings, type Rule } from '../../src/shared/values/json-extract.ts'
import { expectLinear } from '../support/growth.ts'

const MAX = 1_000_000
const object = (fields: Record<string, Rule>): Rule => ({ kind: 'object', fields: new Map(Object.entries(fields)) })
const whole = (bytes = MAX): Rule => ({ kind: 'whole', bytes })

/** The extract of a text that comes in pieces of these lengths, in turn. */
function extract(
  rule: Rule,
  text: string | Buffer,
  lengths: readonly number[] = [7],
  longStrings?: LongStrings,
): unknown {
  const bytes = Buffer.from(text)
  const reading = createJsonExtract(rule, MAX, longStrings)
  for (let at = 0, i = 0; at < bytes.length; i++) {
    const length = lengths[i % lengths.length] ?? 1
    reading.write(bytes.subarray(at, at + length))
    at += length
  }
  return JSON.parse(reading.end())
}

const lengths = fc.array(fc.integer({ min: 1, max: 9 }), { minLength: 1, maxLength: 20 })
const spaced = (value: unknown): string => JSON.stringify(value, null, 1)
const SEEDED = { seed: 20261130, numRuns: 100 }

describe('an extract', () => {
  test('of a whole value is the value, however it is cut', () => {
    fc.assert(
      fc.property(fc.jsonValue({ stringUnit: 'binary' }), lengths, (value, cuts) => {
        const text = JSON.stringify(value)
        expect(extract(whole(), text, cuts)).toEqual(JSON.parse(text))
        expect(extract(whole(), spaced(value), cuts)).toEqual(JSON.parse(text))
      }),
      SEEDED,
    )
  })

  test('of a page has the fields of its rows that are wanted, and nothing else', () => {
    const rule = object({ next: whole(), results: { kind: 'array', items: object({ id: whole(), n: whole() }) } })
    const row = fc.record({
      id: fc.string({ unit: 'binary' }),
      junk: fc.jsonValue({ stringUnit: 'binary' }),
      n: fc.double(),
    })
    fc.assert(
      fc.property(fc.array(row), fc.jsonValue(), lengths, (rows, other, cuts) => {
        const text = spaced({ other, results: rows, next: null, more: { results: 1 } })
        const parsed = JSON.parse(text) as { results: { id: string; n: unknown }[] }
        expect(extract(rule, text, cuts)).toEqual({
          results: parsed.results.map(({ id, n }) => ({ id, n })),
          next: null,
        })
      }),
      SEEDED,
    )
  })

  test('leaves out a value that is too large and says how large it is', () => {
    const rule = object({ a: { kind: 'whole', bytes: 10, leftOut: 'a_bytes' }, b: whole() })
    for (const value of ['12345678', 'x'.repeat(9), 'x'.repeat(100_000), Array(40).fill('"\\'), { a: [[]], b: '}]' }]) {
      const size = Buffer.byteLength(JSON.stringify(value))
      const expected = size <= 10 ? { a: value, b: 1 } : { a: null, a_bytes: size, b: 1 }
      for (const length of [1, 3, 1000])
        expect(extract(rule, JSON.stringify({ a: value, b: 1 }), [length])).toEqual(expected)
    }
  })

  test('of a long string has its ends, cut between characters', () => {
    const text = fc.string({
      unit: fc.constantFrom('a', 'n', '"', '\\', '\n', 'é', '中', '😀', '\u0001', '/'),
      maxLength: 200,
    })
    const rule = object({ logs: { kind: 'ends', head: 20, tail: 30, leftOut: 'left_out' } })
    fc.assert(
      fc.property(text, lengths, (logs, cuts) => {
        const size = Buffer.byteLength(JSON.stringify(logs)) - 2
        const result = extract(rule, JSON.stringify({ logs }), cuts) as { logs: string; left_out?: number }
        if (size <= 50) expect(result).toEqual({ logs })
        else {
          const [head = '', tail = ''] = result.logs.split('\n\u2026\n')
          expect(result.left_out).toBe(size - 50)
          expect(logs.startsWith(head)).toBe(true)
          expect(logs.endsWith(tail)).toBe(true)
          expect(Buffer.byteLength(JSON.stringify(head))).toBeGreaterThan(20 - 6)
        }
      }),
      SEEDED,
    )
  })

  test('with long strings aside is the same value when they are put back', () => {
    const rule = object({ output: { kind: 'aside', longer: 12, bytes: MAX, values: MAX, leftOut: 'left_out' } })
    fc.assert(
      fc.property(fc.jsonValue({ stringUnit: 'binary' }), lengths, (output, cuts) => {
        const taken: Buffer[][] = []
        const longStrings: LongStrings = {
          begin() {
            const raw: Buffer[] = []
            const index = taken.push(raw) - 1
            return { write: (piece) => void raw.push(Buffer.from(piece)), end: () => `<${index}>` }
          },
        }
        const text = JSON.stringify({ output })
        const result = JSON.stringify(extract(rule, text, cuts, longStrings))
        const back = result.replaceAll(/"<(\d+)>"/g, (_all, index: string) =>
          JSON.stringify(parseString(Buffer.concat(taken[Number(index)] ?? []))),
        )
        expect(JSON.parse(back)).toEqual(JSON.parse(text))
      }),
      SEEDED,
    )
  })

  test.each([
    '',
    ' ',
    '{',
    '{"a":1',
    '{"a":1,}',
    '[1,2',
    '[1,]',
    '{"a"}',
    '{a:1}',
    '{"a":1}}',
    '1 2',
    '<html>',
    '"x',
    '}',
    ',',
    '{"a":"x',
    '{"a":[1,2}',
  ])('of what is no JSON throws: %s', (text) => {
    expect(() => extract(object({ a: whole(), results: { kind: 'array', items: whole() } }), text)).toThrow()
    expect(() => extract({ kind: 'array', items: whole() }, text)).toThrow()
  })

  test('keeps no more than it may', () => {
    const rule: Rule = { kind: 'array', items: whole() }
    expect(() => extract(rule, JSON.stringify(Array(2000).fill('x'.repeat(1000))))).toThrow(/more than 1000000 bytes/)
  })

  test('passes over a key of any length', () => {
    expect(extract(object({ a: whole() }), JSON.stringify({ ['k'.repeat(50_000)]: 1, a: 2 }))).toEqual({ a: 2 })
  })

  test('takes time that grows with the length only', async () => {
    const rule = object({ a: whole() })
    await expectLinear('an extract', 20_000, (n) => {
      const bytes = Buffer.from(JSON.stringify({ a: 1, b: Array(n).fill('\\"'), c: '\\"'.repeat(n) }))
      return () => extract(rule, bytes, [65_536])
    })
  })
})
