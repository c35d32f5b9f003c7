import { z } from 'zod'
import { isObject, type Json, type JsonObject } from '../../values/json.ts'

/**
 * Meaning of an output, compiled from a model's Output schema (or set by a preset) and stored in the job. It decides which
 * strings are files, and whether an array of strings is one text:
 *
 * - `text`: one text; an array of strings is its tokens, which are joined
 * - `files`: every string is a file
 * - `json`: the unchanged value; no string is declared to be a file
 * - `{ files }`: a value in which the strings at these paths are files: keys and `*` (any item) between slashes, each key
 *   percent-encoded
 *
 * In all of them except `text`, strings that certainly are files count too: see `Meaning` in output.ts.
 */
export const OUTPUT_KINDS = ['text', 'files', 'json'] as const
export type OutputKind = (typeof OUTPUT_KINDS)[number]
export type OutputShape = OutputKind | { files: string[] }

/** Limits of an untrusted schema; a larger one declares no files. */
const MAX_NODES = 2000
const MAX_DEPTH = 32
const MAX_PLACES = 64
/** Characters of all paths together: each job's record contains them. */
const MAX_PLACES_LENGTH = 2000

export const outputShapeSchema: z.ZodType<OutputShape> = z.union([
  z.enum(OUTPUT_KINDS),
  z.object({ files: z.array(z.string()).max(MAX_PLACES) }),
])

export const ANY_ITEM = '*'
/** Object key as a path segment. The empty key is `%`, because the empty path is the whole output. */
export const segmentOf = (key: string): string =>
  key === '' ? '%' : encodeURIComponent(key.toWellFormed()).replaceAll('*', '%2A')

const listOf = (value: Json | undefined): JsonObject[] => (Array.isArray(value) ? value.filter(isObject) : [])

/** Compiles an Output schema. `definitions`: targets of `#/components/schemas/X`. */
export function compileOutputShape(schema: Json | undefined, definitions: JsonObject): OutputShape {
  if (!isObject(schema)) return 'json'
  const referred = ({ $ref: reference }: JsonObject): [name: string, schema: JsonObject] | null => {
    const name = typeof reference === 'string' ? /^#\/components\/schemas\/([^/]+)$/.exec(reference)?.[1] : undefined
    const found = name !== undefined && Object.hasOwn(definitions, name) ? definitions[name] : undefined
    return name !== undefined && isObject(found) ? [name, found] : null
  }

  let nodes = 0
  let isTooLarge = false
  let isText = false
  const files = new Set<string>()
  /** Paths that can also hold plain text; they are not files. */
  const texts = new Set<string>()

  function visit(one: JsonObject, place: readonly string[], within: readonly string[], depth: number): void {
    if (++nodes > MAX_NODES || depth > MAX_DEPTH) isTooLarge = true
    if (isTooLarge) return
    const type = [one.type].flat()
    if (
      place.length === 0 &&
      type.includes('array') &&
      one['x-cog-array-type'] === 'iterator' &&
      one['x-cog-array-display'] === 'concatenate'
    )
      isText = true
    if (one.format === 'uri') files.add(place.join('/'))
    else if (type.includes('string')) texts.add(place.join('/'))
    const found = referred(one)
    // Recursion ends here.
    if (found && !within.includes(found[0])) visit(found[1], place, [...within, found[0]], depth + 1)
    for (const part of [one.allOf, one.anyOf, one.oneOf].flatMap(listOf)) visit(part, place, within, depth + 1)
    const properties = isObject(one.properties) ? Object.entries(one.properties) : []
    for (const [key, part] of properties) if (isObject(part)) visit(part, [...place, segmentOf(key)], within, depth + 1)
    const items = isObject(one.items) ? one.items : properties.length === 0 ? one.additionalProperties : undefined
    if (isObject(items)) visit(items, [...place, ANY_ITEM], within, depth + 1)
  }

  visit(schema, [], [], 0)
  const places = [...files].filter((place) => !texts.has(place))
  const length = places.reduce((sum, place) => sum + place.length, 0)
  if (isTooLarge || places.length > MAX_PLACES || length > MAX_PLACES_LENGTH) return 'json'
  if (isText) return 'text'
  if (places.length === 0) return 'json'
  return places.every((place) => place === '' || place === ANY_ITEM) ? 'files' : { files: places }
}
