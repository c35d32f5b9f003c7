import { z } from 'zod'
import {
  CAUSES,
  ON_UNKNOWN,
  PHASES,
  STATUSES,
  WEBHOOK_EVENTS,
  type AttemptRecord,
  type Effect,
  type JobRecord,
  type Json,
  type JsonObject,
} from './job.ts'

/**
 * Records in Redis. What a commit changes often stands in a hash, one field each, so that a commit writes only what
 * changed; what is long, or frozen when the job is accepted, stands in documents of its own. Redis keeps a hash as one
 * compact piece of memory only while no value is longer than 64 bytes (`hash-max-listpack-value`): a fifth of the bytes.
 * In a hash words are kept as they are, everything else as JSON; '' is null, and what was null from the beginning is not
 * written at all. What is read back meets a schema once, here.
 */

/** `partial` is a text by itself; the documents are JSON objects. */
export const DOCUMENTS = ['order', 'result'] as const
export type JobDocument = (typeof DOCUMENTS)[number]
type Place = 'hash' | JobDocument | 'partial'

/** Where each field of a job is kept. A moment belongs into the hash: only there can a commit set it by Redis' clock. */
const PLACES: Record<keyof JobRecord, Place> = {
  v: 'hash',
  id: 'hash',
  rev: 'hash',
  tenant: 'hash',
  account: 'hash',
  phase: 'hash',
  status: 'hash',
  attempt: 'hash',
  model: 'order',
  version: 'order',
  deployment: 'order',
  prediction_id: 'hash',
  input: 'order',
  metadata: 'order',
  webhook_events: 'order',
  timeout: 'order',
  start_within: 'order',
  start_since: 'hash',
  start_paused: 'hash',
  on_unknown: 'order',
  resubmissions: 'hash',
  retry_of: 'order',
  output: 'result',
  artifacts: 'result',
  progress: 'hash',
  partial: 'partial',
  error: 'result',
  metrics: 'result',
  stop: 'hash',
  idempotency: 'order',
  created_at: 'hash',
  submitted_at: 'hash',
  prediction_created_at: 'hash',
  started_at: 'hash',
  completed_at: 'hash',
}
const PLACE_OF: ReadonlyMap<string, Place> = new Map(Object.entries(PLACES))

const json = z.custom<Json>((value) => value !== undefined)
const jsonObject: z.ZodType<JsonObject> = z.record(z.string(), json)
const error = z.object({
  code: z.string(),
  message: z.string(),
  retryable: z.boolean(),
  billed: z.enum(['no', 'yes', 'unknown']),
})
const artifact = z.object({
  id: z.string(),
  key: z.string(),
  media_type: z.string(),
  bytes: z.number(),
  sha256: z.string(),
})

const jobSchema: z.ZodType<JobRecord> = z.object({
  v: z.literal(1),
  id: z.string(),
  rev: z.number(),
  tenant: z.string(),
  account: z.string(),
  phase: z.enum(PHASES),
  status: z.enum(STATUSES),
  attempt: z.number(),
  model: z.string().nullable().default(null),
  version: z.string().nullable().default(null),
  deployment: z.string().nullable().default(null),
  prediction_id: z.string().nullable().default(null),
  input: jsonObject.nullable().default(null),
  metadata: jsonObject,
  webhook_events: z.array(z.enum(WEBHOOK_EVENTS)),
  timeout: z.number(),
  start_within: z.number(),
  start_since: z.number(),
  start_paused: z.number(),
  on_unknown: z.enum(ON_UNKNOWN),
  resubmissions: z.number(),
  retry_of: z.string().nullable().default(null),
  output: json.default(null),
  artifacts: z.array(artifact).default([]),
  progress: z.number().nullable().default(null),
  partial: z.string().nullable().default(null),
  error: error.nullable().default(null),
  metrics: jsonObject.default({}),
  stop: z
    .object({ reason: z.enum(['canceled', 'timeout']), requested_at: z.number() })
    .nullable()
    .default(null),
  idempotency: z.string().nullable().default(null),
  created_at: z.number(),
  submitted_at: z.number().nullable().default(null),
  prediction_created_at: z.number().nullable().default(null),
  started_at: z.number().nullable().default(null),
  completed_at: z.number().nullable().default(null),
})

const attemptSchema: z.ZodType<AttemptRecord> = z.object({
  v: z.literal(1),
  n: z.number(),
  account: z.string(),
  state: z.enum(['intended', 'unknown', 'open', 'closed']),
  claim: z.string(),
  intended_at: z.number(),
  prediction_id: z.string().nullable().default(null),
  outcome: z.string().nullable().default(null),
  finished_by: z.enum(CAUSES).nullable().default(null),
  webhook_id: z.string().nullable().default(null),
  absent_since: z.number().nullable().default(null),
  missing_since: z.number().nullable().default(null),
  orphans: z.array(z.string()).default([]),
  closed_at: z.number().nullable().default(null),
})

const effectSchema: z.ZodType<Effect> = z.discriminatedUnion('kind', [
  z.object({
    v: z.literal(1),
    kind: z.literal('store'),
    attempt: z.number(),
    output: json,
    output_pending: z.boolean(),
    expires_at: z.number(),
    give_up_at: z.number(),
  }),
  z.object({
    v: z.literal(1),
    kind: z.literal('cancel'),
    attempt: z.number(),
    prediction_id: z.string(),
    requested_at: z.number(),
  }),
])

const WORDS = new Set([
  'id',
  'tenant',
  'account',
  'phase',
  'status',
  'model',
  'version',
  'deployment',
  'prediction_id',
  'idempotency',
  'on_unknown',
  'retry_of',
  'partial',
  'state',
  'claim',
  'outcome',
  'finished_by',
  'webhook_id',
])

/** The record was written by a newer release: this one must leave it alone. */
export class NewerRecordError extends Error {
  override name = 'NewerRecordError'
}

export const placeOf = (field: string): Place => PLACE_OF.get(field) ?? 'hash'

export const encodeField = (field: string, value: unknown): string => {
  if (value === null || value === undefined) return ''
  return WORDS.has(field) && typeof value === 'string' ? value : JSON.stringify(value)
}

const decodeField = (field: string, text: string): unknown => {
  if (text === '') return null
  return WORDS.has(field) ? text : JSON.parse(text)
}

/** One of the documents that a job's long and frozen fields are kept in. */
export const encodeDocument = (document: JobDocument, job: JobRecord): string =>
  JSON.stringify(
    Object.fromEntries(Object.entries(job).filter(([field, value]) => placeOf(field) === document && value !== null)),
  )

const pairs = (flat: readonly string[]): [string, string][] =>
  Array.from({ length: flat.length / 2 }, (_, i) => [flat[2 * i] ?? '', flat[2 * i + 1] ?? ''])

/** What the scripts keep for themselves: the ids of the last commits, and when progress was last written. */
const OF_SCRIPTS = /^(c[0-7]|progress_at)$/

const decodeFields = (entries: [string, string][]): Record<string, unknown> => {
  const fields: Record<string, unknown> = {}
  for (const [field, text] of entries) if (!OF_SCRIPTS.test(field)) fields[field] = decodeField(field, text)
  if (typeof fields.v === 'number' && fields.v > 1) throw new NewerRecordError(`a record of version ${fields.v}`)
  return fields
}

/** What Redis holds of a job: the fields of its hash, flat, and the texts of `JobKeys.documents`. */
export interface StoredJob {
  hash: readonly string[]
  documents: readonly (string | null)[]
}

const fieldsSchema = z.record(z.string(), z.string())
const textsSchema = z.array(z.string().nullable())

/** The replies of HGETALL and MGET. */
export const storedJob = (hash: unknown, documents: unknown): StoredJob => ({
  hash: Object.entries(fieldsSchema.parse(hash)).flat(),
  documents: textsSchema.parse(documents),
})

export function decodeJob({ hash, documents }: StoredJob): JobRecord | null {
  if (hash.length === 0) return null
  const fields = decodeFields(pairs(hash))
  const [order, result, partial] = documents
  return jobSchema.parse({ ...readDocument(order), ...readDocument(result), partial: partial ?? null, ...fields })
}

const documentSchema = z.record(z.string(), json)
const readDocument = (text: string | null | undefined): Record<string, Json> =>
  text ? documentSchema.parse(JSON.parse(text)) : {}

export function decodeAttempts(flat: readonly string[]): AttemptRecord[] {
  const byNumber = new Map<number, [string, string][]>()
  for (const [name, text] of pairs(flat)) {
    const dot = name.indexOf('.')
    const n = Number(name.slice(0, dot))
    const entries = byNumber.get(n) ?? []
    entries.push([name.slice(dot + 1), text])
    byNumber.set(n, entries)
  }
  return [...byNumber.keys()]
    .sort((a, b) => a - b)
    .map((n) => attemptSchema.parse({ n, ...decodeFields(byNumber.get(n) ?? []) }))
}

const versionSchema = z.object({ v: z.number() })

export const decodeEffects = (flat: readonly string[]): Effect[] =>
  pairs(flat).map(([, text]) => {
    const effect: unknown = JSON.parse(text)
    const { v } = versionSchema.parse(effect)
    if (v > 1) throw new NewerRecordError(`an effect of version ${v}`)
    return effectSchema.parse(effect)
  })
