import { Ajv, type ErrorObject } from 'ajv'
import type { FieldError } from '../errors.ts'
import { referenceOf } from '../inputs/reference.ts'
import { pointerSegment } from '../json-pointer.ts'
import type { Json, JsonObject } from '../jobs/job.ts'
import { schemaHash } from './dialect.ts'
import { patternTime, timedPattern } from './timed-pattern.ts'

/** Everything that is wrong with an input, by JSON pointers into it; empty when it is right. */
export type InputCheck = (input: JsonObject) => FieldError[]

const MAX_KEPT = 500
/** An array of ten thousand wrong values needs no ten thousand lines. */
const MAX_ERRORS = 200

/** The characters of RFC 3986, where it allows them: Replicate's own check of `format: uri` takes no others. */
const LINK =
  /^https?:\/\/(?:[\w.~!$&'()*+,;=:%-]*@)?(?:\[[0-9a-f:.]+\]|[\w.~!$&'()*+,;=%-]+)(?::\d*)?(?:\/[\w.~!$&'()*+,;=:@%/-]*)?(?:\?[\w.~!$&'()*+,;=:@%/?-]*)?(?:#[\w.~!$&'()*+,;=:@%/?-]*)?$/i
const BAD_PERCENT = /%(?![0-9a-f]{2})/i

const isLink = (text: string): boolean => LINK.test(text) && !BAD_PERCENT.test(text) && URL.canParse(text)

/** Files are given as links, as uploads or inline; inline ones can be long, so only their beginning is looked at. */
function isFileOrLink(text: string): boolean {
  if (/^https?:/i.test(text)) return isLink(text)
  if (referenceOf(text) !== null) return true
  const head = text.slice(0, 300)
  const comma = head.indexOf(',')
  return (
    comma !== -1 && /^data:(?:[a-z0-9.+-]{1,100}\/[a-z0-9.+-]{1,100})?(?:;[^;]{0,200})*$/i.test(head.slice(0, comma))
  )
}

/** Checks by the hash of their schema, the oldest forgotten first. */
export function createInputChecks() {
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

export type InputChecks = ReturnType<typeof createInputChecks>

const INCOMPARABLE: FieldError = {
  pointer: '',
  code: 'incomparable',
  detail: 'A value that is one of a choice may have no field named toString or valueOf.',
}

/** `schema`: as plainSchema made it. Throws when ajv or the JavaScript engine cannot compile it. */
export function compileCheck(schema: JsonObject, allErrors = true): InputCheck {
  const time = patternTime()
  const ajv = new Ajv({
    allErrors,
    strict: false,
    // plainSchema has looked at every keyword.
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
      // A constant or a choice is compared by `toString` and `valueOf`: fields of these names are no functions.
      if (error instanceof TypeError) return [INCOMPARABLE]
      throw error
    }
    const errors = validate.errors ?? []
    // When no choice fits, one line says so; what each of them wanted is noise.
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

/** Whether a path leads into one of the schemas. */
function isBelowOne(schemas: ReadonlySet<string>, path: string): boolean {
  for (let end = path.lastIndexOf('/'); end > 0; end = path.lastIndexOf('/', end - 1))
    if (schemas.has(path.slice(0, end))) return true
  return false
}

const KINDS: Record<string, string> = {
  string: 'a string',
  number: 'a number',
  integer: 'a whole number',
  boolean: 'true or false',
  object: 'an object',
  array: 'an array',
  null: 'null',
}

const words = (types: unknown): string =>
  [types]
    .flat()
    .map((type) => KINDS[String(type)] ?? String(type))
    .join(' or ')

const listed = (values: unknown): string => {
  const all = Array.isArray(values) ? values : []
  return (
    all
      .slice(0, 30)
      .map((value) => JSON.stringify(value))
      .join(', ') + (all.length > 30 ? ', ...' : '')
  )
}

const shown = (value: Json | undefined): string => JSON.stringify(value ?? null)

const counted = (n: Json | undefined, one: string): string => `${shown(n)} ${one}${n === 1 ? '' : 's'}`

type Told = [code: string, detail: string]

const TOLD: Record<string, (params: Record<string, Json>) => Told> = {
  required: () => ['required', 'Needed.'],
  additionalProperties: () => ['unknown_field', 'There is no such field.'],
  type: ({ type }) => ['invalid_type', `Expected ${words(type)}.`],
  enum: ({ allowedValues }) => ['invalid_value', `Expected one of ${listed(allowedValues)}.`],
  const: ({ allowedValue }) => ['invalid_value', `Expected ${shown(allowedValue)}.`],
  anyOf: () => ['invalid_value', 'Fits none of what is allowed here.'],
  minimum: ({ limit }) => ['too_small', `Expected ${shown(limit)} or more.`],
  maximum: ({ limit }) => ['too_big', `Expected ${shown(limit)} or less.`],
  exclusiveMinimum: ({ limit }) => ['too_small', `Expected more than ${shown(limit)}.`],
  exclusiveMaximum: ({ limit }) => ['too_big', `Expected less than ${shown(limit)}.`],
  minLength: ({ limit }) => ['too_small', `Expected ${counted(limit, 'character')} or more.`],
  maxLength: ({ limit }) => ['too_big', `Expected ${counted(limit, 'character')} or less.`],
  minItems: ({ limit }) => ['too_small', `Expected ${counted(limit, 'item')} or more.`],
  maxItems: ({ limit }) => ['too_big', `Expected ${counted(limit, 'item')} or less.`],
  multipleOf: ({ multipleOf }) => ['not_multiple_of', `Expected a multiple of ${shown(multipleOf)}.`],
  format: () => [
    'invalid_format',
    'Expected an http(s) URL, a data URI or an upload. A blank or a letter beyond ASCII in a URL is written as %20 or %C3%A9.',
  ],
  pattern: ({ pattern }) => ['invalid_format', `Expected to match ${shown(pattern).slice(0, 100)}`],
}

function toFieldError({
  keyword,
  instancePath,
  params,
  message,
}: ErrorObject<string, Record<string, Json>>): FieldError {
  const [code, detail] = TOLD[keyword]?.(params) ?? ['invalid_value', message ?? 'Not valid.']
  const below = keyword === 'required' ? params.missingProperty : params.additionalProperty
  const pointer = typeof below === 'string' ? instancePath + pointerSegment(below) : instancePath
  return { pointer, code, detail }
}
