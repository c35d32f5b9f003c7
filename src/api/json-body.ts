import { ServiceError, type FieldError } from '../shared/errors/service-error.ts'
import { pointerOf } from '../shared/values/json-pointer.ts'
import { MAX_FIELDS } from './error-response.ts'
import type { BodyLimits } from './http.ts'
import { duplicateKeyIn, syntaxErrorIn } from './json-place.ts'
import { createJsonScan, type JsonScan } from './json-scan.ts'
import { invalidRequest } from './schemas.ts'

/** Limits of a JSON body (docs/api.md). */
export const BODY_LIMITS: BodyLimits = { bytes: 96 * 1024, values: 10_000 }
const FORBIDDEN_KEYS = new Set(['__proto__', 'constructor', 'prototype'])

/** Parses a complete JSON body. */
export function parseJsonBody(bytes: Buffer, limits: BodyLimits = BODY_LIMITS): unknown {
  const scan = createJsonScan(limits)
  scan(bytes)
  return parseScanned(bytes, scan)
}

/**
 * Parses an untrusted JSON body: UTF-8 without BOM, with depth and number of values already limited by the scan. Refuses
 * duplicate keys, keys with a meaning to JavaScript, numbers that cannot be represented exactly and characters that cannot
 * be stored. Errors give places and keys, and do not echo values.
 */
export function parseScanned(bytes: Buffer, scan: Pick<JsonScan, 'keys'>): unknown {
  const text = decode(bytes)
  const wrong: FieldError[] = []
  let body: unknown
  try {
    body = JSON.parse(text)
  } catch {
    const place = syntaxErrorIn(text)
    throw new ServiceError(
      'invalid_json',
      `The body is not valid JSON${place === null ? '' : `: line ${place.line}, column ${place.column}`}.`,
    )
  }
  const kept = walk(body, [], wrong)
  if (wrong.length > 0) throw invalidRequest(wrong)
  // JSON.parse silently keeps the last duplicate.
  if (kept < scan.keys())
    throw new ServiceError(
      'invalid_json',
      `${duplicateKeyIn(text) ?? 'An object'}: The key occurs twice. Send each key once.`,
    )
  return body
}

const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })

function decode(bytes: Buffer): string {
  try {
    const text = utf8.decode(bytes)
    if (!text.startsWith('\uFEFF')) return text
  } catch {
    // Falls through: one error for every body that is not plain UTF-8.
  }
  throw new ServiceError('invalid_json', 'The body is not UTF-8 without a byte order mark.')
}

/** Whether a text has lone surrogates or NUL, which cannot be stored or forwarded unchanged. */
const unstorable = (text: string): boolean => text.includes('\u0000') || !text.isWellFormed()

/** Validates a value and returns its number of keys. `path`: to the value; converted to a pointer only for an error. */
function walk(value: unknown, path: (string | number)[], wrong: FieldError[]): number {
  if (wrong.length >= MAX_FIELDS) return 0
  let keys = 0
  const refuse = (code: string, detail: string): void => void wrong.push({ pointer: pointerOf(path), code, detail })
  if (typeof value === 'number') {
    if (!Number.isFinite(value) || (Number.isInteger(value) && !Number.isSafeInteger(value)))
      refuse('number_out_of_range', 'The number cannot be represented exactly. Integers are limited to 2^53 - 1.')
  } else if (typeof value === 'string') {
    if (unstorable(value)) refuse('invalid_characters', 'NUL and lone surrogates are not accepted.')
  } else if (Array.isArray(value)) {
    for (const [index, item] of value.entries()) {
      path.push(index)
      keys += walk(item, path, wrong)
      path.pop()
    }
  } else if (typeof value === 'object' && value !== null) {
    for (const [key, item] of Object.entries(value)) {
      keys++
      if (unstorable(key)) {
        refuse('invalid_characters', 'A key contains NUL or lone surrogates.')
        continue
      }
      path.push(key)
      if (FORBIDDEN_KEYS.has(key)) refuse('forbidden_key', `${key} is not accepted as a key.`)
      else keys += walk(item, path, wrong)
      path.pop()
    }
  }
  return keys
}
