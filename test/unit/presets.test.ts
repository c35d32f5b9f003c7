import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { stringify } from 'yaml'
import { diskPresets } from '../../src/shared/catalogue/disk-presets.ts'
import { plainSchema } from '../../src/shared/catalogue/rules/dialect.ts'
import { createInputChecks } from '../../src/shared/catalogue/input-check.ts'
import { mergeInput, misfits, submitSchema, type Preset } from '../../src/shared/catalogue/rules/preset.ts'
import { PresetError, readPresets } from '../../src/shared/catalogue/read-preset.ts'
import { estimatePrice } from '../../src/shared/credits/rules/price.ts'
import type { JsonObject } from '../../src/shared/values/json.ts'
import { BUILT_IN_MODELS } from '../../src/simulator/models/built-in.ts'

const checks = createInputChecks()
const read = (text: string, name = 'poster.yaml'): Preset => {
  const [preset] = readPresets([{ name, text }], checks)
  if (!preset) throw new Error('no preset')
  return preset
}
/** The lines that describe the error. */
const wrongWith = (text: string, name = 'poster.yaml'): string[] => {
  try {
    readPresets([{ name, text }], checks)
  } catch (error) {
    if (error instanceof PresetError) return error.message.split('\n')
    throw error
  }
  return []
}

const POSTER = {
  name: 'poster',
  title: 'Poster',
  model: 'a/b',
  input: { default: { shape: 'tall' }, fixed: { count: 1 }, overrides: ['prompt', 'shape'] },
  schema: {
    required: ['prompt', 'count'],
    properties: {
      prompt: { type: 'string', minLength: 1, title: 'Prompt' },
      shape: { type: 'string', enum: ['tall', 'wide'], default: 'wide' },
      count: { type: 'integer', minimum: 1, maximum: 4 },
      hidden: { type: 'boolean' },
    },
  },
  price: { per_output: 3000, expect: { outputs: { input: 'count', default: 1 } } },
  policies: { timeout: 60, overrides: ['start_within'] },
}
const poster = (change: object): string => stringify({ ...POSTER, ...change })

describe('a preset', () => {
  test('names no prototype: such a key would be ignored', () => {
    expect(wrongWith(`${poster({})}\n__proto__: { title: x }\n`)).toEqual([
      'poster.yaml: /__proto__: __proto__ is not accepted as a key.',
    ])
    const nested = poster({}).replace('  fixed:', '  __proto__: {}\n  fixed:')
    expect(wrongWith(nested)).toEqual(['poster.yaml: /input/__proto__: __proto__ is not accepted as a key.'])
  })

  test('has what it says, and defaults for the rest', () => {
    expect(read(poster({}))).toEqual({
      name: 'poster',
      title: 'Poster',
      description: '',
      model: 'a/b',
      version: null,
      deployment: null,
      serves: [],
      input: POSTER.input,
      schema: { ...POSTER.schema, type: 'object' },
      schema_sha256: null,
      output: null,
      key_pattern: null,
      price: POSTER.price,
      policies: {
        timeout: 60,
        start_within: 86_400,
        webhook_events: [],
        on_unknown: 'fail',
        store: 'copy',
        resubmit_limit: 2,
        concurrency: null,
        per_tenant: null,
        charge_canceled: false,
        keep: {},
        overrides: ['start_within'],
      },
    })
  })

  test('may use the former name of a limit', () => {
    expect(read(poster({ policies: { in_flight_limit: 3 } })).policies).toMatchObject({ per_tenant: 3 })
    expect(read(poster({ policies: { in_flight_limit: 3, per_tenant: 2 } })).policies).toMatchObject({ per_tenant: 2 })
  })

  test('may say what its output means, and how its files are called', () => {
    const key_pattern = 'sets/{batch}/{metadata.character}_{index:02}.{ext}'
    expect(read(poster({ output: 'files', key_pattern }))).toMatchObject({ output: 'files', key_pattern })
  })

  test('may serve models, each of them alone', () => {
    expect(read(poster({ serves: ['a/b', 'c/d'] })).serves).toEqual(['a/b', 'c/d'])
    const files = [
      { name: 'banner.yml', text: poster({ name: 'banner', serves: ['c/d', 'a/b'] }) },
      { name: 'poster.yaml', text: poster({ serves: ['x/y', 'A/B', 'x/y'] }) },
    ]
    expect(() => readPresets(files, checks)).toThrow(
      new PresetError(
        'poster.yaml: /serves/1: The preset banner serves A/B already.\nposter.yaml: /serves/2: The preset poster serves x/y already.',
      ),
    )
  })

  test.each<[string, string, RegExp[]]>([
    [
      'a model to serve that is none',
      poster({ serves: ['poster'] }),
      [/\/serves\/0: read "poster"\. Expected owner\/name/],
    ],
    ['an output of another kind', poster({ output: 'picture' }), [/\/output: read "picture"\. /]],
    [
      'a pattern that is none',
      poster({ key_pattern: '../{job}' }),
      [/\/key_pattern: read .*"\.\." is not a valid name/],
    ],
    ['a pattern of nothing', poster({ key_pattern: '{prompt}' }), [/\/key_pattern: .*\{prompt\} is not a placeholder/]],
    ['no YAML', 'name: [', [/not YAML: /]],
    ['a key twice', 'name: a\nname: b', [/not YAML: .*unique/]],
    ['nothing', '', [/\/: read null\. /]],
    ['an alias within itself', 'name: &a [*a]', [/not YAML: /]],
    ['another name than its file', poster({ name: 'banner' }), [/\/name: read "banner", expected poster/]],
    ['a name that is none', poster({ name: 'Poster 1' }), [/\/name: read "Poster 1"\. Expected 1 to 63 characters/]],
    ['an unknown field', poster({ modle: 'a/b' }), [/\/modle: read "a\/b"\. Unknown field/]],
    ['model and deployment', poster({ deployment: 'c/d' }), [/\/model: read "a\/b"\. Expected either model/]],
    ['no title', poster({ title: undefined }), [/\/title: read nothing\. Required/]],
    ['neither', poster({ model: undefined }), [/\/model: read nothing\. /]],
    ['a version that is none', poster({ version: '1.2' }), [/\/version: read "1\.2"\. Expected 64 hexadecimal digits/]],
    [
      'no schema and a deployment',
      poster({ model: undefined, deployment: 'c/d', schema: 'model' }),
      [/\/schema: read "model"\. .*deployment/],
    ],
    [
      'a hash for its inline schema',
      poster({ schema_sha256: 'a'.repeat(64) }),
      [/\/schema_sha256: read "a+"\. Only allowed with/],
    ],
    [
      'a price in parts',
      poster({ price: { per_run: 0.5 } }),
      [/\/price\/per_run: read 0\.5\. Expected a whole number\.$/],
    ],
    [
      'a price without an estimate',
      poster({ price: { per_output: 1 } }),
      [/\/price\/expect\/outputs: read nothing\. Required/],
    ],
    [
      'an estimate from no field',
      poster({ price: { per_output: 1, expect: { outputs: { input: 'n', default: 1 } } } }),
      [/\/price\/expect\/outputs\/input: read "n"\. The schema has no such field/],
    ],
    [
      'a policy out of bounds',
      poster({ policies: { timeout: 4 } }),
      [/\/policies\/timeout: read 4\. Expected 5 or more\.$/],
    ],
    ['a policy that is none', poster({ policies: { priority: 1 } }), [/\/policies\/priority: read 1\. Unknown field/]],
    [
      'two mistakes',
      poster({ title: '', input: { ...POSTER.input, overrides: 'prompt' } }),
      [/\/title: read ""\. /, /\/input\/overrides: read "prompt"\. /],
    ],
    [
      'an override of no field',
      poster({ input: { ...POSTER.input, overrides: ['prompt', 'size'] } }),
      [/\/input\/overrides\/1: read "size"\. The schema has no such field/],
    ],
    [
      'a default that does not fit',
      poster({ input: { ...POSTER.input, default: { shape: 'round', size: 1 } } }),
      [/\/input\/default\/size: read 1\. The schema has no/, /\/input\/default\/shape: read "round"\. Expected one of/],
    ],
    [
      'something fixed that does not fit',
      poster({ input: { ...POSTER.input, fixed: { count: 9 } } }),
      [/\/input\/fixed\/count: read 9\. Expected 4 or less/],
    ],
    [
      'something fixed that is also a default and open',
      poster({ input: { default: { count: 2 }, fixed: { count: 1 }, overrides: ['prompt', 'count'] } }),
      [
        /\/input\/fixed\/count: read 1\. The field is also in input\.default/,
        /\/input\/fixed\/count: read 1\. The field is also in input\.overrides/,
      ],
    ],
    [
      'a required field that cannot be set',
      poster({ input: { ...POSTER.input, overrides: ['shape'] } }),
      [/\/input\/overrides: read \["shape"\]\. The model requires prompt/],
    ],
    [
      'a keyword that would not be checked',
      poster({ schema: { ...POSTER.schema, patternProperties: {} } }),
      [/\/schema\/patternProperties: read \{\}\. This keyword is not supported/],
    ],
  ])('is refused with %s, by file, field, what was read and what is expected', (_, text, expected) => {
    const lines = wrongWith(text)
    expect(lines.every((line) => line.startsWith('poster.yaml: '))).toBe(true)
    expect(lines).toEqual(expected.map((one) => expect.stringMatching(one)))
  })

  test('of several files is refused with all of their mistakes', () => {
    const files = [
      { name: 'a.yaml', text: 'name: a' },
      { name: 'poster.yaml', text: poster({}) },
      { name: 'c.yaml', text: 'name: c' },
    ]
    expect(() => readPresets(files, checks)).toThrow(/^a\.yaml: [^]*\nc\.yaml: /)
  })
})

describe('the input of a job', () => {
  const preset = read(poster({}))
  const schema = preset.schema as JsonObject
  const merged = (given: JsonObject) => mergeInput(preset, given, schema)

  test('is what the preset says, with what the job may say', () => {
    expect(merged({ prompt: 'x', shape: 'wide' })).toEqual({
      input: { prompt: 'x', shape: 'wide', count: 1 },
      refused: [],
    })
    expect(merged({}).input).toEqual({ shape: 'tall', count: 1 })
  })

  test('is refused where the preset decides, and where there is nothing', () => {
    expect(merged({ count: 4, hidden: true, size: 1, webhook: 'https://x' }).refused).toMatchObject([
      { pointer: '/count', code: 'not_allowed' },
      { pointer: '/hidden', code: 'not_allowed' },
      { pointer: '/size', code: 'unknown_field' },
      { pointer: '/webhook', code: 'unknown_field' },
    ])
  })

  test('always has what is fixed, and from the job only what is open', () => {
    const names = fc.constantFrom('prompt', 'shape', 'count', 'hidden', 'webhook', 'toString', '__proto__', 'size')
    fc.assert(
      fc.property(fc.dictionary(names, fc.constantFrom('a', 1, null)), (given) => {
        const { input, refused } = merged(given)
        expect(input).toMatchObject(preset.input.fixed)
        for (const [name, value] of Object.entries(given)) {
          const open = preset.input.overrides.includes(name)
          expect(refused.some(({ pointer }) => pointer === `/${name}`)).toBe(!open)
          if (open) expect(input[name]).toBe(value)
        }
        expect(new Set(Object.keys(input))).toEqual(
          new Set([
            ...Object.keys(preset.input.default),
            ...Object.keys(preset.input.fixed),
            ...Object.keys(given).filter((name) => preset.input.overrides.includes(name)),
          ]),
        )
      }),
    )
  })

  test('is described with the fields that are open, and the defaults of the preset', () => {
    expect(submitSchema(preset, schema)).toEqual({
      type: 'object',
      additionalProperties: false,
      required: ['prompt'],
      properties: {
        prompt: { type: 'string', minLength: 1, title: 'Prompt' },
        shape: { type: 'string', enum: ['tall', 'wide'], default: 'tall' },
      },
    })
  })
})

describe('the presets that come with genqueue', async () => {
  const folder = join(import.meta.dirname, '../../presets')
  const presets = readPresets(await diskPresets(folder), checks)

  test('are those of the five products', () => {
    expect(presets.map(({ name }) => name)).toEqual([
      'lip-sync',
      'restore-image',
      'story-page',
      'training-image',
      'video-outline',
      'video-script',
      'video-titles',
    ])
  })

  test.each(presets.map((preset) => [preset.name, preset] as const))('%s has a price', (_, preset) => {
    expect(preset.price && estimatePrice(preset.price, preset.input.default)).toBeGreaterThan(0)
  })

  const models = new Map(BUILT_IN_MODELS.models?.map((model) => [model.name, model]))
  const known = presets.filter(({ model }) => models.has(model ?? ''))

  test.each(known.map((preset) => [preset.name, preset] as const))(
    '%s asks for no more than its model takes',
    (_, preset) => {
      const given = JSON.parse(JSON.stringify(models.get(preset.model ?? '')?.input_schema)) as JsonObject
      const schema = plainSchema(given)?.schema ?? {}
      expect(misfits(preset, schema, checks)).toEqual([])
    },
  )

  test('hold 0.20 credits for ten seconds of lip sync, and 0.003 for a page', () => {
    const estimate = (name: string): number => {
      const preset = presets.find((one) => one.name === name)
      return preset?.price ? estimatePrice(preset.price, preset.input.default) : Number.NaN
    }
    expect(estimate('lip-sync')).toBe(200_000)
    expect(estimate('story-page')).toBe(3000)
  })
})

test('the sample of docs/presets.md is one', () => {
  const page = readFileSync(join(import.meta.dirname, '../../docs/presets.md'), 'utf8')
  const [, sample = ''] = /^## A file\n+```yaml\n([^]*?)^```/m.exec(page) ?? []
  expect(read(sample).name).toBe('poster')
})

test('a folder that is not there is said to be so', async () => {
  await expect(diskPresets('/nowhere/at/all')).rejects.toThrow(PresetError)
  await expect(diskPresets('/nowhere/at/all')).rejects.toThrow(/cannot be read/)
})
