import type { JsonSchema } from '../../src/api/description/from-zod.ts'

/** What the generators of types share. */

/** Names of the schemas that a part of the document names, and of those that they name. */
export function namedIn(part: unknown, schemas: Record<string, JsonSchema>): Set<string> {
  const found = new Set<string>()
  const follow = (value: unknown): void => {
    for (const [, name = ''] of (JSON.stringify(value) ?? '').matchAll(/"#\/components\/schemas\/(\w+)"/g)) {
      if (found.has(name)) continue
      const schema = schemas[name]
      if (!schema) throw new Error(`There is no schema ${name}.`)
      found.add(name)
      follow(schema)
    }
  }
  follow(part)
  return found
}

/** The name of the schema that a reference leads to. */
export const nameIn = (ref: string): string => ref.slice(ref.lastIndexOf('/') + 1)

/** The words in lines of at most this width, where they allow it. */
export function linesOf(text: string, width: number): string[] {
  const lines: string[] = []
  for (const word of text.split(/\s+/)) {
    const line = lines.at(-1)
    if (line === undefined || line.length + word.length >= width) lines.push(word)
    else lines[lines.length - 1] = `${line} ${word}`
  }
  return lines
}
