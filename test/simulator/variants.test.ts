import sharp from 'sharp'
import { describe, expect, test } from 'vitest'
import { type Body, finished, GEMINI, simulatorFor, type TestSimulator } from './support/simulator.ts'
import { webhookReceiver } from './support/webhook-receiver.ts'

/** The same runs in the different response shapes of Replicate and its models. */

const HELLO = '9dcd6d78e7c6560c340d916fe32e9f24aabfa331e5cce95fe31f77fb03121426'

async function picture(simulator: TestSimulator, faults: object, input: object = {}): Promise<Body> {
  await simulator.faults({ predictions: faults })
  const { body } = await simulator.create({ prompt: 'x', megapixels: '0.25', seed: 5, ...input })
  return finished(simulator, body.id)
}

async function text(simulator: TestSimulator, faults: object): Promise<Body> {
  await simulator.faults({ predictions: faults })
  const { body } = await simulator.post(GEMINI, { input: { prompt: 'bees', max_output_tokens: 20 } })
  return finished(simulator, body.id)
}

const shape = (name: string) => ({ output: { shape: name, next: 1 } })

describe('shapes of output', () => {
  test('of files', async () => {
    const simulator = await simulatorFor()
    const url = expect.stringMatching(/^http.*\/out-0\.webp$/)
    expect((await picture(simulator, shape('single'))).output).toEqual(url)
    expect((await picture(simulator, shape('object'))).output).toEqual({
      image: url,
      details: { files: [url], seed: 5 },
    })
    const none = await picture(simulator, shape('null'))
    expect([none.status, none.output]).toEqual(['succeeded', null])
    expect((await picture(simulator, {})).output).toEqual([url])
  })

  test('data URIs, in responses and in webhooks, contain the file', async () => {
    const [simulator, receiver] = [await simulatorFor(), await webhookReceiver()]
    await simulator.faults({ predictions: shape('data_uri') })
    const input = { prompt: 'x', megapixels: '0.25', num_outputs: 2, output_format: 'jpg' }
    const { body } = await simulator.create(input, { webhook: receiver.url, webhook_events_filter: ['completed'] })
    const sent = await receiver.completed(body.id)
    const done = await finished(simulator, body.id)
    expect(sent.body.output).toEqual(done.output)
    expect(done.output).toHaveLength(2)
    const [, data = ''] = /^data:image\/jpeg;base64,(.+)$/.exec(done.output[1]) ?? []
    expect((await sharp(Buffer.from(data, 'base64')).metadata()).format).toBe('jpeg')
  })

  test('of text', async () => {
    const simulator = await simulatorFor()
    const tokens = (await text(simulator, shape('array'))).output
    expect(tokens).toHaveLength(20)
    expect(typeof (await text(simulator, shape('single'))).output).toBe('string')
    expect(Object.keys((await text(simulator, shape('object'))).output)).toEqual(['text'])
    expect((await text(simulator, shape('data_uri'))).output).toMatch(/^data:text\/plain;charset=utf-8;base64,/)
  })
})

describe('metrics', () => {
  test('only times, only counts, or nothing; the billed time stays', async () => {
    const simulator = await simulatorFor()
    const keep = (name: string) => ({ metrics: { keep: name, next: 1 } })
    const names = (body: Body) => Object.keys(body.metrics)
    expect(names(await picture(simulator, {}))).toEqual(['predict_time', 'total_time', 'image_output_count'])
    expect(names(await picture(simulator, keep('times')))).toEqual(['predict_time', 'total_time'])
    expect(names(await picture(simulator, keep('counts')))).toEqual(['image_output_count'])
    expect(names(await picture(simulator, keep('none')))).toEqual([])
    expect((await simulator.books()).spend).toBe(0.012)
    expect(names(await text(simulator, keep('counts')))).toContain('output_token_count')
  })

  test('a webhook omits total_time, as recorded; a habit includes it', async () => {
    const [simulator, receiver] = [await simulatorFor(), await webhookReceiver()]
    const metrics = async () => {
      const { body } = await simulator.create({ prompt: 'x' }, { webhook: receiver.url })
      return Object.keys((await receiver.completed(body.id)).body.metrics)
    }
    expect(await metrics()).toEqual(['predict_time', 'image_output_count'])
    await simulator.post('/_sim/habits', { total_time_in_webhooks: true })
    expect(await metrics()).toContain('total_time')
  })

  test('a user model adds its own', async () => {
    const model = {
      name: 'acme/voice',
      input_schema: {},
      run_seconds: 0.1,
      output: { kind: 'string', template: 'x' },
      metrics: { audio_output_duration_seconds: 4.5, model_variant: 'warm', with_audio: true },
    } as const
    const simulator = await simulatorFor({ models: { models: [model] } })
    const { body } = await simulator.post('models/acme/voice/predictions', { input: {} })
    expect((await finished(simulator, body.id)).metrics).toMatchObject(model.metrics)
  })
})

describe('a response', () => {
  test('may name another model than the requested one', async () => {
    const simulator = await simulatorFor()
    const done = await picture(simulator, { other_model: { name: 'replicate/lifeboat-70b', next: 1 } })
    expect(done).toMatchObject({ model: 'replicate/lifeboat-70b', status: 'succeeded' })
    expect((await simulator.books()).predictions[0].model).toBe('black-forest-labs/flux-schnell')
  })

  test('shows fields without a value as null, or omits them', async () => {
    const simulator = await simulatorFor({ habits: { empty_fields: 'null' } })
    const nulls = (await simulator.create()).body
    expect(nulls).toMatchObject({ started_at: null, completed_at: null, output: null, error: null })
    await simulator.post('/_sim/habits', { empty_fields: 'missing' })
    const { body } = await simulator.create()
    expect(Object.keys(body).toSorted()).toEqual(
      ['created_at', 'id', 'input', 'model', 'source', 'status', 'urls', 'version'].toSorted(),
    )
  })

  test('about removed data is empty, or null', async () => {
    const simulator = await simulatorFor({ habits: { removed_fields: 'null' } })
    const { id } = await picture(simulator, {})
    await simulator.post('/_sim/age', { seconds: 3600 })
    const { body } = await simulator.get(`predictions/${id}`)
    expect(body).toMatchObject({ data_removed: true, input: null, logs: null, output: null })
  })

  test('404 with and without a title, or as a page', async () => {
    const simulator = await simulatorFor()
    const body = async (habit: string) => {
      await simulator.post('/_sim/habits', { not_found_body: habit })
      const answer = await simulator.get('predictions/none')
      expect(answer.status).toBe(404)
      return answer.body
    }
    expect(await body('detail')).toEqual({ detail: 'The requested resource could not be found.', status: 404 })
    expect(await body('short')).toEqual({ detail: 'Not found.' })
    expect(await body('titled')).toMatchObject({ title: 'Not found', status: 404 })
    expect(await body('html')).toContain('<html>')
  })

  test('to a cancel of a finished prediction may be an error', async () => {
    const simulator = await simulatorFor({ habits: { cancel_finished_code: 409 } })
    const { id } = await picture(simulator, {})
    expect((await simulator.post(`predictions/${id}/cancel`)).status).toBe(409)
    expect((await simulator.get(`predictions/${id}`)).body.status).toBe('succeeded')
  })
})

describe('Prefer: wait with the first output, as recorded in 2024', () => {
  test('text: all of it and an empty token while it is processing', async () => {
    const simulator = await simulatorFor({ habits: { wait_answers: 'first_output' }, speed: 50 })
    const { status, body } = await simulator.post(GEMINI, { input: { prompt: 'bees' } }, { prefer: 'wait' })
    expect([status, body.status, body.output.at(-1), body.metrics]).toEqual([201, 'processing', '', {}])
    expect(body.completed_at).toBeUndefined()
    const done = await finished(simulator, body.id)
    expect([...done.output, '']).toEqual(body.output)
  })

  test('pictures: data URIs while it is processing; without an early output it waits for completion', async () => {
    const simulator = await simulatorFor({ habits: { wait_answers: 'first_output' } })
    const { body } = await simulator.create({ prompt: 'x', megapixels: '0.25' }, {}, { prefer: 'wait' })
    expect([body.status, body.completed_at]).toEqual(['processing', undefined])
    expect(body.output).toEqual([expect.stringMatching(/^data:image\/webp;base64,/)])
    const hello = await simulator.post('predictions', { version: HELLO, input: { text: 'x' } }, { prefer: 'wait' })
    expect(hello.body).toMatchObject({ status: 'succeeded', output: 'hello x' })
    await simulator.faults({ predictions: { fail: { next: 1 } } })
    const failed = await simulator.create({ prompt: 'x' }, {}, { prefer: 'wait' })
    expect(failed.body.status).toBe('failed')
  })
})
