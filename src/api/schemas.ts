import { z } from 'zod'
import { ownerName, requestPolicySchemas, VERSION } from '../shared/catalogue/rules/policies.ts'
import { PRESET_NAME } from '../shared/catalogue/rules/preset.ts'
import { append } from '../shared/values/append.ts'
import { ServiceError, type FieldError } from '../shared/errors/service-error.ts'
import { STATUSES } from '../shared/jobs/rules/job.ts'
import type { Label } from '../shared/jobs/rules/job-filter.ts'
import { isObject, type JsonObject } from '../shared/values/json.ts'
import { fieldErrors, ZOD_ERRORS } from '../shared/errors/zod-errors.ts'

/** Schemas of requests. Unknown fields are refused, so that an unsupported feature is never silently ignored. */

export const BATCH_ID = /^bat_[0-9A-HJKMNP-TV-Z]{26}$/
export const JOB_ID = /^job_[0-9A-HJKMNP-TV-Z]{26}$/
/** An event of the stream of all jobs: `<epoch>-<ms>-<sequence>`. */
export const EVENT_ID = /^([a-z0-9]{1,64})-(\d{1,15}-\d{1,15})$/

const MAX_INPUT_BYTES = 64 * 1024
const MAX_METADATA_BYTES = 4 * 1024

const jsonObject = (maxBytes: number) =>
  z
    .custom<JsonObject>(isObject, { params: { code: 'invalid_type', expected: 'object' }, abort: false })
    .refine((value) => Buffer.byteLength(JSON.stringify(value)) <= maxBytes, {
      error: `The limit is ${maxBytes} bytes of JSON.`,
      params: { code: 'too_large' },
      when: ({ value }) => isObject(value),
    })

/** A user of the product. */
const user = z.string().min(1).max(200)

export const jobRequestSchema = z
  .strictObject({
    preset: z.string().regex(PRESET_NAME, { error: 'Expected the name of a preset.' }).optional(),
    model: ownerName.optional(),
    version: z
      .string()
      .regex(VERSION, { error: 'Expected 64 hexadecimal digits, or owner/name:<64 hexadecimal digits>.' })
      .optional(),
    deployment: ownerName.optional(),
    input: jsonObject(MAX_INPUT_BYTES),
    metadata: jsonObject(MAX_METADATA_BYTES).default({}),
    user: user.optional(),
    ...requestPolicySchemas,
  })
  .refine(
    ({ preset, model, version, deployment }) => [preset, model, version, deployment].filter(Boolean).length === 1,
    {
      error: 'Exactly one of preset, model, version and deployment is required.',
      params: { code: 'exactly_one_of' },
      // Reported together with the errors of single fields.
      when: ({ value }) => isObject(value),
    },
  )

export type JobRequest = z.output<typeof jobRequestSchema>

export const MAX_BATCH_ITEMS = 1000

/** Only the shape of items; each item is validated later, merged with the defaults. */
export const batchRequestSchema = z.strictObject({
  preset: z.string().regex(PRESET_NAME, { error: 'Expected the name of a preset.' }).optional(),
  defaults: jsonObject(MAX_INPUT_BYTES).default({}),
  sequential: z.boolean().default(false),
  stop_on_failure_rate: z.number().gt(0).max(1).optional(),
  max_spend: z.number().int().min(1).max(Number.MAX_SAFE_INTEGER).optional(),
  metadata: jsonObject(MAX_METADATA_BYTES).default({}),
  items: z
    .array(jsonObject(MAX_INPUT_BYTES + MAX_METADATA_BYTES))
    .min(1)
    .max(MAX_BATCH_ITEMS),
})

/** `lasting`: links that are valid as long as their files exist, instead of an hour. */
export const linksQuery = z.enum(['hourly', 'lasting']).default('hourly')

/** Before the name of a field in a query that lists jobs by their metadata. */
const METADATA = 'metadata.'
/** Limit of the fields of metadata that one list may name. */
const MAX_METADATA_FILTERS = 5

/** ms */
const time = z.iso.datetime({ offset: true }).transform((text) => Date.parse(text))

const listFields = z.strictObject({
  limit: z.coerce.number().int().min(1).max(100).default(20),
  cursor: z
    .string()
    .regex(/^job_[0-9A-HJKMNP-TV-Z]{26}$/, { error: 'Expected the next_cursor of an earlier page.' })
    .optional(),
  status: z.enum(STATUSES).optional(),
  preset: z.string().regex(PRESET_NAME, { error: 'Expected the name of a preset.' }).optional(),
  batch: z.string().regex(BATCH_ID, { error: 'Expected the id of a batch.' }).optional(),
  user: user.optional(),
  prediction_id: z.string().min(1).max(200).optional(),
  created_after: time.optional(),
  created_before: time.optional(),
  links: linksQuery,
})
/** Besides its fields, `metadata.<field>=<value>`. */
const listQuerySchema = listFields.catchall(z.string()).superRefine((query, { addIssue }) => {
  for (const name of metadataIn(query).slice(MAX_METADATA_FILTERS))
    addIssue({
      code: 'custom',
      path: [name],
      message: `At most ${MAX_METADATA_FILTERS} fields of metadata can be named.`,
      params: { code: 'too_many' },
    })
})
const metadataIn = (query: object): string[] => Object.keys(query).filter((name) => name.startsWith(METADATA))

/** Names of the parameters of a list of jobs. */
export const listQueryNames = (): string[] => [...Object.keys(listFields.shape), `${METADATA}*`]

/** The query of a list of jobs. */
export function parseListQuery(given: URLSearchParams) {
  const query = parseWith(listQuerySchema, queryObject(given))
  const {
    limit,
    cursor,
    status,
    links,
    user: wanted,
    preset,
    batch,
    prediction_id,
    created_after,
    created_before,
  } = query
  const metadata = metadataIn(query).map((name): Label => [name, query[name] ?? ''])
  const labels: Label[] = wanted === undefined ? metadata : [['user', wanted], ...metadata]
  return {
    limit,
    cursor,
    status,
    links,
    filter: { labels, preset, batch, prediction_id, created_after, created_before },
  }
}

/** `since`: the id of the last event that the client received. */
export const eventsQuerySchema = z.strictObject({
  since: z.string().regex(EVENT_ID, { error: 'Expected the id of an event of this stream.' }).optional(),
})

export const getQuerySchema = z.strictObject({
  wait: z.coerce.number().int().min(1).max(60).optional(),
  include: z.literal('history').optional(),
  links: linksQuery,
})

/** Body of a retry; optional. */
export const retrySchema = z.strictObject({ pinned: z.boolean().optional() }).default({})
export const retryQuerySchema = z.strictObject({ pinned: z.enum(['true', 'false']).optional() })

const credential = z.string().min(1).max(200).optional()
export const signInSchema = z
  .strictObject({ key: credential, code: credential })
  .refine(({ key, code }) => (key === undefined) !== (code === undefined), {
    error: 'Exactly one of key and code is required.',
    params: { code: 'exactly_one_of' },
  })

/** Returns the body; throws when there is none. */
export function neededBody(body: unknown): unknown {
  if (body === undefined) throw new ServiceError('invalid_json', 'A JSON body is required.')
  return body
}

export const parseBody = <T extends z.ZodType>(schema: T, body: unknown): z.output<T> =>
  parseWith(schema, neededBody(body))

/** Parses with a schema; throws `invalid_request` with a pointer for each wrong field. */
export function parseWith<T extends z.ZodType>(schema: T, value: unknown, prefix = ''): z.output<T> {
  const parsed = schema.safeParse(value, ZOD_ERRORS)
  if (parsed.success) return parsed.data
  throw invalidRequest(fieldErrors(parsed.error).map((field) => ({ ...field, pointer: prefix + field.pointer })))
}

/** Error with all field errors of a request. */
export function invalidRequest(fields: FieldError[]): ServiceError {
  const first = fields[0]
  const detail = first ? `${first.pointer || 'The request'}: ${first.detail}` : 'Not valid.'
  return new ServiceError('invalid_request', detail, { fields })
}

/** `a=1&b=2` as an object; a repeated name becomes an array, which the schema refuses. */
export function queryObject(query: URLSearchParams): Record<string, string | string[]> {
  const values = new Map<string, string[]>()
  for (const [key, value] of query) append(values, key, value)
  return Object.fromEntries([...values].map(([key, all]) => [key, all.length === 1 ? (all[0] ?? '') : all]))
}

/** Parameter names of a query schema, for the route's declaration. */
export const fieldsOf = (schema: z.ZodObject): string[] => Object.keys(schema.shape)
