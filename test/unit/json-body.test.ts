import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { parseJsonBody } from '../../src/api/json-body.ts'
import { syntaxErrorIn } from '../../src/api/json-place.ts'
import { canonicalJson } from '../../src/shared/values/canonical-json.ts'
import { ServiceError } from '../../src/shared/errors/service-error.ts'
import { expectLinear } from '../support/growth.ts'

const refusal = (body: string | Buffer): ServiceError => {
  try {
    parseJsonBody(Buffer.from(body))
  } catch (error) {
    if (error instanceof ServiceError) return error
    throw error
  }
  throw new Error('the body was taken')
}

describe('a body that is not JSON', () => {
  test.each([
    ['empty', ''],
    ['cut', '{"model": "a'],
    ['with a byte order mark', '\uFEFF{}'],
    ['with something behind it', '{} {}'],
    ['of single quotes', "{'a': 1}"],
    ['of NaN', '{"a": NaN}'],
    ['of closing brackets', ']]]]'],
    ['of blanks', '   '],
    ['of bytes that are no UTF-8', Buffer.from([0x7b, 0x22, 0xff, 0x22, 0x3a, 0x31, 0x7d])],
    ['in UTF-16', Buffer.from('{"a":1}', 'utf16le')],
  ])('%s is refused, and not echoed', (_what, body) => {
    const error = refusal(body)
    expect(error.code).toBe('invalid_json')
    expect(error.message).toMatch(
      /^The body is not (valid JSON: line \d+, column \d+|UTF-8 without a byte order mark)\.$/,
    )
  })

  test.each([
    ['{"a": 1,\n  "b": }', 'line 2, column 8'],
    ["{'a': 1}", 'line 1, column 2'],
    ['{"a": [1, 2}', 'line 1, column 12'],
    ['{"a": 1} {}', 'line 1, column 10'],
    ['{"a": 01}', 'line 1, column 8'],
    ['{"a": "tab\t"}', 'line 1, column 11'],
    ['{"a": "cut', 'line 1, column 11'],
    ['{"a": "\\x"}', 'line 1, column 8'],
    ['', 'line 1, column 1'],
  ])('%j is refused with its position', (body, place) => {
    expect(refusal(body).message).toBe(`The body is not valid JSON: ${place}.`)
  })

  test('a syntax error is found exactly where JSON.parse refuses a text', () => {
    fc.assert(
      fc.property(
        fc.json({ maxDepth: 4 }),
        fc.nat(),
        fc.constantFrom('', ',', '}', '"', '\\', '0', 'x'),
        (text, at, by) => {
          const place = at % (text.length + 1)
          const changed = text.slice(0, place) + by + text.slice(place + 1)
          const isValid = (): boolean => {
            try {
              JSON.parse(changed)
              return true
            } catch {
              return false
            }
          }
          expect(syntaxErrorIn(changed) === null).toBe(isValid())
        },
      ),
    )
  })

  test.each([
    ['{"a": 1, "b": {"c": 1, "c": 2}}', '/b/c'],
    ['{"a": [0, {"x/y": {}, "x\\u002fy": {}}]}', '/a/1/x~1y'],
    ['{"a": {"b": 1}, "b": 2, "a": 3}', '/a'],
  ])('a duplicate key is named: %s', (body, pointer) => {
    expect(refusal(body)).toMatchObject({
      code: 'invalid_json',
      message: `${pointer}: The key occurs twice. Send each key once.`,
    })
  })
})

describe('a body that would cost too much', () => {
  test.each<[string, number, (n: number) => string, string]>([
    ['arrays in 5000 levels', 5000, (n) => '['.repeat(n) + ']'.repeat(n), 'body_too_complex'],
    ['objects in 5000 levels', 5000, (n) => '{"a":'.repeat(n) + '1' + '}'.repeat(n), 'body_too_complex'],
    ['arrays that never close', 100_000, (n) => '['.repeat(n), 'body_too_complex'],
    ['200,000 values', 200_000, (n) => `[${'1,'.repeat(n)}1]`, 'body_too_complex'],
    [
      '200,000 keys',
      200_000,
      (n) => `{${Array.from({ length: n }, (_, i) => `"k${i}":1`).join(',')}}`,
      'body_too_complex',
    ],
    ['a number of a million digits', 1_000_000, (n) => `{"a": ${'9'.repeat(n)}}`, 'invalid_request'],
    ['a text that never ends', 500_000, (n) => `{"a": "${'\\"'.repeat(n)}`, 'invalid_json'],
    [
      '9000 forbidden numbers below one long key',
      9000,
      (n) => `{"${'k'.repeat(5 * n)}":[${'1e999,'.repeat(n)}1]}`,
      'invalid_request',
    ],
  ])('%s: refused in a time that grows with its length', async (_what, largest, body, code) => {
    await expectLinear('refusing a body', largest / 16, (n) => {
      const bytes = Buffer.from(body(n))
      return () => expect(refusal(bytes).code).toBe(code)
    })
  })

  test('32 levels and 10,000 values are taken', () => {
    expect(parseJsonBody(Buffer.from('['.repeat(32) + ']'.repeat(32)))).toBeInstanceOf(Array)
    expect(parseJsonBody(Buffer.from(`[${'1,'.repeat(9999)}1]`))).toHaveLength(10_000)
    expect(refusal('['.repeat(33) + ']'.repeat(33)).code).toBe('body_too_complex')
  })

  test('brackets and commas within text count for nothing', () => {
    const text = `[{,"\\${'['.repeat(2000)}`
    expect(parseJsonBody(Buffer.from(JSON.stringify({ text })))).toEqual({ text })
  })
})

describe('a value that cannot be kept', () => {
  test.each([
    ['1e400', 'number_out_of_range'],
    ['-1e400', 'number_out_of_range'],
    ['9007199254740993', 'number_out_of_range'],
    ['1e300', 'number_out_of_range'],
    ['"a\\u0000b"', 'invalid_characters'],
    ['"\\ud800"', 'invalid_characters'],
  ])('%s is refused with its place', (value, code) => {
    const { fields, message } = refusal(`{"input": {"list": [0, ${value}]}}`)
    expect(fields).toMatchObject([{ pointer: '/input/list/1', code }])
    expect(message).toBe(`/input/list/1: ${fields[0]?.detail}`)
  })

  test('and a key is refused with the place of its object', () => {
    expect(refusal('{"a": {"\\ud800": 1}}').fields).toMatchObject([{ pointer: '/a', code: 'invalid_characters' }])
  })

  test.each(['__proto__', 'constructor', 'prototype'])('under the key %s is refused, at any depth', (key) => {
    expect(refusal(`{"${key}": {"polluted": 1}}`).fields).toMatchObject([{ pointer: `/${key}`, code: 'forbidden_key' }])
    expect(refusal(`{"metadata": [{"${key}": 1}]}`).fields).toMatchObject([
      { pointer: `/metadata/0/${key}`, code: 'forbidden_key' },
    ])
    expect(refusal(`{"\\u005f_proto__": 1}`).fields).toMatchObject([{ code: 'forbidden_key' }])
    expect(({} as Record<string, unknown>).polluted).toBeUndefined()
  })

  test('has a pointer in the escapes of RFC 6901', () => {
    expect(refusal('{"a/b~c": 1e999}').fields).toMatchObject([{ pointer: '/a~1b~0c' }])
  })

  test.each([
    '0',
    '-0',
    '9007199254740991',
    '-9007199254740991',
    '0.1',
    '1e-400',
    '"\\ud83d\\ude00"',
    '"ü\\n"',
    'null',
  ])('is not %s', (value) => {
    expect(parseJsonBody(Buffer.from(`{"a": ${value}}`))).toEqual({ a: JSON.parse(value) as unknown })
  })
})

test('any acceptable JSON value is taken as it is', () => {
  const forbidden = /__proto__|constructor|prototype/
  fc.assert(
    fc.property(fc.json({ maxDepth: 8 }), (text) => {
      if (forbidden.test(text) || text.includes('\\u0000')) return
      const value = JSON.parse(text) as unknown
      try {
        expect(parseJsonBody(Buffer.from(text))).toEqual(value)
      } catch (error) {
        if (!(error instanceof ServiceError)) throw error
        expect(error.fields.every(({ code }) => code === 'number_out_of_range' || code === 'invalid_characters')).toBe(
          true,
        )
      }
    }),
  )
})

test('canonical JSON does not depend on the order of keys, and differs for different values', () => {
  fc.assert(
    fc.property(fc.dictionary(fc.string(), fc.jsonValue()), (value) => {
      const reversed = Object.fromEntries(Object.entries(value).toReversed())
      expect(canonicalJson(reversed)).toBe(canonicalJson(value))
      expect(JSON.parse(canonicalJson(value))).toEqual(JSON.parse(JSON.stringify(value)))
    }),
  )
  expect(canonicalJson([1, 2])).not.toBe(canonicalJson([2, 1]))
  expect(canonicalJson({ a: [{ c: 1, b: 2 }] })).toBe(canonicalJson({ a: [{ b: 2, c: 1 }] }))
})
