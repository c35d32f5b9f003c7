import { REQUIRED } from '../../shared/errors/field-details.ts'
import { NOT_FOUND } from './not-served.ts'
import { NO_KEY, WRONG_KEY } from '../auth.ts'
import { ERRORS, type FieldError, type ServiceError } from '../../shared/errors/service-error.ts'

/** Errors in the form of Replicate's API, for its clients. The header `Genqueue-Error` has the code of ours. */

export interface InvalidField {
  type: string
  field: string
  description: string
}

export interface ReplicateProblem {
  title?: string
  detail: string
  status: number
  invalid_fields?: InvalidField[]
  retry_after?: number
}

/** Our sentences of field errors, and what Replicate's validator (gojsonschema) says instead. */
const SENTENCES: readonly [RegExp, type: string, say: (found: string, field: string) => string][] = [
  [/^Expected (\S+) or more\.$/, 'number_gte', (limit) => `Must be greater than or equal to ${limit}`],
  [/^Expected (\S+) or less\.$/, 'number_lte', (limit) => `Must be less than or equal to ${limit}`],
  [/^Expected more than (\S+)\.$/, 'number_gt', (limit) => `Must be greater than ${limit}`],
  [/^Expected less than (\S+)\.$/, 'number_lt', (limit) => `Must be less than ${limit}`],
  [
    /^Expected (\d+) characters? or more\.$/,
    'string_gte',
    (limit) => `String length must be greater than or equal to ${limit}`,
  ],
  [
    /^Expected (\d+) characters? or less\.$/,
    'string_lte',
    (limit) => `String length must be less than or equal to ${limit}`,
  ],
  [/^Expected (\d+) items? or more\.$/, 'array_min_items', (limit) => `Array must have at least ${limit} items`],
  [/^Expected (\d+) items? or less\.$/, 'array_max_items', (limit) => `Array must have at most ${limit} items`],
  [/^Expected one of (.*)\.$/, 'enum', (values, field) => `${field} must be one of the following: ${values}`],
  [/^Expected (?:a |an )?(.*)\.$/, 'invalid_type', (kind) => `Invalid type. Expected: ${TYPES[kind] ?? kind}`],
]
const TYPES: Record<string, string> = { 'whole number': 'integer', 'true or false': 'boolean' }

function invalidField({ pointer, code, detail }: FieldError): InvalidField {
  const names = pointer
    .split('/')
    .slice(1)
    .map((part) => part.replaceAll('~1', '/').replaceAll('~0', '~'))
  const field = names.join('.')
  const parent = names.slice(0, -1).join('.')
  const last = names.at(-1) ?? ''
  if (detail === REQUIRED) return { type: 'required', field: parent, description: `${last} is required` }
  if (code === 'unknown_field')
    return {
      type: 'additional_property_not_allowed',
      field: parent,
      description: `Additional property ${last} is not allowed`,
    }
  // Only what Replicate says as well has its sentence: this one is ours.
  if (code === 'format') return { type: code, field, description: detail }
  for (const [sentence, type, say] of SENTENCES) {
    const found = sentence.exec(detail)?.[1]
    if (found !== undefined) return { type, field, description: say(found, field) }
  }
  return { type: code, field, description: detail }
}

/** Sentences about credentials; others, such as that a key was revoked, say more than Replicate's. */
const AUTHENTICATION: Record<string, string> = {
  [NO_KEY]: 'You did not pass an authentication token',
  [WRONG_KEY]: 'You did not pass a valid authentication token',
}

const INVALID_VERSION = {
  title: 'Invalid version or not permitted',
  detail: "The specified version does not exist (or perhaps you don't have permission to use it?)",
}

function bodyOf(error: ServiceError): ReplicateProblem {
  const { status, title } = ERRORS[error.code]
  switch (error.code) {
    case 'unauthenticated':
      return { title: 'Unauthenticated', detail: AUTHENTICATION[error.message] ?? error.message, status }
    case 'insufficient_credits':
      return {
        title: 'Insufficient credit',
        detail: `You have insufficient credit to run this model. ${error.message}`,
        status,
      }
    case 'not_found':
    case 'model_not_found':
      return { detail: error.message, status }
    case 'invalid_header':
      return { title: 'Invalid header', detail: error.message, status: 422 }
    case 'invalid_request': {
      const wrong = error.fields.filter(({ code, detail }) => code !== 'unknown_field' && detail !== REQUIRED)
      const names = new Set(wrong.map(({ pointer }) => pointer))
      if (names.has('/version')) return { ...INVALID_VERSION, status }
      if (names.has('/model') || names.has('/deployment')) return { detail: NOT_FOUND, status: 404 }
      const fields = error.fields.map(invalidField)
      if (fields.length === 0) return { title: 'Input validation failed', detail: error.message, status }
      const lines = fields.map(({ field, description }) => `- ${field === '' ? '' : `${field}: `}${description}\n`)
      return { title: 'Input validation failed', detail: lines.join(''), status, invalid_fields: fields }
    }
    case 'rate_limited':
    case 'too_many_queued':
    case 'too_many_bodies':
    case 'too_many_streams':
    case 'too_many_attempts':
    case 'too_much_stored': {
      const seconds = Math.max(1, Math.ceil(error.retryAfter ?? 1))
      return {
        detail: `Request was throttled. ${error.message} Your rate limit resets in ~${seconds}s.`,
        status,
        retry_after: seconds,
      }
    }
    default:
      return { title, detail: error.message, status }
  }
}

/** Replicate's response for an error. */
export function replicateResponse(error: ServiceError): {
  status: number
  headers: Record<string, string>
  body: ReplicateProblem
} {
  const body = bodyOf(error)
  return {
    status: body.status,
    headers: {
      'content-type': 'application/problem+json',
      'genqueue-error': error.code,
      ...(error.retryAfter === null ? {} : { 'retry-after': String(Math.ceil(error.retryAfter)) }),
      ...(body.status === 401 ? { 'www-authenticate': 'Bearer' } : {}),
    },
    body,
  }
}
