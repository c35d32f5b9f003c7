import { ServiceError } from '../shared/errors/service-error.ts'
import type { BodyLimits } from './http.ts'

export const MAX_DEPTH = 32

const QUOTE = 0x22
const BACKSLASH = 0x5c
const COMMA = 0x2c
const COLON = 0x3a
const BRACKET = 0x5b
const BRACKET_END = 0x5d
const BRACE = 0x7b
const BRACE_END = 0x7d
/** Prefix of strings that contain a file; their size is checked later. */
const FILE = Buffer.from('data:')

export interface JsonScan {
  (chunk: Buffer): void
  /** Number of keys so far, duplicates included. */
  keys(): number
}

/**
 * Scans JSON while it arrives, byte by byte, so that a body with too much nesting, too many values or too many bytes outside
 * of files is refused before the rest of it is read, and before any recursive code processes it.
 */
export function createJsonScan({
  values: maxValues,
  besideFiles = Infinity,
}: Pick<BodyLimits, 'values' | 'besideFiles'>): JsonScan {
  let depth = 0
  let values = 0
  let keys = 0
  let plain = 0
  let inText = false
  let isEscaped = false
  /** Matched characters of the file prefix; -1: another string. */
  let fileBegun = -1

  /** Scans structure: everything outside of strings. */
  function count(byte: number): void {
    if (byte === QUOTE) {
      inText = true
      fileBegun = 0
    } else if (byte === BRACKET || byte === BRACE) {
      if (++depth > MAX_DEPTH)
        throw new ServiceError('body_too_complex', `The body is nested more than ${MAX_DEPTH} levels deep.`)
      countValue()
    } else if (byte === BRACKET_END || byte === BRACE_END) depth--
    else if (byte === COMMA) countValue()
    else if (byte === COLON) keys++
  }

  function countValue(): void {
    if (++values > maxValues) throw new ServiceError('body_too_complex', `The body has more than ${maxValues} values.`)
  }

  /** Scans a string from `at`; returns its end in the chunk. A plain loop, because strings dominate the length. */
  function pass(chunk: Buffer, from: number): number {
    let at = from
    for (; at < chunk.length && fileBegun >= 0 && fileBegun < FILE.length; at++)
      fileBegun = chunk[at] === FILE[fileBegun] ? fileBegun + 1 : -1
    if (fileBegun !== FILE.length) plain -= from
    // The first byte after a partial `data:` is examined again, because it can end the string.
    if (fileBegun === -1 && at > from) at--
    let escaped = isEscaped
    for (; at < chunk.length; at++) {
      const byte = chunk[at]
      if (escaped) escaped = false
      else if (byte === BACKSLASH) escaped = true
      else if (byte === QUOTE) {
        inText = false
        at++
        break
      }
    }
    isEscaped = escaped
    if (fileBegun !== FILE.length) plain += at
    return at
  }

  const look = (chunk: Buffer): void => {
    let at = 0
    while (at < chunk.length) {
      if (inText) at = pass(chunk, at)
      else {
        count(chunk[at] ?? 0)
        plain++
        at++
      }
    }
    if (plain > besideFiles)
      throw new ServiceError(
        'body_too_large',
        `The request body exceeds the limit of ${besideFiles} bytes (excluding inline files).`,
      )
  }
  return Object.assign(look, { keys: () => keys })
}
