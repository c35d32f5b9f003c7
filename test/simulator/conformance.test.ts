import { readFileSync } from 'node:fs'
import { Ajv } from 'ajv'
import formats from 'ajv-formats'
import { describe, expect, test } from 'vitest'
import { parse } from 'yaml'
import { damagedPhoto, dataUri } from './support/media.ts'
import { type Answer, type Body, finished, FLUX, GEMINI, RESTORE, simulatorFor } from './support/simulator.ts'
import { webhookReceiver } from './support/webhook-receiver.ts'

/** Every response is checked against Replicate's published OpenAPI document. */

const document = parse(readFileSync(new URL('replicate-openapi.yaml', import.meta.url), 'utf8'))
const ajv = new Ajv({ strict: false, allErrors: true })
formats.default(ajv)
ajv.addSchema({ $id: 'replicate', ...withOneOfAsAnyOf(document) })

/** `version` is "a string, or the string hidden": with `oneOf`, hidden would match both and be invalid. */
function withOneOfAsAnyOf(value: unknown): object {
  return JSON.parse(JSON.stringify(value).replaceAll('"oneOf"', '"anyOf"'))
}

function expectConforms({ status, body }: Answer, method: string, path: string): void {
  const content = document.paths[path]?.[method]?.responses?.[String(status)]?.content?.['application/json']
  expect(content, `${method} ${path} ${status} is in the document`).toBeDefined()
  const pointer = ['paths', path, method, 'responses', String(status), 'content', 'application/json', 'schema']
  const validate = ajv.getSchema(
    `replicate#/${pointer.map((part) => encodeURIComponent(part.replaceAll('~', '~0').replaceAll('/', '~1'))).join('/')}`,
  )
  if (validate === undefined) throw new Error(`no schema for ${path}`)
  expect(validate(body) ? [] : validate.errors).toEqual([])
}

const PREDICTION = '/predictions/{prediction_id}'

describe('conforms to openapi.yaml', () => {
  test('predictions in every state, created in each way', async () => {
    const simulator = await simulatorFor({ speed: 20 })
    const created = await simulator.create({ prompt: 'x' }, { webhook: 'https://a.invalid/' }, { 'cancel-after': '5m' })
    expectConforms(created, 'post', '/models/{model_owner}/{model_name}/predictions')
    const deployed = await simulator.post('deployments/acme/writer/predictions', { input: { prompt: 'x' } })
    expectConforms(deployed, 'post', '/deployments/{deployment_owner}/{deployment_name}/predictions')
    const version = '9dcd6d78e7c6560c340d916fe32e9f24aabfa331e5cce95fe31f77fb03121426'
    const versioned = await simulator.post('predictions', { version, input: { text: 'x' } }, { prefer: 'wait' })
    expectConforms(versioned, 'post', '/predictions')
    await simulator.faults({ predictions: { starting_forever: { next: 1 } } })
    const unfinished = await simulator.create({ prompt: 'x' }, {}, { prefer: 'wait=1' })
    expectConforms(unfinished, 'post', '/models/{model_owner}/{model_name}/predictions')
    expectConforms(await simulator.get(`predictions/${deployed.body.id}`), 'get', PREDICTION)
    expectConforms(await simulator.post(`predictions/${unfinished.body.id}/cancel`), 'post', `${PREDICTION}/cancel`)
    await simulator.faults({ predictions: { fail: 1 } })
    const failed = await simulator.create()
    for (const { body } of [created, versioned, unfinished, failed]) {
      await finished(simulator, body.id)
      expectConforms(await simulator.get(`predictions/${body.id}`), 'get', PREDICTION)
    }
    await simulator.post('/_sim/age', { seconds: 3600 })
    expectConforms(await simulator.get(`predictions/${created.body.id}`), 'get', PREDICTION)
    expectConforms(await simulator.get('predictions'), 'get', '/predictions')
  })

  test('webhook bodies', async () => {
    const [simulator, receiver] = [await simulatorFor({ speed: 60 }), await webhookReceiver()]
    const events = ['start', 'output', 'logs', 'completed']
    const flux = await simulator.post(FLUX, {
      input: { prompt: 'x' },
      webhook: receiver.url,
      webhook_events_filter: events,
    })
    const text = await simulator.post(GEMINI, {
      input: { prompt: 'x' },
      webhook: receiver.url,
      webhook_events_filter: events,
    })
    await receiver.completed(flux.body.id)
    await receiver.completed(text.body.id)
    expect(receiver.received.length).toBeGreaterThan(4)
    for (const { body } of receiver.received) {
      expectConforms({ status: 200, headers: new Headers(), body }, 'get', PREDICTION)
    }
  })

  test('files', async () => {
    const simulator = await simulatorFor()
    const body = new FormData()
    body.append('content', new Blob(['abc']), 'abc.txt')
    const response = await fetch(`${simulator.apiUrl}/files`, {
      method: 'POST',
      headers: { authorization: 'Bearer any' },
      body,
    })
    const created = { status: response.status, headers: response.headers, body: (await response.json()) as Body }
    expectConforms(created, 'post', '/files')
    expectConforms(await simulator.get(`files/${created.body.id}`), 'get', '/files/{file_id}')
    expectConforms(await simulator.get('files'), 'get', '/files')
  })

  test('runs with input files, and their results', async () => {
    const simulator = await simulatorFor()
    const image = dataUri(await damagedPhoto(), 'image/png')
    const runs = [
      await simulator.post(RESTORE, { input: { input_image: image } }, { prefer: 'wait' }),
      await simulator.post(RESTORE, { input: { input_image: 'data:,none' } }, { prefer: 'wait' }),
    ]
    expect(runs.map(({ body }) => body.status)).toEqual(['succeeded', 'failed'])
    for (const run of runs) expectConforms(run, 'post', '/models/{model_owner}/{model_name}/predictions')
  })

  test('account, secret, hardware, models, versions, deployments', async () => {
    const simulator = await simulatorFor()
    const model = 'models/black-forest-labs/flux-schnell'
    const version = (await simulator.get(model)).body.latest_version.id
    const shapes = [
      ['account', '/account'],
      ['hardware', '/hardware'],
      ['webhooks/default/secret', '/webhooks/default/secret'],
      ['models', '/models'],
      [model, '/models/{model_owner}/{model_name}'],
      [`${model}/examples`, '/models/{model_owner}/{model_name}/examples'],
      [`${model}/versions`, '/models/{model_owner}/{model_name}/versions'],
      [`${model}/versions/${version}`, '/models/{model_owner}/{model_name}/versions/{version_id}'],
      ['deployments', '/deployments'],
      ['deployments/acme/flux-fast', '/deployments/{deployment_owner}/{deployment_name}'],
    ] as const
    for (const [path, shape] of shapes) expectConforms(await simulator.get(path), 'get', shape)
  })
})

test('a model shows its enums as references, as Cog writes them', async () => {
  const simulator = await simulatorFor()
  const { body } = await simulator.get('models/black-forest-labs/flux-schnell')
  const { schemas } = body.latest_version.openapi_schema.components
  expect(schemas.Input.properties.output_format).toMatchObject({
    allOf: [{ $ref: '#/components/schemas/output_format' }],
    default: 'webp',
  })
  expect(schemas.output_format).toMatchObject({ enum: ['webp', 'jpg', 'png'], type: 'string' })
  expect(schemas.Input.required).toEqual(['prompt'])
  expect(schemas.Output.items.format).toBe('uri')
})
