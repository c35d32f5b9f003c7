import { parseDocument } from 'yaml'
import { z } from 'zod'
import type { Json } from '../jobs/job.ts'
import type { InputChecks } from './input-check.ts'
import { pointerSegment } from '../json-pointer.ts'
import { toPreset, type Preset } from './preset.ts'

/** A preset as a file: its name and its text. */
export interface PresetFile {
  name: string
  text: string
}

/** One or more files are wrong; each line names the file, the field, what was read and what is expected. */
export class PresetError extends Error {
  override name = 'PresetError'
}

const MAX_SHOWN = 80

/** All presets, in the order of their names. Throws a PresetError with everything that is wrong. */
export function readPresets(files: readonly PresetFile[], checks: InputChecks): Preset[] {
  const presets: Preset[] = []
  const wrong: string[] = []
  for (const file of files) {
    const read = readPreset(file, checks)
    if ('wrong' in read) wrong.push(...read.wrong.map((line) => `${file.name}: ${line}`))
    else presets.push(read.preset)
  }
  if (wrong.length > 0) throw new PresetError(wrong.join('\n'))
  return presets.sort((a, b) => (a.name < b.name ? -1 : 1))
}

const firstLine = (error: unknown): string =>
  (error instanceof Error ? error.message : String(error)).split('\n')[0] ?? ''

function readPreset({ name, text }: PresetFile, checks: InputChecks): { preset: Preset } | { wrong: string[] } {
  const document = parseDocument(text)
  const [broken] = document.errors
  if (broken) return { wrong: [`not YAML: ${firstLine(broken)}`] }
  let value: Json
  try {
    // Aliases that lead into themselves end here.
    const read: unknown = JSON.parse(JSON.stringify(document.toJS()))
    const forbidden = forbiddenKey(read, '')
    if (forbidden !== null) return { wrong: [`${forbidden}: __proto__ is not accepted as a key.`] }
    value = z.json().parse(read)
  } catch (error) {
    return { wrong: [`not YAML: ${firstLine(error)}`] }
  }
  const read = toPreset(value, checks)
  if ('wrong' in read)
    return {
      wrong: read.wrong.map(({ pointer, detail }) => `${pointer || '/'}: read ${shownAt(value, pointer)}. ${detail}`),
    }
  const expected = name.replace(/\.ya?ml$/, '')
  return read.preset.name === expected
    ? read
    : { wrong: [`/name: read ${JSON.stringify(read.preset.name)}, expected ${expected}, the name of the file`] }
}

/** Where a key stands that JavaScript would take for something else, and that would be ignored. */
function forbiddenKey(value: unknown, at: string): string | null {
  if (typeof value !== 'object' || value === null) return null
  for (const [key, item] of Object.entries(value)) {
    const pointer = at + pointerSegment(key)
    const found = key === '__proto__' ? pointer : forbiddenKey(item, pointer)
    if (found !== null) return found
  }
  return null
}

/** What stands at a pointer, as far as there is such a place. */
function shownAt(value: Json, pointer: string): string {
  let at: Json | undefined = value
  for (const segment of pointer.split('/').slice(1)) {
    const key = segment.replaceAll('~1', '/').replaceAll('~0', '~')
    at =
      at !== null && typeof at === 'object' && Object.hasOwn(at, key)
        ? Object.entries(at).find(([name]) => name === key)?.[1]
        : undefined
  }
  if (at === undefined) return 'nothing'
  const text = JSON.stringify(at)
  return text.length > MAX_SHOWN ? `${text.slice(0, MAX_SHOWN)}...` : text
}
