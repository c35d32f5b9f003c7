import { z } from 'zod'
import { jobNoticeSchema } from '../../notifications/rules/notice.ts'
import { isObject } from '../../values/json.ts'
import { pick } from '../../values/pick.ts'
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
import { FOLDED_VERSION, unfold, type Unfolded } from './fold.ts'
import { quickCheck } from './quick-check.ts'
import { DOCUMENT_FIELDS, placeOf, present, type Fields } from './record-fields.ts'
import { ZOD_ERRORS } from '../../errors/zod-errors.ts'

/**
 * Records in Redis. One hash for each job holds the fields that commits change, so that a commit writes only what changed:
 * the fields of the job, `<n>.<field>` of its attempts, `h<rev>` for each line of its history. Long fields, and fields
 * that are frozen at acceptance, are in separate documents (rules/job.ts): Redis stores a hash compactly, in a fifth of
 * the memory, only while no value is longer than 64 bytes (`hash-max-listpack-value`). In the hash, words are stored as
 * they are ('' is null), everything else as JSON. The record of a final job is folded with its clean-up (fold.ts).
 * Schemas validate everything that is read, only here.
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
    account: z.string().exactOptional(),
  }),
  jobNoticeSchema,
  z.object({ v: z.literal(2), kind: z.literal('carry'), notification: z.string() }),
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

/** The field with the id of the commit that wrote this revision. */
export const commitField = (revision: number): string => `c${revision % 8}`

/** The id of the commit that wrote this revision; '' when it is not recorded. */
export const commitOf = (flat: readonly string[], revision: number): string => storedField(flat, commitField(revision))

const isDigit = (text: string, at: number): boolean => text.charCodeAt(at) >= 48 && text.charCodeAt(at) <= 57

/**
 * Fields of the hash that are not fields of the job: attempts and lines of history; besides them the ids of the last commits,
 * the time of progress, and what the files of the job count for its tenant, which scripts read.
 */
const isOfAttempt = (name: string): boolean => isDigit(name, 0)
const isOfHistory = (name: string): boolean => name.startsWith('h') && isDigit(name, 1)

/**
 * Version of a record whose input is kept beside it, whose job has its own webhook, or which is in another account than
 * `default`. Releases that do not know these leave it alone: they would send a shortened input, end the job without a notice, or
 * use the wrong account.
 */
export const GUARDED_VERSION = 3

/** Called before the rest of the record is decoded, because a newer release may use another format. */
function checkVersion(text: string): void {
  if (Number(text) > 1) throw new NewerRecordError(`a record of version ${text}`)
}

/** Unfolded records by their hash, which several functions read. */
const unfolded = new WeakMap<readonly string[], Unfolded>()

/** The folded value of a record; null: the record is not folded. Throws NewerRecordError for a newer version or format. */
function unfoldedOf(hash: readonly string[]): Unfolded | null {
  const version = storedField(hash, 'v')
  if (Number(version) === GUARDED_VERSION) return null
  if (Number(version) !== FOLDED_VERSION) {
    checkVersion(version)
    return null
  }
  const known = unfolded.get(hash)
  if (known !== undefined) return known
  const read = unfold((name) => storedField(hash, name))
  if (read === null) throw new NewerRecordError(`a record of version ${version} in an unknown format`)
  unfolded.set(hash, read)
  return read
}

const orderSchema = z.string()
const documentSchema = z.record(z.string(), json)
function readDocument(text: string): Values {
  const document: unknown = JSON.parse(text)
  return isObject(document) ? document : documentSchema.parse(document, ZOD_ERRORS)
}

/** The fields of each document, with their values when they are absent. */
const ABSENT_OF: Readonly<Record<JobDocument, Values>> = {
  order: pick<Values, string>(ABSENT_IN_JOB, Object.keys(DOCUMENT_FIELDS.order)),
  result: pick<Values, string>(ABSENT_IN_JOB, Object.keys(DOCUMENT_FIELDS.result)),
}

/** A job without any stored field. Every field has its place, so that all records have one shape. */
const ABSENT_JOB: Values = Object.fromEntries(
  Object.keys(JOB_FIELDS).map((name) => [name, Reflect.get(ABSENT_IN_JOB, name)]),
)

/**
 * When the newest line of the history was written, ms. `folded`: the lines of a folded record. Null: no line is kept, because
 * the last hundred revisions have none.
 */
function newestLineAt(hash: readonly string[], folded: Unfolded | null): number | null {
  let [newest, line] = folded?.lines.at(-1) ?? [0, '']
  eachField(hash, (name, text) => {
    if (!isOfHistory(name) || Number(name.slice(1)) <= newest) return
    newest = Number(name.slice(1))
    line = text
  })
  const at = Number(line.slice(0, line.indexOf(' ')))
  return newest > 0 && Number.isSafeInteger(at) ? at : null
}

/** The values of a record, not validated. */
function valuesOf({ id, hash, documents }: StoredJob, folded: Unfolded | null): Values {
  const fields: Values = { ...ABSENT_JOB }
  const set = (values: Values): void => {
    for (const name of Object.keys(values)) if (placeOf(name) !== undefined) fields[name] = values[name]
  }
  const [order, result, partial] = documents
  if (folded) {
    set(folded.job(id))
    // A document was written later, and has its absent fields, too.
    if (order) set(ABSENT_OF.order)
    if (result) set(ABSENT_OF.result)
  }
  if (!folded || order) set(readDocument(orderSchema.parse(order, ZOD_ERRORS)))
  if (result) set(readDocument(result))
  fields.partial = partial ?? null
  eachField(hash, (name, text) => {
    if (placeOf(name) !== undefined) fields[name] = decodeField(name, text)
  })
  if (folded || fields.v === GUARDED_VERSION) fields.v = 1
  fields.id = id
  fields.updated_at = newestLineAt(hash, folded) ?? fields.completed_at ?? fields.started_at ?? fields.created_at
  return fields
}

export const decodeJob = (stored: StoredJob): JobRecord | null =>
  stored.hash.length === 0 ? null : readJob(valuesOf(stored, unfoldedOf(stored.hash)))

/**
 * Makes a decoder of some fields, whatever the others hold and whichever version the record has. Null: there is no job, or
 * one without its order.
 */
export function decoderOf<Name extends keyof JobRecord>(
  names: readonly Name[],
): (stored: StoredJob) => Pick<JobRecord, Name> | null
export function decoderOf(names: readonly (keyof JobRecord)[]): (stored: StoredJob) => object | null {
  const read = readerOf(pick(JOB_FIELDS, names))
  return (stored) => {
    const folded = unfold((name) => storedField(stored.hash, name))
    const isWhole = stored.hash.length > 0 && (folded !== null || typeof stored.documents[0] === 'string')
    return isWhole ? read(pick(valuesOf(stored, folded), names)) : null
  }
}

/** Decodes the attempts. `hash`: fields of the job's hash, flat. */
export function decodeAttempts(hash: readonly string[]): AttemptRecord[] {
  const byNumber = new Map<number, Values>(
    unfoldedOf(hash)?.attempts.map((attempt) => [Number(attempt.n), { ...ABSENT_IN_ATTEMPT, ...attempt }]),
  )
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
  const lines = historyLines(hash)
  return lines.length === 0
    ? []
    : decodeLines(
        lines.map(([, text]) => text),
        decodeAttempts(hash),
      )
}

/** Lines of the history by revision, ascending. */
export function historyLines(hash: readonly string[]): [rev: number, line: string][] {
  const lines = new Map(unfoldedOf(hash)?.lines)
  eachField(hash, (name, text) => {
    if (isOfHistory(name)) lines.set(Number(name.slice(1)), text)
  })
  return [...lines].sort(([a], [b]) => a - b)
}

const versionSchema = z.object({ v: z.number() })
/** The newest version of a row of the outbox: that of notices and carries. */
const EFFECT_VERSION = 2

export const decodeEffects = (flat: readonly string[]): Effect[] =>
  pairs(flat).map(([, text]) => {
    const effect: unknown = JSON.parse(text)
    const { v } = versionSchema.parse(effect)
    if (v > EFFECT_VERSION) throw new NewerRecordError(`an effect of version ${v}`)
    return effectSchema.parse(effect, ZOD_ERRORS)
  })
