import { readFileSync } from 'node:fs'
import { dirname } from 'node:path'
import { z } from 'zod'
import { cannot } from '../cannot.ts'
import type { Prediction } from '../prediction.ts'
import { BUILT_IN_MODELS } from './built-in.ts'
import type { Changes, Deployment, ModelPage } from './changes.ts'
import {
  type Collection,
  type Model,
  type ModelFile,
  modelFileSchema,
  modelSchema,
  toDeployment,
  toModel,
  toPage,
  withStub,
} from './model.ts'
import { besideFolder } from './own-files-beside.ts'
import { asTraining } from './training.ts'
import { createValidator, type InvalidField, type Validator } from './validate-input.ts'

/** Models, their versions and deployments: as the files describe them, and as requests have changed them since. */
export interface Catalogue {
  pages(): ModelPage[]
  page(name: string): ModelPage | undefined
  /** The newest first. */
  versionsOf(name: string): Model[]
  /** The latest version of a model. */
  byName(name: string): Model | undefined
  /** The model of a prediction or training; a model without output when its description is gone. */
  ofPrediction(prediction: Pick<Prediction, 'model' | 'version' | 'plan' | 'training'>): Model
  /** Finds a model by the 64 hex digits of a version. */
  byVersion(version: string): Model | undefined
  deployments(): Deployment[]
  deployment(name: string): { deployment: Deployment; model: Model } | undefined
  collections: readonly Collection[]
  validate(model: Model, input: unknown): InvalidField[]
  /** What is wrong with the input of a training; null: the version cannot be trained. */
  validateTraining(model: Model, input: unknown): InvalidField[] | null
  /** The input without unknown fields, which the real API drops silently. */
  known(model: Model, input: Record<string, unknown>): Record<string, unknown>
}

/** What the models files describe. */
interface Described {
  pages: Map<string, ModelPage>
  /** The oldest first. */
  versions: Map<string, Model[]>
  deployments: Map<string, Deployment>
  collections: Collection[]
}

/**
 * @param more a path to a file of models, or its content. A model of the same name replaces a built-in one; several of
 *   the same name in one file are versions of a model, the newest last.
 */
export function describeModels(more?: string | ModelFile): Described {
  const files = [
    BUILT_IN_MODELS,
    ...(more === undefined ? [] : [typeof more === 'string' ? readModelFile(more) : more]),
  ].map((file) => parseModelFile(file, typeof more === 'string' ? more : 'the models given'))
  const pages = new Map<string, ModelPage>()
  const versions = new Map<string, Model[]>()
  for (const { models } of files) {
    for (const [name, rows] of Map.groupBy(models, (row) => row.name)) {
      const last = rows.at(-1)
      if (last === undefined) continue
      pages.set(name, toPage(last))
      versions.set(
        name,
        rows.map((row, earlier) => toModel(row, earlier)),
      )
    }
  }
  const deployments = new Map(files.flatMap((file) => file.deployments.map((one) => [one.name, toDeployment(one)])))
  const collections = new Map(files.flatMap((file) => file.collections.map((one) => [one.slug, one])))
  const described = { pages, versions, deployments, collections: [...collections.values()] }
  check(described)
  return described
}

function check({ pages, versions, deployments }: Described): void {
  const ids = new Set<string>()
  for (const model of [...versions.values()].flat()) {
    if (ids.has(model.version)) throw new Error(`two models have the version ${model.version}`)
    ids.add(model.version)
    // A schema that is none is an error at the start, not at the first create.
    checkSchema(model)
  }
  for (const { name, model } of deployments.values()) {
    if (!pages.has(model)) throw new Error(`deployment ${name} names the unknown model ${model}`)
  }
}

function checkSchema({ name, inputSchema }: Model): void {
  try {
    createValidator(inputSchema)
  } catch (cause) {
    throw cannot(`use the input_schema of the model ${name}`, cause)
  }
}

export function createCatalogue(described: Described, changes: Changes): Catalogue {
  const made = new Map<string, Model>()
  const validators = new WeakMap<object, Validator>()

  function madeVersion(id: string): Model | undefined {
    const row = changes.versions.get(id)
    if (row === undefined || row === null) return undefined
    const known = made.get(id)
    if (known !== undefined) return known
    const { model: name, like, createdAt } = row
    const model = {
      ...(byVersion(like) ?? anyModel(name)),
      name,
      version: id,
      createdAt,
      official: false,
      examples: [],
    }
    made.set(id, model)
    return model
  }

  const describedVersions = new Map([...described.versions.values()].flat().map((model) => [model.version, model]))
  const byVersion = (id: string): Model | undefined =>
    changes.versions.get(id) === null ? undefined : (describedVersions.get(id) ?? madeVersion(id))

  function versionsOf(name: string): Model[] {
    const fromFiles = described.versions.get(name) ?? []
    const ofTrainings = [...changes.versions.values()].flatMap((row) =>
      row?.model === name ? (madeVersion(row.id) ?? []) : [],
    )
    return fromFiles
      .filter(({ version }) => changes.versions.get(version) !== null)
      .concat(ofTrainings)
      .toReversed()
  }

  const byName = (name: string): Model | undefined => versionsOf(name)[0]
  const check = (schema: object, input: unknown): InvalidField[] => {
    const validator = validators.get(schema) ?? createValidator({ ...schema })
    validators.set(schema, validator)
    return validator(input, 'input')
  }
  const deployments = () => merged(described.deployments, changes.deployments)
  return {
    pages: () => [...merged(described.pages, changes.models).values()],
    page: (name) => merged(described.pages, changes.models).get(name),
    versionsOf,
    byName,
    ofPrediction({ model: name, version, plan, training }) {
      const model = byVersion(version) ?? byName(name) ?? anyModel(name)
      return withStub(training === undefined ? model : asTraining(model, training), plan.stub)
    },
    byVersion,
    deployments: () => [...deployments().values()],
    deployment(name) {
      const deployment = deployments().get(name)
      if (deployment === undefined) return undefined
      const { version, model: modelName } = deployment
      const model = version === null ? byName(modelName) : byVersion(version)
      return model === undefined ? undefined : { deployment, model }
    },
    collections: described.collections,
    validate: (model, input) => check(model.inputSchema, input),
    validateTraining: (model, input) => (model.training === null ? null : check(model.training.inputSchema, input)),
    known(model, input) {
      const properties = model.inputSchema['properties']
      if (typeof properties !== 'object' || properties === null) return input
      return Object.fromEntries(Object.entries(input).filter(([name]) => Object.hasOwn(properties, name)))
    },
  }
}

function merged<Row>(described: ReadonlyMap<string, Row>, changes: ReadonlyMap<string, Row | null>): Map<string, Row> {
  const rows = new Map(described)
  for (const [name, row] of changes) {
    if (row === null) rows.delete(name)
    else rows.set(name, row)
  }
  return rows
}

/**
 * A model that is not described: the data folder may contain predictions of a model file that is no longer loaded, and a
 * stub may name any model.
 */
export const anyModel = (name: string): Model =>
  toModel(modelSchema.parse({ name, input_schema: {}, examples: [], output: { kind: 'json', value: null } }))

function readModelFile(path: string): unknown {
  try {
    return JSON.parse(readFileSync(path, 'utf8'))
  } catch (cause) {
    throw cannot(`read models from ${path}`, cause)
  }
}

function parseModelFile(file: unknown, from: string) {
  const parsed = modelFileSchema.safeParse(file)
  if (parsed.success) {
    const folder = dirname(from)
    return { ...parsed.data, models: parsed.data.models.map((model) => besideFolder(model, folder)) }
  }
  throw new Error(`the models of ${from} are not valid:\n${z.prettifyError(parsed.error)}`)
}
