import { Ajv, type ErrorObject } from 'ajv'
import type { FieldError } from '../errors/service-error.ts'
import {
  expectedAtLeast,
  expectedAtMost,
  expectedKind,
  expectedLessThan,
  expectedMoreThan,
  expectedMultipleOf,
  expectedOneOf,
  expectedPattern,
  expectedValue,
  REQUIRED,
  UNKNOWN_FIELD,
} from '../errors/field-details.ts'
import { referenceOf } from '../inputs/rules/reference.ts'
import { pointerSegment } from '../values/json-pointer.ts'
import type { Json, JsonObject } from '../values/json.ts'
import type { InputCheck, InputChecks } from './ports.ts'
import { schemaHash } from './rules/dialect.ts'
import { patternTime, timedPattern } from './timed-pattern.ts'

const MAX_KEPT = 500
/** Limit of reported errors: an array of ten thousand invalid values gives no ten thousand lines. */
const MAX_ERRORS = 200

/** URL with the characters that RFC 3986 allows in each part; Replicate's check of `format: uri` accepts no others. */
const LINK =
  /^https?:\/\/(?:[\w.~!$&'()*+,;=:%-]*@)?(?:\[[0-9a-f:.]+\]|[\w.~!$&'()*+,;=%-]+)(?::\d*)?(?:\/[\w.~!$&'()*+,;=:@%/-]*)?(?:\?[\w.~!$&'()*+,;=:@%/?-]*)?(?:#[\w.~!$&'()*+,;=:@%/?-]*)?$/i
const BAD_PERCENT = /%(?![0-9a-f]{2})/i

const isLink = (text: string): boolean => LINK.test(text) && !BAD_PERCENT.test(text) && URL.canParse(text)

/** A file is a link, an upload or inline data. Inline data can be long, so only its beginning is examined. */
function isFileOrLink(text: string): boolean {
  if (/^https?:/i.test(text)) return isLink(text)
  if (referenceOf(text) !== null) return true
  const head = text.slice(0, 300)
  const comma = head.indexOf(',')
  return (
    comma !== -1 && /^data:(?:[a-z0-9.+-]{1,100}\/[a-z0-9.+-]{1,100})?(?:;[^;]{0,200})*$/i.test(head.slice(0, comma))
  )
}

/** Compiled checks by the hash of their schema; the oldest is evicted first. */
export function createInputChecks(): InputChecks {
  const kept = new Map<string, InputCheck>()
  return (schema: JsonObject): InputCheck => {
    const hash = schemaHash(schema)
    const known = kept.get(hash)
    if (known) return known
    const oldest = kept.size >= MAX_KEPT ? kept.keys().next() : null
    if (oldest && !oldest.done) kept.delete(oldest.value)
    const check = compileCheck(schema)
    kept.set(hash, check)
    return check
  }
}

const INCOMPARABLE: FieldError = {
  pointer: '',
  code: 'incomparable',
  detail: 'A value that is compared with an enum or a constant cannot have a field named toString or valueOf.',
}

/** Compiles a schema in the form that plainSchema returns. Throws when ajv or the JavaScript engine cannot compile it. */
export function compileCheck(schema: JsonObject, allErrors = true): InputCheck {
  const time = patternTime()
  const ajv = new Ajv({
    allErrors,
    strict: false,
    // plainSchema has checked every keyword.
    validateSchema: false,
    logger: false,
    multipleOfPrecision: 9,
    formats: { uri: isFileOrLink },
    code: {
      regExp: Object.assign((source: string, flags: string) => timedPattern(source, flags, time), {
        code: 'timedPattern',
      }),
    },
  })
  const validate = ajv.compile(schema)
  return (input) => {
    Object.assign(time, patternTime())
    try {
      if (validate(input)) return []
    } catch (error) {
      // ajv compares constants and enums by `toString` and `valueOf`; fields of these names in the input are not functions.
      if (error instanceof TypeError) return [INCOMPARABLE]
      throw error
    }
    const errors = validate.errors ?? []
    // When no branch matches, one error says so; the errors of the branches are noise.
    const choices = new Set(errors.filter(({ keyword }) => keyword === 'anyOf').map(({ schemaPath }) => schemaPath))
    const found = new Map<string, FieldError>()
    for (const error of errors) {
      if (found.size >= MAX_ERRORS) break
      if (choices.size > 0 && isBelowOne(choices, error.schemaPath)) continue
      const field = toFieldError(error)
      const key = `${field.pointer} ${field.code}`
      if (!found.has(key)) found.set(key, field)
    }
    return [...found.values()]
  }
}

/** Whether a path lies below one of the schemas. */
function isBelowOne(schemas: ReadonlySet<string>, path: string): boolean {
  for (let end = path.lastIndexOf('/'); end > 0; end = path.lastIndexOf('/', end - 1))
    if (schemas.has(path.slice(0, end))) return true
  return false
}

type Detail = [code: string, detail: string]

const DETAILS: Record<string, (params: Record<string, Json>) => Detail> = {
  required: () => ['required', REQUIRED],
  additionalProperties: () => ['unknown_field', UNKNOWN_FIELD],
  type: ({ type }) => ['invalid_type', expectedKind(type)],
  enum: ({ allowedValues }) => ['invalid_value', expectedOneOf(allowedValues)],
  const: ({ allowedValue }) => ['invalid_value', expectedValue(allowedValue)],
  anyOf: () => ['invalid_value', 'Matches none of the allowed alternatives.'],
  minimum: ({ limit }) => ['too_small', expectedAtLeast(limit)],
  maximum: ({ limit }) => ['too_big', expectedAtMost(limit)],
  exclusiveMinimum: ({ limit }) => ['too_small', expectedMoreThan(limit)],
  exclusiveMaximum: ({ limit }) => ['too_big', expectedLessThan(limit)],
  minLength: ({ limit }) => ['too_small', expectedAtLeast(limit, 'character')],
  maxLength: ({ limit }) => ['too_big', expectedAtMost(limit, 'character')],
  minItems: ({ limit }) => ['too_small', expectedAtLeast(limit, 'item')],
  maxItems: ({ limit }) => ['too_big', expectedAtMost(limit, 'item')],
  multipleOf: ({ multipleOf }) => ['not_multiple_of', expectedMultipleOf(multipleOf)],
  format: () => [
    'invalid_format',
    'Expected an http(s) URL, a data URI or an upload. A blank or a letter beyond ASCII in a URL is written as %20 or %C3%A9.',
  ],
  pattern: ({ pattern }) => ['invalid_format', expectedPattern(pattern)],
}

function toFieldError({
  keyword,
  instancePath,
  params,
  message,
}: ErrorObject<string, Record<string, Json>>): FieldError {
  const [code, detail] = DETAILS[keyword]?.(params) ?? ['invalid_value', message ?? 'Not valid.']
  const below = keyword === 'required' ? params.missingProperty : params.additionalProperty
  const pointer = typeof below === 'string' ? instancePath + pointerSegment(below) : instancePath
  return { pointer, code, detail }
}
