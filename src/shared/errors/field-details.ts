/** Sentences of field errors. Requests, options, presets and inputs use the same ones, whichever checker found the error. */

export const REQUIRED = 'Required.'
export const UNKNOWN_FIELD = 'Unknown field.'
/** Limit of listed values of an enum. */
const MAX_LISTED = 30

const KINDS: Record<string, string> = {
  string: 'a string',
  number: 'a number',
  integer: 'a whole number',
  int: 'a whole number',
  boolean: 'true or false',
  object: 'an object',
  record: 'an object',
  array: 'an array',
  null: 'null',
}

const shown = (value: unknown): string => JSON.stringify(value ?? null)

/** A limit with its unit, such as `1 item`; a unit of '' is left out. */
const counted = (limit: unknown, unit: string): string =>
  unit === '' ? shown(limit) : `${shown(limit)} ${unit}${limit === 1 ? '' : 's'}`

export const expectedKind = (types: unknown): string =>
  `Expected ${[types]
    .flat()
    .map((type) => KINDS[String(type)] ?? String(type))
    .join(' or ')}.`

export function expectedOneOf(values: unknown): string {
  const all = Array.isArray(values) ? values : []
  const listed = all.slice(0, MAX_LISTED).map(shown).join(', ')
  return `Expected one of ${listed}${all.length > MAX_LISTED ? ', ...' : ''}.`
}

export const expectedValue = (value: unknown): string => `Expected ${shown(value)}.`
export const expectedAtLeast = (limit: unknown, unit = ''): string => `Expected ${counted(limit, unit)} or more.`
export const expectedAtMost = (limit: unknown, unit = ''): string => `Expected ${counted(limit, unit)} or less.`
export const expectedMoreThan = (limit: unknown): string => `Expected more than ${shown(limit)}.`
export const expectedLessThan = (limit: unknown): string => `Expected less than ${shown(limit)}.`
export const expectedMultipleOf = (divisor: unknown): string => `Expected a multiple of ${shown(divisor)}.`
export const expectedPattern = (pattern: unknown): string => `Expected to match ${shown(pattern).slice(0, 100)}`
