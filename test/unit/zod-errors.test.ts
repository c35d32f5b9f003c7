import { describe, expect, test } from 'vitest'
import { z } from 'zod'
import { jobRequestSchema, parseWith } from '../../src/api/schemas.ts'
import { readRequest } from '../../src/cli/read-options.ts'
import { ServiceError } from '../../src/shared/errors/service-error.ts'
import { newKeySchema, newTenantSchema } from '../../src/shared/tenants/rules/tenant-requests.ts'
import { fieldErrors, ZOD_ERRORS } from '../../src/shared/errors/zod-errors.ts'

const found = (schema: z.ZodType, value: unknown) => {
  const { error } = schema.safeParse(value, ZOD_ERRORS)
  return error ? fieldErrors(error) : []
}

/** Every code of an issue, and every kind of value that a schema of this service limits. */
const TABLE: [z.ZodType, unknown, string, string][] = [
  [z.string(), undefined, 'invalid_type', 'Required.'],
  [z.string(), 5, 'invalid_type', 'Expected a string.'],
  [z.number(), '5', 'invalid_type', 'Expected a number.'],
  [z.coerce.number(), 'x', 'invalid_type', 'Expected a number.'],
  [z.number().int(), 1.5, 'invalid_type', 'Expected a whole number.'],
  [z.boolean(), 'yes', 'invalid_type', 'Expected true or false.'],
  [z.strictObject({}), [], 'invalid_type', 'Expected an object.'],
  [z.record(z.string(), z.string()), [], 'invalid_type', 'Expected an object.'],
  [z.array(z.string()), {}, 'invalid_type', 'Expected an array.'],
  [z.number().min(5), 1, 'too_small', 'Expected 5 or more.'],
  [z.number().gt(0), 0, 'too_small', 'Expected more than 0.'],
  [z.number().max(100), 101, 'too_big', 'Expected 100 or less.'],
  [z.number().lt(1), 1, 'too_big', 'Expected less than 1.'],
  [z.number().int(), 2 ** 60, 'too_big', 'Expected 9007199254740991 or less.'],
  [z.string().min(1), '', 'too_small', 'Expected 1 character or more.'],
  [z.string().max(3), 'abcd', 'too_big', 'Expected 3 characters or less.'],
  [z.array(z.string()).min(1), [], 'too_small', 'Expected 1 item or more.'],
  [z.array(z.string()).max(2), ['', '', ''], 'too_big', 'Expected 2 items or less.'],
  [z.enum(['start', 'logs']), 'end', 'invalid_value', 'Expected one of "start", "logs".'],
  [z.enum(['start', 'logs']), undefined, 'invalid_value', 'Required.'],
  [z.literal('history'), 'x', 'invalid_value', 'Expected "history".'],
  [z.number().multipleOf(8), 12, 'not_multiple_of', 'Expected a multiple of 8.'],
  [z.string().regex(/^a$/), 'b', 'invalid_format', 'Expected to match "/^a$/"'],
  [z.string().regex(/^a$/, { error: 'Expected a.' }), 'b', 'invalid_format', 'Expected a.'],
  [z.iso.datetime({ offset: true }), 'now', 'invalid_format', 'Expected a time such as 2026-01-31T12:00:00Z.'],
  [z.string().refine(() => false), 'x', 'invalid_value', 'The value is not valid.'],
  [z.string().refine(() => false, { error: 'Own.', params: { code: 'own' } }), 'x', 'own', 'Own.'],
  [z.union([z.string(), z.number()]), true, 'invalid_value', 'Matches none of the allowed alternatives.'],
  [z.map(z.string(), z.number()), new Map([[1, 1]]), 'invalid_type', 'Expected a string.'],
  [z.record(z.string().max(1), z.number()), { ab: 1 }, 'invalid_key', 'The value is not valid.'],
  [z.map(z.any(), z.number()), new Map([[{}, 'x']]), 'invalid_element', 'The value is not valid.'],
]

describe('an issue of zod has our words', () => {
  test.each(TABLE)('%#: %j', (schema, value, code, detail) => {
    expect(found(schema, value)[0]).toMatchObject({ code, detail })
  })

  test('the table has every code', () => {
    const CODES: Record<z.core.$ZodIssue['code'], true> = {
      invalid_type: true,
      too_big: true,
      too_small: true,
      invalid_format: true,
      not_multiple_of: true,
      unrecognized_keys: true,
      invalid_union: true,
      invalid_key: true,
      invalid_element: true,
      invalid_value: true,
      custom: true,
    }
    const issues = TABLE.flatMap(([schema, value]) => schema.safeParse(value, ZOD_ERRORS).error?.issues ?? [])
    const seen = new Set(issues.map(({ code }) => code))
    expect(Object.keys(CODES).filter((code) => !seen.has(code as z.core.$ZodIssue['code']))).toEqual([
      'unrecognized_keys',
    ])
  })

  test('an unknown field is reported at its own pointer', () => {
    expect(found(z.strictObject({ a: z.strictObject({}) }), { a: { 'x/y': 1, z: 1 } })).toEqual([
      { pointer: '/a/x~1y', code: 'unknown_field', detail: 'Unknown field.' },
      { pointer: '/a/z', code: 'unknown_field', detail: 'Unknown field.' },
    ])
  })
})

describe('a submission', () => {
  const refused = (body: unknown) => {
    try {
      parseWith(jobRequestSchema, body)
    } catch (error) {
      if (error instanceof ServiceError) return error.fields.map(({ pointer, code, detail }) => [pointer, code, detail])
      throw error
    }
    return []
  }
  const ONE_OF = ['', 'exactly_one_of', 'Exactly one of preset, model, version and deployment is required.']

  test.each<[string, unknown, string[][]]>([
    ['{}', {}, [['/input', 'invalid_type', 'Required.'], ONE_OF]],
    ['an input that is none', { model: 'a/b', input: 5 }, [['/input', 'invalid_type', 'Expected an object.']]],
    [
      'no model, and a wrong timeout',
      { input: {}, timeout: 1 },
      [['/timeout', 'too_small', 'Expected 5 or more.'], ONE_OF],
    ],
    ['a list', [], [['', 'invalid_type', 'Expected an object.']]],
    ['nothing', null, [['', 'invalid_type', 'Expected an object.']]],
  ])('%s is refused with all errors', (_what, body, expected) => {
    expect(refused(body)).toEqual(expected)
  })
})

test.each<[z.ZodType, unknown, string]>([
  [newKeySchema, { scopes: ['root'] }, '--scopes: expected one of "'],
  [newKeySchema, { title: '' }, '--title: expected 1 character or more.'],
  [newTenantSchema, { id: 'a', limits: { queued_jobs: 0 } }, '--queued-jobs: expected 1 or more.'],
  [newTenantSchema, { id: 'a', keep: { job: '1x' } }, '--keep-job: expected a whole number with s, m, h or d'],
  [newTenantSchema, { id: 'A' }, '<id>: expected 1 to 40 characters'],
])('the command line names the option: %#', (schema, value, message) => {
  expect(() => readRequest(schema, value)).toThrow(message)
})
