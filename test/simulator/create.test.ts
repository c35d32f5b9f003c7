import { describe, expect, test } from 'vitest'
import { finished, FLUX, GEMINI, simulatorFor, temporaryFolder } from './support/simulator.ts'
import { startSimulator } from '../../src/simulator/start-simulator.ts'

const HELLO = '9dcd6d78e7c6560c340d916fe32e9f24aabfa331e5cce95fe31f77fb03121426'

describe('the three ways to create', () => {
  test('by version: digits, owner/name:digits, and the name of an official model', async () => {
    const simulator = await simulatorFor()
    const hello = { input: { text: 'Ann' } }
    for (const version of [HELLO, `replicate/hello-world:${HELLO}`]) {
      const { status, body } = await simulator.post('predictions', { version, ...hello })
      expect(status).toBe(201)
      expect(body).toMatchObject({ model: 'replicate/hello-world', version: HELLO, status: 'starting', output: null })
      expect(body.id).toMatch(/^[0-9a-hjkmnp-tv-z]{26}$/)
      expect((await finished(simulator, body.id)).output).toBe('hello Ann')
    }
    const official = await simulator.post('predictions', { version: 'google/gemini-3-pro', input: { prompt: 'bees' } })
    expect(official.body).toMatchObject({ model: 'google/gemini-3-pro', version: 'hidden' })
  })

  test('by an official model: drops unknown input fields, and serves byte ranges of the files', async () => {
    const simulator = await simulatorFor()
    const input = { prompt: 'a boat', num_outputs: 2, output_format: 'png', megapixels: '0.25', aspect_ratio: '16:9' }
    const { body } = await simulator.post(FLUX, { input: { ...input, surprise: 1 } })
    expect(body.input).toEqual(input)
    const done = await finished(simulator, body.id)
    expect(done).toMatchObject({ status: 'succeeded', version: 'hidden', metrics: { image_output_count: 2 } })
    expect(done.output).toHaveLength(2)
    expect(done.output[0]).toMatch(new RegExp(`^${simulator.url}/files/\\w+/out-0\\.png$`))
    expect(done.logs).toMatch(/Using seed: \d+\n {2}0%\|.*0\/4[^]*100%\|█{10}\| 4\/4/)

    const file = await fetch(done.output[0])
    const bytes = Buffer.from(await file.arrayBuffer())
    expect(file.headers.get('content-type')).toBe('image/png')
    expect(Number(file.headers.get('content-length'))).toBe(bytes.length)
    expect(bytes.subarray(1, 4).toString()).toBe('PNG')
    expect([bytes.readUInt32BE(16), bytes.readUInt32BE(20)]).toEqual([672, 384])
    const other = Buffer.from(await (await fetch(done.output[1])).arrayBuffer())
    expect(other.equals(bytes)).toBe(false)

    const part = await fetch(done.output[0], { headers: { range: 'bytes=1-3' } })
    expect([part.status, await part.text()]).toEqual([206, 'PNG'])
    expect(part.headers.get('content-range')).toBe(`bytes 1-3/${bytes.length}`)
    expect((await fetch(done.output[0], { headers: { range: `bytes=${bytes.length}-` } })).status).toBe(416)
    expect((await fetch(done.output[0].replace('out-0', 'out-7'))).status).toBe(404)
  })

  test('through a deployment', async () => {
    const simulator = await simulatorFor()
    const { status, body } = await simulator.post('deployments/acme/flux-fast/predictions', { input: { prompt: 'x' } })
    expect(status).toBe(201)
    expect(body).toMatchObject({ model: 'black-forest-labs/flux-schnell', deployment: 'flux-fast' })
    expect((await simulator.post('deployments/acme/none/predictions', { input: {} })).status).toBe(404)
  })

  test('the same prompt and seed draw the same picture', async () => {
    const simulator = await simulatorFor()
    const draw = async (input: object) => {
      const { body } = await simulator.create({ megapixels: '0.25', ...input }, {}, { prefer: 'wait' })
      return Buffer.from(await (await fetch(body.output[0])).arrayBuffer()).toString('base64')
    }
    const first = await draw({ prompt: 'a cat', seed: 3 })
    expect(await draw({ prompt: 'a cat', seed: 3 })).toBe(first)
    expect(await draw({ prompt: 'a cat', seed: 4 })).not.toBe(first)
    expect(await draw({ prompt: 'a city', seed: 3 })).not.toBe(first)
  })
})

describe('text', () => {
  test('takes over a minute at speed 1, thinks first, then grows in chunks; logs grow too', async () => {
    const simulator = await simulatorFor({ speed: 60 })
    const { body } = await simulator.post(GEMINI, { input: { prompt: 'Write an essay about bees' } })
    const lengths = new Set<number>()
    for (;;) {
      const { body: now } = await simulator.get(`predictions/${body.id}`)
      lengths.add(now.output?.length ?? 0)
      if (now.status === 'succeeded') {
        expect(now.metrics.predict_time * 60).toBeGreaterThan(60)
        expect(now.metrics.output_token_count).toBe(now.output.length)
        expect(now.output.join('')).toMatch(/^# Bees\n[^]*Outline/)
        expect(now.logs).toContain('Thinking')
        break
      }
    }
    expect(lengths.size).toBeGreaterThan(5)
  })
})

describe('refusals', () => {
  test('no token is a 401; any token is valid', async () => {
    const simulator = await simulatorFor()
    const none = await simulator.get('account', { authorization: '' })
    expect(none.status).toBe(401)
    expect(none.headers.get('content-type')).toBe('application/problem+json')
    expect(none.body).toEqual({
      title: 'Unauthenticated',
      detail: 'You did not pass an authentication token',
      status: 401,
    })
    const wrong = await simulator.get('account', { authorization: 'Basic abc' })
    expect([wrong.status, wrong.body.detail]).toEqual([401, 'You did not pass a valid authentication token'])
    expect((await simulator.get('account', { authorization: 'Token r8_x' })).status).toBe(200)
    expect((await simulator.books()).counts.created).toBe(0)
  })

  test('wrong input is a 422 worded as by the real API', async () => {
    const simulator = await simulatorFor()
    const required = await simulator.create({})
    expect(required.status).toBe(422)
    expect(required.headers.get('content-type')).toBe('application/problem+json')
    expect(required.body).toEqual({
      detail: '- input: prompt is required\n',
      status: 422,
      title: 'Input validation failed',
      invalid_fields: [{ type: 'required', field: 'input', description: 'prompt is required' }],
    })
    const nothing = await simulator.create({ prompt: 'x', seed: null })
    expect(nothing.body.detail).toBe('- input.seed: Invalid type. Expected: integer, given: null\n')
    const several = await simulator.create({ prompt: 1, num_outputs: 9, output_format: 'gif', output_quality: -1 })
    const types = several.body.invalid_fields.map((one: { type: string; field: string }) => [one.type, one.field])
    expect(Object.fromEntries(types)).toEqual({
      invalid_type: 'input.prompt',
      number_lte: 'input.num_outputs',
      enum: 'input.output_format',
      number_gte: 'input.output_quality',
    })
    expect(several.body.invalid_fields.map((one: { description: string }) => one.description)).toContain(
      'Must be less than or equal to 4',
    )
  })

  test('unknown top-level fields, wrong webhooks, wrong versions, broken JSON, community models by name', async () => {
    const simulator = await simulatorFor()
    const extra = await simulator.create({ prompt: 'x' }, { model: 'y' })
    expect(extra.body.invalid_fields).toEqual([
      { type: 'additional_property_not_allowed', field: '', description: 'Additional property model is not allowed' },
    ])
    await simulator.post('/_sim/habits', { wrong_webhooks: 'refused' })
    for (const more of [{ webhook: 'not a url' }, { webhook: 'ftp://x/' }, { webhook_events_filter: ['never'] }]) {
      expect((await simulator.create({ prompt: 'x' }, more)).status).toBe(422)
    }
    const version = await simulator.post('predictions', { version: `${HELLO.slice(1)}0`, input: {} })
    expect(version.body.title).toBe('Invalid version or not permitted')
    expect((await simulator.post('predictions', { version: 'replicate/hello-world', input: {} })).status).toBe(422)
    expect((await simulator.post(FLUX, '{"input":')).status).toBe(400)
    expect((await simulator.post('models/replicate/hello-world/predictions', { input: {} })).status).toBe(404)
    expect((await simulator.get('predictions/nothing')).status).toBe(404)
    const method = await simulator.call('DELETE', 'predictions')
    expect([method.status, method.headers.get('allow')]).toEqual([405, 'POST, GET, HEAD'])
    const nothing = await simulator.post('predictions', { version: 'invalid' })
    expect(nothing.body.title).toBe('Invalid version or not permitted')
    expect((await simulator.books()).counts.created).toBe(0)
  })
})

describe('Prefer: wait', () => {
  test('returns when the run is over, or 202 with Location at the timeout', async () => {
    const simulator = await simulatorFor()
    const done = await simulator.create({ prompt: 'x' }, {}, { prefer: 'wait' })
    expect([done.status, done.body.status]).toEqual([201, 'succeeded'])
    expect(done.headers.get('preference-applied')).toBe('wait')
    const started = performance.now()
    await simulator.faults({ predictions: { starting_forever: { next: 1 } } })
    const late = await simulator.create({ prompt: 'x' }, {}, { prefer: 'wait=1' })
    expect(performance.now() - started).toBeGreaterThan(990)
    expect([late.status, late.body.status]).toEqual([202, 'starting'])
    expect(late.headers.get('preference-applied')).toBe('wait=1')
    expect(late.headers.get('location')).toBe(late.body.urls.get)
    await simulator.post('/_sim/habits', { unfinished_wait_code: 201 })
    await simulator.faults({ predictions: { starting_forever: { next: 1 } } })
    expect((await simulator.create({ prompt: 'x' }, {}, { prefer: 'wait=1' })).status).toBe(201)
  })
})

describe('models of a user', () => {
  const models = {
    models: [
      {
        name: 'acme/stamp',
        input_schema: { type: 'object', required: ['word'], properties: { word: { type: 'string' } } },
        run_seconds: 0.5,
        output: { kind: 'json', value: { stamped: true } },
      },
      {
        name: 'acme/shout',
        official: false,
        version: 'a'.repeat(64),
        input_schema: { type: 'object', properties: {} },
        output: { kind: 'string', template: 'HEY {word}!' },
      },
    ],
    deployments: [{ name: 'acme/fast-stamp', model: 'acme/stamp' }],
  }

  test('from a file run, show their schema and are reachable through their deployment', async () => {
    const folder = temporaryFolder()
    const { writeFileSync } = await import('node:fs')
    writeFileSync(`${folder}/more.json`, JSON.stringify(models))
    const simulator = await simulatorFor({ models: `${folder}/more.json` })
    const { body } = await simulator.post('deployments/acme/fast-stamp/predictions', { input: { word: 'x' } })
    expect((await finished(simulator, body.id)).output).toEqual({ stamped: true })
    const shown = await simulator.get('models/acme/stamp')
    expect(shown.body.latest_version.openapi_schema.components.schemas.Input.required).toEqual(['word'])
    expect((await simulator.post('models/acme/stamp/predictions', { input: {} })).status).toBe(422)
    expect((await simulator.post('predictions', { version: 'a'.repeat(64), input: {} })).status).toBe(201)
  })

  test('that are invalid are refused with their path', async () => {
    const wrong = { models: [{ name: 'nameless', output: { kind: 'film' } }] }
    // @ts-expect-error: the invalid value under test
    await expect(startSimulator({ port: 0, dataDir: null, models: wrong })).rejects.toThrow(/models\[0\]\.name/)
  })
})
