import { randomBytes } from 'node:crypto'
import { chmod, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { z } from 'zod'
import { ownFolder } from './data-dir.ts'

const schema = z.object({ apiKey: z.string(), adminPassword: z.string() })
export type LocalCredentials = z.infer<typeof schema>

const fileIn = (dataDir: string): string => join(dataDir, 'credentials.json')

/** Reads the credentials of a local installation; null when there are none. */
export async function readLocalCredentials(dataDir: string): Promise<LocalCredentials | null> {
  const file = fileIn(dataDir)
  try {
    return schema.parse(JSON.parse(await readFile(file, 'utf8')))
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return null
    throw new Error(`${file} is not readable or not valid`, { cause: error })
  }
}

/**
 * API key and password of a local installation: created once, stored in the data folder, readable by its owner only.
 */
export async function localCredentials(dataDir: string): Promise<LocalCredentials> {
  const file = fileIn(dataDir)
  const known = await readLocalCredentials(dataDir)
  if (known) {
    await chmod(file, 0o600)
    return known
  }
  const made = {
    apiKey: `gq_dev_${randomBytes(24).toString('base64url')}`,
    adminPassword: randomBytes(12).toString('base64url'),
  }
  await ownFolder(dataDir)
  await writeFile(file, `${JSON.stringify(made, null, 2)}\n`, { mode: 0o600, flag: 'wx' })
  return made
}
