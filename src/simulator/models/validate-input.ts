import { Ajv, type ErrorObject, type ValidateFunction } from 'ajv'
import formats from 'ajv-formats'
import type { InputSchema } from './model.ts'

/** One line of `invalid_fields` of a 422, worded as by gojsonschema, which the real API uses. */
export interface InvalidField {
  type: string
  field: string
  description: string
}

export type Validator = (value: unknown, field: string) => InvalidField[]

const ajv = new Ajv({ allErrors: true, strict: false, verbose: true })
formats.default(ajv)

/** Compiled schemas by their text, because versions of a model and simulators of one process share them; the oldest is evicted first. */
const kept = new Map<string, ValidateFunction>()
const MAX_KEPT = 500

function compiled(schema: InputSchema): ValidateFunction {
  const text = JSON.stringify(schema)
  const known = kept.get(text)
  if (known !== undefined) return known
  const oldest = kept.size >= MAX_KEPT ? kept.keys().next() : null
  if (oldest && !oldest.done) kept.delete(oldest.value)
  const validate = ajv.compile(schema)
  kept.set(text, validate)
  return validate
}

export function createValidator(schema: InputSchema): Validator {
  const validate = compiled(schema)
  return (value, field) => (validate(value) ? [] : (validate.errors ?? []).map((error) => toInvalidField(error, field)))
}

type Wording = (params: Record<string, unknown>, field: string, given: unknown) => { type: string; description: string }

const text = (value: unknown) => (typeof value === 'string' ? value : JSON.stringify(value))

const WORDINGS: Record<string, Wording> = {
  required: (params) => ({ type: 'required', description: `${text(params['missingProperty'])} is required` }),
  type: (params, _field, given) => ({
    type: 'invalid_type',
    description: `Invalid type. Expected: ${text(params['type'])}, given: ${typeName(given)}`,
  }),
  enum: (params, field) => ({ type: 'enum', description: `${field} must be one of the following: ${allowed(params)}` }),
  minimum: (params) => ({
    type: 'number_gte',
    description: `Must be greater than or equal to ${text(params['limit'])}`,
  }),
  maximum: (params) => ({ type: 'number_lte', description: `Must be less than or equal to ${text(params['limit'])}` }),
  minLength: (params) => ({
    type: 'string_gte',
    description: `String length must be greater than or equal to ${text(params['limit'])}`,
  }),
  maxLength: (params) => ({
    type: 'string_lte',
    description: `String length must be less than or equal to ${text(params['limit'])}`,
  }),
  minItems: (params) => ({
    type: 'array_min_items',
    description: `Array must have at least ${text(params['limit'])} items`,
  }),
  maxItems: (params) => ({
    type: 'array_max_items',
    description: `Array must have at most ${text(params['limit'])} items`,
  }),
  format: (params) => ({ type: 'format', description: `Does not match format '${text(params['format'])}'` }),
  pattern: (params) => ({ type: 'pattern', description: `Does not match pattern '${text(params['pattern'])}'` }),
  multipleOf: (params) => ({
    type: 'multiple_of',
    description: `Must be a multiple of ${text(params['multipleOf'])}`,
  }),
  additionalProperties: (params) => ({
    type: 'additional_property_not_allowed',
    description: `Additional property ${text(params['additionalProperty'])} is not allowed`,
  }),
}

function typeName(value: unknown): string {
  if (value === null) return 'null'
  if (Array.isArray(value)) return 'array'
  return Number.isInteger(value) ? 'integer' : typeof value
}

const allowed = (params: Record<string, unknown>) =>
  Array.isArray(params['allowedValues']) ? params['allowedValues'].map((value) => JSON.stringify(value)).join(', ') : ''

function toInvalidField(error: ErrorObject, root: string): InvalidField {
  const path = error.instancePath.split('/').slice(1)
  const field = [root, ...path].filter((part) => part !== '').join('.')
  const wording = WORDINGS[error.keyword]
  const params: Record<string, unknown> = error.params
  if (wording === undefined) return { type: error.keyword, field, description: error.message ?? 'is not valid' }
  return { field, ...wording(params, field, error.data) }
}
