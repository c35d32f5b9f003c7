import { z } from 'zod'
import { isObject } from '../../values/json.ts'

/** Whether a schema certainly accepts a value and returns it as it is; false decides nothing. */
export type QuickCheck = (value: unknown) => boolean

const undecided: QuickCheck = () => false

/**
 * The quick check of a schema, for values that come from JSON. Records are read at each change of a job, and the general
 * parser of zod, which collects issues and copies, costs ten times as much as the comparisons. What this does not know is
 * left to zod, which alone refuses.
 */
export function quickCheck(schema: z.core.$ZodType): QuickCheck {
  const { def } = schema._zod
  if ((def.checks?.length ?? 0) > 0 || 'format' in def || 'coerce' in def) return undecided
  if (schema instanceof z.ZodString) return (value) => typeof value === 'string'
  if (schema instanceof z.ZodNumber) return Number.isFinite
  if (schema instanceof z.ZodBoolean) return (value) => typeof value === 'boolean'
  if (schema instanceof z.ZodLiteral) return oneOf(schema.def.values)
  if (schema instanceof z.ZodEnum) return oneOf(schema.options)
  if (schema instanceof z.ZodCustom) return (value) => schema.def.fn(value) === true
  if (schema instanceof z.ZodNullable) {
    const inner = quickCheck(schema.def.innerType)
    return (value) => value === null || inner(value)
  }
  if (schema instanceof z.ZodDefault) {
    const inner = quickCheck(schema.def.innerType)
    return (value) => value !== undefined && inner(value)
  }
  if (schema instanceof z.ZodArray) {
    const item = quickCheck(schema.def.element)
    return (value) => Array.isArray(value) && value.every(item)
  }
  if (schema instanceof z.ZodTuple && schema.def.rest === null) {
    const items = schema.def.items.map(quickCheck)
    return (value) => Array.isArray(value) && value.length === items.length && items.every((item, i) => item(value[i]))
  }
  if (schema instanceof z.ZodUnion) {
    const options = schema.def.options.map(quickCheck)
    return (value) => options.some((option) => option(value))
  }
  if (schema instanceof z.ZodRecord && schema.def.keyType instanceof z.ZodString) {
    const property = quickCheck(schema.def.valueType)
    return withProperties(() => property)
  }
  if (schema instanceof z.ZodObject && schema.def.catchall === undefined) {
    const properties = new Map(Object.entries(schema.def.shape).map(([name, inner]) => [name, quickCheck(inner)]))
    const isKnown = withProperties((name) => properties.get(name) ?? undecided)
    return (value) => isKnown(value) && isObject(value) && Object.keys(value).length === properties.size
  }
  return undecided
}

const oneOf = (values: readonly unknown[]): QuickCheck => {
  const all = new Set(values)
  return (value) => all.has(value)
}

/** Whether the value is an object whose properties pass their checks. */
function withProperties(checkOf: (name: string) => QuickCheck): QuickCheck {
  return (value) => {
    if (!isObject(value)) return false
    for (const name of Object.keys(value)) if (name === '__proto__' || !checkOf(name)(value[name])) return false
    return true
  }
}
