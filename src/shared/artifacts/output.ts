import { isDataUri } from '../inputs/data-uri.ts'
import type { Json } from '../jobs/job.ts'
import { ANY_ITEM, segmentOf, type OutputShape } from './output-shape.ts'

/** What decides about the strings of an output: never their look alone. */
export interface Meaning {
  /** Of the model's Output schema; null: it is not known. */
  shape: OutputShape | null
  /** Whether a link leads to where Replicate delivers output files. */
  delivers: (link: string) => boolean
}

/**
 * What a prediction's output consists of. A string is a file where the shape says so, and wherever it surely is one: a data
 * URI, or a link to Replicate's own delivery. Everything else stays as it is; only tokens of a text are joined.
 */
export interface OutputPlan {
  /** The output with each file replaced: by its id, or by null when it is lost. */
  render: (file: (index: number) => string | null) => Json
  files: string[]
}

/** Text up to this size lives in the record; larger becomes an artifact. Bytes of JSON. */
export const MAX_INLINE_OUTPUT = 32 * 1024
/** Files of one output: each has a line in the record of its job. */
export const MAX_OUTPUT_FILES = 10_000

/** The places of a shape below one place. */
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

/** A text, or its tokens; null when it is something else. */
function joined(output: Json): string | null {
  if (typeof output === 'string') return output
  return Array.isArray(output) && output.length > 0 && output.every((token) => typeof token === 'string')
    ? output.join('')
    : null
}

/** How much of a growing text is shown before it is complete. Characters. */
const MAX_PARTIAL = 4000

/** What a text model has said so far: the beginning; null when the output is no text. */
export function partialText(output: Json, meaning: Meaning): string | null {
  const plan = planOutput(output, meaning)
  if (plan.files.length > 0) return null
  const text = plan.render(() => null)
  if (typeof text !== 'string' || text === '') return null
  // Never half of a character.
  return text.slice(0, MAX_PARTIAL).replace(/[\uD800-\uDBFF]$/, '')
}

const fitsRecord = (value: Json): boolean => Buffer.byteLength(JSON.stringify(value)) <= MAX_INLINE_OUTPUT

/** Files stay where they are, under the links of upstream; null when there is more to it than links. */
export function linkedOutput(output: Json, meaning: Meaning): { value: Json } | null {
  const plan = planOutput(output, meaning)
  if (plan.files.some((file) => file.startsWith('data:'))) return null
  const value = plan.render((index) => plan.files[index] ?? '')
  return fitsRecord(value) ? { value } : null
}

/** What can be final at once: nothing to copy and small enough for the record. */
export function inlineOutput(output: Json, meaning: Meaning): { value: Json } | null {
  const plan = planOutput(output, meaning)
  if (plan.files.length > 0) return null
  const value = plan.render(() => null)
  return fitsRecord(value) ? { value } : null
}
