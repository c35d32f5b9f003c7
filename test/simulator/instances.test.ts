import { describe, expect, onTestFinished, test } from 'vitest'
import { type SimulatorOptions, startSimulator } from '../../src/simulator/start-simulator.ts'
import { type Body, callsTo, temporaryFolder, type TestSimulator } from './support/simulator.ts'

/** When a run starts and how long it may last, by a clock that stands still otherwise. */

const VERSION = 'c'.repeat(64)
const model = {
  official: false,
  input_schema: { type: 'object' as const, properties: {} },
  output: { kind: 'string' as const, template: 'done' },
  start_seconds: 1,
}
const models = {
  models: [
    { ...model, name: 'acme/slow', version: VERSION, run_seconds: 10, boot_seconds: 100 },
    { ...model, name: 'acme/long', run_seconds: 1000 },
  ],
  deployments: [
    { name: 'acme/warm', model: 'acme/slow' },
    { name: 'acme/two', model: 'acme/long', max_instances: 2 },
    { name: 'acme/cold', model: 'acme/slow', min_instances: 0 },
  ],
}

async function still(more: Partial<SimulatorOptions> = {}) {
  const simulator = await startSimulator({ port: 0, dataDir: null, models, clock: 'manual', ...more })
  onTestFinished(() => simulator.stop())
  return { ...simulator, ...callsTo(simulator.url) }
}

const statusesOf = async (simulator: TestSimulator, ids: string[]): Promise<string[]> =>
  Promise.all(ids.map(async (id) => (await simulator.get(`predictions/${id}`)).body.status))

const through = (simulator: TestSimulator, deployment: string) =>
  simulator.post(`deployments/${deployment}/predictions`, { input: {} }).then(({ body }: { body: Body }) => body.id)

describe('a deployment', () => {
  test('runs as many at a time as it has instances; the others wait, across a restart', async () => {
    const dataDir = temporaryFolder()
    const first = await still({ dataDir })
    const ids: string[] = []
    const begun = first.clock.now()
    for (let i = 0; i < 5; i++) ids.push(await through(first, 'acme/two'))
    await first.clock.advance(2000)
    expect(await statusesOf(first, ids)).toEqual(['processing', 'processing', 'starting', 'starting', 'starting'])
    await first.post(`predictions/${ids[1]}/cancel`)
    await first.post(`predictions/${ids[3]}/cancel`)
    expect(await statusesOf(first, ids)).toEqual(['processing', 'canceled', 'processing', 'canceled', 'starting'])
    await first.stop()

    const second = await still({ dataDir })
    const until = (ms: number) => second.clock.advance(Math.max(0, begun + ms - second.clock.now()))
    await until(2000)
    expect((await statusesOf(second, ids)).at(-1)).toBe('starting')
    await until(1_001_500)
    expect(await statusesOf(second, ids)).toEqual(['succeeded', 'canceled', 'processing', 'canceled', 'processing'])
    const { body } = await second.get(`predictions/${ids[4]}`)
    expect(body.started_at).toBe((await second.get(`predictions/${ids[0]}`)).body.completed_at)
  })

  test('more instances let those begin that wait', async () => {
    const simulator = await still()
    const ids = [await through(simulator, 'acme/two'), await through(simulator, 'acme/two')]
    ids.push(await through(simulator, 'acme/two'))
    await simulator.clock.advance(2000)
    expect((await statusesOf(simulator, ids)).at(-1)).toBe('starting')
    await simulator.call('PATCH', 'deployments/acme/two', { max_instances: 3 })
    expect((await statusesOf(simulator, ids)).at(-1)).toBe('processing')
  })
})

test('a model that nobody used boots first, and is warm for a minute', async () => {
  const simulator = await still()
  const run = async () => (await simulator.post('predictions', { version: VERSION, input: {} })).body.id
  const first = await run()
  await simulator.clock.advance(50_000)
  const during = await run()
  await simulator.clock.advance(49_000)
  expect(await statusesOf(simulator, [first, during])).toEqual(['starting', 'starting'])
  await simulator.clock.advance(4000)
  expect(await statusesOf(simulator, [first, during])).toEqual(['processing', 'processing'])
  await simulator.clock.advance(20_000)
  const warm = await run()
  await simulator.clock.advance(2000)
  expect(await statusesOf(simulator, [first, during, warm])).toEqual(['succeeded', 'succeeded', 'processing'])
  await simulator.clock.advance(90_000)
  const cold = [await run(), await through(simulator, 'acme/cold')]
  const always = await through(simulator, 'acme/warm')
  await simulator.clock.advance(5000)
  expect(await statusesOf(simulator, [...cold, always])).toEqual(['starting', 'starting', 'processing'])
  await simulator.clock.advance(200_000)
  await simulator.post('/_sim/habits', { cold_boot_seconds: 0 })
  const never = await run()
  await simulator.clock.advance(2000)
  expect(await statusesOf(simulator, [never])).toEqual(['processing'])
})

test('a run fails after half an hour, by a habit never', async () => {
  const simulator = await still()
  const run = async () => {
    simulator.stub({ model: 'acme/slow', seconds: 2000 })
    return through(simulator, 'acme/warm')
  }
  const id = await run()
  await simulator.clock.advance(1_802_000)
  const { body } = await simulator.get(`predictions/${id}`)
  expect(body).toMatchObject({ status: 'failed', error: 'Prediction timed out.', metrics: { predict_time: 1800 } })
  await simulator.post('/_sim/habits', { run_limit_seconds: null })
  const long = await run()
  await simulator.clock.advance(1_802_000)
  expect(await statusesOf(simulator, [long])).toEqual(['processing'])
})
