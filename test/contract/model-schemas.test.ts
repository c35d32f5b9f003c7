import { setTimeout as delay } from 'node:timers/promises'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test, vi } from 'vitest'
import { createCatalogue, type Catalogue } from '../../src/shared/catalogue/catalogue.ts'
import { createForeignChecks } from '../../src/shared/catalogue/foreign-checks.ts'
import { createInputChecks } from '../../src/shared/catalogue/input-check.ts'
import { readPresets } from '../../src/shared/catalogue/read-preset.ts'
import { createSchemaWorker } from '../../src/shared/catalogue/schema-worker.ts'
import type { Logger } from '../../src/shared/process/logger.ts'
import { createModelCatalogue } from '../../src/shared/replicate/model-catalogue.ts'
import { createReplicateAdapter } from '../../src/shared/replicate/replicate-adapter.ts'
import { startSimulator, type Simulator } from '../../src/simulator/start-simulator.ts'
import { simulatorAdmin, type SimulatorAdmin } from '../support/simulator-admin.ts'
import { waitFor } from '../support/wait-for.ts'

/** The schemas of models as upstream publishes them: fetched, kept, compared with what presets were written for. */

const SCHNELL = 'black-forest-labs/flux-schnell'
const VERSION = 'c846a69991daf4c0e5d016514849d14ee5b2e6846ce6b9d6f21369e564cfe51e'

let simulator: Simulator
let admin: SimulatorAdmin
beforeAll(async () => {
  simulator = await startSimulator({ port: 0, dataDir: null, readsPerMinute: 60_000 })
  admin = simulatorAdmin(simulator.url)
})
afterAll(() => simulator.stop())

const ends: (() => unknown)[] = []
beforeEach(() => admin.faults({ models: null }))
afterEach(async () => {
  vi.useRealTimers()
  for (const end of ends.splice(0).toReversed()) await end()
})

interface Line {
  level: 'info' | 'warn' | 'error'
  fields: Record<string, unknown>
  message: string
}

function loggerTo(lines: Line[]): Logger {
  const write =
    (level: Line['level']) =>
    (fields: Record<string, unknown>, message = ''): void => {
      lines.push({ level, fields, message })
    }
  return { info: write('info'), warn: write('warn'), error: write('error') } as unknown as Logger
}

const file = (name: string, lines: string[]): { name: string; text: string } => ({
  name: `${name}.yaml`,
  text: [
    `name: ${name}`,
    'title: A picture',
    'schema: model',
    'input: { overrides: [prompt, num_outputs] }',
    ...lines,
  ].join('\n'),
})

/** A catalogue as a service has it, on the simulator. `asked`: what upstream was asked, in order. */
async function catalogueOf(presets: { name: string; text: string }[], schemaWithin = 60_000, held = Promise.resolve()) {
  const adapter = createReplicateAdapter({
    token: 'test',
    baseUrl: simulator.apiUrl,
    connectTimeout: 60_000,
    createTimeout: 60_000,
    copyTimeout: 60_000,
    uploadTimeout: 60_000,
    readTimeout: 60_000,
  })
  const asked: string[] = []
  const models = createModelCatalogue({
    model: async (name, version = null) => {
      asked.push(version === null ? name : `${name}:${version}`)
      await held
      return adapter.model(name, version)
    },
    async deployment(name) {
      asked.push(`deployment ${name}`)
      await held
      return adapter.deployment(name)
    },
  })
  const lines: Line[] = []
  const files = { current: presets }
  const checks = createInputChecks()
  const foreign = createForeignChecks({ checks, worker: createSchemaWorker(), log: loggerTo(lines) })
  const catalogue = await createCatalogue({
    read: async () => readPresets(files.current, checks),
    models,
    checks,
    foreign,
    log: loggerTo(lines),
    schemaWithin,
  })
  ends.push(() => adapter.close(), catalogue.stop, foreign.stop)
  return { catalogue, models, asked, lines, files, warnings: () => lines.filter(({ level }) => level === 'warn') }
}

const wrong = async (catalogue: Catalogue, name: string, input: Parameters<Check>[0]): Promise<string[] | null> => {
  const preset = catalogue.find(name)
  const schema = preset && (await catalogue.presetSchema(preset))
  return schema && (await schema.check(input)).map(({ pointer, code }) => `${pointer} ${code}`)
}
type Check = NonNullable<Awaited<ReturnType<Catalogue['modelSchema']>>>['check']

describe('the schema of a model', () => {
  test('is fetched once and used for every input, enums by reference included', async () => {
    const { catalogue, asked } = await catalogueOf([])
    const schemas = await Promise.all(Array.from({ length: 10 }, () => catalogue.modelSchema(SCHNELL, null)))
    expect(new Set(schemas).size).toBe(1)
    const check = schemas[0]?.check ?? (() => Promise.resolve([]))
    expect(await check({ prompt: 'x', aspect_ratio: '16:9', unknown: 1 })).toEqual([])
    expect((await check({ aspect_ratio: '5:9', num_outputs: 5 })).map(({ pointer }) => pointer).sort()).toEqual([
      '/aspect_ratio',
      '/num_outputs',
      '/prompt',
    ])
    expect(asked).toEqual([SCHNELL])
  })

  test('is that of a version, when one is named', async () => {
    const { catalogue, asked } = await catalogueOf([])
    const [named, latest] = await Promise.all([
      catalogue.modelSchema(SCHNELL, VERSION),
      catalogue.modelSchema(SCHNELL, null),
    ])
    expect(named?.sha256).toBe(latest?.sha256)
    expect(await catalogue.modelSchema(SCHNELL, 'f'.repeat(64))).toBeNull()
    expect(asked).toEqual([`${SCHNELL}:${VERSION}`, SCHNELL, `${SCHNELL}:${'f'.repeat(64)}`])
  })

  test.each([
    ['there is no such model', 'nobody/nothing', {}],
    ['upstream is failing', SCHNELL, { status: { probability: 1, code: 500 } }],
    ['the connection is cut', SCHNELL, { cut: { probability: 1 } }],
    ['upstream answers nonsense', SCHNELL, { garbage: { probability: 1 } }],
  ])('is not known when %s, and blocks no submission', async (_, name, faults) => {
    await admin.faults({ models: faults })
    const { catalogue } = await catalogueOf([])
    expect(await catalogue.modelSchema(name, null)).toBeNull()
  })

  test('is waited for once and not for long; when it has come after all, it is used', async () => {
    const held = Promise.withResolvers<void>()
    const within = 200
    const { catalogue, asked } = await catalogueOf([], within, held.promise)
    expect(await catalogue.modelSchema(SCHNELL, null)).toBeNull()
    // Without a wait of its own it returns before any timer: also on a slow machine.
    const timer = delay(within / 2, 'waited')
    expect(await Promise.race([catalogue.modelSchema(SCHNELL, null), timer])).toBeNull()
    held.resolve()
    await waitFor('the schema', async () => (await catalogue.modelSchema(SCHNELL, null)) ?? undefined)
    expect(asked).toEqual([SCHNELL])
  })

  test('serves while it is asked for again after ten minutes, also when upstream is away', async () => {
    vi.useFakeTimers({ toFake: ['Date'] })
    const { catalogue, asked } = await catalogueOf([])
    const first = await catalogue.modelSchema(SCHNELL, null)
    await admin.faults({ models: { cut: { probability: 1 } } })
    vi.setSystemTime(Date.now() + 11 * 60_000)
    expect(await catalogue.modelSchema(SCHNELL, null)).toBe(first)
    await waitFor('the second request', () => asked.length === 2)
    expect(await catalogue.modelSchema(SCHNELL, null)).toBe(first)
  })
})

test('a deployment is asked for once, and is unknown while upstream does not respond in time', async () => {
  const { catalogue, asked } = await catalogueOf([])
  const names = ['acme/flux-fast', 'acme/none', 'no-name', 'acme/flux-fast', 'acme/none']
  const found: (boolean | undefined)[] = []
  for (const name of names) found.push(await catalogue.hasDeployment(name))
  expect(found).toEqual([true, false, false, true, false])
  expect(asked).toEqual(['deployment acme/flux-fast', 'deployment acme/none'])
  const held = Promise.withResolvers<void>()
  const late = await catalogueOf([], 1, held.promise)
  expect(await late.catalogue.hasDeployment('acme/none')).toBeUndefined()
  held.resolve()
})

describe('a preset with the schema of its model', () => {
  const model = `model: ${SCHNELL}`

  test('checks by it', async () => {
    const { catalogue, warnings } = await catalogueOf([
      file('free', [model]),
      file('bound', [model, `version: ${VERSION}`]),
    ])
    for (const name of ['free', 'bound']) {
      expect(await wrong(catalogue, name, { prompt: 'x', num_outputs: 4 })).toEqual([])
      expect(await wrong(catalogue, name, { num_outputs: 5 })).toEqual(['/prompt required', '/num_outputs too_big'])
    }
    expect([catalogue.drifted(), warnings()]).toEqual([0, []])
  })

  test('warns once, and is counted, when it was written for another one', async () => {
    const { catalogue, warnings, lines, files } = await catalogueOf([
      file('old', [model, `schema_sha256: ${'a'.repeat(64)}`]),
    ])
    await waitFor('the drift', () => catalogue.drifted() === 1)
    expect(await wrong(catalogue, 'old', { prompt: 'x', num_outputs: 5 })).toEqual(['/num_outputs too_big'])
    expect(warnings()).toMatchObject([
      {
        fields: {
          preset: 'old',
          model: SCHNELL,
          pinned: 'a'.repeat(64),
          found: expect.stringMatching(/^[0-9a-f]{64}$/),
        },
        message: expect.stringContaining('differs from the one that the preset was written for'),
      },
    ])
    // The log names the hash to write.
    files.current = [file('old', [model, `schema_sha256: ${String(warnings()[0]?.fields.found)}`])]
    await catalogue.reload()
    await waitFor('the comparison', async () => (await wrong(catalogue, 'old', { prompt: 'x' })) !== null)
    expect([catalogue.drifted(), warnings().length, lines.filter(({ level }) => level === 'error')]).toEqual([0, 1, []])
  })

  test('warns when it does not fit', async () => {
    const { catalogue, warnings } = await catalogueOf([
      file('odd', [model, 'price: { per_output: 1, expect: { outputs: { input: count, default: 1 } } }']),
    ])
    await waitFor('the drift', () => catalogue.drifted() === 1)
    expect(warnings()).toMatchObject([{ fields: { wrong: [{ pointer: '/price/expect/outputs/input' }] } }])
  })

  test('lets inputs pass while its schema is not to be had', async () => {
    await admin.faults({ models: { cut: { probability: 1 } } })
    const { catalogue } = await catalogueOf([file('blind', [model])])
    expect(await wrong(catalogue, 'blind', { num_outputs: 99 })).toBeNull()
  })
})

describe('an error of models that cannot be read', () => {
  test.each([
    ['names the token when that is refused', 401, /Replicate refuses the API token.*REPLICATE_API_TOKEN/, 120],
    ['names the account when that is refused', 402, /Replicate refuses the account \(status 402\)/, 120],
    ['advises to try again when upstream is failing', 500, /from Replicate\. Try again later\.$/, 5],
  ])('%s', async (_, status, message, retryAfter) => {
    await admin.faults({ models: { status: { probability: 1, code: status } } })
    const { models } = await catalogueOf([])
    const failure = { code: 'upstream_unavailable', retryAfter }
    await expect(models.find(SCHNELL)).rejects.toMatchObject({ ...failure, message: expect.stringMatching(message) })
    await expect(models.find(SCHNELL)).rejects.toThrow(`Could not read the model ${SCHNELL}`)
    await expect(models.known()).rejects.toMatchObject({ ...failure, message: expect.stringMatching(message) })
    await expect(models.known()).rejects.toThrow('Could not read the list of models')
  })
})

describe('presets that are read again', () => {
  const inline = (title: string): { name: string; text: string } => ({
    name: 'one.yaml',
    text: `name: one\ntitle: ${title}\nmodel: a/b\ninput: { overrides: [] }\nschema: {}`,
  })

  test('replace those from before, or when one is wrong change nothing', async () => {
    const { catalogue, files, lines } = await catalogueOf([inline('First')])
    files.current = [inline('Second')]
    await catalogue.reload()
    expect(catalogue.find('one')?.title).toBe('Second')
    files.current = [inline('Third'), { name: 'two.yaml', text: 'name: two' }]
    await catalogue.reload()
    expect([catalogue.list().length, catalogue.find('one')?.title]).toEqual([1, 'Second'])
    expect(lines.at(-1)).toMatchObject({ level: 'error', message: expect.stringContaining('stay in use') })
    files.current = []
    await catalogue.reload()
    expect(catalogue.find('one')).toBeNull()
  })
})
