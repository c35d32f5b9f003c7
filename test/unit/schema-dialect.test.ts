import { Script } from 'node:vm'
import { fullFormats } from 'ajv-formats/dist/formats.js'
import * as fc from 'fast-check'
import { describe, expect, test, vi } from 'vitest'
import { plainSchema, schemaHash } from '../../src/shared/catalogue/rules/dialect.ts'
import { createInputChecks } from '../../src/shared/catalogue/input-check.ts'
import { timedPattern } from '../../src/shared/catalogue/timed-pattern.ts'
import type { Json, JsonObject } from '../../src/shared/values/json.ts'
import { examples } from '../support/property-seed.ts'

const ASPECT_RATIO: JsonObject = { enum: ['1:1', '16:9'], type: 'string', title: 'aspect_ratio' }
const SCHEMAS: JsonObject = { aspect_ratio: ASPECT_RATIO }

/** As Cog writes it: enums beside Input, `x-order`, `nullable`. */
const INPUT: JsonObject = {
  type: 'object',
  title: 'Input',
  required: ['prompt'],
  properties: {
    prompt: { type: 'string', title: 'Prompt', 'x-order': 0 },
    aspect_ratio: { allOf: [{ $ref: '#/components/schemas/aspect_ratio' }], default: '1:1', 'x-order': 1 },
    image: { type: 'string', format: 'uri', nullable: true, 'x-order': 2 },
    images: { type: 'array', items: { type: 'string', format: 'uri' }, maxItems: 2 },
    steps: { type: 'integer', minimum: 1, maximum: 4 },
    scale: { type: 'number', minimum: 0, exclusiveMinimum: true, maximum: 3 },
    mode: { anyOf: [{ type: 'string', enum: ['a', 'b'] }, { type: 'null' }] },
    size: { oneOf: [{ type: 'integer' }, { type: 'string', maxLength: 3 }] },
    name: { type: 'string', pattern: '^[a-z]+$', minLength: 2 },
    tenth: { type: 'number', multipleOf: 0.1 },
    'a/b~c': { type: 'string' },
  },
}

const plain = (input: JsonObject, schemas: JsonObject = {}): JsonObject => plainSchema(input, schemas)?.schema ?? {}
const wrongWith = (schema: JsonObject, input: JsonObject): [pointer: string, code: string][] =>
  createInputChecks()(schema)(input).map(({ pointer, code }) => [pointer, code])
const wrong = (input: JsonObject): [pointer: string, code: string][] => wrongWith(plain(INPUT, SCHEMAS), input)

describe("Replicate's dialect", () => {
  test('becomes a schema that stands alone, with what forms need', () => {
    expect(plain(INPUT, SCHEMAS).properties).toMatchObject({
      prompt: { type: 'string', title: 'Prompt', 'x-order': 0 },
      aspect_ratio: { type: 'string', enum: ['1:1', '16:9'], default: '1:1', 'x-order': 1 },
      image: { type: ['string', 'null'], format: 'uri' },
      scale: { exclusiveMinimum: 0, maximum: 3 },
      mode: { type: ['string', 'null'], enum: ['a', 'b', null] },
      size: { anyOf: [{ type: 'integer' }, { type: 'string', maxLength: 3 }] },
    })
    expect(plainSchema(INPUT, SCHEMAS)?.ignored).toEqual([])
    expect(JSON.stringify(plain(INPUT, SCHEMAS))).not.toContain('$ref')
  })

  test.each<[JsonObject]>([
    [{ prompt: 'x' }],
    [{ prompt: 'x', image: null, mode: null }],
    [{ prompt: 'x', image: 'https://example.com/a.png', images: ['data:image/png;base64,AAAA'] }],
    [{ prompt: 'x', aspect_ratio: '16:9', steps: 4, scale: 0.1, mode: 'b', size: 'abc', name: 'ab', tenth: 0.3 }],
    [{ prompt: 'x', size: 3, 'a/b~c': '', unknown: { any: ['thing'] } }],
    [{ prompt: 'x', image: `data:audio/mpeg;base64,${'A'.repeat(50_000)}` }],
    [{ prompt: 'x', image: 'data:,hello' }],
  ])('takes %j', (input) => {
    expect(wrong(input)).toEqual([])
  })

  test.each<[JsonObject, [pointer: string, code: string][]]>([
    [{}, [['/prompt', 'required']]],
    [{ prompt: null }, [['/prompt', 'invalid_type']]],
    [{ prompt: 7 }, [['/prompt', 'invalid_type']]],
    [{ prompt: 'x', aspect_ratio: '2:1' }, [['/aspect_ratio', 'invalid_value']]],
    [
      { prompt: 'x', aspect_ratio: null },
      [
        ['/aspect_ratio', 'invalid_type'],
        ['/aspect_ratio', 'invalid_value'],
      ],
    ],
    [{ prompt: 'x', image: 'a.png' }, [['/image', 'invalid_format']]],
    [{ prompt: 'x', image: 'ftp://example.com/a.png' }, [['/image', 'invalid_format']]],
    [{ prompt: 'x', image: 'https://' }, [['/image', 'invalid_format']]],
    [{ prompt: 'x', image: 'data:image/png' }, [['/image', 'invalid_format']]],
    [{ prompt: 'x', images: ['https://example.com', 5] }, [['/images/1', 'invalid_type']]],
    [{ prompt: 'x', images: ['https://a.io', 'https://b.io', 'https://c.io'] }, [['/images', 'too_big']]],
    [{ prompt: 'x', steps: 0 }, [['/steps', 'too_small']]],
    [{ prompt: 'x', steps: 1.5 }, [['/steps', 'invalid_type']]],
    [{ prompt: 'x', scale: 0 }, [['/scale', 'too_small']]],
    [{ prompt: 'x', mode: 'c' }, [['/mode', 'invalid_value']]],
    [{ prompt: 'x', size: 'abcd' }, [['/size', 'invalid_value']]],
    [
      { prompt: 'x', name: 'A' },
      [
        ['/name', 'too_small'],
        ['/name', 'invalid_format'],
      ],
    ],
    [{ prompt: 'x', tenth: 0.25 }, [['/tenth', 'not_multiple_of']]],
    [{ prompt: 'x', 'a/b~c': 1 }, [['/a~1b~0c', 'invalid_type']]],
    [
      { steps: 9, aspect_ratio: 'x' },
      [
        ['/prompt', 'required'],
        ['/aspect_ratio', 'invalid_value'],
        ['/steps', 'too_big'],
      ],
    ],
  ])('refuses %j, with every mistake at once', (input, expected) => {
    expect(wrong(input).sort()).toEqual(expected.sort())
  })

  test.each([
    'https://example.com/a b.png',
    'https://example.com/é.png',
    'https://exämple.com/a.png',
    'https://example.com/a.png\n',
    'https://example.com/a"b',
    'https://example.com/<a>',
    'https://example.com/a\\b',
    'https://example.com/a|b',
    'https://example.com/{a}',
    'https://example.com/a^b`',
    'https://example.com/[a]',
    'https://example.com/%zz',
    'https://example.com/a#b#c',
    'https://exa mple.com/',
    'https:///a.png',
  ])('refuses the link %j, which Replicate refuses', (image) => {
    expect(wrong({ prompt: 'x', image })).toEqual([['/image', 'invalid_format']])
  })

  test.each([
    'https://example.com',
    'HTTPS://EXAMPLE.com:8443/a%20b/%C3%A9.png?x=1&y=a,b;c#top',
    "https://user:pass@example.com/~a/(b)!$&'*+,;=:@",
    'http://127.0.0.1:9/files/a.png?token=a/b?c',
    'https://[2001:db8::1]:443/a.png',
    'https://xn--exmple-cua.com/a_b.png',
  ])('takes the link %j', (image) => {
    expect(wrong({ prompt: 'x', image })).toEqual([])
  })

  test('takes no link that a stricter check of uri would refuse', () => {
    const isUri = fullFormats.uri
    if (typeof isUri !== 'function') throw new Error('ajv-formats checks uri by a function')
    const check = createInputChecks()(plain(INPUT, SCHEMAS))
    const pieces = fc.constantFrom(
      ...'https://a.b/%20é |[]{}<>^`"\\#?&=:@;,~!$\'()*+-_.0A\u0000'.split(''),
      '%41',
      '[::1]',
      'é',
    )
    fc.assert(
      fc.property(fc.array(pieces, { maxLength: 12 }), (parts) => {
        const image = `https://a.io/${parts.join('')}`
        if (check({ prompt: 'x', image }).length === 0) expect(isUri(image), image).toBe(true)
      }),
      { numRuns: examples(2000) },
    )
  })

  test('says in words what it expects', () => {
    const details = createInputChecks()(plain(INPUT, SCHEMAS))({ aspect_ratio: 'x', steps: 'x', image: 'x' })
    expect(details.map(({ pointer, detail }) => `${pointer}: ${detail}`)).toEqual(
      expect.arrayContaining([
        '/prompt: Required.',
        '/aspect_ratio: Expected one of "1:1", "16:9".',
        '/steps: Expected a whole number.',
        '/image: Expected an http(s) URL, a data URI or an upload. A blank or a letter beyond ASCII in a URL is written as %20 or %C3%A9.',
      ]),
    )
  })

  test('names what it leaves out', () => {
    const odd = plainSchema({
      properties: {
        a: { type: 'text' },
        b: { minLength: -1, uniqueItems: true },
        c: { $ref: 'https://example.com/schema' },
        d: { pattern: '(?P<year>\\d+)' },
        e: { not: { type: 'string' } },
      },
    })
    expect(odd?.ignored).toEqual([
      '/properties/a/type',
      '/properties/b/minLength',
      '/properties/b/uniqueItems',
      '/properties/c/$ref',
      '/properties/d/pattern',
      '/properties/e/not',
    ])
    expect(wrongWith(odd?.schema ?? {}, { a: 1, b: [1, 1], c: {}, d: 'x', e: 'x' })).toEqual([])
  })

  test('keeps both of what clashes', () => {
    const schema = plain({ properties: { n: { minimum: 2, allOf: [{ minimum: 1, maximum: 5 }, { minimum: 3 }] } } })
    for (const [n, code] of [
      [2, 'too_small'],
      [6, 'too_big'],
    ] as const)
      expect(wrongWith(schema, { n })).toEqual([['/n', code]])
    expect(wrongWith(schema, { n: 3 })).toEqual([])
  })
})

describe('a schema from strangers', () => {
  test('that refers to itself ends', () => {
    const schemas: JsonObject = {
      Node: { type: 'object', properties: { next: { $ref: '#/components/schemas/Node' } } },
    }
    const schema = plain({ properties: { node: { $ref: '#/components/schemas/Node' } } }, schemas)
    expect(wrongWith(schema, { node: { next: { next: 1 } } })).toEqual([])
    expect(wrongWith(schema, { node: 1 })).toEqual([['/node', 'invalid_type']])
  })

  test('that doubles with every reference is not used', () => {
    const schemas: JsonObject = { x30: { type: 'string' } }
    for (let n = 0; n < 30; n++) {
      const next: JsonObject = { $ref: `#/components/schemas/x${n + 1}` }
      schemas[`x${n}`] = { type: 'object', properties: { a: next, b: next } }
    }
    // Expanded, it would be a billion objects: more than the memory holds.
    expect(plainSchema({ $ref: '#/components/schemas/x0' }, schemas)).toBeNull()
  })

  test('that is deep is not used', () => {
    let schema: JsonObject = { type: 'string' }
    for (let n = 0; n < 10_000; n++) schema = { items: schema }
    expect(plainSchema({ properties: { deep: schema } })).toBeNull()
  })

  test('cannot hold up requests by its pattern', () => {
    const pattern = timedPattern('^(a+)+$', 'u', { left: Infinity }, 20)
    // Without a limit this takes longer than the universe is old.
    for (let n = 0; n < 3; n++) expect(pattern.test(`${'a'.repeat(80)}b`)).toBe(true)
    // From now on it is not asked any more.
    expect(pattern.test('b')).toBe(true)
    expect(timedPattern('^(a+)+$', 'u', { left: Infinity }, 60_000).test('b')).toBe(false)
  })

  test('makes no error that is not of the pattern silent', () => {
    expect(() => timedPattern('(', 'u')).toThrow(SyntaxError)
  })

  const KEYWORDS = `type properties items required enum const allOf anyOf oneOf not $ref $id minimum exclusiveMinimum
    maxLength multipleOf pattern format nullable default a additionalProperties patternProperties title x-order __proto__
    constructor toString`
  const words = fc.constantFrom(...KEYWORDS.split(/\s+/))
  const { json } = fc.letrec<{ json: Json; leaf: Json }>((tie) => ({
    leaf: fc.oneof(
      fc.constantFrom('string', 'object', 'array', 'null', '^a$', 'uri', '#/components/schemas/a', true, false, null),
      fc.integer({ min: -2, max: 5 }),
    ),
    json: fc.oneof(
      { maxDepth: 5 },
      tie('leaf'),
      fc.array(tie('json'), { maxLength: 3 }),
      fc.dictionary(words, tie('json'), { maxKeys: 5 }),
    ),
  }))
  const schemas = fc.dictionary(words, json, { maxKeys: 6 })
  const asParsed = <T>(value: T): T => JSON.parse(JSON.stringify(value))

  test('checks each pattern by itself', () => {
    const text = (pattern: string): JsonObject => ({ type: 'string', pattern })
    const schema = plain({ properties: { digits: text('^[0-9]+$'), letters: text('^[a-z]+$') } })
    expect(wrongWith(schema, { digits: '1', letters: 'a' })).toEqual([])
    expect(wrongWith(schema, { digits: 'a', letters: '1' })).toEqual([
      ['/digits', 'invalid_format'],
      ['/letters', 'invalid_format'],
    ])
    expect([String(timedPattern('^a', 'u')), String(timedPattern('^b', 'u'))]).toEqual(['/^a/u', '/^b/u'])
  })

  test('gives all patterns of a check one time, and the next check its own', () => {
    const names = Array.from({ length: 200 }, (_, i) => `f${i}`)
    const evil = (i: number): JsonObject => ({ type: 'string', pattern: `^(a|aa)+b${i}$` })
    const check = createInputChecks()(
      plain({ properties: { ...Object.fromEntries(names.map((name, i) => [name, evil(i)])), z: { pattern: '^z' } } }),
    )
    const matches = vi.spyOn(Script.prototype, 'runInContext')
    check(Object.fromEntries(names.map((name) => [name, 'a'.repeat(200)])))
    const matched = matches.mock.calls.length
    matches.mockRestore()
    // The time of a check is that of two matches, 200 ms each; what is left by rounding may begin one more.
    expect(matched).toBeLessThanOrEqual(4)
    expect(check({ z: 'a' })).toMatchObject([{ pointer: '/z', code: 'invalid_format' }])
  })

  test('refuses a value that cannot be compared with a constant', () => {
    const made = plainSchema({ properties: { a: { const: {} } } })
    expect(createInputChecks()(made?.schema ?? {})({ a: { toString: [] } })).toMatchObject([{ code: 'incomparable' }])
  })

  test('never throws for any content, and then knows its own hash', () => {
    fc.assert(
      // Objects as JSON.parse makes them, with a prototype.
      fc.property(fc.tuple(schemas, schemas, json).map(asParsed), ([input, definitions, value]) => {
        const made = plainSchema(input, definitions)
        if (made === null) return
        createInputChecks()(made.schema)({ a: value })
        expect(schemaHash(made.schema)).toMatch(/^[0-9a-f]{64}$/)
        // Plain once is plain for good.
        expect(schemaHash(plain(made.schema))).toBe(schemaHash(made.schema))
      }),
      { numRuns: examples(300) },
    )
  })
})

describe('the hash of a schema', () => {
  const hash = schemaHash(plain(INPUT, SCHEMAS))
  const changed = (property: string, change: JsonObject): string => {
    const properties = { ...(INPUT.properties as JsonObject) }
    properties[property] = { ...(properties[property] as JsonObject), ...change }
    return schemaHash(plain({ ...INPUT, properties }, SCHEMAS))
  }

  test('does not change with words, order, or how an enum is written', () => {
    expect(changed('prompt', { title: 'Other', description: 'Words', 'x-order': 9 })).toBe(hash)
    const { aspect_ratio, ...rest } = INPUT.properties as JsonObject
    const inline = { ...INPUT, properties: { aspect_ratio: { ...ASPECT_RATIO, default: '1:1' }, ...rest } }
    expect(aspect_ratio).toBeDefined()
    expect(schemaHash(plain(inline))).toBe(hash)
  })

  test.each<[string, JsonObject]>([
    ['steps', { maximum: 5 }],
    ['steps', { default: 2 }],
    ['steps', { type: 'number' }],
    ['prompt', { minLength: 1 }],
  ])('changes when %s becomes %j', (property, change) => {
    expect(changed(property, change)).not.toBe(hash)
  })

  test('changes when a field is named like an annotation', () => {
    const named = (properties: JsonObject): string => schemaHash(plain({ properties }))
    expect(named({ title: { type: 'string' } })).not.toBe(named({}))
  })
})
