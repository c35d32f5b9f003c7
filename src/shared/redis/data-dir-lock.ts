import { randomUUID } from 'node:crypto'
import { link, mkdir, readFile, realpath, rename, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'

import { processIdentity } from './process-identity.ts'

export const LOCK_FILE = 'genqueue.lock'

interface Holder {
  pid: number
  identity: string
}

/**
 * Takes the data folder for this process, so that one owner starts and stops what lives in it. A lock whose process
 * is gone (also when another program has its pid by now) is taken over. Rejects with the holder's pid otherwise.
 */
export async function lockDataDir(dataDir: string): Promise<{ release: () => Promise<void> }> {
  await mkdir(dataDir, { recursive: true })
  const folder = await realpath(dataDir)
  const file = join(folder, LOCK_FILE)
  const mine = JSON.stringify({
    pid: process.pid,
    identity: (await processIdentity(process.pid)) ?? '',
    token: randomUUID(),
  })

  for (;;) {
    if (await createWhole(file, mine)) return { release: () => removeIfStill(file, mine) }
    const found = await readText(file)
    if (found === undefined) continue
    const holder = await liveHolder(found)
    if (holder !== undefined) {
      throw new Error(
        `The data folder ${folder} is in use by process ${holder}: stop it first, or set another DATA_DIR`,
      )
    }
    await setAside(file, found)
  }
}

/** The pid of the live process that holds the folder, if any. */
export async function dataDirHolder(dataDir: string): Promise<number | undefined> {
  const found = await readText(join(dataDir, LOCK_FILE))
  return found === undefined ? undefined : liveHolder(found)
}

async function liveHolder(content: string): Promise<number | undefined> {
  const holder = parseHolder(content)
  if (holder === undefined) return undefined
  const identity = await processIdentity(holder.pid)
  return identity !== undefined && identity === holder.identity ? holder.pid : undefined
}

function parseHolder(content: string): Holder | undefined {
  try {
    const value: unknown = JSON.parse(content)
    if (typeof value !== 'object' || value === null || !('pid' in value) || !('identity' in value)) return undefined
    const { pid, identity } = value
    return typeof pid === 'number' && typeof identity === 'string' ? { pid, identity } : undefined
  } catch {
    return undefined
  }
}

/** A hard link makes the file appear with its content, or not at all: nobody reads a half-written lock. */
async function createWhole(file: string, content: string): Promise<boolean> {
  const draft = `${file}.${randomUUID()}`
  await writeFile(draft, content)
  try {
    await link(draft, file)
    return true
  } catch (error) {
    if (isCode(error, 'EEXIST')) return false
    throw error
  } finally {
    await rm(draft, { force: true })
  }
}

/** Moves a stale lock away; if another process has replaced it meanwhile, its lock goes back. */
async function setAside(file: string, stale: string): Promise<void> {
  const aside = `${file}.${randomUUID()}`
  try {
    await rename(file, aside)
  } catch (error) {
    if (isCode(error, 'ENOENT')) return
    throw error
  }
  const moved = await readText(aside)
  if (moved !== undefined && moved !== stale) await createWhole(file, moved)
  await rm(aside, { force: true })
}

async function removeIfStill(file: string, content: string): Promise<void> {
  if ((await readText(file)) === content) await rm(file, { force: true })
}

async function readText(file: string): Promise<string | undefined> {
  try {
    return await readFile(file, 'utf8')
  } catch (error) {
    if (isCode(error, 'ENOENT')) return undefined
    throw error
  }
}

function isCode(error: unknown, code: string): boolean {
  return error instanceof Error && 'code' in error && error.code === code
}
