import type { Json } from '../jobs/job.ts'

/**
 * What a prediction's output consists of. Models answer with a string, tokens, a URL, URLs, an object, a data URI or
 * null; the schema is not at hand here, so the shape decides: a string that is nothing but an http(s) URL or a data URI
 * is a file; an array of strings that are not all files is text in tokens.
 */
export interface OutputPlan {
  /** The output with each file replaced by its place in `files`. */
  render: (file: (index: number) => string) => Json
  files: string[]
}

/** Text up to this size lives in the record; larger becomes an artifact. Bytes of JSON. */
export const MAX_INLINE_OUTPUT = 32 * 1024

const isFile = (value: string): boolean =>
  /^https?:\/\/[^\s]+$/i.test(value) ? URL.canParse(value) : /^data:[a-z0-9.+-]+\/[a-z0-9.+-]+[;,]/i.test(value)

export function planOutput(output: Json): OutputPlan {
  const files: string[] = []
  const visit = (value: Json): ((file: (index: number) => string) => Json) => {
    if (typeof value === 'string') {
      if (!isFile(value)) return () => value
      const index = files.push(value) - 1
      return (file) => file(index)
    }
    if (Array.isArray(value)) {
      const strings = value.filter((item) => typeof item === 'string')
      if (value.length > 0 && strings.length === value.length && !strings.every(isFile)) {
        const text = strings.join('')
        return () => text
      }
      const items = value.map(visit)
      return (file) => items.map((item) => item(file))
    }
    if (value !== null && typeof value === 'object') {
      const entries = Object.entries(value).map(([key, item]) => [key, visit(item)] as const)
      return (file) => Object.fromEntries(entries.map(([key, item]) => [key, item(file)]))
    }
    return () => value
  }
  const render = visit(output)
  return { render, files }
}

/** How much of a growing text is shown before it is complete. Characters. */
const MAX_PARTIAL = 4000

/** What a text model has said so far: the beginning; null when the output is no text. */
export function partialText(output: Json): string | null {
  const tokens = Array.isArray(output) ? output : [output]
  if (tokens.length === 0 || !tokens.every((token) => typeof token === 'string')) return null
  const text = tokens.join('')
  if (text === '' || tokens.every(isFile)) return null
  // Never half of a character.
  return text.slice(0, MAX_PARTIAL).replace(/[\uD800-\uDBFF]$/, '')
}

/** Files stay where they are, under the links of upstream; null when there is more to it than links. */
export function linkedOutput(output: Json): { value: Json } | null {
  const plan = planOutput(output)
  if (plan.files.some((file) => file.startsWith('data:'))) return null
  const value = plan.render((index) => plan.files[index] ?? '')
  return Buffer.byteLength(JSON.stringify(value)) <= MAX_INLINE_OUTPUT ? { value } : null
}

/** What can be final at once: nothing to copy and small enough for the record. */
export function inlineOutput(output: Json): { value: Json } | null {
  const plan = planOutput(output)
  if (plan.files.length > 0) return null
  const value = plan.render(() => '')
  return Buffer.byteLength(JSON.stringify(value)) <= MAX_INLINE_OUTPUT ? { value } : null
}
