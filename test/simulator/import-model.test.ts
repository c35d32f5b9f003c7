import { afterAll, beforeAll, expect, test } from 'vitest'
import { importModel, importModels, type Simulator, startSimulator } from '../../src/simulator/start-simulator.ts'
import { type Body, callsTo } from './support/simulator.ts'

/** Models of an API become models of a simulator. */

/** As Cog describes a model: enums beside the input, and a part that contains itself. */
const answer = {
  owner: 'acme',
  name: 'clip',
  description: null,
  is_official: true,
  latest_version: {
    id: 'ab'.repeat(32),
    openapi_schema: {
      components: {
        schemas: {
          Input: {
            type: 'object',
            title: 'Input',
            required: ['prompt'],
            properties: {
              prompt: { type: 'string' },
              mode: { allOf: [{ $ref: '#/components/schemas/mode' }], default: 'fast', 'x-order': 1 },
              tree: { $ref: '#/components/schemas/Node' },
            },
          },
          mode: { enum: ['fast', 'good'], type: 'string', title: 'mode' },
          Node: { type: 'object', properties: { child: { $ref: '#/components/schemas/Node' } } },
          Output: { type: 'string', format: 'uri' },
        },
      },
    },
  },
  default_example: { output: 'https://replicate.delivery/a/out.mp4', metrics: { predict_time: 10 } },
}

const withOutput = (schema: object, output?: unknown): object => ({
  ...answer,
  latest_version: {
    ...answer.latest_version,
    openapi_schema: { components: { schemas: { Input: {}, Output: schema } } },
  },
  default_example: { output },
})

test('a model becomes an entry of a models file, with its schemas in one piece', async () => {
  const entry = await importModel(answer)
  expect(entry).toMatchObject({
    name: 'acme/clip',
    official: true,
    version: 'ab'.repeat(32),
    run_seconds: [8, 12],
    input_schema: {
      required: ['prompt'],
      properties: {
        mode: { enum: ['fast', 'good'], type: 'string', default: 'fast' },
        tree: { properties: { child: {} } },
      },
    },
    output: { kind: 'files', single: true, files: [expect.stringMatching(/^data:video\/mp4;base64,/)] },
  })
  expect(JSON.stringify(entry.input_schema)).not.toContain('$ref')
})

const URI = { type: 'string', format: 'uri' }
test.each([
  ['a picture', URI, 'https://x.example/a.webp', { kind: 'pictures', single: true }],
  ['pictures', { type: 'array', items: URI }, ['https://x.example/a.png'], { kind: 'pictures', single: false }],
  ['a file without an example', URI, undefined, { kind: 'pictures', single: true }],
  [
    'a sound',
    URI,
    'https://x.example/a.wav',
    { kind: 'files', single: true, files: [expect.stringContaining('audio/wav')] },
  ],
  [
    'another file',
    URI,
    'https://x.example/a.zip',
    { kind: 'files', files: [expect.stringContaining('application/zip')] },
  ],
  [
    'tokens',
    { type: 'array', items: { type: 'string' }, 'x-cog-array-type': 'iterator' },
    ['a', 'b'],
    { kind: 'text' },
  ],
  ['a text', { type: 'string' }, 'the {field}', { kind: 'string', template: 'the { field }' }],
  ['anything', { type: 'object' }, { a: 1 }, { kind: 'json', value: { a: 1 } }],
])('the output is of the kind that the schema and the example say: %s', async (_, schema, output, expected) => {
  expect((await importModel(withOutput(schema, output))).output).toMatchObject(expected)
})

test('what is no model is refused', async () => {
  await expect(importModel({ owner: 'a', name: 'b' })).rejects.toThrow(/no model with a version:[^]*latest_version/)
})

let upstream: Simulator
let copy: Simulator
beforeAll(async () => {
  upstream = await startSimulator({ speed: 100 })
  const names = ['black-forest-labs/flux-schnell', 'google/gemini-3-pro', 'replicate/hello-world']
  const { models = [] } = await importModels(names, upstream.apiUrl, 'r8_x')
  const renamed = [...models, await importModel(answer)].map((model) => ({
    ...model,
    name: model.name.replace(/.*\//, 'mine/'),
    version: undefined,
  }))
  copy = await startSimulator({
    port: 0,
    dataDir: null,
    speed: 100,
    models: JSON.parse(JSON.stringify({ models: renamed })),
  })
})
afterAll(async () => {
  await Promise.all([upstream.stop(), copy.stop()])
})

test('imported models run, and refuse what the real ones refuse', async () => {
  const { post } = callsTo(copy.url)
  const run = (name: string, input: object): Promise<{ status: number; body: Body }> =>
    post(`models/mine/${name}/predictions`, { input }, { prefer: 'wait' })
  expect((await run('flux-schnell', { prompt: 'a boat', megapixels: '0.25' })).body.output).toEqual([
    expect.stringMatching(/webp$/),
  ])
  expect((await run('flux-schnell', { prompt: 'a boat', megapixels: '7' })).body.invalid_fields).toMatchObject([
    { type: 'enum' },
  ])
  expect((await run('gemini-3-pro', { prompt: 'bees' })).body.output.join('')).toMatch(/^# Bees/)
  const { output } = (await run('clip', { prompt: 'x', mode: 'good' })).body
  const film = await fetch(output)
  expect(film.headers.get('content-type')).toBe('video/mp4')
  expect(
    Buffer.from(await film.arrayBuffer())
      .subarray(4, 8)
      .toString(),
  ).toBe('ftyp')
})

test('an unknown model is named', async () => {
  await expect(importModels(['acme/nothing'], upstream.url, 'r8_x')).rejects.toThrow(/^acme\/nothing: 404 /)
  await expect(importModels(['acme/nothing'], upstream.url, '')).rejects.toThrow(/ 401 .*REPLICATE_API_TOKEN\)$/)
})
