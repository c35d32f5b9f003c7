import { hash } from 'node:crypto'
import { z } from 'zod'
import { patternProblem } from '../../artifacts/rules/artifact-names.ts'
import { OUTPUT_KINDS, type OutputKind } from '../../artifacts/rules/output-shape.ts'
import { priceRuleSchema, type PriceRule } from '../../credits/rules/price.ts'
import type { FieldError } from '../../errors/service-error.ts'
import { pointerSegment } from '../../values/json-pointer.ts'
import { isObject, type JsonObject } from '../../values/json.ts'
import { fieldErrors, ZOD_ERRORS } from '../../errors/zod-errors.ts'
import { plainSchema } from './dialect.ts'
import type { InputChecks } from '../ports.ts'
import { ownerName, policiesSchema, type Policies } from './policies.ts'

/**
 * Preset: a named recipe for jobs; docs/presets.md documents the format. A job's record holds its resolved input and
 * policies, so a preset can change or disappear while its jobs run.
 */
export interface Preset {
  name: string
  title: string
  description: string
  /** `owner/name`; null with a deployment. */
  model: string | null
  /** 64 hexadecimal digits of the model's version; null: the model's latest. */
  version: string | null
  deployment: string | null
  /** Models, `owner/name`, whose jobs run under this preset. */
  serves: string[]
  input: {
    /** Values that a job can override where `overrides` names the field. */
    default: JsonObject
    /** Values of every job. */
    fixed: JsonObject
    /** Fields that a job may set. */
    overrides: string[]
  }
  /** Plain JSON Schema of the whole input; `model`: the schema that the model version publishes. */
  schema: JsonObject | 'model'
  /** Hash of the model's schema when the preset was written. */
  schema_sha256: string | null
  /** Meaning of the output; null: by the Output schema of the model. */
  output: OutputKind | null
  /** Pattern of the files' keys in a bucket; null: the deployment's. */
  key_pattern: string | null
  price: PriceRule | null
  policies: Policies
}

export const PRESET_NAME = /^[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?$/
const SHA256 = /^[0-9a-f]{64}$/
const sha256 = z.string().regex(SHA256, { error: 'Expected 64 hexadecimal digits.' })
const MAX_SERVED = 100
const jsonObject = z.record(z.string(), z.json())

const fileSchema = z
  .strictObject({
    name: z.string().regex(PRESET_NAME, { error: 'Expected 1 to 63 characters of a-z 0-9 -.' }),
    title: z.string().min(1).max(100),
    description: z.string().max(2000).default(''),
    model: ownerName.optional(),
    version: sha256.optional(),
    deployment: ownerName.optional(),
    serves: z
      .array(ownerName)
      .max(MAX_SERVED)
      .default(() => []),
    input: z.strictObject({
      default: jsonObject.default({}),
      fixed: jsonObject.default({}),
      overrides: z.array(z.string().min(1).max(100)).max(100),
    }),
    schema: z.union([z.literal('model'), jsonObject], { error: 'Expected a JSON Schema, or the word model.' }),
    schema_sha256: sha256.optional(),
    output: z.enum(OUTPUT_KINDS).optional(),
    key_pattern: z.string().optional(),
    price: priceRuleSchema.optional(),
    policies: policiesSchema.prefault({}),
  })
  .superRefine((file, context) => {
    const wrong = (path: string[], message: string): void => {
      context.addIssue({ code: 'custom', path, message, input: undefined })
    }
    if ((file.model === undefined) === (file.deployment === undefined))
      wrong(['model'], 'Expected either model (with or without version) or deployment.')
    if (file.version !== undefined && file.model === undefined) wrong(['version'], 'A version needs a model.')
    if (file.schema === 'model' && file.model === undefined)
      wrong(['schema'], 'Expected a JSON Schema: a deployment does not name its model.')
    if (file.schema_sha256 !== undefined && file.schema !== 'model')
      wrong(['schema_sha256'], 'Only allowed with schema: model.')
    const problem = file.key_pattern === undefined ? null : patternProblem(file.key_pattern)
    if (problem !== null) wrong(['key_pattern'], `Not a valid key pattern: ${problem}.`)
  })

/** Parses the content of a preset file: the preset, or all errors in it. */
export function toPreset(value: unknown, checks: InputChecks): { preset: Preset } | { wrong: FieldError[] } {
  const parsed = fileSchema.safeParse(value, ZOD_ERRORS)
  if (!parsed.success) return { wrong: fieldErrors(parsed.error) }
  const { model, version, deployment, schema_sha256, output, key_pattern, price, schema: given, ...rest } = parsed.data
  const plain = given === 'model' ? null : plainSchema(given)
  if (given !== 'model' && plain === null)
    return { wrong: [{ pointer: '/schema', code: 'too_large', detail: 'The schema is too large or too deep.' }] }
  const preset: Preset = {
    ...rest,
    model: model ?? null,
    version: version ?? null,
    deployment: deployment ?? null,
    schema: plain?.schema ?? 'model',
    schema_sha256: schema_sha256 ?? null,
    output: output ?? null,
    key_pattern: key_pattern ?? null,
    price: price ?? null,
  }
  const wrong = [
    ...(plain?.ignored ?? []).map((pointer) => ({
      pointer: `/schema${pointer}`,
      code: 'not_understood',
      detail: 'This keyword is not supported and would not be checked.',
    })),
    ...clashes(preset),
    ...(plain ? misfits(preset, plain.schema, checks) : []),
  ]
  return wrong.length > 0 ? { wrong } : { preset }
}

/** A model by its name, in which Replicate does not distinguish upper and lower case. */
const servedKey = (model: string): string => model.toLowerCase()

/** The presets by the models that they serve. `twice`: models that are served already, with their place. */
export function servingPresets(presets: readonly Preset[]) {
  const byModel = new Map<string, Preset>()
  const twice: { preset: Preset; pointer: string; detail: string }[] = []
  for (const preset of presets)
    for (const [at, model] of preset.serves.entries()) {
      const other = byModel.get(servedKey(model))
      if (other === undefined) byModel.set(servedKey(model), preset)
      else twice.push({ preset, pointer: `/serves/${at}`, detail: `The preset ${other.name} serves ${model} already.` })
    }
  return { twice, of: (model: string): Preset | null => byModel.get(servedKey(model)) ?? null }
}

/** Errors of a preset whose parts contradict each other. */
function clashes({ input }: Preset): FieldError[] {
  return Object.keys(input.fixed).flatMap((name) => {
    const pointer = `/input/fixed${pointerSegment(name)}`
    const wrong = (detail: string): FieldError => ({ pointer, code: 'clash', detail })
    return [
      ...(Object.hasOwn(input.default, name) ? [wrong('The field is also in input.default. Keep one of them.')] : []),
      ...(input.overrides.includes(name)
        ? [wrong('The field is also in input.overrides. Move it to input.default.')]
        : []),
    ]
  })
}

/** Errors of a preset that does not fit the schema of its input. */
export const misfits = (preset: Preset, schema: JsonObject, checks: InputChecks): FieldError[] => [
  ...unfitNames(preset, schema),
  ...unfitValues(preset, checks(partialOf(schema))(presetValues(preset))),
]

/** Input values that the preset itself sets. */
export const presetValues = ({ input }: Preset): JsonObject => ({ ...input.default, ...input.fixed })

/** Schema that also accepts an incomplete input. */
export const partialOf = (schema: JsonObject): JsonObject =>
  Object.fromEntries(Object.entries(schema).filter(([keyword]) => keyword !== 'required'))

/** Errors for names that the schema does not have, and for required fields that no one can set. */
export function unfitNames(preset: Preset, schema: JsonObject): FieldError[] {
  const { overrides } = preset.input
  const properties = propertiesOf(schema)
  const values = presetValues(preset)
  const unknown = (pointer: string): FieldError => ({
    pointer,
    code: 'unknown_field',
    detail: 'The schema has no such field.',
  })
  const wrong: FieldError[] = []
  for (const [i, name] of overrides.entries())
    if (!Object.hasOwn(properties, name)) wrong.push(unknown(`/input/overrides/${i}`))
  for (const part of ['default', 'fixed'] as const)
    for (const name of Object.keys(preset.input[part]))
      if (!Object.hasOwn(properties, name)) wrong.push(unknown(`/input/${part}${pointerSegment(name)}`))
  for (const name of requiredOf(schema))
    if (!Object.hasOwn(values, name) && !overrides.includes(name))
      wrong.push({
        pointer: '/input/overrides',
        code: 'required',
        detail: `The model requires ${name}, but neither the preset nor a job can set it.`,
      })
  for (const [quantity, expected] of Object.entries(preset.price?.expect ?? {}))
    for (const [name, field] of typeof expected === 'object' ? Object.entries(expected) : [])
      if (name !== 'default' && !Object.hasOwn(properties, String(field)))
        wrong.push(unknown(`/price/expect${pointerSegment(quantity)}/${name}`))
  return wrong
}

/** Maps the errors of a check of the preset's values to pointers into the preset. */
export const unfitValues = ({ input: { fixed } }: Preset, found: readonly FieldError[]): FieldError[] =>
  found.map(({ pointer, code, detail }) => {
    const [, name = ''] = pointer.split('/')
    const part = Object.keys(fixed).some((key) => pointerSegment(key) === `/${name}`) ? 'fixed' : 'default'
    return { pointer: `/input/${part}${pointer}`, code, detail }
  })

export const propertiesOf = (schema: JsonObject): JsonObject => (isObject(schema.properties) ? schema.properties : {})
const requiredOf = (schema: JsonObject): string[] =>
  Array.isArray(schema.required) ? schema.required.filter((name) => typeof name === 'string') : []

/** Id of what a preset runs, in the form of a version of Replicate's: 64 hexadecimal digits. */
export const versionIdOf = ({ name, model, version, deployment }: Preset): string =>
  hash('sha256', JSON.stringify(['preset', name, model, version, deployment]), 'hex')

/**
 * Schema of the input that a submission by this preset takes: the fields that a job may set, with the preset's defaults,
 * required only where the preset has no value.
 */
export function submitSchema({ input }: Preset, schema: JsonObject): JsonObject {
  const properties = Object.entries(propertiesOf(schema)).flatMap(([name, part]): [string, JsonObject][] => {
    if (!input.overrides.includes(name) || !isObject(part)) return []
    const preset = input.default[name]
    return [[name, preset === undefined ? part : { ...part, default: preset }]]
  })
  const required = requiredOf(schema).filter(
    (name) => input.overrides.includes(name) && !Object.hasOwn(input.default, name),
  )
  return { type: 'object', additionalProperties: false, required, properties: Object.fromEntries(properties) }
}

/** Merges a job's input into the preset's. `refused`: errors for fields that the job may not set; pointers are into the input. */
export function mergeInput(
  { input }: Preset,
  given: JsonObject,
  schema: JsonObject | null,
): { input: JsonObject; refused: FieldError[] } {
  const refused: FieldError[] = []
  const taken: [string, JsonObject[string]][] = []
  for (const [name, value] of Object.entries(given)) {
    if (input.overrides.includes(name)) taken.push([name, value])
    else {
      const known =
        Object.hasOwn(input.fixed, name) ||
        Object.hasOwn(input.default, name) ||
        (schema !== null && Object.hasOwn(propertiesOf(schema), name))
      refused.push({
        pointer: pointerSegment(name),
        code: known ? 'not_allowed' : 'unknown_field',
        detail: known ? 'The preset sets this field.' : 'Unknown field.',
      })
    }
  }
  return { input: { ...input.default, ...Object.fromEntries(taken), ...input.fixed }, refused }
}

/** Key of the run statistics: runs of one model version or deployment take similar times. */
export const runsOf = ({ model, version, deployment }: Preset): string =>
  deployment ?? (version === null ? (model ?? '') : `${model}:${version}`)
