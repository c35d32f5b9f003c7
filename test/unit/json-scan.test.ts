import * as fc from 'fast-check'
import { expect, test } from 'vitest'
import { createJsonScan } from '../../src/api/json-scan.ts'
import { ServiceError } from '../../src/shared/errors/service-error.ts'

const LIMITS = { bytes: 1e9, values: 10_000, besideFiles: 60 }

/** The code of the refusal, or null; the text arrives in pieces of `size` bytes. */
function refusal(text: string, size = 1e9, limits = LIMITS): string | null {
  const bytes = Buffer.from(text)
  const scan = createJsonScan(limits)
  try {
    for (let at = 0; at < bytes.length; at += size) scan(bytes.subarray(at, at + size))
    return null
  } catch (error) {
    if (error instanceof ServiceError) return error.code
    throw error
  }
}

const FILE = `data:image/png;base64,${'A'.repeat(500)}`

test.each([
  ['files', { input: { image: FILE, list: [FILE, 'x'] } }, null],
  ['a file with escapes in it', { a: `${FILE}"\\"/\n` }, null],
  ['much beside the files', { a: FILE, b: 'x'.repeat(60) }, 'body_too_large'],
  ['a long text that is no file', { a: `x${FILE}` }, 'body_too_large'],
  ['a long text that begins a little like one', { a: `dat${'x'.repeat(100)}` }, 'body_too_large'],
  ['a long text after one that begins like a file', { a: 'dat', b: 'x'.repeat(100) }, 'body_too_large'],
  ['a long key', { [`x${FILE}`]: 1 }, 'body_too_large'],
  ['many values', { a: Array(50).fill(1) }, 'body_too_large'],
] as const)('%s, in pieces of any size', (_what, value, code) => {
  const text = JSON.stringify(value)
  for (const size of [1, 2, 3, 7, 64, 1e9]) expect([size, refusal(text, size)]).toEqual([size, code])
})

test('what is refused is refused before the rest of it came', () => {
  const scan = createJsonScan(LIMITS)
  expect(() => scan(Buffer.from(`{"a":"${'x'.repeat(100)}`))).toThrow(ServiceError)
})

test.each([
  ['commas', '[1,2,3,4]', 'body_too_complex'],
  ['as many as there may be', '[1,2,3]', null],
  ['an opening bracket as the last', '{"a":"","b":"","c":{}}', 'body_too_complex'],
  ['opening brackets alone', '[[[[]]]]', 'body_too_complex'],
])('more values than there may be are refused: %s', (_what, text, code) => {
  expect(refusal(text, 1, { ...LIMITS, values: 3 })).toBe(code)
})

test('texts are distinguished from structure as JSON.parse does', () => {
  const limits = { bytes: 1e9, values: 3, besideFiles: 1e9 }
  fc.assert(
    fc.property(fc.json(), fc.integer({ min: 1, max: 9 }), (text, size) => {
      let values = 0
      const count = (value: unknown): void => {
        if (typeof value !== 'object' || value === null) return
        const items: unknown[] = Object.values(value)
        values += 1 + Math.max(0, items.length - 1)
        for (const item of items) count(item)
      }
      const parsed: unknown = JSON.parse(text)
      fc.pre(JSON.stringify(parsed) === text)
      count(parsed)
      // Opening brackets and commas count.
      expect(refusal(text, size, limits)).toBe(values > 3 ? 'body_too_complex' : null)
    }),
  )
})
