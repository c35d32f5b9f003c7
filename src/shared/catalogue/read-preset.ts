import { parseDocument } from 'yaml'
import { z } from 'zod'
import type { InputChecks } from './ports.ts'
import { pointerSegment } from '../values/json-pointer.ts'
import type { Json } from '../values/json.ts'
import { remembered } from '../values/remembered.ts'
import { servingPresets, toPreset, type Preset } from './rules/preset.ts'
import { messageOf } from '../values/error-text.ts'

/** Preset file: its name and its text. */
export interface PresetFile {
  name: string
  text: string
}

/** Invalid preset files; each line names the file, the field, the value that was read and the one that is expected. */
export class PresetError extends Error {
  override name = 'PresetError'
}

const MAX_SHOWN = 80

/** Parses all presets, ordered by name. Throws a PresetError that lists all errors. */
export function readPresets(files: readonly PresetFile[], checks: InputChecks): Preset[] {
  const presets: Preset[] = []
  const wrong: string[] = []
  for (const file of files) {
    const read = readPreset(file, checks)
    if ('wrong' in read) wrong.push(...read.wrong.map((line) => `${file.name}: ${line}`))
    else presets.push(read.preset)
  }
  for (const { preset, pointer, detail } of servingPresets(presets).twice)
    wrong.push(`${files.find(({ name }) => nameOf(name) === preset.name)?.name}: ${pointer}: ${detail}`)
  if (wrong.length > 0) throw new PresetError(wrong.join('\n'))
  return presets.sort((a, b) => (a.name < b.name ? -1 : 1))
}

/** The name that the preset of a file must have. */
const nameOf = (file: string): string => file.replace(/\.ya?ml$/, '')

const firstLine = (error: unknown): string => messageOf(error).split('\n')[0] ?? ''

/** Values of files by their text: parsing takes longer than everything else, and a reload changes few files. */
const valueOf = remembered(100, (text): { value: Json } | { wrong: string[] } => {
  const document = parseDocument(text)
  const [broken] = document.errors
  if (broken) return { wrong: [`not YAML: ${firstLine(broken)}`] }
  try {
    // Throws for cyclic aliases.
    const read: unknown = JSON.parse(JSON.stringify(document.toJS()))
    const forbidden = forbiddenKey(read, '')
    if (forbidden !== null) return { wrong: [`${forbidden}: __proto__ is not accepted as a key.`] }
    return { value: z.json().parse(read) }
  } catch (error) {
    return { wrong: [`not YAML: ${firstLine(error)}`] }
  }
})

function readPreset({ name, text }: PresetFile, checks: InputChecks): { preset: Preset } | { wrong: string[] } {
  const parsed = valueOf(text)
  if ('wrong' in parsed) return parsed
  const { value } = parsed
  const read = toPreset(value, checks)
  if ('wrong' in read)
    return {
      wrong: read.wrong.map(({ pointer, detail }) => `${pointer || '/'}: read ${shownAt(value, pointer)}. ${detail}`),
    }
  const expected = nameOf(name)
  return read.preset.name === expected
    ? read
    : { wrong: [`/name: read ${JSON.stringify(read.preset.name)}, expected ${expected}, the name of the file`] }
}

/** Pointer of the first `__proto__` key, which JavaScript would take as the prototype and ignore. */
function forbiddenKey(value: unknown, at: string): string | null {
  if (typeof value !== 'object' || value === null) return null
  for (const [key, item] of Object.entries(value)) {
    const pointer = at + pointerSegment(key)
    const found = key === '__proto__' ? pointer : forbiddenKey(item, pointer)
    if (found !== null) return found
  }
  return null
}

/** Value at a pointer as shortened JSON, or at the deepest existing place on the way to it. */
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
