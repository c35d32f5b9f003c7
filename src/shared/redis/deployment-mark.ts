import { readFile, rename, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { z } from 'zod'
import { makeFolder } from '../process/make-folder.ts'
import { hasCode } from '../values/error-text.ts'

/** `<KEY_PREFIX>` -> id of the deployment that used this folder last. */
const marksSchema = z.record(z.string(), z.string())

const FILE = 'deployments.json'

async function readMarks(dataDir: string): Promise<Record<string, string>> {
  const text = await readFile(join(dataDir, FILE), 'utf8').catch((error: unknown) => {
    if (hasCode(error, 'ENOENT')) return '{}'
    throw error
  })
  return marksSchema.parse(JSON.parse(text))
}

/** Id of the deployment that this folder belongs to; null: none yet. */
export const readMark = async (dataDir: string, prefix: string): Promise<string | null> =>
  (await readMarks(dataDir))[prefix] ?? null

export async function writeMark(dataDir: string, prefix: string, id: string): Promise<void> {
  const marks = await readMarks(dataDir)
  if (marks[prefix] === id) return
  await makeFolder(dataDir)
  const file = join(dataDir, FILE)
  await writeFile(`${file}.${process.pid}`, JSON.stringify({ ...marks, [prefix]: id }), { mode: 0o600 })
  await rename(`${file}.${process.pid}`, file)
}
