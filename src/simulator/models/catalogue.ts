import { readFileSync } from 'node:fs'
import { z } from 'zod'
import type { Prediction } from '../prediction.ts'
import { BUILT_IN_MODELS } from './built-in.ts'
import {
  type DeploymentDefinition,
  type Model,
  type ModelFile,
  modelFileSchema,
  modelSchema,
  toModel,
  withStub,
} from './model.ts'
import { createValidator, type InvalidField } from './validate-input.ts'

export interface Catalogue {
  models: Model[]
  deployments: DeploymentDefinition[]
  byName(name: string): Model | undefined
  /** The model of a prediction; a model without output when its description is gone. */
  ofPrediction(prediction: Pick<Prediction, 'model' | 'plan'>): Model
  /** Finds a model by the 64 hex digits of a version. */
  byVersion(version: string): Model | undefined
  deployment(name: string): { deployment: DeploymentDefinition; model: Model } | undefined
  validate(model: Model, input: unknown): InvalidField[]
  /** The input without unknown fields, which the real API drops silently. */
  known(model: Model, input: Record<string, unknown>): Record<string, unknown>
}

/** @param more a path to a file of models, or its content; a model of the same name replaces a built-in one */
export function createCatalogue(more?: string | ModelFile): Catalogue {
  const files = [
    BUILT_IN_MODELS,
    ...(more === undefined ? [] : [typeof more === 'string' ? readModelFile(more) : more]),
  ]
  const parsed = files.map((file) => parseModelFile(file, typeof more === 'string' ? more : 'the models given'))
  const models = new Map(parsed.flatMap((file) => file.models.map((data) => [data.name, toModel(data)] as const)))
  const versions = new Map([...models.values()].map((model) => [model.version, model] as const))
  const deployments = new Map(parsed.flatMap((file) => file.deployments.map((one) => [one.name, one] as const)))
  for (const { name, model } of deployments.values()) {
    if (!models.has(model)) throw new Error(`deployment ${name} names the unknown model ${model}`)
  }
  const validators = new Map(
    [...models.values()].map((model) => [model.name, createValidator(model.inputSchema)] as const),
  )
  return {
    models: [...models.values()],
    deployments: [...deployments.values()],
    byName: (name) => models.get(name),
    ofPrediction: ({ model, plan }) => withStub(models.get(model) ?? anyModel(model), plan.stub),
    byVersion: (version) => versions.get(version),
    deployment(name) {
      const deployment = deployments.get(name)
      const model = models.get(deployment?.model ?? '')
      return deployment === undefined || model === undefined ? undefined : { deployment, model }
    },
    validate: (model, input) => validators.get(model.name)?.(input, 'input') ?? [],
    known(model, input) {
      const properties = model.inputSchema['properties']
      if (typeof properties !== 'object' || properties === null) return input
      return Object.fromEntries(Object.entries(input).filter(([name]) => Object.hasOwn(properties, name)))
    },
  }
}

/**
 * A model that is not described: the data folder may contain predictions of a model file that is no longer loaded, and a
 * stub may name any model.
 */
export const anyModel = (name: string): Model =>
  toModel(modelSchema.parse({ name, input_schema: {}, output: { kind: 'json', value: null } }))

function readModelFile(path: string): unknown {
  try {
    return JSON.parse(readFileSync(path, 'utf8'))
  } catch (cause) {
    throw new Error(`cannot read models from ${path}: ${cause instanceof Error ? cause.message : String(cause)}`, {
      cause,
    })
  }
}

function parseModelFile(file: unknown, from: string) {
  const parsed = modelFileSchema.safeParse(file)
  if (parsed.success) return parsed.data
  throw new Error(`the models of ${from} are not valid:\n${z.prettifyError(parsed.error)}`)
}
