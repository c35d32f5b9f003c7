import { describe, expect, test } from 'vitest'
import { inlineOutput, MAX_INLINE_OUTPUT, partialText, planOutput } from '../../src/shared/artifacts/output.ts'
import type { Json } from '../../src/shared/jobs/job.ts'

const A = 'https://replicate.delivery/a.webp'
const B = 'https://replicate.delivery/b.mp4'
const DATA = 'data:image/png;base64,iVBORw0KGgo='
const rendered = (output: Json): Json => planOutput(output).render((index) => `art_${index}`)

describe('an output', () => {
  test.each<{ what: string; output: Json; files: string[]; as: Json }>([
    { what: 'one file', output: A, files: [A], as: 'art_0' },
    { what: 'files', output: [A, B], files: [A, B], as: ['art_0', 'art_1'] },
    {
      what: 'files in an object',
      output: { video: B, frames: [A] },
      files: [B, A],
      as: { video: 'art_0', frames: ['art_1'] },
    },
    { what: 'a data URI', output: DATA, files: [DATA], as: 'art_0' },
    { what: 'a file twice', output: [A, A], files: [A, A], as: ['art_0', 'art_1'] },
    { what: 'text', output: 'hello Ada', files: [], as: 'hello Ada' },
    { what: 'empty text', output: '', files: [], as: '' },
    { what: 'tokens', output: ['Once', ' upon', '', ' a time'], files: [], as: 'Once upon a time' },
    { what: 'tokens of which one looks like a file', output: ['see ', A], files: [], as: `see ${A}` },
    { what: 'no items', output: [], files: [], as: [] },
    { what: 'null', output: null, files: [], as: null },
    { what: 'a number', output: 0, files: [], as: 0 },
    { what: 'a boolean', output: false, files: [], as: false },
    { what: 'numbers', output: [1, 2.5], files: [], as: [1, 2.5] },
    { what: 'mixed values', output: ['text', 1, A], files: [A], as: ['text', 1, 'art_0'] },
    {
      what: 'an object of values',
      output: { score: 0.5, tags: [], ok: true, none: null },
      files: [],
      as: { score: 0.5, tags: [], ok: true, none: null },
    },
    { what: 'text that quotes a file', output: `${A} is yours`, files: [], as: `${A} is yours` },
    { what: 'a URL that is none', output: 'https://[', files: [], as: 'https://[' },
    { what: 'another protocol', output: 'file:///etc/passwd', files: [], as: 'file:///etc/passwd' },
    { what: 'text about data', output: 'data: none', files: [], as: 'data: none' },
    { what: 'a plain http file', output: 'HTTP://example.com/x', files: ['HTTP://example.com/x'], as: 'art_0' },
  ])('that is $what', ({ output, files, as }) => {
    expect(planOutput(output).files).toEqual(files)
    expect(rendered(output)).toEqual(as)
  })

  test('keeps keys that mean something to JavaScript as plain keys', () => {
    const output = JSON.parse('{"__proto__": {"x": 1}, "constructor": "y"}') as Json
    expect(JSON.stringify(rendered(output))).toBe('{"__proto__":{"x":1},"constructor":"y"}')
    expect(({} as Record<string, unknown>).x).toBeUndefined()
  })
})

describe('what can be final at once', () => {
  test('is small and holds no file', () => {
    expect(inlineOutput('text')).toEqual({ value: 'text' })
    expect(inlineOutput(null)).toEqual({ value: null })
    expect(inlineOutput(['a', 'b'])).toEqual({ value: 'ab' })
    expect(inlineOutput(A)).toBeNull()
    expect(inlineOutput({ deep: [{ er: DATA }] })).toBeNull()
  })

  test('is measured in bytes of JSON, after its tokens are joined', () => {
    expect(inlineOutput('x'.repeat(MAX_INLINE_OUTPUT - 2))).not.toBeNull()
    expect(inlineOutput('x'.repeat(MAX_INLINE_OUTPUT - 1))).toBeNull()
    expect(inlineOutput('ü'.repeat(MAX_INLINE_OUTPUT / 2 - 1))).not.toBeNull()
    expect(inlineOutput('ü'.repeat(MAX_INLINE_OUTPUT / 2))).toBeNull()
    // 10,000 tokens of JSON are more than the limit, their text is not.
    expect(inlineOutput(Array.from({ length: 10_000 }, () => 'abc'))).not.toBeNull()
  })
})

describe('the beginning of a growing text', () => {
  test.each<[what: string, output: Json, shown: string | null]>([
    ['tokens', ['Once', ' upon', ' a'], 'Once upon a'],
    ['one text', 'Once upon', 'Once upon'],
    ['tokens that speak of a file', ['see ', A], `see ${A}`],
    ['nothing yet', [], null],
    ['no output', null, null],
    ['empty tokens', ['', ''], null],
    ['a file', A, null],
    ['files', [A, B], null],
    ['a data URI', [DATA], null],
    ['numbers', [1, 2], null],
    ['text and numbers', ['a', 1], null],
    ['an object', { text: 'a' }, null],
  ])('of %s', (_what, output, shown) => {
    expect(partialText(output)).toBe(shown)
  })

  test('is cut, and never inside a character', () => {
    expect(partialText(Array.from({ length: 5000 }, () => 'ab'))).toBe('ab'.repeat(2000))
    const cut = partialText(['a', '\u{1F34E}'.repeat(3000)])
    expect(cut?.isWellFormed()).toBe(true)
    expect(cut).toBe(`a${'\u{1F34E}'.repeat(1999)}`)
  })
})
