import type { JsonSchema } from './from-zod.ts'

/** Names of the schemas that a part of the document names, and of those that they name, in the order in which they are met. */
export function namedIn(part: unknown, schemas: Readonly<Record<string, JsonSchema>>): Set<string> {
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
