import { open, readFile } from 'node:fs/promises'
import { text } from 'node:stream/consumers'
import type { FileSource, Input } from '../client/client.ts'
import { localFile } from '../client/node.ts'
import type { BatchItem, Json, JsonObject } from '../client/types.ts'
import { messageOf } from '../shared/values/error-text.ts'
import { isObject } from '../shared/values/json.ts'
import { UsageError } from './failures.ts'

async function contentsOf(file: string): Promise<string> {
  try {
    return file === '-' ? await text(process.stdin) : await readFile(file, 'utf8')
  } catch (error) {
    throw new UsageError(`${nameOf(file)} cannot be read: ${messageOf(error)}`)
  }
}

const nameOf = (file: string): string => (file === '-' ? 'standard input' : file)

/** `-` is the standard input. */
export async function readObject(file: string): Promise<JsonObject> {
  const contents = await contentsOf(file)
  const value = parse(contents, `${nameOf(file)}: `)
  if (!isObject(value)) throw new UsageError(`${nameOf(file)}: expected a JSON object`)
  return value
}

/** JSON Lines: an item in each line; empty lines do not count. */
export async function readItems(file: string): Promise<BatchItem[]> {
  const lines = (await contentsOf(file)).split(/\r?\n/)
  const items = lines.flatMap((line, at) => {
    if (line.trim() === '') return []
    const place = `${nameOf(file)}, line ${at + 1}: `
    const value = parse(line, place)
    if (!isObject(value)) throw new UsageError(`${place}expected a JSON object`)
    return [value]
  })
  if (items.length === 0) throw new UsageError(`${nameOf(file)} contains no items`)
  return items
}

function parse(contents: string, where: string): unknown {
  try {
    return JSON.parse(contents)
  } catch (error) {
    throw new UsageError(`${where}${messageOf(error)}`)
  }
}

/**
 * `seed=3` and `prompt=a fox`: the value is JSON if it can be read as such, else a text. A text that looks like JSON
 * needs its quotes: `megapixels="1"`.
 */
export function readPair(name: string, pair: string): [string, Json] {
  const at = pair.indexOf('=')
  if (at < 1) throw new UsageError(`--${name} ${pair}: expected <field>=<value>`)
  const value = pair.slice(at + 1)
  try {
    const json: Json = JSON.parse(value)
    return [pair.slice(0, at), json]
  } catch {
    return [pair.slice(0, at), value]
  }
}

export const readPairs = (name: string, pairs: readonly string[] = []): JsonObject =>
  Object.fromEntries(pairs.map((pair) => readPair(name, pair)))

/**
 * Fields of an input: as `readPair`, and `image=@photo.png` is a file of this machine. `@@` begins a text with an at sign.
 */
export async function readInput(pairs: readonly string[] = []): Promise<Input> {
  const fields = await Promise.all(
    pairs.map(async (pair) => {
      const [field, value] = readPair('input', pair)
      if (!pair.slice(field.length + 1).startsWith('@') || typeof value !== 'string') return [field, value] as const
      return [field, value.startsWith('@@') ? value.slice(1) : await readableFile(value.slice(1))] as const
    }),
  )
  return Object.fromEntries(fields)
}

/** A file of this machine, which can be read now. */
export async function readableFile(path: string): Promise<FileSource> {
  try {
    const file = await open(path)
    const isFile = (await file.stat()).isFile()
    await file.close()
    if (!isFile) throw new Error('it is not a file')
  } catch (error) {
    throw new UsageError(`${path} cannot be read: ${messageOf(error)}`)
  }
  return localFile(path)
}
