import { createHash } from 'node:crypto'
import { canonicalJson } from '../../values/canonical-json.ts'
import { pointerSegment } from '../../values/json-pointer.ts'
import { isObject, type Json, type JsonObject } from '../../values/json.ts'

/**
 * Self-contained JSON Schema, converted from Replicate's dialect. Cog writes OpenAPI 3.0 into `openapi_schema`: enums are
 * siblings of `Input` and referenced by `allOf` and `$ref`; `nullable` and `x-order` occur. The result holds only keywords
 * that are cheap to check. Schemas are untrusted: their size is bounded, and unknown keywords are dropped, because upstream
 * validates the input anyway.
 */
export interface PlainSchema {
  schema: JsonObject
  /** Dropped parts, as JSON pointers into the given schema. */
  ignored: string[]
}

const MAX_NODES = 1000
/** Limit of constants, defaults, choices and names, and of dropped parts. */
const MAX_VALUES = 20_000
const MAX_DEPTH = 32
const MAX_PATTERN = 500
const TYPES = ['string', 'number', 'integer', 'boolean', 'object', 'array', 'null']
/** Keywords that describe a value and validate nothing. */
const ANNOTATIONS = new Set(['title', 'description', 'default', 'x-order'])
/** Keywords that are dropped without being reported: they validate nothing. */
const SILENT = new Set(['$schema', '$comment', '$defs', 'definitions', 'example', 'examples', 'deprecated', 'nullable'])

const isCount = (value: Json | undefined): value is number =>
  typeof value === 'number' && Number.isSafeInteger(value) && value >= 0
const isWord = (value: Json | undefined): value is string => typeof value === 'string'
const isNumber = (value: Json | undefined): value is number => typeof value === 'number'

/** Keywords that are copied unchanged when their value has the right type. */
const CHECKED: Record<string, (value: Json) => boolean> = {
  title: isWord,
  description: isWord,
  'x-order': isNumber,
  default: () => true,
  const: () => true,
  enum: (value) => Array.isArray(value) && value.length > 0,
  type: (value) => [value].flat().every((type) => isWord(type) && TYPES.includes(type)),
  minimum: isNumber,
  maximum: isNumber,
  multipleOf: (value) => isNumber(value) && value > 0,
  minLength: isCount,
  maxLength: isCount,
  minItems: isCount,
  maxItems: isCount,
  format: isWord,
  pattern: (value) => isWord(value) && isPattern(value),
  required: (value) => Array.isArray(value) && value.every(isWord),
}

function isPattern(text: string): boolean {
  try {
    return text.length <= MAX_PATTERN && new RegExp(text, 'u') instanceof RegExp
  } catch {
    // Python's regular expressions have syntax that JavaScript lacks.
    return false
  }
}

/** Unusual nestings of `anyOf` shrink with each pass; real schemas are plain after the first. */
const MAX_PASSES = 8

/** Converts a schema; null when it exceeds the size limits. `definitions`: targets of `#/components/schemas/X`. */
export function plainSchema(given: JsonObject, definitions: JsonObject = {}): PlainSchema | null {
  const first = onePass(given, definitions)
  let made = first
  for (let pass = 1; made !== null && pass < MAX_PASSES; pass++) {
    const next = onePass(made.schema, {})
    if (next !== null && canonicalJson(next.schema) === canonicalJson(made.schema)) break
    made = next
  }
  return made && first && { schema: made.schema, ignored: first.ignored }
}

function onePass(given: JsonObject, definitions: JsonObject): PlainSchema | null {
  const ignored: string[] = []
  let nodes = 0
  let values = 0
  let tooLarge = false

  /** Counts the values of a keyword that are not schemas; false when the limit is exceeded. */
  function fits(value: Json): boolean {
    if (++values > MAX_VALUES) tooLarge = true
    else if (typeof value === 'object' && value !== null)
      for (const part of Object.values(value)) if (!fits(part)) break
    return !tooLarge
  }

  function definitionOf(reference: string): [name: string, schema: JsonObject] | null {
    const path = /^#\/(components\/schemas|definitions|\$defs)\/([^/]+)$/.exec(reference)
    const [, place, name] = path ?? []
    if (place === undefined || name === undefined) return null
    const own = place === 'components/schemas' ? definitions : given[place]
    const schema = isObject(own) && Object.hasOwn(own, name) ? own[name] : undefined
    return isObject(schema) ? [name, schema] : null
  }

  function visit(schema: Json | undefined, at: string, within: readonly string[], depth: number): JsonObject {
    if (!isObject(schema)) {
      // `true` allows everything, as an empty schema does.
      if (schema !== true) ignored.push(at)
      return {}
    }
    if (++nodes > MAX_NODES || depth > MAX_DEPTH) tooLarge = true
    if (tooLarge) return {}
    const below = (part: Json | undefined, ...names: (string | number)[]): JsonObject =>
      visit(part, at + names.map(pointerSegment).join(''), within, depth + 1)

    let plain: JsonObject = {}
    for (const [keyword, value] of Object.entries(schema)) {
      const isRight = Object.hasOwn(CHECKED, keyword) ? CHECKED[keyword] : undefined
      if (isRight && !fits(value)) return {}
      if (isRight?.(value)) plain[keyword] = value
      else if (keyword === 'properties' && isObject(value))
        plain.properties = Object.fromEntries(
          Object.entries(value)
            .filter(([name]) => name !== '__proto__')
            .map(([name, part]) => [name, below(part, keyword, name)]),
        )
      else if (keyword === 'items' && isObject(value)) plain.items = below(value, keyword)
      else if (keyword === 'additionalProperties' && typeof value === 'boolean') plain.additionalProperties = value
      else if (keyword === 'additionalProperties') plain.additionalProperties = below(value, keyword)
      else if ((keyword === 'exclusiveMinimum' || keyword === 'exclusiveMaximum') && isNumber(value))
        plain[keyword] = value
      else if (!isComposed(keyword, value) && !SILENT.has(keyword) && !keyword.startsWith('x-') && fits(null))
        ignored.push(at + pointerSegment(keyword))
    }
    // OpenAPI 3.0 form: a boolean beside the limit.
    for (const [exclusive, limit] of [
      ['exclusiveMinimum', 'minimum'],
      ['exclusiveMaximum', 'maximum'],
    ] as const)
      if (schema[exclusive] === true && plain[limit] !== undefined) {
        plain[exclusive] = plain[limit]
        delete plain[limit]
      }

    if (isWord(schema.$ref)) plain = both(follow(schema.$ref, at, within, depth), plain)
    if (Array.isArray(schema.allOf))
      for (const [i, part] of schema.allOf.entries()) plain = both(below(part, 'allOf', i), plain)
    // Dropped keywords make a branch match more than it should, so `oneOf` cannot require exactly one match.
    for (const keyword of ['anyOf', 'oneOf'] as const) {
      const choices = schema[keyword]
      if (Array.isArray(choices)) plain = both(anyOf(choices.map((part, i) => below(part, keyword, i))), plain)
    }
    return schema.nullable === true ? orNull(plain) : plain
  }

  function follow(reference: string, at: string, within: readonly string[], depth: number): JsonObject {
    const found = definitionOf(reference)
    // Recursion ends here.
    if (found === null || within.includes(reference)) {
      ignored.push(`${at}/$ref`)
      return {}
    }
    return visit(found[1], `${at}/$ref`, [...within, reference], depth + 1)
  }

  const schema = visit(given, '', [], 0)
  return tooLarge ? null : { schema: { ...schema, type: 'object' }, ignored: [...new Set(ignored)] }
}

/** Whether a keyword is handled separately, after the others. */
function isComposed(keyword: string, value: Json): boolean {
  if (keyword === '$ref') return isWord(value)
  if (keyword === 'allOf' || keyword === 'anyOf' || keyword === 'oneOf') return Array.isArray(value)
  return (keyword === 'exclusiveMinimum' || keyword === 'exclusiveMaximum') && typeof value === 'boolean'
}

/** Conjunction of two schemas, merged into one where that is equivalent. Annotations of `outer` win. */
function both(inner: JsonObject, outer: JsonObject): JsonObject {
  const clash = Object.keys(inner).some(
    (keyword) =>
      !ANNOTATIONS.has(keyword) &&
      outer[keyword] !== undefined &&
      canonicalJson(outer[keyword]) !== canonicalJson(inner[keyword]),
  )
  if (!clash) return { ...inner, ...outer }
  const { allOf = [], ...rest } = outer
  return { ...rest, allOf: [...(Array.isArray(allOf) ? allOf : []), inner] }
}

const isNull = (schema: JsonObject): boolean => schema.type === 'null'

function anyOf(choices: JsonObject[]): JsonObject {
  const real = choices.filter((choice) => !isNull(choice))
  const [only, ...more] = real
  if (only === undefined) return { type: 'null' }
  const all = more.length === 0 ? only : { anyOf: real }
  return real.length === choices.length ? all : orNull(all)
}

function orNull(schema: JsonObject): JsonObject {
  const { type, enum: values, allOf, anyOf: choices, const: only } = schema
  if (allOf !== undefined || choices !== undefined || only !== undefined) {
    const annotations = Object.fromEntries(Object.entries(schema).filter(([keyword]) => ANNOTATIONS.has(keyword)))
    const rules = Object.fromEntries(Object.entries(schema).filter(([keyword]) => !ANNOTATIONS.has(keyword)))
    return { ...annotations, anyOf: [rules, { type: 'null' }] }
  }
  return {
    ...schema,
    ...(type === undefined ? {} : { type: [...new Set([...[type].flat(), 'null'])] }),
    ...(Array.isArray(values) ? { enum: values.includes(null) ? values : [...values, null] } : {}),
  }
}

/** Hash of a schema without its annotations: equal hashes mean the same valid inputs and the same defaults. */
export function schemaHash(schema: JsonObject): string {
  return createHash('sha256')
    .update(canonicalJson(demands(schema)))
    .digest('hex')
}

function demands(schema: JsonObject): JsonObject {
  return Object.fromEntries(
    Object.entries(schema).flatMap(([keyword, value]): [string, Json][] => {
      if (keyword === 'title' || keyword === 'description' || keyword === 'x-order') return []
      if (keyword === 'properties' && isObject(value))
        return [
          [
            keyword,
            Object.fromEntries(
              Object.entries(value).map(([name, part]) => [name, isObject(part) ? demands(part) : part]),
            ),
          ],
        ]
      if (keyword === 'required' && Array.isArray(value)) return [[keyword, value.map(String).sort()]]
      if (keyword === 'default' || keyword === 'const' || keyword === 'enum') return [[keyword, value]]
      if (Array.isArray(value)) return [[keyword, value.map((part) => (isObject(part) ? demands(part) : part))]]
      return [[keyword, isObject(value) ? demands(value) : value]]
    }),
  )
}
