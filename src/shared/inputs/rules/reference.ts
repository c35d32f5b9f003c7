import { append } from '../../values/append.ts'
import { pointerSegment } from '../../values/json-pointer.ts'
import type { Json, JsonObject } from '../../values/json.ts'

/**
 * An input names a stored file by its path, `/v1/uploads/<id>`, as an entire string.
 */
const UPLOADS = '/v1/uploads/'

export const UPLOAD_ID = /^upl_[0-9A-HJKMNP-TV-Z]{26}$/

export const uploadPath = (id: string): string => UPLOADS + id

/** Id of the file that a text of an input names; null for any other text. */
export function referenceOf(text: string): string | null {
  const id = text.startsWith(UPLOADS) ? text.slice(UPLOADS.length) : ''
  return UPLOAD_ID.test(id) ? id : null
}

/** Whether the value contains such a text. Cheap, because most inputs name no file. */
export function hasText(value: unknown, isSuch: (text: string) => boolean): boolean {
  if (typeof value === 'string') return isSuch(value)
  if (typeof value !== 'object' || value === null) return false
  return Object.values(value).some((item) => hasText(item, isSuch))
}

export const isReference = (text: string): boolean => referenceOf(text) !== null

/** Replaces each text of a value. `pointer`: position of the text, such as `/images/0`. */
export function mapTexts(value: Json, replace: (text: string, pointer: string) => string, pointer = ''): Json {
  if (typeof value === 'string') return replace(value, pointer)
  if (Array.isArray(value)) return value.map((item, i) => mapTexts(item, replace, pointer + pointerSegment(i)))
  return typeof value === 'object' && value !== null ? mapInput(value, replace, pointer) : value
}

export const mapInput = (
  input: JsonObject,
  replace: (text: string, pointer: string) => string,
  pointer = '',
): JsonObject =>
  Object.fromEntries(
    Object.entries(input).map(([key, item]) => [key, mapTexts(item, replace, pointer + pointerSegment(key))]),
  )

/** Files that an input names, each once, with the pointers of its occurrences. */
export function filesOf(input: JsonObject | null): Map<string, string[]> {
  const found = new Map<string, string[]>()
  if (input !== null && hasText(input, isReference))
    mapInput(input, (text, pointer) => {
      const id = referenceOf(text)
      if (id !== null) append(found, id, pointer)
      return text
    })
  return found
}

/** Whether two inputs are equal except for files, which have other names upstream. */
export function sameButFiles(ours: Json, theirs: Json): boolean {
  if (typeof ours === 'string') return ours === theirs || (referenceOf(ours) !== null && typeof theirs === 'string')
  if (Array.isArray(ours))
    return (
      Array.isArray(theirs) &&
      ours.length === theirs.length &&
      ours.every((item, i) => sameButFiles(item, theirs[i] ?? null))
    )
  if (typeof ours !== 'object' || ours === null) return ours === theirs
  if (typeof theirs !== 'object' || theirs === null || Array.isArray(theirs)) return false
  const names = Object.keys(ours)
  return (
    names.length === Object.keys(theirs).length &&
    names.every((name) => Object.hasOwn(theirs, name) && sameButFiles(ours[name] ?? null, theirs[name] ?? null))
  )
}
