import { randomBytes } from 'node:crypto'
import { chmod, readFile, rename, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { z } from 'zod'
import { ownFolder } from './data-dir.ts'
import { hasCode } from '../values/error-text.ts'

const schema = z.object({ apiKey: z.string().optional(), adminPassword: z.string().optional() })
type LocalCredentials = z.infer<typeof schema>

export const credentialsFile = (dataDir: string): string => join(dataDir, 'credentials.json')

/** Reads the credentials of a local installation; null when there are none. */
export async function readLocalCredentials(dataDir: string): Promise<LocalCredentials | null> {
  const file = credentialsFile(dataDir)
  try {
    return schema.parse(JSON.parse(await readFile(file, 'utf8')))
  } catch (error) {
    if (hasCode(error, 'ENOENT')) return null
    throw new Error(`${file} is not readable or not valid`, { cause: error })
  }
}

const GENERATED = {
  apiKey: () => `gq_dev_${randomBytes(24).toString('base64url')}`,
  adminPassword: () => randomBytes(12).toString('base64url'),
}
type Name = keyof typeof GENERATED

/**
 * Generated credentials of a local installation, stored in the data folder, readable by its owner only. `configured`: those
 * that the configuration sets. A generated one that it replaces is removed, because it opens nothing.
 */
export async function localCredentials(
  dataDir: string,
  configured: Record<Name, string | null>,
): Promise<Record<Name, string>> {
  const file = credentialsFile(dataDir)
  const known = await readLocalCredentials(dataDir)
  const used = (name: Name): string => configured[name] ?? known?.[name] ?? GENERATED[name]()
  const credentials = { apiKey: used('apiKey'), adminPassword: used('adminPassword') }
  const isKept = (name: Name): boolean => configured[name] === null
  const kept: LocalCredentials = {
    ...(isKept('apiKey') && { apiKey: credentials.apiKey }),
    ...(isKept('adminPassword') && { adminPassword: credentials.adminPassword }),
  }
  if (kept.apiKey === known?.apiKey && kept.adminPassword === known?.adminPassword) {
    if (known) await chmod(file, 0o600)
  } else {
    await ownFolder(dataDir)
    const draft = `${file}.${randomBytes(6).toString('hex')}`
    await writeFile(draft, `${JSON.stringify(kept, null, 2)}\n`, { mode: 0o600, flag: 'wx' })
    await rename(draft, file)
  }
  return credentials
}
