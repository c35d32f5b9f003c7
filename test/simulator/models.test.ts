import { expect, test } from 'vitest'
import { anyModel, describeModels } from '../../src/simulator/models/catalogue.ts'
import { startSimulator } from '../../src/simulator/start-simulator.ts'
import { waitFor } from '../support/wait-for.ts'
import { type Body, finished, simulatorFor, temporaryFolder, withCalls } from './support/simulator.ts'

const [OLD, NEW] = ['a'.repeat(64), 'b'.repeat(64)]

const greeter = (version: string, template: string, more: object = {}) => ({
  name: 'alice/greeter',
  official: false,
  version,
  input_schema: { type: 'object' as const, properties: { who: { type: 'string' } } },
  output: { kind: 'string' as const, template },
  ...more,
})

const namesOf = ({ body }: { body: Body }): string[] => body.results.map(({ owner, name }: Body) => `${owner}/${name}`)

test('models of one name in a file are versions: each runs as itself, the last is the latest', async () => {
  const models = [greeter(OLD, 'good day {who}', { created_at: '2025-05-01T00:00:00Z' }), greeter(NEW, 'hi {who}')]
  const simulator = await simulatorFor({ models: { models } })
  const { body } = await simulator.get('models/alice/greeter')
  expect(body.latest_version.id).toBe(NEW)
  const versions = await simulator.get('models/alice/greeter/versions')
  expect(versions.body.results.map(({ id }: Body) => id)).toEqual([NEW, OLD])
  expect(versions.body.results[1].created_at).toBe('2025-05-01T00:00:00.000000Z')
  const run = async (version: string) => {
    const { body: created } = await simulator.post('predictions', { version, input: { who: 'Ann' } })
    return (await finished(simulator, created.id)).output
  }
  expect(await run(OLD)).toBe('good day Ann')
  expect(await run(`alice/greeter:${NEW}`)).toBe('hi Ann')
  const { version: _, ...unnamed } = greeter(OLD, 'x')
  const { versions: described } = describeModels({ models: [unnamed, unnamed] })
  const ids = (described.get('alice/greeter') ?? []).map(({ version }) => version)
  // The id of the first is that of a model with one version: adding a version does not change it.
  expect(ids).toEqual([anyModel('alice/greeter').version, expect.stringMatching(/^[0-9a-f]{64}$/)])
  expect(ids[1]).not.toBe(ids[0])
  const twice = [greeter(OLD, 'x'), { ...greeter(OLD, 'y'), name: 'alice/other' }]
  await expect(startSimulator({ port: 0, dataDir: null, models: { models: twice } })).rejects.toThrow(/two models/)
})

test('models have examples: predictions with files that can be read', async () => {
  const inputs = [{ who: 'Ann' }, { who: 'Bob' }]
  const models = [
    greeter(OLD, 'hi {who}', { examples: inputs }),
    { ...greeter(NEW, 'x', { examples: [] }), name: 'alice/none' },
  ]
  const simulator = await simulatorFor({ models: { models } })
  const examplesOf = async (name: string): Promise<Body[]> =>
    (await simulator.get(`models/${name}/examples`)).body.results
  const defaultOf = async (name: string): Promise<Body> => (await simulator.get(`models/${name}`)).body.default_example
  expect((await examplesOf('alice/greeter')).map(({ output, input }) => [output, input])).toEqual([
    ['hi Ann', inputs[0]],
    ['hi Bob', inputs[1]],
  ])
  expect(await defaultOf('alice/greeter')).toMatchObject({ output: 'hi Ann', status: 'succeeded', version: OLD })
  expect([await defaultOf('alice/none'), await examplesOf('alice/none')]).toEqual([null, []])
  const flux = await defaultOf('black-forest-labs/flux-schnell')
  expect(flux.input).toMatchObject({ prompt: 'a lighthouse at sunset', output_format: 'webp' })
  const restored = await defaultOf('flux-kontext-apps/restore-image')
  const film = await defaultOf('wan-video/wan-2.2-s2v')
  for (const url of [flux.output[0], restored.output, restored.input.input_image]) {
    const response = await fetch(url)
    expect([url, response.status]).toEqual([url, 200])
    await response.arrayBuffer()
  }
  expect(film).toMatchObject({ status: 'succeeded', metrics: { video_output_count: 1 } })
  expect((await defaultOf('google/gemini-3-pro')).output.join('')).toMatch(/^# /)
  expect((await simulator.get('predictions')).body.results).toEqual([])
})

test('the list of models has pages and an order', async () => {
  const models = Array.from({ length: 30 }, (_, i) => ({
    ...greeter(String(i).padStart(64, '0'), 'x', { created_at: `2025-01-01T00:00:${String(i).padStart(2, '0')}Z` }),
    name: `alice/m${i}`,
  }))
  const simulator = await simulatorFor({ models: { models } })
  const first = await simulator.get('models?sort_by=model_created_at&sort_direction=asc')
  expect(namesOf(first)).toEqual(Array.from({ length: 25 }, (_, i) => `alice/m${i}`))
  expect(first.body.previous).toBeNull()
  const second = await simulator.get(first.body.next)
  expect(namesOf(second).slice(0, 5)).toEqual(Array.from({ length: 5 }, (_, i) => `alice/m${25 + i}`))
  expect(second.body.next).toBeNull()
  expect(namesOf(await simulator.get(second.body.previous))).toEqual(namesOf(first))
  expect(namesOf(await simulator.get('models')).at(-1)).not.toBe('alice/m0')
  expect((await simulator.get('models?sort_by=name')).status).toBe(422)
})

test('what requests made survives a restart', async () => {
  const folder = temporaryFolder()
  const first = withCalls(await startSimulator({ port: 0, dataDir: folder, speed: 2000 }))
  const about = { owner: 'acme', name: 'portraits', visibility: 'private', hardware: 'cpu' }
  await first.post('models', about)
  const trainer = 'models/ostris/flux-dev-lora-trainer'
  const { id: base } = (await first.get(trainer)).body.latest_version
  const created = await first.post(`${trainer}/versions/${base}/trainings`, {
    destination: 'acme/portraits',
    input: { input_images: 'https://a.example/x.zip' },
  })
  const training = await waitFor<Body>('the end of the training', async () => {
    const { body } = await first.get(`trainings/${created.body.id}`)
    return body.completed_at !== undefined && body
  })
  const [, version] = training.output.version.split(':')
  const instances = { min_instances: 1, max_instances: 1 }
  const deployment = { name: 'portraits', model: 'acme/portraits', version, hardware: 'cpu', ...instances }
  await first.post('deployments', deployment)
  await first.call('DELETE', 'deployments/acme/writer')
  await first.stop()

  const second = await simulatorFor({ dataDir: folder })
  expect((await second.get('models/acme/portraits')).body.latest_version.id).toBe(version)
  const { output } = (await second.get(`trainings/${training.id}`)).body
  expect(output.version).toBe(training.output.version)
  expect(namesOf(await second.get('deployments'))).toEqual(['acme/flux-fast', 'acme/portraits'])
  const run = await second.post('deployments/acme/portraits/predictions', {
    input: { prompt: 'x', megapixels: '0.25' },
  })
  expect(await finished(second, run.body.id)).toMatchObject({ status: 'succeeded', version, model: 'acme/portraits' })
  await second.post('/_sim/reset')
  expect((await second.get('models/acme/portraits')).status).toBe(404)
  expect(namesOf(await second.get('deployments'))).toEqual(['acme/flux-fast', 'acme/writer'])
})

test('a private model, and the right to change one, belong to its account', async () => {
  const accounts = { r8_a: 'alice', r8_b: 'bob' }
  const models = { models: [greeter(OLD, 'hi', { visibility: 'private' })] }
  const simulator = await simulatorFor({ habits: { accounts }, models })
  const as = (token: string) => ({ authorization: `Bearer ${token}` })
  const status = async (method: string, path: string, token: string, body?: unknown) =>
    (await simulator.call(method, path, body, as(token))).status
  const greet = { version: OLD, input: {} }
  expect([
    await status('GET', 'models/alice/greeter', 'r8_a'),
    await status('GET', 'models/alice/greeter', 'r8_b'),
  ]).toEqual([200, 404])
  expect([
    await status('POST', 'predictions', 'r8_a', greet),
    await status('POST', 'predictions', 'r8_b', greet),
  ]).toEqual([201, 422])
  const about = { owner: 'alice', name: 'new', visibility: 'public', hardware: 'cpu' }
  expect(await status('POST', 'models', 'r8_b', about)).toBe(403)
  expect(await status('POST', 'models', 'r8_a', about)).toBe(201)
  expect(await status('PATCH', 'models/alice/new', 'r8_b', { description: 'x' })).toBe(403)
  const deployment = {
    name: 'd',
    model: 'alice/greeter',
    version: OLD,
    hardware: 'cpu',
    min_instances: 0,
    max_instances: 1,
  }
  expect(await status('POST', 'deployments', 'r8_b', deployment)).toBe(422)
  expect(await status('POST', 'deployments', 'r8_a', deployment)).toBe(200)
  expect([
    await status('GET', 'deployments/alice/d', 'r8_a'),
    await status('GET', 'deployments/alice/d', 'r8_b'),
  ]).toEqual([200, 404])
})
