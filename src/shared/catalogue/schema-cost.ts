import type { Json, JsonObject } from '../jobs/job.ts'

/** An input holds at most this number of values (docs/api.md). */
const MAX_VALUES = 10_000
const MAX_CHEAP_NODES = 150
const MAX_CHEAP_CHECKS = 200_000
/** Comparisons with the values of an enum that take about as long as any other check. */
const ENUM_VALUES_PER_CHECK = 20

const isObject = (value: Json | undefined): value is JsonObject =>
  typeof value === 'object' && value !== null && !Array.isArray(value)
const lengthOf = (value: Json | undefined): number => (Array.isArray(value) ? value.length : 0)

export interface SchemaCost {
  /** Schemas within the schema, itself included. */
  nodes: number
  /** Upper bound of the checks that one input can cause. */
  checks: number
  /** It has regular expressions, whose time no bound holds. */
  hasPatterns: boolean
}

/**
 * What a schema costs, by its text alone. Each keyword of a node is checked once for each value that the node can meet: one
 * value below `properties`, any number of values below `items` and `additionalProperties`. `schema`: as plainSchema made it.
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

/** So cheap that it may be compiled and checked where requests are answered, also for the worst input. */
export const isCheap = ({ nodes, checks, hasPatterns }: SchemaCost): boolean =>
  nodes <= MAX_CHEAP_NODES && checks <= MAX_CHEAP_CHECKS && !hasPatterns
