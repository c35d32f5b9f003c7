import { z } from 'zod'
import { ERRORS } from '../../shared/errors/service-error.ts'
import { time } from './common.ts'
import { keysOf } from '../../shared/values/keys-of.ts'

/** Without the links of docs/errors.md, which lead nowhere elsewhere. */
const plain = (meaning: string): string => meaning.replaceAll(/\[([^\]]+)\]\([^)]+\)/g, '$1')

export const errorCode = z.enum(keysOf(ERRORS)).meta({
  id: 'ErrorCode',
  description: 'Stable. docs/errors.md says of each code whether the same request may succeed later.',
  'x-enumDescriptions': Object.fromEntries(
    Object.entries(ERRORS).map(([code, { status, meaning }]) => [code, `${status}. ${plain(meaning)}`]),
  ),
})

const fieldError = z
  .object({
    pointer: z.string().describe('JSON pointer into the body, or a slash and the name of a query parameter.'),
    code: z.string().describe('Stable, snake_case.'),
    detail: z.string(),
  })
  .meta({ id: 'FieldError', description: 'An error of one field of a request.' })

export const problem = z
  .object({
    type: z.string().describe('`urn:genqueue:error:<code>`'),
    title: z.string(),
    status: z.int(),
    detail: z.string(),
    code: errorCode,
    limit: z.string().exactOptional().describe('In a 429: the name of the exceeded limit.'),
    allowed: z
      .int()
      .exactOptional()
      .describe('In `too_much_stored` and `budget_exceeded`: the value of the exceeded limit.'),
    used: z.int().exactOptional().describe('In `too_much_stored` and `budget_exceeded`: the usage.'),
    missing: z.int().exactOptional().describe('In a 402: the missing micro-credits.'),
    budget: z.string().exactOptional().describe('In `budget_exceeded`: the id of the budget.'),
    resets_at: time.exactOptional().describe('In `budget_exceeded`: the end of its period.'),
    key_id: z.string().exactOptional().describe('In `key_already_made`: the id of the existing key.'),
    errors: z.array(fieldError).exactOptional().describe('In `invalid_request`: the first twenty invalid fields.'),
  })
  .meta({
    id: 'Problem',
    description: 'RFC 9457.',
    examples: [
      {
        type: 'urn:genqueue:error:invalid_request',
        title: ERRORS.invalid_request.title,
        status: 422,
        detail: '/timeout: Expected 1800 or less.',
        code: 'invalid_request',
        errors: [{ pointer: '/timeout', code: 'too_big', detail: 'Expected 1800 or less.' }],
      },
    ],
  })
export type Problem = z.output<typeof problem>
