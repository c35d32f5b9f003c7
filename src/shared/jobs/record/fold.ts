import { deflateRawSync, inflateRawSync } from 'node:zlib'
import { isObject } from '../../values/json.ts'
import { fromSevenBits, toSevenBits } from '../../values/seven-bits.ts'
import { ATTEMPT_FIELDS, JOB_FIELDS, type JobState } from '../rules/job.ts'
import { ATTEMPT_ORDER, DICTIONARY, JOB_ORDER, JOB_ORDER_2 } from './fold-format.ts'
import { placeOf, present } from './record-fields.ts'

/**
 * The record of a final job as one compact value (docs/adr/0010-folded-records.md). The fields of the job and its attempts,
 * the documents and the history become one text, in a fixed order and without names, which is compressed with a dictionary
 * and spread over the fields `z0`, `z1`, ... of the job's hash: Redis stores a hash compactly only while no value is longer
 * than 64 bytes.
 *
 * Fields that scripts, or audits of an earlier release, read directly remain beside it, and later commits write what they
 * change as ever: a field of the hash replaces the folded one, a document all folded fields of that document. The hash has
 * version 2, so that releases that cannot unfold it leave it alone.
 */

type Values = Record<string, unknown>

/** Version of a record with a folded value. */
export const FOLDED_VERSION = 2

/** Fields that remain in the hash. */
const KEPT: ReadonlySet<string> = new Set(['v', 'rev', 'phase', 'tenant'])
const NOT_FOLDED: ReadonlySet<string> = new Set([...KEPT, 'id', 'partial', 'updated_at', 'key_id', 'budgets'])

/** The order of the fields of a job, by the name of the format, which stands before the compressed text. */
const ORDERS = new Map<string, readonly string[]>([
  ['1', JOB_ORDER],
  ['2', JOB_ORDER_2],
])
/** Of what is written. */
const FORMAT = '2'
const CHUNK = /[^]{1,63}/g
/** Limit of fields: Redis stores a hash compactly only while it has at most 128 (`hash-max-listpack-entries`). */
const MAX_CHUNKS = 64
/** Limit of an unfolded text, bytes. */
const MAX_BYTES = 16 * 1024 * 1024

/** Stands for the id of the job, which the keys of its files contain. */
const OWN_ID = '\u0001'
/** Before each attempt, and before the history. Neither they nor line breaks occur in JSON. */
const [ATTEMPT, HISTORY, NEXT] = ['\u0002', '\u0003', '\n']

const ULID = /^job_([0-9A-Z]{26})$/
const ulidOf = (id: string): string | null => ULID.exec(id)?.[1] ?? null

/** Times are written as ms since the creation of the job. */
const isTime = (field: string): boolean => field !== 'created_at' && (field.endsWith('_at') || field.endsWith('_since'))
const shifted = (field: string, value: unknown, by: number): unknown =>
  isTime(field) && typeof value === 'number' ? value + by : value

/** The values in their order, '' for those that are absent, then a JSON object of all others. */
function writeValues(order: readonly string[], fields: readonly [string, unknown][], base: number): string {
  const values = new Map(fields.map(([name, value]) => [name, shifted(name, value, -base)]))
  const ordered = order.map((name) => (values.has(name) ? JSON.stringify(values.get(name)) : ''))
  const others = [...values].filter(([name]) => !order.includes(name))
  return [...ordered, ...(others.length === 0 ? [] : [JSON.stringify(Object.fromEntries(others))])].join(NEXT)
}

function readValues(order: readonly string[], text: string): Values {
  const values: Values = {}
  for (const [at, value] of text.split(NEXT).entries()) {
    if (value === '') continue
    const read: unknown = JSON.parse(value)
    const name = order[at]
    if (name !== undefined) values[name] = read
    else if (isObject(read)) Object.assign(values, read)
  }
  return values
}

const shiftedAll = (values: Values, base: number): Values =>
  Object.fromEntries(Object.entries(values).map(([name, value]) => [name, shifted(name, value, base)]))

const CREATED_AT = JOB_ORDER.indexOf('created_at')

/** `<ms> <letters>` (history-line.ts) */
const LINE = /^(0|[1-9]\d{0,15}) (\P{Cc}*)$/u
const FOLDED_LINE = /^(?:(\d+):)?(-?\d+) (.*)$/s

type Line = [rev: number, text: string]

/** Lines with the time since `base`, and with the step of the revision where it is not 1; null: one has another form. */
function writeLines(lines: readonly Line[], base: number): string | null {
  const texts: string[] = []
  let before = 0
  for (const [rev, line] of lines) {
    const [, at, rest] = LINE.exec(line) ?? []
    if (at === undefined || rest === undefined || !Number.isSafeInteger(Number(at))) return null
    texts.push(`${rev - before === 1 ? '' : `${rev - before}:`}${Number(at) - base} ${rest}`)
    before = rev
  }
  return texts.join(NEXT)
}

function readLines(text: string, base: number): Line[] {
  let rev = 0
  return text.split(NEXT).flatMap((line): Line[] => {
    const [, step, at, rest = ''] = FOLDED_LINE.exec(line) ?? []
    if (at === undefined) return []
    rev += Number(step ?? 1)
    return [[rev, `${Number(at) + base} ${rest}`]]
  })
}

/** Changes of the hash that fold a record. */
export interface Folding {
  remove: string[]
  set: [field: string, value: string][]
}

/** Whether a field of the hash is in the folded value, or only helped while the job ran; `newest`: the newest commit id. */
const isFolded = (name: string, newest: string): boolean =>
  (placeOf(name) === 'hash' && !KEPT.has(name)) ||
  name === 'progress_at' ||
  /^[hz]\d+$/.test(name) ||
  (/^c\d$/.test(name) && name !== newest) ||
  Object.hasOwn(ATTEMPT_FIELDS, /^\d+\.(.*)$/.exec(name)?.[1] ?? '')

/**
 * Folds a record. `names`: the fields of its hash; `lines`: its history by revision, ascending; `newest`: the field to which
 * the commit that folds it writes its id. Null: the record is too long, or has a history of an unknown form, and stays as it
 * is.
 */
export function fold(
  { job, attempts }: Pick<JobState, 'job' | 'attempts'>,
  { names, lines, newest }: { names: readonly string[]; lines: readonly Line[]; newest: string },
): Folding | null {
  const base = job.created_at
  const fields = present(JOB_FIELDS, job).filter(([name]) => !NOT_FOLDED.has(name))
  const history = writeLines(lines, base)
  if (history === null) return null
  const ulid = ulidOf(job.id)
  const own = writeValues(JOB_ORDER_2, fields, base)
  const text = [
    ulid === null ? own : own.replaceAll(ulid, OWN_ID),
    ...attempts.map((attempt) => ATTEMPT + writeValues(ATTEMPT_ORDER, present(ATTEMPT_FIELDS, attempt), base)),
    HISTORY,
    history,
  ].join('')
  const packed = FORMAT + toSevenBits(deflateRawSync(text, { level: 9, dictionary: DICTIONARY }))
  const chunks = packed.match(CHUNK) ?? []
  if (chunks.length > MAX_CHUNKS) return null
  return {
    remove: names.filter((name) => isFolded(name, newest)),
    set: [['v', String(FOLDED_VERSION)], ...chunks.map((chunk, i): [string, string] => [`z${i}`, chunk])],
  }
}

/** Values of fields that are not absent, and lines of the history by revision. */
export interface Unfolded {
  job(id: string): Values
  attempts: Values[]
  lines: Line[]
}

/**
 * Unfolds the record. `chunk`: the field `z<n>` of its hash, '' when there is none. Null: there is no folded value, or one of
 * a newer format. Throws SyntaxError when it is broken.
 */
export function unfold(chunk: (name: string) => string): Unfolded | null {
  let packed = ''
  for (let at = 0; ; at++) {
    const next = chunk(`z${at}`)
    if (next === '') break
    packed += next
  }
  const order = ORDERS.get(packed.slice(0, FORMAT.length))
  if (order === undefined) return null
  const [records = '', history = ''] = inflate(packed.slice(FORMAT.length)).split(HISTORY)
  const [own = '', ...attempts] = records.split(ATTEMPT)
  const base = Number(own.split(NEXT)[CREATED_AT])
  return {
    job(id) {
      const ulid = ulidOf(id)
      const text = ulid === null ? own : own.replaceAll(OWN_ID, ulid)
      return shiftedAll(readValues(order, text), base)
    },
    attempts: attempts.map((text) => shiftedAll(readValues(ATTEMPT_ORDER, text), base)),
    lines: readLines(history, base),
  }
}

function inflate(text: string): string {
  try {
    const options = { dictionary: DICTIONARY, maxOutputLength: MAX_BYTES }
    return inflateRawSync(fromSevenBits(text), options).toString()
  } catch (error) {
    throw new SyntaxError('the folded record is broken', { cause: error })
  }
}
