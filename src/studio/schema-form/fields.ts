import type { Json, JsonObject } from '../../client/types.ts'
import { humanize } from '../format.ts'

export type FieldKind =
  | 'text'
  | 'long-text'
  | 'ratio'
  | 'segments'
  | 'select'
  | 'switch'
  | 'slider'
  | 'number'
  | 'file'
  | 'file-list'
  | 'json'

export interface Field {
  name: string
  title: string
  description: string | null
  kind: FieldKind
  required: boolean
  /** Shown at once; other fields are folded. */
  important: boolean
  integer: boolean
  choices: readonly (string | number)[]
  minimum: number | null
  maximum: number | null
  step: number
  default: Json | undefined
  maxItems: number | null
  /** The schema with references resolved. */
  schema: JsonObject
}

const LONG = /(^|_)(prompt|text|instruction|instructions|message|lyrics)$/
const IMPORTANT = new Set(['prompt', 'aspect_ratio', 'num_outputs', 'size', 'duration', 'resolution'])
/** Most steps of a slider that can be set by hand. */
const SLIDER_STEPS = 400

export function isObject(value: Json | undefined): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

/** Replicate publishes enums as `allOf: [{ $ref: "#/components/schemas/x" }]`; keywords beside the reference win. */
function resolve(schema: JsonObject, schemas: JsonObject, depth = 0): JsonObject {
  if (depth > 8) return schema
  let resolved: JsonObject = {}
  const parts: (Json | undefined)[] = []
  if (typeof schema['$ref'] === 'string') parts.push(schemas[schema['$ref'].split('/').at(-1) ?? ''])
  if (Array.isArray(schema['allOf'])) parts.push(...schema['allOf'])
  for (const alternatives of [schema['anyOf'], schema['oneOf']]) {
    if (!Array.isArray(alternatives)) continue
    const real = alternatives.filter((part) => isObject(part) && part['type'] !== 'null')
    if (real.length === 1) parts.push(real[0])
  }
  for (const part of parts) if (isObject(part)) resolved = { ...resolved, ...resolve(part, schemas, depth + 1) }
  const { allOf: _allOf, $ref: _ref, ...own } = schema
  return { ...resolved, ...own }
}

function number(value: Json | undefined): number | null {
  return typeof value === 'number' ? value : null
}

function stepOf(range: number): number {
  if (range <= 1) return 0.01
  if (range <= 4) return 0.05
  return range <= 20 ? 0.1 : 1
}

/** Replaces a generated title (the name in Title Case) with sentence case. */
function titleOf(name: string, title: Json | undefined): string {
  const written = typeof title === 'string' && title.toLowerCase().replaceAll(' ', '_') !== name.toLowerCase()
  return written ? title : humanize(name)
}

function fieldOf(name: string, schema: JsonObject, required: boolean): Field {
  const type = schema['type']
  const integer = type === 'integer'
  const minimum = number(schema['minimum'])
  const maximum = number(schema['maximum'])
  const range = minimum !== null && maximum !== null ? maximum - minimum : null
  const step = integer ? 1 : stepOf(range ?? 100)
  let choices = (Array.isArray(schema['enum']) ? schema['enum'] : []).filter(
    (choice) => typeof choice === 'string' || typeof choice === 'number',
  )
  const settled = required || schema['default'] !== undefined
  let kind: FieldKind = 'json'
  if (choices.length > 1 && choices.every((choice) => /^\d+:\d+$/.test(String(choice)))) kind = 'ratio'
  else if (choices.length > 0)
    kind = settled && choices.length < 5 && choices.join('').length < 24 ? 'segments' : 'select'
  else if (type === 'boolean') kind = 'switch'
  else if (integer && settled && range !== null && range > 0 && range < 5) {
    kind = 'segments'
    choices = Array.from({ length: range + 1 }, (_, index) => (minimum ?? 0) + index)
  } else if (integer || type === 'number') kind = range !== null && range / step <= SLIDER_STEPS ? 'slider' : 'number'
  else if (type === 'string') kind = schema['format'] === 'uri' ? 'file' : LONG.test(name) ? 'long-text' : 'text'
  else if (type === 'array' && isObject(schema['items']) && schema['items']['format'] === 'uri') kind = 'file-list'
  return {
    name,
    title: titleOf(name, schema['title']),
    description: typeof schema['description'] === 'string' ? schema['description'] : null,
    kind,
    required,
    important: required || IMPORTANT.has(name),
    integer,
    choices,
    minimum,
    maximum,
    step,
    default: schema['default'],
    maxItems: number(schema['maxItems']),
    schema,
  }
}

/** The fields of a form in the schema author's order. `schemas`: the targets of references. */
export function fieldsOf(schema: JsonObject, schemas: JsonObject): Field[] {
  const properties = isObject(schema['properties']) ? schema['properties'] : {}
  const required = Array.isArray(schema['required']) ? schema['required'] : []
  const fields = Object.entries(properties).flatMap(([name, part], index) => {
    if (!isObject(part)) return []
    const resolved = resolve(part, schemas)
    const order = number(resolved['x-order']) ?? 1_000 + index
    return [{ order, field: fieldOf(name, resolved, required.includes(name)) }]
  })
  fields.sort((a, b) => a.order - b.order)
  const sorted = fields.map(({ field }) => field)
  // A form without required fields shows its first two.
  if (!sorted.some((field) => field.required))
    return sorted.map((field, at) => (at < 2 ? { ...field, important: true } : field))
  return sorted
}
