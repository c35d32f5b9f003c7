import { isRecord } from '../is-record.ts'
import { isSingleFile } from '../run-files.ts'
import type { Model } from './model.ts'

type Json = { [key: string]: unknown }

/** The `openapi_schema` of a model version: enums are separate schemas beside Input, referenced as Cog does. */
export function openapiSchemaOf(model: Model): Json {
  const { input, enums } = splitEnums(model.inputSchema)
  return {
    openapi: '3.0.2',
    info: { title: 'Cog', version: '0.1.0' },
    paths: {},
    components: {
      schemas: {
        Input: { title: 'Input', ...input },
        Output: outputSchemaOf(model),
        ...(model.training === null
          ? {}
          : { TrainingInput: { title: 'TrainingInput', ...model.training.inputSchema }, TrainingOutput }),
        Status: {
          enum: ['starting', 'processing', 'succeeded', 'canceled', 'failed'],
          type: 'string',
          title: 'Status',
          description: 'An enumeration.',
        },
        ...enums,
      },
    },
  }
}

const TrainingOutput = {
  title: 'TrainingOutput',
  type: 'object',
  required: ['weights'],
  properties: { weights: { type: 'string', format: 'uri' } },
}

function splitEnums(schema: Json): { input: Json; enums: Json } {
  const enums: Json = {}
  const properties: Json = {}
  for (const [name, property] of Object.entries(isRecord(schema['properties']) ? schema['properties'] : {})) {
    if (!isRecord(property) || !Array.isArray(property['enum'])) {
      properties[name] = property
      continue
    }
    const { enum: values, type, title: _, ...rest } = property
    enums[name] = { enum: values, type, title: name, description: 'An enumeration.' }
    properties[name] = { allOf: [{ $ref: `#/components/schemas/${name}` }], ...rest }
  }
  return { input: { ...schema, properties }, enums }
}

const URI = { type: 'string', format: 'uri' }

export function outputSchemaOf(model: Model): Json {
  const schemas: Record<Model['output']['kind'], Json> = {
    pictures: isSingleFile(model) ? URI : { type: 'array', items: URI },
    restoration: URI,
    film: URI,
    text: {
      type: 'array',
      items: { type: 'string' },
      'x-cog-array-type': 'iterator',
      'x-cog-array-display': 'concatenate',
    },
    string: { type: 'string' },
    json: {},
    files: isSingleFile(model) ? URI : { type: 'array', items: URI },
  }
  return { title: 'Output', ...(model.outputSchema ?? schemas[model.output.kind]) }
}
