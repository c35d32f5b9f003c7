import { existsSync } from 'node:fs'
import { resolve } from 'node:path'
import { filesIn, withFiles } from './file-output.ts'
import type { ModelOutput } from './model.ts'

/** The own files of a models file lie beside it: their paths become absolute. Throws when one is not there. */
export function besideFolder<Described extends { name: string; output: ModelOutput }>(
  model: Described,
  folder: string,
): Described {
  const { name, output } = model
  const locate = (source: string): string => {
    if (source.startsWith('data:')) return source
    const path = resolve(folder, source)
    if (!existsSync(path)) throw new Error(`the model ${name} has the file ${path}, which does not exist`)
    return path
  }
  if (output.kind === 'files') return { ...model, output: { ...output, files: output.files.map(locate) } }
  if (output.kind !== 'json') return model
  const sources = filesIn(output.value)
  const value = withFiles(output.value, (index) => ({ $file: locate(sources[index] ?? '') }))
  return { ...model, output: { ...output, value } }
}
