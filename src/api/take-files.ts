import { createHash } from 'node:crypto'
import type { FieldError, ServiceError } from '../shared/errors/service-error.ts'
import { append } from '../shared/values/append.ts'
import { inlineName, isDataUri, readDataUri } from '../shared/inputs/rules/data-uri.ts'
import type { InputLimits, TakenFile, TakenFiles } from '../shared/inputs/inputs.ts'
import { HEAD_BYTES, isAllowedType, mediaTypeOf, refusedType } from '../shared/inputs/media-type.ts'
import { hasText, mapTexts } from '../shared/inputs/rules/reference.ts'
import { pointerSegment } from '../shared/values/json-pointer.ts'
import { isObject, type Json } from '../shared/values/json.ts'
import { MAX_FIELDS } from './error-response.ts'
import type { BodyLimits, OwnedRequest } from './http.ts'
import { BODY_LIMITS } from './json-body.ts'
import { invalidRequest, neededBody } from './schemas.ts'

const FILE_BODY_BYTES = 64 * 1024 * 1024

/** Limits of a body whose inputs can contain files as data URIs. */
export const withFiles = ({ bytes, values }: BodyLimits): BodyLimits => ({
  bytes: FILE_BODY_BYTES,
  values,
  besideFiles: bytes,
})

/** An input has 2 MiB of JSON, of which a client may escape many characters. */
export const JOB_BODY = withFiles({ ...BODY_LIMITS, bytes: 4 * 1024 * 1024 })

/** Limits of distinct data URIs in one request, and of their occurrences. */
const MAX_FILES = 1000
const MAX_PLACES = 10_000

/**
 * Extracts the data URIs from the inputs of a body, before any code copies or scans them. A short text replaces each, the
 * same for the same bytes, so that bodies can be compared. `inputs`: pointers of the inputs in the body, such as
 * `/defaults/input`. Throws `invalid_request` with all errors.
 */
export async function takeFiles(
  request: Pick<OwnedRequest, 'body'>,
  inputs: readonly string[],
  limits: InputLimits,
): Promise<TakenFiles> {
  const body = neededBody(request.body)
  if (!hasText(body, isDataUri)) return new Map()
  const found = new Map<string, string[]>()
  const places = new Set(inputs)
  let count = 0
  replaceIn(body, places, (text, pointer) => {
    if (!isDataUri(text)) return text
    append(found, text, pointer)
    if (++count > MAX_PLACES || found.size > MAX_FILES) throw tooManyFiles()
    return text
  })
  if (found.size === 0) return new Map()
  const files = new Map<string, TakenFile>()
  const names = new Map<string, string>()
  const wrong: FieldError[] = []
  for (const [text, pointers] of found) {
    const read = await readFile(text, limits)
    if ('code' in read) {
      for (const pointer of pointers.slice(0, MAX_FIELDS)) wrong.push({ pointer, ...read })
      if (wrong.length >= MAX_FIELDS) break
    } else {
      const name = inlineName(read.media_type, read.sha256)
      files.set(name, read)
      names.set(text, name)
    }
  }
  if (wrong.length > 0) throw invalidRequest(wrong)
  request.body = replaceIn(body, places, (text) => names.get(text) ?? text)
  return files
}

const tooManyFiles = (): ServiceError =>
  invalidRequest([
    {
      pointer: '',
      code: 'too_many_files',
      detail: `The request has too many data URIs. The limits are ${MAX_FILES} distinct ones and ${MAX_PLACES} occurrences.`,
    },
  ])

async function readFile(
  text: string,
  limits: InputLimits,
): Promise<(TakenFile & { sha256: string }) | Omit<FieldError, 'pointer'>> {
  const read = readDataUri(text, limits.fileBytes)
  if (read.kind === 'too_large')
    return {
      code: 'too_large',
      detail: `The inline file exceeds the limit of ${limits.fileBytes} bytes. Upload larger files.`,
    }
  if (read.kind === 'wrong') return { code: 'invalid_data_uri', detail: 'The data URI cannot be read.' }
  if (read.bytes.length === 0) return { code: 'empty_file', detail: 'The file is empty.' }
  const mediaType = await mediaTypeOf(read.bytes.subarray(0, HEAD_BYTES), read.mediaType)
  if (!isAllowedType(mediaType, limits.types))
    return { code: 'type_not_allowed', detail: refusedType(mediaType, read.mediaType, limits.types) }
  const sha256 = createHash('sha256').update(read.bytes).digest('hex')
  return { media_type: mediaType, sha256, bytes: read.bytes }
}

/** Replaces the strings below the given pointers; `*` is any index. Missing values are ignored. */
function replaceIn(
  body: unknown,
  places: ReadonlySet<string>,
  replace: (text: string, pointer: string) => string,
): unknown {
  const visit = (value: Json, pattern: string, pointer: string): Json => {
    if (places.has(pattern)) return isObject(value) ? mapTexts(value, replace, pointer) : value
    if (Array.isArray(value)) return value.map((item, i) => visit(item, `${pattern}/*`, pointer + pointerSegment(i)))
    if (!isObject(value)) return value
    return Object.fromEntries(
      Object.entries(value).map(([key, item]) => {
        const below = `${pattern}/${key}`
        const isOnTheWay = [...places].some((place) => place === below || place.startsWith(`${below}/`))
        return [key, isOnTheWay ? visit(item, below, pointer + pointerSegment(key)) : item]
      }),
    )
  }
  // A parsed body contains only JSON.
  return isObject(body) ? visit(body, '', '') : body
}
