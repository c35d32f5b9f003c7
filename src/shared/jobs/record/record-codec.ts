import { z } from 'zod'
import { outputShapeSchema } from '../../artifacts/rules/output-shape.ts'
import { priceRuleSchema } from '../../credits/rules/price.ts'
import type { Json, JsonObject } from '../../values/json.ts'
import {
  ATTEMPT_STATES,
  CAUSES,
  ON_UNKNOWN,
  PHASES,
  STATUSES,
  STORE_POLICIES,
  WEBHOOK_EVENTS,
  type AttemptRecord,
  type Effect,
  type JobRecord,
} from '../rules/job.ts'
import { decodeLines, type HistoryLine } from './history-line.ts'
import { ABSENT_IN_ATTEMPT, ABSENT_IN_JOB, DOCUMENT_FIELDS, present, type JobDocument } from './record-fields.ts'
import { ZOD_ERRORS } from '../../errors/zod-errors.ts'

/**
 * Records in Redis. One hash for each job holds the fields that commits change, so that a commit writes only what changed:
 * the fields of the job, `<n>.<field>` of its attempts, `h<rev>` for each line of its history. Long fields, and fields
 * that are frozen at acceptance, are in separate documents (record-fields.ts): Redis stores a hash compactly, in a fifth of
 * the memory, only while no value is longer than 64 bytes (`hash-max-listpack-value`). In the hash, words are stored as
 * they are ('' is null), everything else as JSON. Schemas validate everything that is read, only here.
 */

const json = z.custom<Json>((value) => value !== undefined)
export const jsonObject: z.ZodType<JsonObject> = z.record(z.string(), json)
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
  // Absent in artifacts stored by releases that did not measure files.
  width: z.number().nullable().default(null),
  height: z.number().nullable().default(null),
  duration: z.number().nullable().default(null),
  thumbnail: z.object({ key: z.string(), bytes: z.number() }).nullable().default(null),
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
  model: z.string().nullable(),
  version: z.string().nullable(),
  deployment: z.string().nullable(),
  preset: z.string().nullable(),
  batch: z.string().nullable(),
  position: z.number().nullable(),
  in_sequence: z.boolean(),
  prediction_id: z.string().nullable(),
  input: jsonObject.nullable(),
  metadata: jsonObject,
  webhook_events: z.array(z.enum(WEBHOOK_EVENTS)),
  timeout: z.number(),
  start_within: z.number(),
  start_since: z.number(),
  start_paused: z.number(),
  on_unknown: z.enum(ON_UNKNOWN),
  resubmissions: z.number(),
  resubmit_limit: z.number(),
  store: z.enum(STORE_POLICIES),
  output_shape: outputShapeSchema.nullable(),
  key_pattern: z.string().nullable(),
  named_as: z.object({ batch: z.string(), position: z.number() }).nullable(),
  in_flight_limit: z.number().nullable(),
  price: priceRuleSchema.nullable(),
  charge_canceled: z.boolean(),
  estimate: z.number(),
  captured: z.number().nullable(),
  uncollected: z.number(),
  charge_estimated: z.boolean(),
  keep: z.tuple([z.number(), z.number(), z.number().nullable()]).nullable(),
  retry_of: z.string().nullable(),
  resolved_version: z.string().nullable(),
  seed: z.number().nullable(),
  input_sha256: z.string().nullable(),
  output: json,
  output_artifact: z.string().nullable(),
  artifacts: z.array(artifact),
  progress: z.number().nullable(),
  partial: z.string().nullable(),
  error: error.nullable(),
  metrics: jsonObject,
  stop: z.object({ reason: z.enum(['canceled', 'timeout']), requested_at: z.number() }).nullable(),
  idempotency: z.string().nullable(),
  created_at: z.number(),
  submitted_at: z.number().nullable(),
  prediction_created_at: z.number().nullable(),
  started_at: z.number().nullable(),
  completed_at: z.number().nullable(),
})

const attemptSchema: z.ZodType<AttemptRecord> = z.object({
  v: z.literal(1),
  n: z.number(),
  account: z.string(),
  state: z.enum(ATTEMPT_STATES),
  claim: z.string(),
  intended_at: z.number(),
  prediction_id: z.string().nullable(),
  outcome: z.string().nullable(),
  finished_by: z.enum(CAUSES).nullable(),
  webhook_id: z.string().nullable(),
  absent_since: z.number().nullable(),
  missing_since: z.number().nullable(),
  orphans: z.array(z.string()),
  closed_at: z.number().nullable(),
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

/** Fields of the hash that are stored as words, not as JSON. */
const WORDS = new Set([
  'tenant',
  'account',
  'phase',
  'status',
  'prediction_id',
  'state',
  'claim',
  'outcome',
  'finished_by',
  'webhook_id',
])

/** The record was written by a newer release; this release must not change it. */
export class NewerRecordError extends Error {
  override name = 'NewerRecordError'
}

/** Whether an error means an unreadable record or effect, in contrast to an unreachable Redis: other jobs can proceed. */
export const isUnreadableRecord = (error: unknown): boolean =>
  error instanceof NewerRecordError || error instanceof z.ZodError || error instanceof SyntaxError

export const encodeField = (field: string, value: unknown): string => {
  if (value === null || value === undefined) return ''
  return WORDS.has(field) && typeof value === 'string' ? value : JSON.stringify(value)
}

const decodeField = (field: string, text: string): unknown => {
  if (text === '') return null
  return WORDS.has(field) ? text : JSON.parse(text)
}

/** Encodes one of the documents with a job's long and frozen fields. */
export const encodeDocument = (document: JobDocument, job: JobRecord): string =>
  JSON.stringify(Object.fromEntries(present(DOCUMENT_FIELDS[document], job)))

/** A job as stored in Redis: the fields of its hash, flat, and the texts of `JobKeys.documents`. */
export interface StoredJob {
  id: string
  hash: readonly string[]
  documents: readonly (string | null)[]
}

const fieldsSchema = z.record(z.string(), z.string())
const textsSchema = z.array(z.string().nullable())

/** From the replies of HGETALL and MGET. */
export const storedJob = (id: string, hash: unknown, documents: unknown): StoredJob => ({
  id,
  hash: Object.entries(fieldsSchema.parse(hash, ZOD_ERRORS)).flat(),
  documents: textsSchema.parse(documents, ZOD_ERRORS),
})

const pairs = (flat: readonly string[]): [string, string][] =>
  Array.from({ length: flat.length / 2 }, (_, i) => [flat[2 * i] ?? '', flat[2 * i + 1] ?? ''])

/** Calls `take` with each field and its text. It allocates nothing, because every change reads a whole hash. */
function eachField(flat: readonly string[], take: (name: string, text: string) => void): void {
  for (let at = 0; at + 1 < flat.length; at += 2) take(flat[at] ?? '', flat[at + 1] ?? '')
}

/** '' when the field is absent. */
export function storedField(flat: readonly string[], wanted: string): string {
  for (let at = 0; at + 1 < flat.length; at += 2) if (flat[at] === wanted) return flat[at + 1] ?? ''
  return ''
}

/** The id of the commit that wrote this revision; '' when it is not recorded. */
export const commitOf = (flat: readonly string[], revision: number): string => storedField(flat, `c${revision % 8}`)

const isDigit = (text: string, at: number): boolean => text.charCodeAt(at) >= 48 && text.charCodeAt(at) <= 57

/**
 * Fields of the hash that are not fields of the job: attempts, lines of history, ids of the last commits, time of progress,
 * what its files count for the tenant.
 */
const isOfAttempt = (name: string): boolean => isDigit(name, 0)
const isOfHistory = (name: string): boolean => name.startsWith('h') && isDigit(name, 1)
const isOfScripts = (name: string): boolean =>
  (name.startsWith('c') && isDigit(name, 1)) || name === 'progress_at' || name.startsWith('counted_')

/** Called before the rest of the record is decoded, because a newer release may use another format. */
function checkVersion(text: string): void {
  if (Number(text) > 1) throw new NewerRecordError(`a record of version ${text}`)
}

const moneySchema = z.object({ price: priceRuleSchema.nullable(), estimate: z.number() })
const orderSchema = z.string()
const documentSchema = z.record(z.string(), json)
const readDocument = (text: string): Record<string, Json> => documentSchema.parse(JSON.parse(text), ZOD_ERRORS)

/** Price and estimate from the order document, without the rest of the record. */
export const decodeOrder = (order: string): Pick<JobRecord, 'price' | 'estimate'> =>
  moneySchema.parse({ ...ABSENT_IN_JOB, ...readDocument(order) }, ZOD_ERRORS)

export function decodeJob({ id, hash, documents }: StoredJob): JobRecord | null {
  if (hash.length === 0) return null
  checkVersion(storedField(hash, 'v'))
  const [order, result, partial] = documents
  const fields: Record<string, unknown> = { ...ABSENT_IN_JOB, ...readDocument(orderSchema.parse(order)) }
  if (result) Object.assign(fields, readDocument(result))
  fields.partial = partial ?? null
  eachField(hash, (name, text) => {
    if (!isOfAttempt(name) && !isOfHistory(name) && !isOfScripts(name)) fields[name] = decodeField(name, text)
  })
  fields.id = id
  return jobSchema.parse(fields, ZOD_ERRORS)
}

/** Decodes the attempts. `hash`: fields of the job's hash, flat. */
export function decodeAttempts(hash: readonly string[]): AttemptRecord[] {
  const byNumber = new Map<number, Record<string, unknown>>()
  const attemptOf = (n: number): Record<string, unknown> => {
    const known = byNumber.get(n) ?? { ...ABSENT_IN_ATTEMPT, n }
    byNumber.set(n, known)
    return known
  }
  eachField(hash, (name, text) => {
    if (isOfAttempt(name) && name.endsWith('.v')) checkVersion(text)
  })
  eachField(hash, (name, text) => {
    if (!isOfAttempt(name)) return
    const dot = name.indexOf('.')
    const field = name.slice(dot + 1)
    attemptOf(Number(name.slice(0, dot)))[field] = decodeField(field, text)
  })
  return [...byNumber.values()].map((fields) => attemptSchema.parse(fields, ZOD_ERRORS)).sort((a, b) => a.n - b.n)
}

/** Decodes the history, oldest first. `hash`: fields of the job's hash, flat. */
export function decodeHistory(hash: readonly string[]): { at: number; entry: HistoryLine }[] {
  const lines: [number, string][] = []
  eachField(hash, (name, text) => {
    if (isOfHistory(name)) lines.push([Number(name.slice(1)), text])
  })
  const texts = lines.sort(([a], [b]) => a - b).map(([, text]) => text)
  return texts.length === 0 ? [] : decodeLines(texts, decodeAttempts(hash))
}

const versionSchema = z.object({ v: z.number() })

export const decodeEffects = (flat: readonly string[]): Effect[] =>
  pairs(flat).map(([, text]) => {
    const effect: unknown = JSON.parse(text)
    const { v } = versionSchema.parse(effect)
    if (v > 1) throw new NewerRecordError(`an effect of version ${v}`)
    return effectSchema.parse(effect, ZOD_ERRORS)
  })
