import { isObject, type Json, type JsonObject } from '../../values/json.ts'

/** Limit of values in an input (docs/api.md). */
const MAX_VALUES = 10_000
const MAX_CHEAP_NODES = 150
const MAX_CHEAP_CHECKS = 200_000
/** Comparisons with values of an enum that cost about as much as one other check. */
const ENUM_VALUES_PER_CHECK = 20

const lengthOf = (value: Json | undefined): number => (Array.isArray(value) ? value.length : 0)

export interface SchemaCost {
  /** Number of subschemas, the root included. */
  nodes: number
  /** Upper bound of the checks for one input. */
  checks: number
  /** Whether it has regular expressions, whose time is unbounded. */
  hasPatterns: boolean
}

/**
 * Cost of a schema, computed from its text. Each keyword of a node is checked once for each value that the node applies to:
 * one value below `properties`, any number of values below `items` and `additionalProperties`. `schema`: in the form that
 * plainSchema returns.
 */
export function schemaCost(schema: JsonObject): SchemaCost {
  const cost: SchemaCost = { nodes: 0, checks: 0, hasPatterns: false }
  const visit = (node: Json | undefined, times: number): void => {
    if (!isObject(node)) return
    cost.nodes += 1
    cost.checks += times * (1 + lengthOf(node.required) + lengthOf(node.enum) / ENUM_VALUES_PER_CHECK)
    if (node.pattern !== undefined) cost.hasPatterns = true
    if (isObject(node.properties)) for (const part of Object.values(node.properties)) visit(part, times)
    for (const part of [node.items, node.additionalProperties]) visit(part, MAX_VALUES)
    for (const parts of [node.anyOf, node.allOf]) if (Array.isArray(parts)) for (const part of parts) visit(part, times)
  }
  visit(schema, 1)
  return cost
}

/** Whether the schema is cheap enough for the main thread, even with the worst input. */
export const isCheap = ({ nodes, checks, hasPatterns }: SchemaCost): boolean =>
  nodes <= MAX_CHEAP_NODES && checks <= MAX_CHEAP_CHECKS && !hasPatterns
