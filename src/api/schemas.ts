import { z } from 'zod'
import { ServiceError } from '../shared/errors.ts'
import { ON_UNKNOWN, STATUSES, WEBHOOK_EVENTS, type JsonObject } from '../shared/jobs/job.ts'
import { pointerSegment } from './json-body.ts'

/** What requests may say. Unknown fields are refused: a feature that is not there is never silently ignored. */

const name = '[A-Za-z0-9][A-Za-z0-9._-]{0,99}'
const OWNER_NAME = new RegExp(`^${name}/${name}$`)
const VERSION = new RegExp(`^(?:${name}/${name}:)?[0-9a-f]{64}$`)

const MAX_INPUT_BYTES = 64 * 1024
const MAX_METADATA_BYTES = 4 * 1024

const jsonObject = (maxBytes: number) =>
  z
    .custom<JsonObject>((value) => typeof value === 'object' && value !== null && !Array.isArray(value), {
      error: 'Expected an object.',
    })
    .refine((value) => Buffer.byteLength(JSON.stringify(value)) <= maxBytes, {
      error: `At most ${maxBytes} bytes of JSON.`,
      params: { code: 'too_large' },
    })

export const jobRequestSchema = z
  .strictObject({
    model: z.string().regex(OWNER_NAME, { error: 'Expected owner/name.' }).optional(),
    version: z
      .string()
      .regex(VERSION, { error: 'Expected 64 hexadecimal digits, or owner/name:<64 hexadecimal digits>.' })
      .optional(),
    deployment: z.string().regex(OWNER_NAME, { error: 'Expected owner/name.' }).optional(),
    input: jsonObject(MAX_INPUT_BYTES),
    timeout: z.number().int().min(5).max(1800).default(600),
    start_within: z.number().int().min(1).max(604_800).default(86_400),
    webhook_events: z.array(z.enum(WEBHOOK_EVENTS)).max(WEBHOOK_EVENTS.length).default([]),
    metadata: jsonObject(MAX_METADATA_BYTES).default({}),
    on_unknown: z.enum(ON_UNKNOWN).default('fail'),
  })
  .refine(({ model, version, deployment }) => [model, version, deployment].filter(Boolean).length === 1, {
    error: 'Exactly one of model, version and deployment is needed.',
    params: { code: 'exactly_one_of' },
  })

export const listQuerySchema = z.strictObject({
  limit: z.coerce.number().int().min(1).max(100).default(20),
  cursor: z
    .string()
    .regex(/^job_[0-9A-HJKMNP-TV-Z]{26}$/, { error: 'Expected the next_cursor of an earlier page.' })
    .optional(),
  status: z.enum(STATUSES).optional(),
})

export const getQuerySchema = z.strictObject({
  wait: z.coerce.number().int().min(1).max(60).optional(),
  include: z.literal('history').optional(),
})

export const signInSchema = z.strictObject({ key: z.string().min(1).max(200) })

export const JOB_ID = /^job_[0-9A-HJKMNP-TV-Z]{26}$/

/** A body that must be there. */
export function parseBody<T extends z.ZodType>(schema: T, body: unknown): z.output<T> {
  if (body === undefined) throw new ServiceError('invalid_json', 'A JSON body is needed.')
  return parseWith(schema, body)
}

/** Parses with a schema; throws `invalid_request` with a pointer for each wrong field. */
export function parseWith<T extends z.ZodType>(schema: T, value: unknown, prefix = ''): z.output<T> {
  const parsed = schema.safeParse(value)
  if (parsed.success) return parsed.data
  const fields = parsed.error.issues.flatMap((issue) => {
    const pointer = prefix + issue.path.map((part) => pointerSegment(String(part))).join('')
    if (issue.code === 'unrecognized_keys')
      return issue.keys.map((key) => ({
        pointer: pointer + pointerSegment(key),
        code: 'unknown_field',
        detail: 'There is no such field.',
      }))
    const code = issue.code === 'custom' && typeof issue.params?.code === 'string' ? issue.params.code : issue.code
    return [{ pointer, code, detail: issue.message }]
  })
  const first = fields[0]
  throw new ServiceError(
    'invalid_request',
    first ? `${first.pointer || 'The request'}: ${first.detail}` : 'Not valid.',
    {
      fields,
    },
  )
}

/** `a=1&b=2` as an object; a repeated name is refused by the schema, because it is an array then. */
export function queryObject(query: URLSearchParams): Record<string, string | string[]> {
  return Object.fromEntries(
    [...new Set(query.keys())].map((key) => {
      const values = query.getAll(key)
      return [key, values.length === 1 ? (values[0] ?? '') : values]
    }),
  )
}
