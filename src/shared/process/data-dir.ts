import { chmod, stat } from 'node:fs/promises'
import { makeFolder } from './make-folder.ts'

/**
 * Creates a folder with access for its owner only, or restricts an existing one, because it holds secrets. A folder of
 * another owner, or with the sticky bit (such as /tmp), is left unchanged. Rejects when it cannot be created.
 */
export async function ownFolder(folder: string): Promise<void> {
  await makeFolder(folder, 0o700)
  const { mode, uid } = await stat(folder)
  const isShared = (mode & 0o1000) !== 0 || (process.getuid !== undefined && uid !== process.getuid())
  if (!isShared && (mode & 0o077) !== 0) await chmod(folder, 0o700)
}
