import type { z } from 'zod'
import type { FieldError } from './service-error.ts'
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
} from './field-details.ts'
import { pointerOf, pointerSegment } from '../values/json-pointer.ts'

/** Units of the sizes that zod limits; a number has none. */
const UNITS: Record<string, string> = { string: 'character', array: 'item', object: 'field', file: 'byte' }

/** Texts of formats that the schemas of this service use without setting a text. */
const FORMATS: Record<string, string> = {
  datetime: 'Expected a time such as 2026-01-31T12:00:00Z.',
  url: 'Expected a URL.',
}

/** Detail of an issue whose schema sets no text. Returns a text for every code, so that no text of zod reaches a client. */
function detailOf(issue: z.core.$ZodRawIssue): string {
  switch (issue.code) {
    case 'invalid_type':
      return issue.input === undefined ? REQUIRED : expectedKind(issue.expected)
    case 'invalid_value': {
      if (issue.input === undefined) return REQUIRED
      const [only, ...others] = issue.values
      return others.length === 0 ? expectedValue(only) : expectedOneOf(issue.values)
    }
    case 'too_small': {
      const unit = UNITS[issue.origin] ?? ''
      return issue.inclusive === false && unit === ''
        ? expectedMoreThan(Number(issue.minimum))
        : expectedAtLeast(Number(issue.minimum), unit)
    }
    case 'too_big': {
      const unit = UNITS[issue.origin] ?? ''
      return issue.inclusive === false && unit === ''
        ? expectedLessThan(Number(issue.maximum))
        : expectedAtMost(Number(issue.maximum), unit)
    }
    case 'not_multiple_of':
      return expectedMultipleOf(issue.divisor)
    case 'invalid_format':
      return (
        FORMATS[issue.format] ??
        (issue.pattern === undefined ? 'The format is not valid.' : expectedPattern(issue.pattern))
      )
    case 'unrecognized_keys':
      return UNKNOWN_FIELD
    case 'invalid_union':
      return issue.input === undefined ? REQUIRED : 'Matches none of the allowed alternatives.'
    case 'custom': {
      const expected: unknown = issue.params?.['expected']
      if (issue.input === undefined) return REQUIRED
      return typeof expected === 'string' ? expectedKind(expected) : 'The value is not valid.'
    }
    case 'invalid_key':
    case 'invalid_element':
      return 'The value is not valid.'
  }
}

/** Options for `safeParse` and `parse`: the texts of this service for all issues. */
export const ZOD_ERRORS = { error: detailOf }

/** Codes that clients get in place of a code of zod that names the means and not the error. */
const CODES: Record<string, string> = { custom: 'invalid_value', invalid_union: 'invalid_value' }

/** The errors of a value that was parsed with ZOD_ERRORS. A schema sets the code of a custom issue by `params.code`. */
export const fieldErrors = ({ issues }: z.ZodError): FieldError[] =>
  issues.flatMap((issue) => {
    const pointer = pointerOf(issue.path)
    if (issue.code === 'unrecognized_keys')
      return issue.keys.map((key) => ({
        pointer: pointer + pointerSegment(key),
        code: 'unknown_field',
        detail: UNKNOWN_FIELD,
      }))
    const own: unknown = issue.code === 'custom' ? issue.params?.['code'] : undefined
    return [{ pointer, code: typeof own === 'string' ? own : (CODES[issue.code] ?? issue.code), detail: issue.message }]
  })
