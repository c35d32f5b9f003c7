import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import Replicate from 'replicate'
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { connectSimulator, file, type Simulator, startSimulator } from '../../src/simulator/start-simulator.ts'
import { tempDir } from '../support/temp-dir.ts'
import { type Body, callsTo } from './support/simulator.ts'

/** What a test decides about a simulator in its own process, and what it looks at. */

const FLUX = 'black-forest-labs/flux-schnell'
const GEMINI = 'google/gemini-3-pro'
const UNKNOWN = 'acme/unknown'
const DIGITS = 'ab'.repeat(32)

let simulator: Simulator
let calls: ReturnType<typeof callsTo>
beforeAll(async () => {
  simulator = await startSimulator({ seed: 7, clock: 'manual' })
  calls = callsTo(simulator.url)
})
afterEach(() => simulator.reset())
afterAll(() => simulator.stop())

const clientWith = (auth: string) => new Replicate({ auth, baseUrl: simulator.apiUrl, useFileOutput: false })

/** Creates with a model's name, lets it end, and returns it. */
async function ended(model: string, input: object = { prompt: 'bees' }, token = 'any'): Promise<Body> {
  const { body, status } = await calls.post(
    `models/${model}/predictions`,
    { input },
    { authorization: `Bearer ${token}` },
  )
  expect([status, body.status]).toEqual([201, 'starting'])
  await simulator.clock.advance(200_000)
  return (await calls.get(`predictions/${body.id}`)).body
}

describe('a stub', () => {
  test('decides the next create, and the one after it is the model’s own again', async () => {
    const stub = simulator.stub({
      model: FLUX,
      output: { any: ['thing', 1] },
      metrics: { image_count: 3 },
      logs: 'one\ntwo\n',
    })
    expect(await ended(FLUX)).toMatchObject({
      status: 'succeeded',
      output: { any: ['thing', 1] },
      logs: 'one\ntwo\n',
      metrics: { image_count: 3, predict_time: expect.any(Number) as number },
    })
    expect(stub.used).toBe(1)
    expect((await ended(FLUX)).output).toEqual([expect.stringMatching(/\/out-0\.webp$/)])
  })

  test.each([
    ['an error', { error: 'no luck' }, { status: 'failed', error: 'no luck', output: null }],
    ['null', { output: null }, { status: 'succeeded', output: null }],
    ['chunks', { chunks: ['a', ' b'] }, { status: 'succeeded', output: ['a', ' b'] }],
    ['a function of the input', { output: ({ prompt }: Body) => `about ${prompt}` }, { output: 'about bees' }],
    [
      'a function that throws',
      {
        output: () => {
          throw new Error('CUDA out of memory')
        },
      },
      { status: 'failed', error: 'CUDA out of memory' },
    ],
    [
      'no promise',
      { output: async () => Promise.resolve('late') },
      { status: 'failed', error: expect.stringMatching(/returned a promise/) as string },
    ],
    [
      'no file of the machine from a function',
      { output: () => ({ $file: import.meta.filename }) },
      { status: 'failed', error: expect.stringMatching(/data URI/) as string },
    ],
  ])('may be %s', async (_, stub, expected) => {
    simulator.stub(stub)
    expect(await ended(FLUX)).toMatchObject(expected)
  })

  test('never reads files of the machine', async () => {
    const output = [{ $file: import.meta.filename }]
    expect(() => simulator.stub({ output })).toThrow(/data URI/)
    expect((await calls.post('/_sim/stubs', { output })).body).toMatchObject({ status: 422 })
    simulator.stub({ output: file('') })
    expect(await (await fetch((await ended(FLUX)).output)).text()).toBe('')
  })

  test('has files as outputs, anywhere in them', async () => {
    const bytes = Buffer.from('not really a picture')
    simulator.stub({ output: { picture: file(bytes, 'image/png'), more: [file('words', 'text/plain')] } })
    const { output } = await ended(FLUX)
    expect(output).toEqual({
      picture: expect.stringMatching(/\/out-0\.png$/),
      more: [expect.stringMatching(/\/out-1\.txt$/)],
    })
    const response = await fetch(output.picture)
    expect(response.headers.get('content-type')).toBe('image/png')
    expect(Buffer.from(await response.arrayBuffer())).toEqual(bytes)
    expect(await (await fetch(output.more[0])).text()).toBe('words')
    await calls.post('/_sim/age', { seconds: 3600 })
    expect((await fetch(output.picture)).status).toBe(404)
  })

  test('decides when a run starts and ends, and its chunks are written in between', async () => {
    simulator.stub({ model: GEMINI, output: ['Once', ' upon', ' a', ' time'], startSeconds: 10, seconds: 100 })
    const { body } = await calls.post(`models/${GEMINI}/predictions`, { input: { prompt: 'x' } })
    const read = async (): Promise<Body> => (await calls.get(`predictions/${body.id}`)).body
    const statuses: unknown[] = []
    for (const seconds of [9, 1, 62.5, 36, 1.5]) {
      await simulator.clock.advance(seconds * 1000)
      const { status, output } = await read()
      statuses.push([status, output])
    }
    expect(statuses).toEqual([
      ['starting', null],
      ['processing', null],
      ['processing', ['Once', ' upon']],
      ['processing', ['Once', ' upon', ' a']],
      ['succeeded', ['Once', ' upon', ' a', ' time']],
    ])
    const events = await (await fetch(body.urls.stream)).text()
    expect([...events.matchAll(/^event: output\nid: .*\ndata: (.*)$/gm)].map(([, data]) => data).join('')).toBe(
      'Once upon a time',
    )
  })

  test('serves a model that is not in the catalogue, by name and by version, with any input', async () => {
    simulator.stub({ model: UNKNOWN, output: 'yes' })
    expect(await ended(UNKNOWN, { any: { deep: 1 } })).toMatchObject({
      model: UNKNOWN,
      input: { any: { deep: 1 } },
      output: 'yes',
    })
    expect((await calls.post(`models/${UNKNOWN}/predictions`, { input: {} })).status).toBe(404)
    simulator.stub({ model: `${UNKNOWN}:${DIGITS}`, output: 'a version', times: 2 })
    for (const version of [DIGITS, `${UNKNOWN}:${DIGITS}`]) {
      const { body } = await calls.post('predictions', { version, input: {} })
      await simulator.clock.advance(10_000)
      expect((await calls.get(`predictions/${body.id}`)).body).toMatchObject({
        version: DIGITS,
        model: UNKNOWN,
        output: 'a version',
      })
    }
    expect((await calls.post('predictions', { version: DIGITS, input: {} })).status).toBe(422)
  })

  test('holds for some creates, or for all until it is removed; the first made is used first', async () => {
    const always = simulator.stub({ output: 'always', times: Infinity })
    simulator.stub({ output: 'first' })
    simulator.stub({ output: 'twice', times: 2 })
    const outputs: unknown[] = []
    for (let i = 0; i < 5; i++) outputs.push((await ended(FLUX)).output)
    expect(outputs).toEqual(['first', 'twice', 'twice', 'always', 'always'])
    expect(always.used).toBe(2)
    always.remove()
    expect((await ended(FLUX)).output).toHaveLength(1)
  })

  test('is refused when it is not valid', () => {
    expect(() => simulator.stub({ model: 'no name' })).toThrow(/owner\/name/)
    expect(() => simulator.stub({ output: 1, chunks: ['x'] })).toThrow(/exclude each other/)
    expect(() => simulator.stub({ times: 0 })).toThrow(/times/)
  })
})

describe('models as data', () => {
  const models = [
    { name: 'own/files', output: { kind: 'files', files: ['a.png', 'data:text/plain,words'] } },
    { name: 'own/single', output: { kind: 'files', files: ['a.png'], single: true }, logs: ['Hello {who}', 'Done'] },
    { name: 'own/letter', output: { kind: 'text', template: 'Dear {who}, all is well.' } },
    { name: 'own/chunks', output: { kind: 'text', chunks: ['One', ' two'] } },
    {
      name: 'own/value',
      output: { kind: 'json', template: true, value: { to: '{who}', picture: { $file: 'a.png' } } },
    },
  ].map((model) => ({ ...model, input_schema: { type: 'object', properties: { who: { type: 'string' } } } }))

  test('have own files beside their file, and templated and streamed texts', async () => {
    const folder = tempDir()
    const path = join(folder, 'models.json')
    writeFileSync(path, JSON.stringify({ models }))
    const start = (): Promise<Simulator> => startSimulator({ speed: 1000, models: path })
    await expect(start()).rejects.toThrow(
      `the model own/files has the file ${join(folder, 'a.png')}, which does not exist`,
    )
    writeFileSync(join(folder, 'a.png'), 'bytes of a picture')
    const own = await start()
    const { post } = callsTo(own.url)
    const run = async (name: string): Promise<Body> =>
      (await post(`models/own/${name}/predictions`, { input: { who: 'Ann' } }, { prefer: 'wait' })).body
    try {
      const [picture, words] = (await run('files')).output
      const response = await fetch(picture)
      expect([response.headers.get('content-type'), await response.text()]).toEqual(['image/png', 'bytes of a picture'])
      expect(await (await fetch(words)).text()).toBe('words')
      expect(await run('single')).toMatchObject({
        output: expect.stringMatching(/out-0\.png$/) as string,
        logs: 'Hello Ann\nDone\n',
      })
      expect((await run('letter')).output.join('')).toBe('Dear Ann, all is well.')
      expect((await run('chunks')).output).toEqual(['One', ' two'])
      expect((await run('value')).output).toEqual({
        to: 'Ann',
        picture: expect.stringMatching(/out-0\.png$/) as string,
      })
    } finally {
      await own.stop()
    }
  })
})

test('tests that share a simulator have their own stubs and requests, by their tokens', async () => {
  const [ann, bob] = [simulator.scope(), simulator.scope('r8_bob')]
  expect(ann.token).toMatch(/^r8_test_/)
  simulator.stub({ output: 'for all', times: 'always' })
  ann.stub({ model: FLUX, output: 'for ann' })
  bob.stub({ model: FLUX, output: 'for bob' })
  const outputs = await Promise.all([bob, ann, ann].map(({ token }) => ended(FLUX, { prompt: 'x' }, token)))
  expect(outputs.map(({ output }) => output)).toEqual(['for bob', 'for ann', 'for all'])
  expect([ann.requests().length, bob.requests().length]).toEqual([2, 1])
  bob.stub({ error: 'never' })
  bob.reset()
  expect(bob.requests()).toEqual([])
  expect((await ended(FLUX, { prompt: 'x' }, bob.token)).output).toBe('for all')
})

describe('the requests', () => {
  test('are shown with their bodies, and without the token', async () => {
    const client = clientWith('r8_very_secret')
    const { id } = await client.predictions.create({
      model: FLUX,
      input: { prompt: 'a boat' },
      webhook: 'https://a.example/hook',
    })
    await client.files.create(Buffer.from('some bytes'), { customer: 7 })
    await client.predictions.list()
    await fetch(`${simulator.apiUrl}/nothing?a=1`)
    const seen = simulator.requests()
    expect(seen).toMatchObject([
      {
        method: 'POST',
        path: `/v1/models/${FLUX}/predictions`,
        body: { input: { prompt: 'a boat' }, webhook: 'https://a.example/hook' },
        headers: { authorization: 'Bearer [redacted]', 'content-type': 'application/json' },
        status: 201,
      },
      { path: '/v1/files', body: { content: { bytes: 10 }, metadata: { bytes: 14 } }, status: 201 },
      { method: 'GET', path: '/v1/predictions', query: {}, body: null, status: 200 },
      { path: '/v1/nothing', query: { a: '1' }, body: null, status: 404 },
    ])
    expect(JSON.stringify(seen)).not.toContain('r8_very_secret')
    expect(simulator.scope('r8_very_secret').requests()).toHaveLength(3)
    expect(simulator.books().predictions).toMatchObject([{ id, model: FLUX, webhook: 'https://a.example/hook' }])
  })

  test('that were cut have no status', async () => {
    simulator.faults({ create: { cut_before_accept: { next: 1 } } })
    await expect(calls.create()).rejects.toThrow('fetch failed')
    expect(simulator.requests()).toMatchObject([{ method: 'POST', status: null }])
    expect(simulator.faults()).toEqual({})
  })
})

test('faults are set and shown; unknown ones throw; a reset removes everything', async () => {
  expect(simulator.faults({ get: { not_found: 1 } })).toEqual({ get: { not_found: 1 } })
  expect(() => simulator.faults({ get: { nothing: 1 } })).toThrow(/unknown fault/)
  expect(simulator.faults(null)).toEqual({})
  simulator.faults({ get: { not_found: 1 } })
  simulator.stub({ output: 'x' })
  await calls.create()
  simulator.reset()
  expect([simulator.faults(), simulator.requests(), simulator.books().predictions]).toEqual([{}, [], []])
  expect((await calls.call('GET', '/_sim/stubs')).body).toEqual([])
})

test('a stub of another process has no function, which cannot be sent', async () => {
  const remote = connectSimulator(simulator.url)
  await expect(remote.stub({ output: () => 'x' })).rejects.toThrow(/JSON as its output, not a function/)
})

test('other processes and languages do the same over HTTP', async () => {
  const stub = { model: FLUX, token: 'r8_py', chunks: ['a', 'b'], seconds: 2, times: 'always', logs: ['line'] }
  expect((await calls.post('/_sim/stubs', stub)).body).toMatchObject({ used: 0, stub })
  expect((await calls.post('/_sim/stubs', { output: 1, nothing: 2 })).status).toBe(422)
  expect((await ended(FLUX, { prompt: 'x' }, 'r8_py')).output).toEqual(['a', 'b'])
  expect((await calls.call('GET', '/_sim/stubs?token=r8_py')).body).toMatchObject([{ used: 1 }])
  expect((await calls.call('GET', '/_sim/stubs?token=other')).body).toEqual([])
  expect((await calls.call('GET', '/_sim/requests?token=r8_py')).body).toMatchObject([{ method: 'POST', status: 201 }])
  for (const what of ['stubs', 'requests'])
    expect((await calls.call('DELETE', `/_sim/${what}?token=r8_py`)).status).toBe(204)
  expect(simulator.requests()).toMatchObject([{ method: 'GET' }])
})
