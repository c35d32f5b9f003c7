import { randomBytes } from 'node:crypto'
import { chmod, mkdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { z } from 'zod'

const schema = z.object({ apiKey: z.string(), adminPassword: z.string() })
export type LocalCredentials = z.infer<typeof schema>

/**
 * The key and the password of a local installation: made once, kept in the data folder, readable by its owner only.
 */
export async function localCredentials(dataDir: string): Promise<LocalCredentials> {
  const file = join(dataDir, 'credentials.json')
  try {
    const known = schema.parse(JSON.parse(await readFile(file, 'utf8')))
    await chmod(file, 0o600)
    return known
  } catch (error) {
    if (!(error instanceof Error && 'code' in error && error.code === 'ENOENT'))
      throw new Error(`${file} cannot be used`, { cause: error })
  }
  const made = {
    apiKey: `gq_dev_${randomBytes(24).toString('base64url')}`,
    adminPassword: randomBytes(12).toString('base64url'),
  }
  await mkdir(dataDir, { recursive: true })
  await writeFile(file, `${JSON.stringify(made, null, 2)}\n`, { mode: 0o600, flag: 'wx' })
  return made
}
