import { createHash } from 'node:crypto'
import { addressToken, idOf } from './identifiers.ts'
import { isRecord } from './is-record.ts'
import type { Catalogue } from './models/catalogue.ts'
import type { Model } from './models/model.ts'
import { notBegun, type Prediction } from './prediction.ts'
import { inputFields } from './run-files.ts'
import { metricsOf } from './run-metrics.ts'
import { planRun } from './run-plan.ts'
import { hashOf } from './seeded-random.ts'

/** The example predictions of models. They follow from the model, are in no list, and never expire. */
export interface Examples {
  /** Of the latest version of a model. @param origin URLs of input files are on it */
  of(model: Model, origin: string): Prediction[]
  find(id: string): Prediction | undefined
}

const RUN_BEFORE_MS = 86_400_000

export function createExamples(catalogue: Catalogue, privateKey: string): Examples {
  const exampleId = (model: Model, index: number) =>
    idOf(createHash('sha256').update(`${model.version} ${index}`).digest())

  /** A picture that examples take as their input: the output of another example. */
  function samplePicture(origin: string): string {
    const painter = catalogue.pages().find(({ name }) => catalogue.byName(name)?.output.kind === 'pictures')
    const model = painter === undefined ? undefined : catalogue.byName(painter.name)
    const token = model === undefined ? '' : addressToken(privateKey, 'file', exampleId(model, 0))
    return `${origin}/files/${token}/out-0.webp`
  }

  function exampleOf(model: Model, index: number, input: Record<string, unknown>, origin: string): Prediction {
    const seed = hashOf(`${model.version} ${index}`)
    const plan = planRun(model, seed, { speed: 1, stub: null, limitSeconds: null })
    const createdAt = model.createdAt + RUN_BEFORE_MS
    const startedAt = createdAt + (plan.startAfterMs ?? 0)
    const at = startedAt + plan.runForMs
    const row: Prediction = {
      id: exampleId(model, index),
      createdAt,
      model: model.name,
      version: model.official ? 'hidden' : model.version,
      deployment: null,
      input,
      seed,
      origin,
      webhook: null,
      events: [],
      deadlineAt: null,
      plan,
      ...notBegun(),
      end: { status: 'succeeded', at, startedAt },
      settled: true,
    }
    const run = { succeeded: true, seconds: plan.runForMs / 1000, total: (at - createdAt) / 1000 }
    return { ...row, metrics: metricsOf(row, model, run) }
  }

  const of = (model: Model, origin: string): Prediction[] => {
    const inputs = model.examples ?? [exampleInput(model, () => samplePicture(origin))]
    return inputs.map((input, index) => exampleOf(model, index, input, origin))
  }

  return {
    of,
    find(id) {
      for (const { name } of catalogue.pages()) {
        const model = catalogue.byName(name)
        const found = model === undefined ? undefined : of(model, '').find((one) => one.id === id)
        if (found !== undefined) return found
      }
      return undefined
    },
  }
}

/** An input that the schema accepts: each required field, and each with a default. */
function exampleInput(model: Model, picture: () => string): Record<string, unknown> {
  const { properties, required } = model.inputSchema
  const files = new Set(inputFields(model).flatMap(({ field, what }) => (what === 'image' ? [field] : [])))
  const needed = new Set<unknown>(Array.isArray(required) ? required : [])
  const values: Record<string, unknown> = {}
  for (const [name, schema] of Object.entries(isRecord(properties) ? properties : {})) {
    if (!isRecord(schema)) continue
    if (schema['default'] !== undefined) values[name] = schema['default']
    else if (needed.has(name)) values[name] = files.has(name) ? picture() : exampleValue(name, schema)
  }
  return values
}

const SOUND = 'https://replicate.delivery/pbxt/example/speech.wav'

function exampleValue(name: string, schema: Record<string, unknown>): unknown {
  if (Array.isArray(schema['enum'])) return schema['enum'][0]
  switch (schema['type']) {
    case 'integer':
    case 'number':
      return schema['minimum'] ?? 1
    case 'boolean':
      return true
    case 'array':
      return []
    case 'object':
      return {}
    default:
      if (schema['format'] === 'uri') return SOUND
      return name === 'prompt' ? 'a lighthouse at sunset' : 'Alice'
  }
}
