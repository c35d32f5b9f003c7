import { z } from 'zod'

/** A JSON Schema of the document, with the keywords that are read here and where types are made of it. */
export interface JsonSchema {
  $ref?: string
  type?: string | string[]
  description?: string
  format?: string
  enum?: unknown[]
  const?: unknown
  pattern?: string
  minimum?: number
  maximum?: number
  required?: string[]
  properties?: Record<string, JsonSchema>
  additionalProperties?: boolean | JsonSchema
  propertyNames?: JsonSchema
  items?: JsonSchema
  anyOf?: JsonSchema[]
  oneOf?: JsonSchema[]
  allOf?: JsonSchema[]
  [other: string]: unknown
}

export type Slots = Record<string, z.ZodType>

/** Order in which a schema is read. */
const ORDER = ['$ref', 'type', 'format', 'enum', 'const', 'pattern', 'description']

/**
 * Converts named schemas. Schemas with `meta.id` become components, to which the others refer. `input`: what a request may
 * contain; unknown fields are refused where the schema is strict. `output`: what a response contains; fields may be added,
 * so nothing is refused.
 */
export function fromZod(
  schemas: Slots,
  io: 'input' | 'output',
): { slots: Record<string, JsonSchema>; components: Record<string, JsonSchema> } {
  const converted: { properties?: unknown; $defs?: unknown } = z.toJSONSchema(z.object(schemas), {
    io,
    unrepresentable: 'any',
    override: ({ zodSchema, jsonSchema }) => {
      const { def } = zodSchema._zod
      const limits = new Set(def.checks?.map((check) => check._zod.def.check))
      // zod limits every whole number to those that JavaScript represents exactly.
      if (jsonSchema.minimum === Number.MIN_SAFE_INTEGER && !limits.has('greater_than')) delete jsonSchema.minimum
      if (jsonSchema.maximum === Number.MAX_SAFE_INTEGER && !limits.has('less_than')) delete jsonSchema.maximum
    },
  })
  const tidied = (part: unknown): Record<string, JsonSchema> =>
    Object.fromEntries(Object.entries(part ?? {}).map(([name, schema]) => [name, tidy(schema, io)]))
  return { slots: tidied(converted.properties), components: tidied(converted.$defs) }
}

/** Keywords of which every schema has one. */
const MEANINGS = ['$ref', 'type', 'anyOf', 'oneOf', 'allOf', 'const', 'enum', 'format', 'required']

/** Simplifies a schema without changing its meaning, besides the addition of fields to responses. */
function tidy(schema: JsonSchema, io: 'input' | 'output'): JsonSchema {
  const inner = (one: JsonSchema): JsonSchema => tidy(one, io)
  const { id: _id, $schema: _schema, ...rest } = schema
  // zod makes `{}` of what it cannot represent.
  if (!MEANINGS.some((keyword) => keyword in rest))
    throw new Error(`A schema says nothing: it needs a meta with its JSON Schema. ${JSON.stringify(rest)}`)
  let tidied: JsonSchema = rest
  if (tidied.$ref) tidied.$ref = tidied.$ref.replace('#/$defs/', '#/components/schemas/')
  if (tidied.properties)
    tidied.properties = Object.fromEntries(
      Object.entries(tidied.properties).map(([name, property]) => [name, inner(property)]),
    )
  if (tidied.items) tidied.items = inner(tidied.items)
  for (const keyword of ['anyOf', 'oneOf', 'allOf'] as const) {
    const all = tidied[keyword]
    if (all) tidied[keyword] = all.map(inner)
  }
  const { additionalProperties: more, propertyNames: names } = tidied
  const any = typeof more === 'object' && (Object.keys(more).length === 0 || more.$ref?.endsWith('/Json'))
  if (any || (more === false && io === 'output')) delete tidied.additionalProperties
  else if (typeof more === 'object') tidied.additionalProperties = inner(more)
  if (names?.$ref === undefined && names?.enum === undefined) delete tidied.propertyNames
  else tidied.propertyNames = inner(names)
  // zod's own patterns of times and days are long, and `format` says it.
  if (tidied.format === 'date-time' || tidied.format === 'date') delete tidied.pattern
  // Not every language has classes of characters in its patterns.
  if (tidied.pattern && /\\p\{/i.test(tidied.pattern)) delete tidied.pattern
  if (tidied.pattern) tidied.pattern = tidied.pattern.replaceAll('\\/', '/')
  tidied = nullableInOne(tidied)
  const rank = (name: string): number => (ORDER.includes(name) ? ORDER.indexOf(name) : ORDER.length)
  return Object.fromEntries(Object.entries(tidied).sort(([a], [b]) => rank(a) - rank(b)))
}

/** `anyOf` of a plain type and null as one type with null. */
function nullableInOne(schema: JsonSchema): JsonSchema {
  const { anyOf, ...rest } = schema
  const [first, second, ...others] = anyOf ?? []
  if (!first || second?.type !== 'null' || others.length > 0 || typeof first.type !== 'string') return schema
  return {
    ...first,
    ...rest,
    type: [first.type, 'null'],
    ...(first.enum ? { enum: [...first.enum, null] } : {}),
  }
}
