import { isDataUri } from '../../inputs/rules/data-uri.ts'
import type { Json } from '../../values/json.ts'
import { ANY_ITEM, segmentOf, type OutputShape } from './output-shape.ts'

/** Information that decides which strings of an output are files. */
export interface Meaning {
  /** From the model's Output schema; null: unknown. */
  shape: OutputShape | null
  /** Whether a link leads to Replicate's delivery of output files. */
  delivers: (link: string) => boolean
}

/**
 * Parts of a prediction's output. A string is a file where the shape says so, and wherever it certainly is one: a data URI,
 * or a link to Replicate's delivery. Everything else is unchanged; only tokens of a text are joined.
 */
export interface OutputPlan {
  /** Output with each file replaced by its id, or by null when it is lost. */
  render: (file: (index: number) => string | null) => Json
  files: string[]
}

/** Limit of an output in the record, in bytes of JSON; a larger one becomes an artifact. */
export const MAX_INLINE_OUTPUT = 32 * 1024
/** Limit of files of one output: each has an entry in the record of its job. */
export const MAX_OUTPUT_FILES = 10_000

/** Tree of a shape's paths below one path. */
interface Places {
  isFile: boolean
  below: Map<string, Places>
}

const noPlaces = (): Places => ({ isFile: false, below: new Map() })

function placesOf(files: readonly string[]): Places {
  const root = noPlaces()
  for (const place of files) {
    let at = root
    for (const segment of place === '' ? [] : place.split('/')) {
      const next = at.below.get(segment) ?? noPlaces()
      at.below.set(segment, next)
      at = next
    }
    at.isFile = true
  }
  return root
}

type Render = (file: (index: number) => string | null) => Json

export function planOutput(output: Json, { shape, delivers }: Meaning): OutputPlan {
  const text = shape === 'text' ? joined(output) : null
  if (text !== null) return { render: () => text, files: [] }
  const files: string[] = []
  const isEverywhere = shape === 'files'
  const below = (at: Places | undefined, segment: string): Places | undefined =>
    at?.below.get(segment) ?? at?.below.get(ANY_ITEM)

  const visit = (value: Json, at: Places | undefined): Render => {
    if (typeof value === 'string') {
      const isDeclared = value !== '' && (isEverywhere || at?.isFile === true)
      if (!isDeclared && !isDataUri(value) && !delivers(value)) return () => value
      const index = files.push(value) - 1
      return (file) => file(index)
    }
    if (Array.isArray(value)) {
      const items = value.map((item) => visit(item, below(at, ANY_ITEM)))
      return (file) => items.map((item) => item(file))
    }
    if (value !== null && typeof value === 'object') {
      const entries = Object.entries(value).map(([key, item]) => [key, visit(item, below(at, segmentOf(key)))] as const)
      return (file) => Object.fromEntries(entries.map(([key, item]) => [key, item(file)]))
    }
    return () => value
  }
  const render = visit(output, typeof shape === 'object' && shape !== null ? placesOf(shape.files) : undefined)
  return { render, files }
}

/** A text, or its joined tokens; null for any other output. */
function joined(output: Json): string | null {
  if (typeof output === 'string') return output
  return Array.isArray(output) && output.length > 0 && output.every((token) => typeof token === 'string')
    ? output.join('')
    : null
}

/**
 * The output, or the beginning of one, in the form of Replicate's own API: joined tokens are a list of one text. Only texts of
 * the shape `text` are joined. `output_is_list`: what the model's schema says, when a preset stated the shape.
 */
export const asReplicateOutput = (
  output: Json,
  { output_shape, output_is_list }: { output_shape: OutputShape | null; output_is_list: boolean | null },
): Json => (output_shape === 'text' && output_is_list !== false && typeof output === 'string' ? [output] : output)

/** Characters of a growing text that are shown before it is complete. */
const MAX_PARTIAL = 4000

/** Beginning of a text model's partial output; null when the output is no text. */
export function partialText(output: Json, meaning: Meaning): string | null {
  const plan = planOutput(output, meaning)
  if (plan.files.length > 0) return null
  const text = plan.render(() => null)
  if (typeof text !== 'string' || text === '') return null
  // Does not split a surrogate pair.
  return text.slice(0, MAX_PARTIAL).replace(/[\uD800-\uDBFF]$/, '')
}

const fitsRecord = (value: Json): boolean => Buffer.byteLength(JSON.stringify(value)) <= MAX_INLINE_OUTPUT

/** Output that keeps upstream's links to its files; null when it contains other files or is too large. */
export function linkedOutput(output: Json, meaning: Meaning): { value: Json } | null {
  const plan = planOutput(output, meaning)
  if (plan.files.some((file) => file.startsWith('data:'))) return null
  const value = plan.render((index) => plan.files[index] ?? '')
  return fitsRecord(value) ? { value } : null
}

/** Output without files that fits the record, so that the job can be final at once; else null. */
export function inlineOutput(output: Json, meaning: Meaning): { value: Json } | null {
  const plan = planOutput(output, meaning)
  if (plan.files.length > 0) return null
  const value = plan.render(() => null)
  return fitsRecord(value) ? { value } : null
}
