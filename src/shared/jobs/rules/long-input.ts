import { mapInput } from '../../inputs/rules/reference.ts'
import type { JsonObject } from '../../values/json.ts'
import type { JobRecord } from './job.ts'
import { hashOfInput } from './run-facts.ts'

/**
 * A long input, of up to 2 MiB, is kept beside the record, because every commit loads the record. The record has the input with
 * shortened texts, so that its files and numbers are known, and lists show what it is about.
 */

/** Limit of the JSON of an input, bytes. */
export const MAX_INPUT_BYTES = 2 * 1024 * 1024
/** Limit of the same with shortened texts, and of an input that is kept in the record. */
export const MAX_SHORT_BYTES = 64 * 1024
/** An input up to this size is kept in the record. */
const IN_RECORD_BYTES = 16 * 1024
/** Texts up to this length are kept; of longer ones, the beginning. */
const LONG_TEXT = 1024
const SHOWN = 200

/** The beginning of a text, without half a character at its end. */
const beginningOf = (text: string): string => `${text.slice(0, SHOWN).replace(/[\uD800-\uDBFF]$/, '')}\u2026`

/** The input with shortened texts. */
export const shortened = (input: JsonObject): JsonObject =>
  mapInput(input, (text) => (text.length > LONG_TEXT ? beginningOf(text) : text))

/**
 * Splits a new job into its record and the JSON of its input that is kept beside it; null: the record has the whole input.
 */
export function splitInput(job: JobRecord): { job: JobRecord; beside: string | null } {
  const whole = { job, beside: null }
  if (job.input === null) return whole
  const beside = JSON.stringify(job.input)
  const input_bytes = Buffer.byteLength(beside)
  if (input_bytes <= IN_RECORD_BYTES) return whole
  const input = shortened(job.input)
  if (Buffer.byteLength(JSON.stringify(input)) === input_bytes) return whole
  return { job: { ...job, input, input_bytes, input_sha256: hashOfInput(job.input) }, beside }
}
