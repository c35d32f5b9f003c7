import { randomBytes } from 'node:crypto'
import { open, readFile, rename, rm } from 'node:fs/promises'
import { join } from 'node:path'
import type { StorageCheck } from './artifact-store.ts'
import { makeFolder } from '../process/make-folder.ts'
import { messageOf } from '../values/error-text.ts'

/**
 * Checks a folder by writing a small file as a copy would, reading it back and removing it. This detects a missing
 * permission, a full disk and a file system that became read-only. `variable`: the setting that names the folder.
 */
export async function checkFolder(folder: string, variable: string): Promise<StorageCheck> {
  const content = randomBytes(512)
  const path = join(folder, `check-${randomBytes(8).toString('hex')}`)
  try {
    await makeFolder(folder)
    const file = await open(path, 'wx')
    try {
      await file.writeFile(content)
      await file.sync()
    } finally {
      await file.close()
    }
    await rename(path, `${path}-read`)
    if (!content.equals(await readFile(`${path}-read`)))
      return { ok: false, detail: `${folder} (${variable}) returns other bytes than were written to it` }
    return { ok: true, detail: 'a file was written and read back' }
  } catch (error) {
    const reason = messageOf(error)
    return { ok: false, detail: `files cannot be written to ${folder} (${variable}): ${reason}` }
  } finally {
    await Promise.all([rm(path, { force: true }), rm(`${path}-read`, { force: true })]).catch(() => undefined)
  }
}
