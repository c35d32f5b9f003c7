import { describe, expect, test } from 'vitest'
import { createDelivers, isReplicateDelivery } from '../../src/shared/artifacts/rules/delivery.ts'
import { compileOutputShape, type OutputShape } from '../../src/shared/artifacts/rules/output-shape.ts'
import {
  inlineOutput,
  linkedOutput,
  MAX_INLINE_OUTPUT,
  asReplicateOutput,
  partialText,
  planOutput,
  type Meaning,
} from '../../src/shared/artifacts/rules/output.ts'
import type { Json, JsonObject } from '../../src/shared/values/json.ts'

const A = 'https://replicate.delivery/a.webp'
const B = 'https://pbxt.replicate.delivery/b.mp4'
const DATA = 'data:image/png;base64,iVBORw0KGgo='
const PAGE = 'https://example.com/page'

const meaning = (shape: OutputShape | null): Meaning => ({ shape, delivers: isReplicateDelivery })
const filesOf = (output: Json, shape: OutputShape | null): string[] => planOutput(output, meaning(shape)).files
const rendered = (output: Json, shape: OutputShape | null): Json =>
  planOutput(output, meaning(shape)).render((index) => `art_${index}`)

const TEXT_SCHEMA = {
  type: 'array',
  items: { type: 'string' },
  'x-cog-array-type': 'iterator',
  'x-cog-array-display': 'concatenate',
}
const URI = { type: 'string', format: 'uri' }

describe('without a schema the shape stays, and only what surely is a file is one', () => {
  test.each<{ what: string; output: Json; files?: string[]; as?: Json }>([
    { what: 'words', output: ['cat', 'dog', 'bird'] },
    { what: 'an object of words', output: { caption: 'A cat', tags: ['cat', 'dog'], source_url: PAGE } },
    { what: 'a page', output: { title: 'A page', source_url: 'http://example.com/page', score: 0.9 } },
    { what: 'links to pages', output: [PAGE, PAGE] },
    { what: 'one link to a page', output: PAGE },
    { what: 'one file', output: A, files: [A], as: 'art_0' },
    { what: 'files', output: [A, B], files: [A, B], as: ['art_0', 'art_1'] },
    {
      what: 'files in an object',
      output: { video: B, frames: [A], page: PAGE },
      files: [B, A],
      as: { video: 'art_0', frames: ['art_1'], page: PAGE },
    },
    { what: 'a data URI', output: DATA, files: [DATA], as: 'art_0' },
    { what: 'a file twice', output: [A, A], files: [A, A], as: ['art_0', 'art_1'] },
    { what: 'text', output: 'hello Ada' },
    { what: 'empty text', output: '' },
    { what: 'no items', output: [] },
    { what: 'null', output: null },
    { what: 'a number', output: 0 },
    { what: 'a boolean', output: false },
    { what: 'numbers', output: [1, 2.5] },
    { what: 'mixed values', output: ['text', 1, A], files: [A], as: ['text', 1, 'art_0'] },
    { what: 'an object of values', output: { score: 0.5, tags: [], ok: true, none: null } },
    { what: 'text that quotes a file', output: `${A} is yours` },
    { what: 'a URL that is none', output: 'https://[' },
    { what: 'another protocol', output: 'file:///etc/passwd' },
    { what: 'text about data', output: 'data: none' },
    { what: 'a host that ends alike', output: 'https://evil-replicate.delivery/a.png' },
    { what: 'delivery without TLS', output: 'http://replicate.delivery/a.png' },
  ])('$what', ({ output, files = [], as = output }) => {
    for (const shape of [null, 'json'] as const) {
      expect(filesOf(output, shape)).toEqual(files)
      expect(rendered(output, shape)).toEqual(as)
    }
  })

  test('keys that mean something to JavaScript stay plain keys', () => {
    const output = JSON.parse('{"__proto__": {"x": 1}, "constructor": "y"}') as Json
    expect(JSON.stringify(rendered(output, null))).toBe('{"__proto__":{"x":1},"constructor":"y"}')
    expect(({} as Record<string, unknown>).x).toBeUndefined()
  })
})

describe('the Output schema decides', () => {
  const DEFINITIONS: JsonObject = {
    Output: { type: 'object', properties: { image: URI, title: { type: 'string' } } },
    Picture: URI,
    Loop: { type: 'object', properties: { next: { $ref: '#/components/schemas/Loop' }, file: URI } },
  }
  test.each<{ what: string; schema: Json; shape: OutputShape; output?: Json; as?: Json }>([
    { what: 'a text in tokens', schema: TEXT_SCHEMA, shape: 'text', output: ['see ', A], as: `see ${A}` },
    {
      what: 'an array that is not displayed as one',
      schema: { ...TEXT_SCHEMA, 'x-cog-array-display': undefined } as unknown as Json,
      shape: 'json',
      output: ['cat', 'dog'],
      as: ['cat', 'dog'],
    },
    {
      what: 'an array that is no iterator',
      schema: { type: 'array', items: { type: 'string' }, 'x-cog-array-display': 'concatenate' },
      shape: 'json',
      output: ['cat', 'dog'],
      as: ['cat', 'dog'],
    },
    {
      what: 'a list of tokens below the top',
      schema: { type: 'object', properties: { caption: { type: 'string' }, tags: TEXT_SCHEMA } },
      shape: 'json',
      output: { caption: 'x', tags: ['cat', 'dog'] },
      as: { caption: 'x', tags: ['cat', 'dog'] },
    },
    { what: 'one file', schema: URI, shape: 'files', output: PAGE, as: 'art_0' },
    { what: 'files', schema: { type: 'array', items: URI }, shape: 'files', output: [PAGE, A], as: ['art_0', 'art_1'] },
    {
      what: 'files as they come',
      schema: { type: 'array', items: URI, 'x-cog-array-type': 'iterator' },
      shape: 'files',
      output: [PAGE],
      as: ['art_0'],
    },
    { what: 'text', schema: { type: 'string' }, shape: 'json', output: PAGE, as: PAGE },
    { what: 'anything', schema: {}, shape: 'json', output: ['cat', 'dog'], as: ['cat', 'dog'] },
    {
      what: 'an object by reference',
      schema: { $ref: '#/components/schemas/Output' },
      shape: { files: ['image'] },
      output: { image: PAGE, title: PAGE, other: PAGE },
      as: { image: 'art_0', title: PAGE, other: PAGE },
    },
    {
      what: 'objects in arrays',
      schema: { type: 'array', items: { type: 'object', properties: { frames: { type: 'array', items: URI } } } },
      shape: { files: ['*/frames/*'] },
      output: [{ frames: [PAGE], title: PAGE }, { frames: [] }],
      as: [{ frames: ['art_0'], title: PAGE }, { frames: [] }],
    },
    {
      what: 'a map of files',
      schema: { type: 'object', additionalProperties: URI },
      shape: 'files',
      output: { front: PAGE },
      as: { front: 'art_0' },
    },
    {
      what: 'a file or nothing',
      schema: { anyOf: [{ allOf: [{ $ref: '#/components/schemas/Picture' }] }, { type: 'null' }], title: 'Output' },
      shape: 'files',
      output: null,
      as: null,
    },
    {
      what: 'a file or a text: a text stays a text',
      schema: { anyOf: [URI, { type: 'string' }] },
      shape: 'json',
      output: PAGE,
      as: PAGE,
    },
    {
      what: 'odd keys',
      schema: { type: 'object', properties: { 'a/b*': URI, '': URI } },
      shape: { files: ['a%2Fb%2A', '%'] },
      output: { 'a/b*': PAGE, a: { 'b*': PAGE }, '': PAGE },
      as: { 'a/b*': 'art_0', a: { 'b*': PAGE }, '': 'art_1' },
    },
    { what: 'itself', schema: { $ref: '#/components/schemas/Loop' }, shape: { files: ['file'] } },
    { what: 'nothing at all', schema: null, shape: 'json' },
    { what: 'no object', schema: ['x'], shape: 'json' },
    { what: 'prototype', schema: { $ref: '#/components/schemas/constructor' }, shape: 'json' },
  ])('that says $what', ({ schema, shape, output, as }) => {
    expect(compileOutputShape(schema, DEFINITIONS)).toEqual(shape)
    if (output !== undefined) expect(rendered(output, shape)).toEqual(as)
  })

  test('and is bounded, because strangers write it', () => {
    const deep = (levels: number): JsonObject => (levels === 0 ? URI : { type: 'array', items: deep(levels - 1) })
    expect(compileOutputShape(deep(10), {})).toEqual({ files: [Array(10).fill('*').join('/')] })
    expect(compileOutputShape(deep(90), {})).toBe('json')
    const wide = (n: number): JsonObject => ({
      type: 'object',
      properties: Object.fromEntries(Array.from({ length: n }, (_, i) => [`p${i}`, URI])),
    })
    expect(compileOutputShape(wide(64), {})).toMatchObject({ files: { length: 64 } })
    for (const n of [65, 10_000]) expect(compileOutputShape(wide(n), {})).toBe('json')
    expect(compileOutputShape({ anyOf: Array.from({ length: 5000 }, () => ({ ...URI })) }, {})).toBe('json')
    const doubling: JsonObject = Object.fromEntries(
      Array.from({ length: 40 }, (_, i) => {
        const next = { $ref: `#/components/schemas/L${i + 1}` }
        return [`L${i}`, { anyOf: [next, next] }]
      }),
    )
    expect(compileOutputShape({ $ref: '#/components/schemas/L0' }, doubling)).toBe('json')
    expect(compileOutputShape({ type: 'object', properties: { ['x'.repeat(3000)]: URI } }, {})).toBe('json')
  })
})

describe('a preset that says', () => {
  test('text has one text, or what else came', () => {
    expect(rendered(['Once', ' upon', '', ' a time'], 'text')).toBe('Once upon a time')
    expect(rendered('one', 'text')).toBe('one')
    expect(rendered(A, 'text')).toBe(A)
    expect(rendered(['a', 1], 'text')).toEqual(['a', 1])
    expect(rendered([], 'text')).toEqual([])
    expect(rendered({ picture: A }, 'text')).toEqual({ picture: 'art_0' })
  })
  test('files has files only', () => {
    expect(filesOf({ a: PAGE, b: [A, 'nothing'], c: '', d: 1 }, 'files')).toEqual([PAGE, A, 'nothing'])
  })
})

test('files are delivered by Replicate, and by the simulator from its files only', () => {
  const delivers = createDelivers('http://127.0.0.1:4010/v1')
  expect(delivers('http://127.0.0.1:4010/files/abc/out-0.webp')).toBe(true)
  expect(delivers(A)).toBe(true)
  for (const link of [
    'http://127.0.0.1:4010/_sim/secret',
    'http://127.0.0.1:4011/files/abc/out-0.webp',
    'http://127.0.0.1:4010/files/abc is a text',
    PAGE,
  ])
    expect(delivers(link), link).toBe(false)
  expect(createDelivers('https://api.replicate.com/v1')('https://api.replicate.com/page')).toBe(false)
})

test('lost files stand as null', () => {
  const plan = planOutput({ images: [A, B], seed: 1 }, meaning(null))
  expect(plan.render((index) => (index === 0 ? null : 'art_1'))).toEqual({ images: [null, 'art_1'], seed: 1 })
})

describe('what can be final at once', () => {
  test('is small and holds no file', () => {
    expect(inlineOutput('text', meaning(null))).toEqual({ value: 'text' })
    expect(inlineOutput(null, meaning(null))).toEqual({ value: null })
    expect(inlineOutput(['a', 'b'], meaning('text'))).toEqual({ value: 'ab' })
    expect(inlineOutput(['a', 'b'], meaning(null))).toEqual({ value: ['a', 'b'] })
    expect(inlineOutput(A, meaning(null))).toBeNull()
    expect(inlineOutput({ deep: [{ er: DATA }] }, meaning(null))).toBeNull()
    expect(linkedOutput([PAGE], meaning('files'))).toEqual({ value: [PAGE] })
    expect(linkedOutput([DATA], meaning('files'))).toBeNull()
  })

  test('is measured in bytes of JSON, after its tokens are joined', () => {
    expect(inlineOutput('x'.repeat(MAX_INLINE_OUTPUT - 2), meaning(null))).not.toBeNull()
    expect(inlineOutput('x'.repeat(MAX_INLINE_OUTPUT - 1), meaning(null))).toBeNull()
    expect(inlineOutput('ü'.repeat(MAX_INLINE_OUTPUT / 2 - 1), meaning(null))).not.toBeNull()
    expect(inlineOutput('ü'.repeat(MAX_INLINE_OUTPUT / 2), meaning(null))).toBeNull()
    // 10,000 tokens of JSON are more than the limit, their text is not.
    const tokens = Array.from({ length: 10_000 }, () => 'abc')
    expect(inlineOutput(tokens, meaning('text'))).not.toBeNull()
    expect(inlineOutput(tokens, meaning(null))).toBeNull()
  })
})

describe('the beginning of a growing text', () => {
  test.each<[what: string, output: Json, shape: OutputShape | null, shown: string | null]>([
    ['tokens', ['Once', ' upon', ' a'], 'text', 'Once upon a'],
    ['one text', 'Once upon', null, 'Once upon'],
    ['tokens that speak of a file', ['see ', A], 'text', `see ${A}`],
    ['words without a text shape', ['cat', 'dog'], null, null],
    ['nothing yet', [], 'text', null],
    ['no output', null, 'text', null],
    ['empty tokens', ['', ''], 'text', null],
    ['a file', A, null, null],
    ['files', [A, B], null, null],
    ['a data URI', [DATA], null, null],
    ['numbers', [1, 2], null, null],
    ['text and numbers', ['a', 1], 'text', null],
    ['an object', { text: 'a' }, null, null],
  ])('of %s', (_what, output, shape, shown) => {
    expect(partialText(output, meaning(shape))).toBe(shown)
  })

  test('is cut, and never inside a character', () => {
    expect(
      partialText(
        Array.from({ length: 5000 }, () => 'ab'),
        meaning('text'),
      ),
    ).toBe('ab'.repeat(2000))
    const cut = partialText(['a', '\u{1F34E}'.repeat(3000)], meaning('text'))
    expect(cut?.isWellFormed()).toBe(true)
    expect(cut).toBe(`a${'\u{1F34E}'.repeat(1999)}`)
  })
})

test.each<[string, Json, OutputShape | null, boolean | null, Json]>([
  ['joined tokens are a list of one text', 'hello', 'text', null, ['hello']],
  ['so are those of a preset for such a model', 'hello', 'text', true, ['hello']],
  ['a text of a model that returns one is itself', 'hello', 'text', false, 'hello'],
  ['so is a text without a schema', 'hello', null, null, 'hello'],
  ['and a text among other values', 'hello', 'json', null, 'hello'],
  ['no output stays none', null, 'text', null, null],
  ['an empty list stays one', [], 'text', null, []],
  ['files stay in the form of the model', 'art_1', 'files', null, 'art_1'],
])("in Replicate's own API %s", (_name, output, output_shape, output_is_list, expected) => {
  expect(asReplicateOutput(output, { output_shape, output_is_list })).toEqual(expected)
})
