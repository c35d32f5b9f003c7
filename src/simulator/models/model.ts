import { createHash } from 'node:crypto'
import { z } from 'zod'
import type { Deployment, ModelPage } from './changes.ts'
import { filesIn } from './file-output.ts'

/** A model as data: the format of `--models` files and of the built-in models. */

const NAME = /^[a-z0-9][a-z0-9._-]*\/[a-z0-9][a-z0-9._-]*$/i
const name = z.string().regex(NAME, 'expected "owner/name"')
const seconds = z.union([z.number().nonnegative(), z.tuple([z.number().nonnegative(), z.number().nonnegative()])])

/** The unit of a price. */
const PRICE_UNITS = ['second', 'output', 'thousand_tokens', 'video_second'] as const

export const outputSchema = z.discriminatedUnion('kind', [
  /** Pictures drawn from `prompt` and `seed`: an array of URLs, or with `single` one URL. */
  z.strictObject({ kind: z.literal('pictures'), single: z.boolean().default(false) }),
  /** The picture that the field `image` of the input names, restored: one URL. */
  z.strictObject({ kind: z.literal('restoration'), image: z.string().min(1) }),
  /** An MP4 of the picture in the field `image`, moving to the sound in the field `audio`: one URL. */
  z.strictObject({ kind: z.literal('film'), image: z.string().min(1), audio: z.string().min(1) }),
  /** An array of token strings that grows during the run: about the prompt, after a template, or exactly these. */
  z
    .strictObject({ kind: z.literal('text'), template: z.string().optional(), chunks: z.array(z.string()).optional() })
    .refine(({ template, chunks }) => template === undefined || chunks === undefined, {
      error: 'template and chunks exclude each other',
    }),
  /** One string; `{field}` is replaced with that field of the input. */
  z.strictObject({ kind: z.literal('string'), template: z.string() }),
  /** Any JSON value, with `{ "$file": … }` for a file; with `template` its strings are templates as above. */
  z.strictObject({ kind: z.literal('json'), value: z.unknown(), template: z.boolean().default(false) }),
  /** Own files, each a path or a data URI: an array of URLs, or with `single` one URL. */
  z.strictObject({
    kind: z.literal('files'),
    files: z.array(z.string().min(1)).min(1),
    single: z.boolean().default(false),
  }),
])

/** Lines of a log, or its text. */
export const logLines = z
  .union([z.string(), z.array(z.string())])
  .transform((logs) => (typeof logs === 'string' ? logs.replace(/\n$/, '').split('\n') : logs))

export const modelSchema = z.strictObject({
  name,
  description: z.string().default(''),
  /** Official models are called by name and hide their version. */
  official: z.boolean().default(true),
  version: z
    .string()
    .regex(/^[0-9a-f]{64}$/, 'expected 64 hex digits')
    .optional(),
  /** When the version was made. */
  created_at: z.iso.datetime({ offset: true }).default('2026-01-01T00:00:00Z'),
  visibility: z.enum(['public', 'private']).default('public'),
  hardware: z.string().default('gpu-h100'),
  readme: z.string().optional(),
  github_url: z.url().optional(),
  paper_url: z.url().optional(),
  license_url: z.url().optional(),
  cover_image_url: z.url().optional(),
  /** Makes it trainable: the schema of a training's input, how long it runs, and the model that the new version is like. */
  training: z
    .strictObject({
      input_schema: z.looseObject({ type: z.literal('object').default('object') }),
      run_seconds: seconds.default([60, 120]),
      makes: name.optional(),
    })
    .optional(),
  input_schema: z.looseObject({ type: z.literal('object').default('object') }),
  /** The Output schema that the API shows. Default: derived from the kind of output. */
  output_schema: z.looseObject({}).optional(),
  /** Seconds: one number, or a range from which each run draws. */
  run_seconds: seconds.default([1, 3]),
  start_seconds: seconds.default([0.05, 0.4]),
  /** A cold boot: of a version that is no official model's, or of a deployment without a minimum of instances. */
  boot_seconds: seconds.default(0),
  /** Inputs of the example predictions. Default: one that follows from the schema. */
  examples: z.array(z.record(z.string(), z.unknown())).optional(),
  output: outputSchema,
  /** The log of every run, with `{field}` of the input, spread over its time. Default: by the kind of output. */
  logs: logLines.optional(),
  /** US dollars. Replicate's API exposes no prices: this one is only for the books. */
  price: z
    .strictObject({ per: z.enum(PRICE_UNITS), usd: z.number().nonnegative() })
    .default({ per: 'second', usd: 0.001 }),
  /** Added to the measured metrics of a succeeded run; replaces those of the same name. */
  metrics: z.record(z.string(), z.union([z.number(), z.string(), z.boolean()])).default({}),
})

const deploymentSchema = z.strictObject({
  name,
  model: name,
  hardware: z.string().default('gpu-h100'),
  min_instances: z.int().min(0).max(5).default(1),
  max_instances: z.int().min(0).max(20).default(5),
})

const collectionSchema = z.strictObject({
  slug: z.string().regex(/^[a-z0-9-]+$/),
  name: z.string(),
  description: z.string().default(''),
  full_description: z.string().optional(),
  /** Models as `owner/name`. */
  models: z.array(name),
})

export const modelFileSchema = z.strictObject({
  models: z.array(modelSchema).default([]),
  deployments: z.array(deploymentSchema).default([]),
  collections: z.array(collectionSchema).default([]),
})

export type ModelFile = z.input<typeof modelFileSchema>
export type Collection = z.output<typeof collectionSchema>
export type InputSchema = { [key: string]: unknown }

export type ModelOutput = z.output<typeof outputSchema>

/** What a stub replaces of a model, for one run. */
export interface StubbedRun {
  output?: ModelOutput
  logs?: string[]
  metrics?: Record<string, number | string | boolean>
}

export interface Model {
  name: string
  official: boolean
  version: string
  /** When the version was made, in milliseconds since 1970. */
  createdAt: number
  training: { inputSchema: InputSchema; runSeconds: [number, number]; makes: string | null } | null
  inputSchema: InputSchema
  outputSchema: { [key: string]: unknown } | null
  runSeconds: [number, number]
  startSeconds: [number, number]
  bootSeconds: [number, number]
  /** Inputs of its example predictions; null: one that follows from the schema. */
  examples: Record<string, unknown>[] | null
  output: ModelOutput
  /** Templates of log lines; null: by the kind of output. */
  logs: string[] | null
  price: { per: (typeof PRICE_UNITS)[number]; usd: number }
  metrics: Record<string, number | string | boolean>
}

/** @param earlier how many versions of the same name stand before it in the file */
export function toModel(data: z.output<typeof modelSchema>, earlier = 0): Model {
  const position = earlier === 0 ? '' : `#${earlier}`
  return {
    name: data.name,
    official: data.official,
    version: data.version ?? createHash('sha256').update(`${data.name}${position}`).digest('hex'),
    createdAt: Date.parse(data.created_at),
    training:
      data.training === undefined
        ? null
        : {
            inputSchema: data.training.input_schema,
            runSeconds: range(data.training.run_seconds),
            makes: data.training.makes ?? null,
          },
    inputSchema: data.input_schema,
    outputSchema: data.output_schema ?? null,
    runSeconds: range(data.run_seconds),
    startSeconds: range(data.start_seconds),
    bootSeconds: range(data.boot_seconds),
    examples: data.examples ?? null,
    output: data.output,
    logs: data.logs ?? null,
    price: data.price,
    metrics: data.metrics,
  }
}

/** What a model is beside its versions. */
export function toPage(data: z.output<typeof modelSchema>): ModelPage {
  return {
    name: data.name,
    description: data.description,
    visibility: data.visibility,
    official: data.official,
    hardware: data.hardware,
    readme: data.readme ?? null,
    githubUrl: data.github_url ?? null,
    paperUrl: data.paper_url ?? null,
    licenseUrl: data.license_url ?? null,
    weightsUrl: null,
    coverImageUrl: data.cover_image_url ?? null,
    createdAt: Date.parse(data.created_at),
  }
}

export const toDeployment = (data: z.output<typeof deploymentSchema>): Deployment => ({
  name: data.name,
  model: data.model,
  version: null,
  hardware: data.hardware,
  minInstances: data.min_instances,
  maxInstances: data.max_instances,
  number: 1,
  createdAt: Date.parse('2026-01-01T00:00:00Z'),
  createdBy: null,
})

const range = (value: number | [number, number]): [number, number] =>
  typeof value === 'number' ? [value, value] : [Math.min(...value), Math.max(...value)]

/** The model as one run has it, with what a stub replaces. */
export function withStub(model: Model, stub: StubbedRun | undefined): Model {
  if (stub === undefined) return model
  const { output, logs, metrics } = stub
  return {
    ...model,
    output: output === undefined ? model.output : streamable(model, output),
    logs: logs ?? model.logs,
    metrics: { ...model.metrics, ...metrics },
  }
}

/** A list of texts in place of a text is written piece by piece. */
function streamable(model: Model, output: ModelOutput): ModelOutput {
  if (model.output.kind !== 'text' || output.kind !== 'json' || !Array.isArray(output.value)) return output
  const texts: unknown[] = output.value
  const chunks = texts.filter((part) => typeof part === 'string')
  return chunks.length === texts.length ? { kind: 'text', chunks } : output
}

/** The own files of an output: paths and data URIs. */
export function ownFilesOf(output: ModelOutput): string[] {
  if (output.kind === 'files') return output.single ? output.files.slice(0, 1) : output.files
  return output.kind === 'json' ? filesIn(output.value) : []
}
