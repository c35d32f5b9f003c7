import { mkdir, stat } from 'node:fs/promises'
import { dirname, resolve } from 'node:path'
import { hasCode } from '../values/error-text.ts'

/** Attempts while other processes remove empty folders of the path. */
const TRIES = 5

/**
 * Creates a folder with the missing folders above it. Rejects with the error of the file system; unlike the recursive `mkdir`
 * of Node, also where a folder exists and nothing can be created in it, such as /proc: there Node tries forever.
 */
export async function makeFolder(folder: string, mode = 0o777): Promise<void> {
  for (let tries = 1; ; tries++) {
    try {
      const missing: string[] = []
      for (let at = resolve(folder); !(await isFolder(at)); at = dirname(at)) missing.unshift(at)
      for (const one of missing) await makeOne(one, mode)
      return
    } catch (error) {
      if (!hasCode(error, 'ENOENT') || tries === TRIES) throw error
    }
  }
}

async function makeOne(folder: string, mode: number): Promise<void> {
  try {
    await mkdir(folder, { mode })
  } catch (error) {
    // Another process was faster; a file or a dangling link is in the way otherwise.
    if (!hasCode(error, 'EEXIST') || !(await isFolder(folder))) throw error
  }
}

/** False when it does not exist; rejects when it is something else. */
async function isFolder(path: string): Promise<boolean> {
  try {
    if ((await stat(path)).isDirectory()) return true
  } catch (error) {
    if (hasCode(error, 'ENOENT')) return false
    throw error
  }
  throw Object.assign(new Error(`ENOTDIR: not a directory, mkdir '${path}'`), {
    code: 'ENOTDIR',
    syscall: 'mkdir',
    path,
  })
}
