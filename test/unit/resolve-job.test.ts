import { describe, expect, test } from 'vitest'
import { createMayRun, createResolveJob, type ResolvedJob } from '../../src/api/resolve-job.ts'
import type { JobRequest } from '../../src/api/schemas.ts'
import { createCatalogue } from '../../src/shared/catalogue/catalogue.ts'
import { createForeignChecks } from '../../src/shared/catalogue/foreign-checks.ts'
import { createInputChecks } from '../../src/shared/catalogue/input-check.ts'
import { readPresets } from '../../src/shared/catalogue/read-preset.ts'
import { ServiceError } from '../../src/shared/errors/service-error.ts'
import type { ModelCatalogue } from '../../src/shared/replicate/model-catalogue.ts'
import type { UpstreamModel } from '../../src/shared/replicate/prediction-port.ts'
import type { Config } from '../../src/shared/settings/config.ts'
import { createLogger } from '../../src/shared/process/logger.ts'

/** Which preset a request runs under, and what of its input is taken. */

const PINNED = 'a'.repeat(64)
const OTHER = 'b'.repeat(64)
const SCHEMA = {
  type: 'object',
  additionalProperties: false,
  properties: { prompt: { type: 'string' }, count: { type: 'integer' }, hidden: { type: 'boolean' } },
} as const
const preset = (name: string, rest: string): { name: string; text: string } => ({
  name: `${name}.yaml`,
  text: `name: ${name}
title: A preset
input: { default: {}, fixed: { count: 1 }, overrides: [prompt] }
schema: ${JSON.stringify({ ...SCHEMA, additionalProperties: undefined })}
output: text
policies: { timeout: 60, overrides: [start_within] }
${rest}`,
})
const TOKENS = {
  type: 'array',
  items: { type: 'string' },
  'x-cog-array-type': 'iterator',
  'x-cog-array-display': 'concatenate',
}
const checks = createInputChecks()
const modelOf = (name: string): UpstreamModel => ({
  name,
  official: true,
  description: null,
  version: null,
  input_schema: SCHEMA,
  schemas: { Output: name === 'acme/poster' ? TOKENS : { type: 'string' } },
})
const models = {
  quickly: (name: string) => Promise.resolve(modelOf(name)),
  hasDeployment: () => Promise.resolve(true),
} as unknown as ModelCatalogue
const read = () =>
  Promise.resolve(
    readPresets(
      [
        preset('poster', 'model: acme/poster\nserves: [acme/poster, acme/old-poster]\n'),
        preset('pinned', `model: acme/pinned\nversion: ${PINNED}\nserves: [acme/pinned]\n`),
        preset('unserved', `model: acme/unserved\nversion: ${OTHER}\n`),
      ],
      checks,
    ),
  )

const log = createLogger({ level: 'silent', readable: false })

async function resolving(rawModels: Config['rawModels']) {
  const foreign = createForeignChecks({
    checks,
    worker: { run: () => Promise.reject(new Error('every schema here is cheap')), stop: () => Promise.resolve() },
    log,
  })
  const catalogue = await createCatalogue({
    read,
    models,
    checks,
    foreign,
    log,
  })
  catalogue.stop()
  const day = { payload: 60, job: 60, files: 60 }
  return createResolveJob({
    catalogue,
    mayRun: createMayRun(rawModels),
    rawModels,
    keep: { usual: day, max: day },
    webhookAllow: { hosts: [], ranges: [] },
  })
}

const create = (target: Partial<JobRequest>, input: object = {}): JobRequest => ({
  metadata: {},
  input: { ...input },
  ...target,
})
/** The preset of what was resolved, `raw`, or the pointers and codes of what is wrong. */
const outcome = (resolved: Promise<ResolvedJob>): Promise<string> =>
  resolved.then(
    (job) => job.preset ?? 'raw',
    (error: unknown) => {
      if (!(error instanceof ServiceError)) throw error
      return error.fields.map(({ pointer, code }) => `${pointer} ${code}`).join() || error.code
    },
  )

describe("a create of Replicate's own API", () => {
  const CASES: [target: Partial<JobRequest>, allow: string, others: string][] = [
    [{ model: 'acme/poster' }, 'poster', 'poster'],
    [{ model: 'Acme/Old-Poster' }, 'poster', 'poster'],
    [{ model: 'preset/unserved' }, 'unserved', 'unserved'],
    [{ model: 'preset/none' }, '/model unknown_preset', '/model unknown_preset'],
    [{ version: PINNED }, 'pinned', 'pinned'],
    [{ version: `acme/pinned:${PINNED}` }, 'pinned', 'pinned'],
    [{ version: `acme/pinned:${OTHER}` }, 'raw', 'raw_models_disabled'],
    [{ version: OTHER }, 'raw', 'raw_models_disabled'],
    [{ model: 'acme/unserved' }, 'raw', 'raw_models_disabled'],
    [{ deployment: 'acme/fast' }, 'raw', 'raw_models_disabled'],
  ]
  test.each(CASES)('of %j runs under its preset, or raw where that is allowed', async (target, allow, others) => {
    for (const rawModels of ['allow', 'presets', 'deny'] as const) {
      const { resolveCreate } = await resolving(rawModels)
      expect(await outcome(resolveCreate(create(target), {}))).toBe(rawModels === 'allow' ? allow : others)
    }
  })

  test('drops fields that nobody knows, and policies that the preset sets, but not fields that the preset sets', async () => {
    const { resolveCreate } = await resolving('allow')
    const target = { model: 'acme/poster', timeout: 1800, start_within: 9 }
    expect(await resolveCreate(create(target, { prompt: 'x', nonsense: 1 }), {})).toMatchObject({
      input: { prompt: 'x', count: 1 },
      timeout: 60,
      start_within: 9,
    })
    expect(await outcome(resolveCreate(create(target, { count: 4, hidden: true }), {}))).toBe(
      '/input/count not_allowed,/input/hidden not_allowed',
    )
    const raw = { model: 'acme/unserved', timeout: 1800 }
    const { input, timeout } = await resolveCreate(create(raw, { prompt: 'x', nonsense: 1 }), {})
    expect([input, timeout]).toEqual([{ prompt: 'x' }, 1800])
    expect(await outcome(resolveCreate(create(raw, { prompt: 1 }), {}))).toBe('/input/prompt invalid_type')
  })
})

test('a create of a preset that states a text notes whether the schema of its model says array', async () => {
  const { resolveCreate, resolveJob } = await resolving('allow')
  const isList = async (model: string) => (await resolveCreate(create({ model }), {})).output_is_list
  expect([await isList('preset/poster'), await isList('acme/pinned')]).toEqual([true, false])
  expect((await resolveJob({ preset: 'poster', input: {} }, {})).output_is_list).toBeUndefined()
})

describe('a job', () => {
  test.each([
    ['allow', 'raw', 'raw'],
    ['presets', 'poster', 'raw_models_disabled'],
    ['deny', 'raw_models_disabled', 'raw_models_disabled'],
  ] as const)('of a model, with RAW_MODELS=%s', async (rawModels, served, other) => {
    const { resolveJob } = await resolving(rawModels)
    const submitted = (model: string) => outcome(resolveJob({ model, input: {} }, {}))
    expect([await submitted('acme/poster'), await submitted('acme/unserved')]).toEqual([served, other])
  })

  test('of a served model is refused what its preset sets, and what it does not know', async () => {
    const { resolveJob } = await resolving('presets')
    const request = { model: 'acme/poster', input: { nonsense: 1, count: 4 }, timeout: 7 }
    expect(await outcome(resolveJob(request, {}, '/items/3'))).toBe(
      '/items/3/timeout not_allowed,/items/3/input/nonsense unknown_field,/items/3/input/count not_allowed',
    )
  })
})
