import { chmod, mkdir, stat } from 'node:fs/promises'

/**
 * Makes a folder that only its owner can enter, or closes one that others can: it holds secrets. One of another owner, or
 * with the sticky bit (such as /tmp), is left as it is. Rejects when it cannot be made.
 */
export async function ownFolder(folder: string): Promise<void> {
  await mkdir(folder, { recursive: true, mode: 0o700 })
  const { mode, uid } = await stat(folder)
  const isShared = (mode & 0o1000) !== 0 || (process.getuid !== undefined && uid !== process.getuid())
  if (!isShared && (mode & 0o077) !== 0) await chmod(folder, 0o700)
}
