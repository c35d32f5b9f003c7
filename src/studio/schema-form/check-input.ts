import type { Json, JsonObject } from '../../client/types.ts'
import { errorText } from '../error-text.ts'
import { isObject, type Field } from './fields.ts'

/** Errors by field name. Only checks that need no request; the service's validation decides. */
export type FieldErrors = Record<string, string>

export function checkInput(fields: readonly Field[], input: JsonObject): FieldErrors {
  const errors: FieldErrors = {}
  for (const field of fields) {
    const problem = checkField(field, input[field.name])
    if (problem) errors[field.name] = problem
  }
  return errors
}

function checkField(field: Field, value: Json | undefined): string | null {
  if (value === undefined || value === '') return field.required ? 'Required' : null
  const wanted = field.schema['type']
  if (wanted === 'string' && typeof value !== 'string') return 'Must be text'
  if (wanted === 'boolean' && typeof value !== 'boolean') return 'Must be true or false'
  if (wanted === 'array' && !Array.isArray(value)) return 'Must be a list'
  if (wanted === 'integer' || wanted === 'number') {
    if (typeof value !== 'number') return 'Must be a number'
    if (wanted === 'integer' && !Number.isInteger(value)) return 'Must be a whole number'
    if (field.minimum !== null && value < field.minimum) return `Must be at least ${field.minimum}`
    if (field.maximum !== null && value > field.maximum) return `Must be at most ${field.maximum}`
  }
  if (Array.isArray(field.schema['enum']) && !field.schema['enum'].includes(value)) {
    return `Must be one of ${field.choices.join(', ')}`
  }
  if (Array.isArray(value) && field.maxItems !== null && value.length > field.maxItems) {
    return `At most ${field.maxItems}`
  }
  return null
}

/** `/input/images/0` -> `images`: errors are shown beside their field. */
export function fieldOfPointer(pointer: string): string | null {
  const [, root, name] = pointer.split('/')
  return root === 'input' && name ? name.replaceAll('~1', '/').replaceAll('~0', '~') : null
}

export function parseInput(text: string): { input: JsonObject } | { problem: string } {
  if (text.trim() === '') return { input: {} }
  try {
    const value: Json = JSON.parse(text)
    return isObject(value) ? { input: value } : { problem: 'The input must be an object: { … }' }
  } catch (error) {
    return { problem: `Invalid JSON: ${errorText(error)}` }
  }
}
