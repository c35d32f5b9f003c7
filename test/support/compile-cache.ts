import { execFile } from 'node:child_process'
import { join } from 'node:path'
import { promisify } from 'node:util'

const root = join(import.meta.dirname, '../..')

/** Most of a short process' time is its own compilation; what one has compiled serves all. */
export const NODE_COMPILE_CACHE = join(root, 'node_modules/.cache/genqueue-tests')

/** Compiles what most processes load: those that a test kills leave nothing in the cache. */
export async function fillCompileCache(files: readonly string[]): Promise<void> {
  const loads = files.map((file) => `await import(${JSON.stringify(file)})`)
  const { PATH = '', HOME = '' } = process.env
  const env = { PATH, HOME, NODE_COMPILE_CACHE }
  await promisify(execFile)(process.execPath, ['--input-type=module', '-e', loads.join(';')], { env })
}
