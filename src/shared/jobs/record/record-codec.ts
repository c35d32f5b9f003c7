import { z } from 'zod'
import { priceRuleSchema } from '../../credits/rules/price.ts'
import { isObject } from '../../values/json.ts'
import {
  ABSENT_IN_ATTEMPT,
  ABSENT_IN_JOB,
  ATTEMPT_FIELDS,
  JOB_FIELDS,
  json,
  type AttemptRecord,
  type Effect,
  type JobDocument,
  type JobRecord,
  type RecordOf,
} from '../rules/job.ts'
import type { HistoryLine } from '../rules/history.ts'
import { decodeLines } from './history-line.ts'
import { quickCheck } from './quick-check.ts'
import { DOCUMENT_FIELDS, placeOf, present, type Fields } from './record-fields.ts'
import { ZOD_ERRORS } from '../../errors/zod-errors.ts'

/**
 * Records in Redis. One hash for each job holds the fields that commits change, so that a commit writes only what changed:
 * the fields of the job, `<n>.<field>` of its attempts, `h<rev>` for each line of its history. Long fields, and fields
 * that are frozen at acceptance, are in separate documents (rules/job.ts): Redis stores a hash compactly, in a fifth of
 * the memory, only while no value is longer than 64 bytes (`hash-max-listpack-value`). In the hash, words are stored as
 * they are ('' is null), everything else as JSON. Schemas validate everything that is read, only here.
 */

type Values = Record<string, unknown>

/**
 * A reader of records with these fields. It takes the values that a quick check knows to be right as they are, and leaves all
 * others to the schemas of the table, which refuse with an error or return what they make of them.
 */
function readerOf<F extends Fields>(fields: F): (values: Values) => RecordOf<F> {
  const checks = Object.entries(fields).map(([name, { schema }]) => ({ name, schema, isGood: quickCheck(schema) }))
  const whole = z.object(Object.fromEntries(checks.map(({ name, schema }) => [name, schema])))
  const isRead = (values: Values): values is Values & RecordOf<F> => {
    for (const { name, schema, isGood } of checks) {
      if (isGood(values[name])) continue
      const parsed = schema.safeParse(values[name])
      if (!parsed.success) return false
      values[name] = parsed.data
    }
    return true
  }
  return (values) => {
    if (isRead(values)) return values
    // The error names every wrong field.
    throw whole.safeParse(values, ZOD_ERRORS).error ?? new Error('a record that is right and wrong')
  }
}
const readJob = readerOf(JOB_FIELDS)
const readAttempt = readerOf(ATTEMPT_FIELDS)

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
 * Fields of the hash that are not fields of the job: attempts and lines of history; besides them the ids of the last commits,
 * the time of progress, and what the files of the job count for its tenant, which scripts read.
 */
const isOfAttempt = (name: string): boolean => isDigit(name, 0)
const isOfHistory = (name: string): boolean => name.startsWith('h') && isDigit(name, 1)

/** Called before the rest of the record is decoded, because a newer release may use another format. */
function checkVersion(text: string): void {
  if (Number(text) > 1) throw new NewerRecordError(`a record of version ${text}`)
}

const moneySchema = z.object({ price: priceRuleSchema.nullable(), estimate: z.number() })
const orderSchema = z.string()
const documentSchema = z.record(z.string(), json)
function readDocument(text: string): Values {
  const document: unknown = JSON.parse(text)
  return isObject(document) ? document : documentSchema.parse(document, ZOD_ERRORS)
}

/** Price and estimate from the order document, without the rest of the record. */
export const decodeOrder = (order: string): Pick<JobRecord, 'price' | 'estimate'> =>
  moneySchema.parse({ ...ABSENT_IN_JOB, ...readDocument(order) }, ZOD_ERRORS)

/** A job without any stored field. Every field has its place, so that all records have one shape. */
const ABSENT_JOB: Values = Object.fromEntries(
  Object.keys(JOB_FIELDS).map((name) => [name, Reflect.get(ABSENT_IN_JOB, name)]),
)

export function decodeJob({ id, hash, documents }: StoredJob): JobRecord | null {
  if (hash.length === 0) return null
  checkVersion(storedField(hash, 'v'))
  const [order, result, partial] = documents
  const fields: Values = { ...ABSENT_JOB }
  const overlay = (text: string): void => {
    const document = readDocument(text)
    for (const name of Object.keys(document)) if (placeOf(name) !== undefined) fields[name] = document[name]
  }
  overlay(orderSchema.parse(order, ZOD_ERRORS))
  if (result) overlay(result)
  fields.partial = partial ?? null
  eachField(hash, (name, text) => {
    if (placeOf(name) !== undefined) fields[name] = decodeField(name, text)
  })
  fields.id = id
  return readJob(fields)
}

/** Decodes the attempts. `hash`: fields of the job's hash, flat. */
export function decodeAttempts(hash: readonly string[]): AttemptRecord[] {
  const byNumber = new Map<number, Values>()
  const attemptOf = (n: number): Values => {
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
    if (Object.hasOwn(ATTEMPT_FIELDS, field)) attemptOf(Number(name.slice(0, dot)))[field] = decodeField(field, text)
  })
  return [...byNumber.values()].map(readAttempt).sort((a, b) => a.n - b.n)
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
