import { z } from 'zod'
import { ownerName, requestPolicySchemas, VERSION } from '../shared/catalogue/rules/policies.ts'
import { PRESET_NAME } from '../shared/catalogue/rules/preset.ts'
import { append } from '../shared/values/append.ts'
import { ServiceError, type FieldError } from '../shared/errors/service-error.ts'
import { BATCH_ID, JOB_ID } from '../shared/jobs/rules/ids.ts'
import type { JobFilter, Label } from '../shared/jobs/rules/job-filter.ts'
import { jobStatus, priority, type Status } from '../shared/jobs/rules/job.ts'
import { MAX_INPUT_BYTES, MAX_SHORT_BYTES, shortened } from '../shared/jobs/rules/long-input.ts'
import { TENANT_ID } from '../shared/tenants/rules/tenant.ts'
import { pageQuery } from '../shared/values/page-query.ts'
import { isObject, type JsonObject } from '../shared/values/json.ts'
import { batchWebhook, jobWebhook } from './own-webhook.ts'
import { fieldErrors, ZOD_ERRORS } from '../shared/errors/zod-errors.ts'

/**
 * Schemas of requests, with their descriptions for clients. Unknown fields are refused, so that an unsupported feature is
 * never silently ignored.
 */

/** An event of the stream of all jobs: `<epoch>-<ms>-<sequence>`. */
export const EVENT_ID = /^([a-z0-9]{1,64})-(\d{1,15}-\d{1,15})$/

/** An event of the output of a job: `<attempt>:<characters>`. */
export const OUTPUT_POSITION = /^(\d{1,9}):(\d{1,9})$/

const MAX_METADATA_BYTES = 4 * 1024

const jsonObject = (maxBytes: number) =>
  z
    .custom<JsonObject>(isObject, { params: { code: 'invalid_type', expected: 'object' }, abort: false })
    .refine((value) => Buffer.byteLength(JSON.stringify(value)) <= maxBytes, {
      error: `The limit is ${maxBytes} bytes of JSON.`,
      params: { code: 'too_large' },
      when: ({ value }) => isObject(value),
    })
    .meta({ type: 'object' })

const bytesOf = (value: JsonObject): number => Buffer.byteLength(JSON.stringify(value))

const input = jsonObject(MAX_INPUT_BYTES).refine(
  (value) => {
    const bytes = bytesOf(value)
    return bytes <= MAX_SHORT_BYTES || bytes > MAX_INPUT_BYTES || bytesOf(shortened(value)) <= MAX_SHORT_BYTES
  },
  {
    error: `Without its long texts, the input is limited to ${MAX_SHORT_BYTES} bytes of JSON.`,
    params: { code: 'too_large' },
    when: ({ value }) => isObject(value),
  },
)

/** A user of the product. */
const user = z.string().min(1).max(200)

const presetName = z.string().regex(PRESET_NAME, { error: 'Expected the name of a preset.' }).optional()

/** ms */
const time = z.iso.datetime({ offset: true }).transform((text) => Date.parse(text))
const LONGEST_AHEAD_DAYS = 30
const startTime = time.refine((at) => at <= Date.now() + LONGEST_AHEAD_DAYS * 86_400_000, {
  error: `At most ${LONGEST_AHEAD_DAYS} days ahead.`,
  params: { code: 'too_far_ahead' },
})

export const jobRequestFields = z.strictObject({
  preset: presetName.describe('The name of a preset, which sets the model and the fields that a job may set.'),
  model: ownerName
    .optional()
    .describe(
      '`owner/name`. A model that is not official runs in its newest version, which the job shows as `version`.',
    ),
  version: z
    .string()
    .regex(VERSION, { error: 'Expected 64 hexadecimal digits, or owner/name:<64 hexadecimal digits>.' })
    .optional()
    .describe('64 hexadecimal digits, alone or after `owner/name:`.'),
  deployment: ownerName
    .optional()
    .describe('`owner/name` of a deployment. One that Replicate does not know is refused with `unknown_deployment`.'),
  input: input.describe(
    'Input of the model; with a preset, the fields that the preset leaves open. Limited to 2 MiB of JSON, and to 64 KiB without texts of more than 1,024 characters. A file is given as a link, as the `url` of an upload, or as a data URI, which is stored and shown as a path. A field that a preset does not know is refused; one that the schema of a model lacks is passed on, unless that schema says `additionalProperties: false`.',
  ),
  metadata: jsonObject(MAX_METADATA_BYTES)
    .default({})
    .describe(
      'Your own data, returned with the job and never sent to Replicate. Limited to 4 KiB of JSON. Jobs are listed by its first ten fields with a text, number or boolean.',
    ),
  user: user
    .optional()
    .describe('The user of your product for whom the job is made. Never sent to Replicate; jobs are listed by it.'),
  webhook: jobWebhook
    .optional()
    .describe(
      'Where notifications of this job are sent, signed with the secret of the tenant. Not for jobs of a batch, which have the webhook of their batch.',
    ),
  priority: priority
    .optional()
    .describe(
      'Class in the queue: `interactive`, or `batch`, the default for jobs of a batch. Each tenth job is a `batch` job while both wait.',
    ),
  not_before: startTime
    .optional()
    .describe('The job does not start before this time, at most 30 days ahead. `start_within` begins then.'),
  ...requestPolicySchemas,
})

export const jobRequestSchema = jobRequestFields
  .refine(
    ({ preset, model, version, deployment }) => [preset, model, version, deployment].filter(Boolean).length === 1,
    {
      error: 'Exactly one of preset, model, version and deployment is required.',
      params: { code: 'exactly_one_of' },
      // Reported together with the errors of single fields.
      when: ({ value }) => isObject(value),
    },
  )
  .meta({
    id: 'JobRequest',
    description:
      'Exactly one of `preset`, `model`, `version` and `deployment` is required. With a preset, only the fields that it allows. Unlisted fields are refused.',
    oneOf: ['preset', 'model', 'version', 'deployment'].map((name) => ({ required: [name] })),
  })

export type JobRequest = z.output<typeof jobRequestSchema>

export const MAX_BATCH_ITEMS = 1000
/** Limit of an item before it is validated: its input, its metadata, and its other fields. */
const MAX_ITEM_BYTES = MAX_INPUT_BYTES + 2 * MAX_METADATA_BYTES

/** Only the shape of items; each item is validated later, merged with the defaults. */
export const batchRequestSchema = z.strictObject({
  preset: presetName.describe('Shorthand for `defaults.preset`.'),
  defaults: jsonObject(MAX_ITEM_BYTES).default({}),
  sequential: z.boolean().default(false).describe('Run the jobs one after the other, by position.'),
  stop_on_failure_rate: z
    .number()
    .gt(0)
    .max(1)
    .optional()
    .describe(
      'No further job starts once the share of failures among succeeded and failed jobs reaches this value. It is checked from the fifth of them on, in a small batch from half of its jobs on.',
    ),
  max_spend: z
    .number()
    .int()
    .min(1)
    .max(Number.MAX_SAFE_INTEGER)
    .optional()
    .describe('Maximum cost of the batch, in micro-credits. No further job starts that would exceed it.'),
  metadata: jsonObject(MAX_METADATA_BYTES).default({}).describe('Your own data. Limited to 4 KiB.'),
  webhook: batchWebhook
    .optional()
    .describe('Where notifications of the batch and its jobs are sent, signed with the secret of the tenant.'),
  items: z.array(jsonObject(MAX_ITEM_BYTES)).min(1).max(MAX_BATCH_ITEMS),
})

/** `lasting`: links that are valid as long as their files exist, instead of an hour. */
const linksQuery = z
  .enum(['hourly', 'lasting'])
  .default('hourly')
  .describe(
    '`lasting` returns links that are valid as long as the files, even without the record of the job. `hourly`, the default, returns links that are valid for at least an hour. A job token that requests lasting links gets 403.',
  )

/** Before the name of a field in a query that lists jobs by their metadata. */
const METADATA = 'metadata.'
/** Limit of the fields of metadata that one list may name. */
const MAX_METADATA_FILTERS = 5

const listFields = pageQuery(JOB_ID, 'jobs').extend({
  status: jobStatus.optional().describe('Only jobs with this status.'),
  preset: presetName.describe(
    'Only jobs of this preset. Each page searches the next 500 jobs, so it may be short or even empty and still have a `next_cursor`.',
  ),
  batch: z
    .string()
    .regex(BATCH_ID, { error: 'Expected the id of a batch.' })
    .optional()
    .describe(
      'Only jobs of this batch, searched like `preset`. `/v1/batches/{id}/jobs` lists them in the order of the batch.',
    ),
  user: user.optional().describe('Only jobs of this `user`.'),
  prediction_id: z
    .string()
    .min(1)
    .max(200)
    .optional()
    .describe(
      'Only the job of this prediction of Replicate. From two hours after the completion of the job it is searched like `preset`.',
    ),
  created_after: time.optional().describe('Only jobs that were created at this time or later.'),
  created_before: time.optional().describe('Only jobs that were created earlier.'),
  links: linksQuery,
})
/** A query that has, besides its fields, `metadata.<field>=<value>`. */
const withMetadata = <T extends z.ZodRawShape>(fields: z.ZodObject<T>) =>
  fields.catchall(z.string()).superRefine((query, { addIssue }) => {
    for (const name of metadataIn(query).slice(MAX_METADATA_FILTERS))
      addIssue({
        code: 'custom',
        path: [name],
        message: `At most ${MAX_METADATA_FILTERS} fields of metadata can be named.`,
        params: { code: 'too_many' },
      })
  })
const listQuerySchema = withMetadata(listFields)
const metadataIn = (query: object): string[] => Object.keys(query).filter((name) => name.startsWith(METADATA))

/** How a filter by metadata is described; `metadata.*` stands for any field. */
const metadataField = {
  [`${METADATA}*`]: z
    .string()
    .optional()
    .describe(
      '`metadata.<field>=<value>`: only jobs whose metadata has this value, written as a text, among its first ten fields with a string, number or boolean. Up to five fields, all of which must match.',
    ),
}

/** The parameters of a list of jobs, as they are described. */
export const listQueryFields = listFields.extend(metadataField)

/** The labels that a query names. */
function labelsIn(query: Record<string, unknown>): Label[] {
  const metadata = metadataIn(query).map((name): Label => [name, String(query[name])])
  return typeof query['user'] === 'string' ? [['user', query['user']], ...metadata] : metadata
}

/** The query of a list of jobs. */
export function parseListQuery(given: URLSearchParams) {
  const query = parseWith(listQuerySchema, queryObject(given))
  const { limit, cursor, status, links, preset, batch, prediction_id, created_after, created_before } = query
  return {
    limit,
    cursor,
    status,
    links,
    filter: { labels: labelsIn(query), preset, batch, prediction_id, created_after, created_before },
  }
}

const eventFields = z.strictObject({
  since: z
    .string()
    .regex(EVENT_ID, { error: 'Expected the id of an event of this stream.' })
    .optional()
    .describe('The same for a client that has stored the id and cannot set the header, which has precedence.'),
  status: jobStatus
    .optional()
    .describe(
      'Only changes after which a job has this status. Of several quick changes the last one counts, so a status that lasts a moment may be skipped; a final one never is.',
    ),
  preset: presetName.describe('Only jobs of this preset.'),
  batch: listFields.shape.batch.describe('Only jobs of this batch.'),
  user: listFields.shape.user,
})
const tenantField = {
  tenant: z
    .string()
    .regex(TENANT_ID, { error: 'Expected the id of a tenant.' })
    .optional()
    .describe('Only jobs of this tenant.'),
}
const eventsSchema = withMetadata(eventFields)
const allEventsSchema = withMetadata(eventFields.extend(tenantField))

/** The parameters of the stream of all jobs of a tenant, and of the one of all tenants, as they are described. */
export const eventsQueryFields = eventFields.extend(metadataField)
export const allEventsQueryFields = eventFields.extend({ ...tenantField, ...metadataField })

/** What a stream of jobs sends; `since`: the id of the last event that the client received. */
export interface EventsQuery {
  since: string | null
  status: Status | undefined
  filter: JobFilter
}

function eventsQueryOf(query: z.output<typeof eventsSchema>): EventsQuery {
  const { since = null, status, preset, batch } = query
  return { since, status, filter: { labels: labelsIn(query), preset, batch } }
}

export const parseEventsQuery = (given: URLSearchParams): EventsQuery =>
  eventsQueryOf(parseWith(eventsSchema, queryObject(given)))

/** `tenant` null: all tenants. */
export function parseAllEventsQuery(given: URLSearchParams): EventsQuery & { tenant: string | null } {
  const { tenant = null, ...query } = parseWith(allEventsSchema, queryObject(given))
  return { ...eventsQueryOf(query), tenant }
}

export const outputQuerySchema = z.strictObject({
  include: z
    .enum(['job', 'logs', 'job,logs'])
    .optional()
    .describe(
      '`job` adds the states of the job, so that no second stream is needed; `logs` adds the end of the logs of the model while it runs, which uses the read budget every few seconds.',
    ),
})

export const submitQuerySchema = z.strictObject({
  explain: z
    .literal('1')
    .optional()
    .describe(
      '`1`: validates the request and explains what it would do, with status 200. Nothing is submitted or changed.',
    ),
})

export const getQuerySchema = z.strictObject({
  wait: z.coerce.number().int().min(1).max(60).optional().describe('Seconds to wait for the final state.'),
  include: z.literal('history').optional().describe('`history` adds the history of the job, oldest entry first.'),
  links: linksQuery,
})

export const manifestQuerySchema = z.strictObject({
  links: z
    .literal('lasting')
    .optional()
    .describe(
      '`lasting` adds `url` and `thumbnail_url` to the artifacts, valid as long as the files exist. A job token gets 403.',
    ),
})

export const batchListQuerySchema = pageQuery(BATCH_ID, 'batches')
export const batchJobsQuerySchema = pageQuery(JOB_ID, 'jobs').extend({ links: linksQuery })
export const batchManifestQuerySchema = z.strictObject({ links: linksQuery })

/** Query of a stored file. The handlers read it without parsing it. */
export const fileQuerySchema = z.strictObject({
  download: z
    .literal('1')
    .optional()
    .describe('`1` serves a file of any type as a download (`Content-Disposition: attachment`).'),
})

/** Query of a link to an output file. */
export const artifactQuerySchema = z.strictObject({
  expires: z.string().optional().describe('Hourly link: time of expiry, in seconds since 1970.'),
  file: z.string().optional().describe('Lasting link: the file that it opens.'),
  signature: z.string().optional().describe('Proves that this service made the link.'),
  ...fileQuerySchema.shape,
})

/** Body of a retry; optional. */
export const retrySchema = z
  .strictObject({
    pinned: z
      .boolean()
      .optional()
      .describe(
        'Use the version that ran and its seed. 409 `not_retryable` if neither is known; Replicate does not report the version of official models.',
      ),
  })
  .meta({ id: 'RetryRequest' })
  .default({})
export const retryQuerySchema = z.strictObject({
  pinned: z.enum(['true', 'false']).optional().describe('Same as `pinned` in the body.'),
})

const credential = z.string().min(1).max(200).optional()
export const signInSchema = z
  .strictObject({
    key: credential.describe('An API key.'),
    code: credential.describe('The code of a sign-in link.'),
  })
  .refine(({ key, code }) => (key === undefined) !== (code === undefined), {
    error: 'Exactly one of key and code is required.',
    params: { code: 'exactly_one_of' },
  })
  .meta({ id: 'SignIn', description: 'Exactly one of the two fields.', minProperties: 1, maxProperties: 1 })

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
