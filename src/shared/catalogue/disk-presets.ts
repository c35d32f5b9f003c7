import { readdir, readFile, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { PresetError, type PresetFile } from './read-preset.ts'
import { messageOf } from '../values/error-text.ts'

const MAX_FILE_BYTES = 256 * 1024

/** Reads the YAML files of a folder. Throws a PresetError when the folder or a file cannot be read. */
export async function diskPresets(folder: string): Promise<PresetFile[]> {
  try {
    const names = (await readdir(folder)).filter((name) => /^[^.].*\.ya?ml$/.test(name)).sort()
    return await Promise.all(
      names.map(async (name) => {
        const { size } = await stat(join(folder, name))
        if (size > MAX_FILE_BYTES)
          throw new PresetError(`${name}: read ${size} bytes, expected ${MAX_FILE_BYTES} or less`)
        return { name, text: await readFile(join(folder, name), 'utf8') }
      }),
    )
  } catch (error) {
    if (error instanceof PresetError) throw error
    throw new PresetError(`${folder} cannot be read: ${messageOf(error)}`)
  }
}
