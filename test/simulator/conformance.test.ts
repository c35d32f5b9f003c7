import { createHmac } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { Ajv } from 'ajv'
import { describe, expect, test } from 'vitest'
import { parse } from 'yaml'
import { againstReplicate } from '../support/replicate-document.ts'
import { waitFor } from '../support/wait-for.ts'
import { damagedPhoto, dataUri } from './support/media.ts'
import { type Answer, type Body, finished, FLUX, GEMINI, RESTORE, simulatorFor } from './support/simulator.ts'
import { webhookReceiver } from './support/webhook-receiver.ts'

/** Every response is checked against Replicate's published OpenAPI document. */

const document = parse(readFileSync(new URL('replicate-openapi.yaml', import.meta.url), 'utf8'))

function expectConforms({ status, body }: Answer, method: string, path: string): void {
  const content = document.paths[path]?.[method]?.responses?.[String(status)]?.content?.['application/json']
  expect(content, `${method} ${path} ${status} is in the document`).toBeDefined()
  expect(againstReplicate(method, path, status, body)).toBeNull()
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

/** The operation of a request, and its path in the document. */
function operationOf(method: string, path: string): { id: string; template: string } {
  const parts = path.replace(/\?.*/, '').split('/')
  const fits = (template: string) => {
    const pattern = template.slice(1).split('/')
    return pattern.length === parts.length && pattern.every((part, i) => part.startsWith('{') || part === parts[i])
  }
  // A path without a parameter wins: /webhooks/default/secret.
  const templates = Object.keys(document.paths).filter((one) => fits(one) && document.paths[one][method] !== undefined)
  const template = templates.toSorted((a, b) => a.split('{').length - b.split('{').length)[0] ?? ''
  return { id: document.paths[template]?.[method]?.operationId ?? `${method} ${path}`, template }
}

const PROBLEM = new Ajv().compile({
  type: 'object',
  required: ['detail'],
  properties: {
    title: { type: 'string' },
    detail: { type: 'string' },
    status: { type: 'integer' },
    invalid_fields: { type: 'array' },
  },
})

test('every operation of the document is answered as it says', async () => {
  const simulator = await simulatorFor({ speed: 1000 })
  const answered = new Set<string>()

  async function call(method: string, path: string, body?: unknown, headers?: Record<string, string>): Promise<Body> {
    const answer = await simulator.call(method, path, body, headers)
    const { id, template } = operationOf(method.toLowerCase(), path)
    if (answer.status >= 400) {
      expect(PROBLEM(answer.body), `${method} ${path}: ${JSON.stringify(answer.body)}`).toBe(true)
      return answer.body
    }
    answered.add(id)
    const documented = document.paths[template]?.[method.toLowerCase()]?.responses?.[String(answer.status)]
    expect(documented, `${id} ${answer.status} is in the document`).toBeDefined()
    if (documented.content === undefined) expect(answer.body).toBe('')
    else if (documented.content['application/json'] !== undefined)
      expectConforms(answer, method.toLowerCase(), template)
    return answer.body
  }

  const own = 'models/acme/portraits'
  const trainer = 'models/ostris/flux-dev-lora-trainer'
  for (const path of ['account', 'hardware', 'webhooks/default/secret', 'models', 'collections', 'trainings'])
    await call('GET', path)
  for (const { slug } of (await call('GET', 'collections')).results) await call('GET', `collections/${slug}`)
  const found = await call('GET', 'search?query=restore%20photographs&limit=5')
  expect(found.models[0].model.name).toBe('restore-image')
  expect(found.models[0].metadata.tags).toEqual(['image-restoration'])
  expect((await call('GET', 'search')).detail).toBe('Query parameter "query" is required')
  const queried = await simulator.call('QUERY', 'models', 'flux', { 'content-type': 'text/plain' })
  expectConforms(queried, 'get', '/models')
  expect(queried.body.results.map(({ name }: Body) => name)).toEqual([
    'flux-schnell',
    'flux-dev-lora',
    'restore-image',
    'flux-dev-lora-trainer',
  ])

  const about = { owner: 'acme', name: 'portraits', visibility: 'private', hardware: 'gpu-t4' }
  expect(await call('POST', 'models', about)).toMatchObject({ latest_version: null, visibility: 'private' })
  expect((await call('POST', 'models', about)).status).toBe(409)
  expect(await call('PATCH', own, { readme: '# Portraits', paper_url: 'https://a.example/paper' })).toMatchObject({
    paper_url: 'https://a.example/paper',
  })
  expect(await call('GET', `${own}/readme`)).toBe('# Portraits')
  expect((await call('GET', 'models')).results.map(({ name }: Body) => name)).not.toContain('portraits')

  const { latest_version: base } = await call('GET', trainer)
  const trainings = `${trainer}/versions/${base.id}/trainings`
  const input = { input_images: 'https://a.example/pictures.zip' }
  expect((await call('POST', trainings, { destination: 'acme/none', input })).detail).toBe(
    'The specified training destination does not exist',
  )
  expect((await call('POST', trainings, { destination: 'acme/portraits', input: {} })).status).toBe(422)
  await simulator.faults({ trainings: { starting_forever: { next: 1 } } })
  const stuck = await call('POST', trainings, { destination: 'acme/portraits', input })
  expect((await call('POST', `trainings/${stuck.id}/cancel`)).status).toBe('canceled')
  const training = await call('POST', trainings, { destination: 'acme/portraits', input })
  expect(training).toMatchObject({ status: 'starting', version: base.id, model: 'ostris/flux-dev-lora-trainer' })
  const done = await waitFor<Body>('the end of the training', async () => {
    const now = await call('GET', `trainings/${training.id}`)
    return now.completed_at !== undefined && now
  })
  expect(done.output.version).toMatch(/^acme\/portraits:[0-9a-f]{64}$/)
  expect((await fetch(done.output.weights)).status).toBe(200)
  expect((await call('GET', 'trainings')).results.map(({ id }: Body) => id)).toEqual([training.id, stuck.id])
  expect((await call('GET', 'predictions')).results).toEqual([])
  expect((await call('GET', `predictions/${training.id}`)).status).toBe(404)
  const [, version = ''] = done.output.version.split(':')
  expect((await call('GET', `${own}/versions`)).results.map(({ id }: Body) => id)).toEqual([version])
  expect((await call('GET', `${own}/versions/${version}`)).id).toBe(version)
  await call('GET', `${own}/examples`)
  const { results: models } = await call('GET', 'models')
  for (const { owner, name } of models) {
    const { results: examples } = await call('GET', `models/${owner}/${name}/examples`)
    for (const body of examples) expectConforms({ ...queried, body }, 'get', PREDICTION)
  }
  const drawn = await call('POST', 'predictions', { version, input: { prompt: 'x', megapixels: '0.25' } })
  expect(drawn).toMatchObject({ model: 'acme/portraits', version })
  await call('GET', `predictions/${drawn.id}`)
  await call('POST', `predictions/${drawn.id}/cancel`)
  await call('POST', 'models/google/gemini-3-pro/predictions', { input: { prompt: 'x' } })

  const instances = { min_instances: 0, max_instances: 2 }
  const deployment = { name: 'portraits', model: 'acme/portraits', version, hardware: 'gpu-t4', ...instances }
  expect((await call('POST', 'deployments', deployment)).current_release).toMatchObject({ number: 1, version })
  expect((await call('POST', 'deployments', { ...deployment, name: 'x', hardware: 'abacus' })).status).toBe(422)
  const changed = await call('PATCH', 'deployments/acme/portraits', { max_instances: 3 })
  expect(changed.current_release).toMatchObject({ number: 2, configuration: { min_instances: 0, max_instances: 3 } })
  expect((await call('GET', 'deployments')).results.map(({ name }: Body) => name)).toContain('portraits')
  await call('GET', 'deployments/acme/portraits')
  const deployed = await call('POST', 'deployments/acme/portraits/predictions', { input: { prompt: 'y' } })
  expect(deployed).toMatchObject({ deployment: 'portraits', version })
  await finished(simulator, deployed.id)
  expect((await call('DELETE', 'deployments/acme/portraits')).detail).toMatch(/15 minutes/)
  expect((await call('DELETE', `${own}/versions/${version}`)).detail).toMatch(/deployment/)
  await simulator.post('/_sim/age', { seconds: 900 })
  await call('DELETE', 'deployments/acme/portraits')
  expect((await call('DELETE', own)).detail).toMatch(/no versions/)
  await call('DELETE', `${own}/versions/${version}`)
  expect((await call('GET', `predictions/${drawn.id}`)).status).toBe(404)
  await call('DELETE', own)
  expect((await call('GET', own)).status).toBe(404)
  expect((await call('DELETE', 'models/replicate/hello-world')).detail).toMatch(/private/)

  const form = new FormData()
  form.append('content', new Blob(['abc']), 'abc.txt')
  const init = { method: 'POST', headers: { authorization: 'Bearer any' }, body: form }
  const upload = await fetch(`${simulator.apiUrl}/files`, init)
  answered.add('files.create')
  const { id } = (await upload.json()) as Body
  await call('GET', 'files')
  await call('GET', `files/${id}`)
  const { files_key: key } = (await simulator.get('/_sim/secret')).body
  const expiry = Math.floor(Date.now() / 1000) + 60
  const signature = createHmac('sha256', key).update(`acme ${id} ${expiry}`).digest('base64')
  const signed = new URLSearchParams({ owner: 'acme', expiry: String(expiry), signature })
  await call('GET', `files/${id}/download?${signed.toString()}`)
  await call('DELETE', `files/${id}`)

  const all = Object.values<Body>(document.paths).flatMap((path) => Object.values<Body>(path))
  expect([...answered].toSorted()).toEqual(all.map(({ operationId }) => operationId).toSorted())
  expect(answered.size).toBe(36)
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
