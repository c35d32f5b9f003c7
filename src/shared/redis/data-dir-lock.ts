import { createHash, randomUUID } from 'node:crypto'
import { link, readFile, realpath, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { processIdentity } from './process-identity.ts'
import { makeFolder } from '../process/make-folder.ts'
import { hasCode } from '../values/error-text.ts'

export const LOCK_FILE = 'genqueue.lock'

/** Pause while another process removes the same stale lock, ms. */
const GUARD_NAP_MS = 5

interface Holder {
  pid: number
  identity: string
}

/**
 * Locks the data folder for this process, so that one owner starts and stops the Redis in it. Takes over a lock whose
 * process is gone, also when another program has its pid by now. Otherwise rejects with the holder's pid.
 */
export async function lockDataDir(dataDir: string): Promise<{ release: () => Promise<void> }> {
  await makeFolder(dataDir)
  const folder = await realpath(dataDir)
  const file = join(folder, LOCK_FILE)
  const mine = JSON.stringify({
    pid: process.pid,
    identity: (await processIdentity(process.pid)) ?? '',
    token: randomUUID(),
  })

  const holder = await take(file, mine)
  if (holder !== null)
    throw new Error(`The data folder ${folder} is in use by process ${holder}. Stop it first, or set another DATA_DIR`)
  return { release: () => removeIfStill(file, mine) }
}

/** Pid of the live process that holds the folder, if any. */
export async function dataDirHolder(dataDir: string): Promise<number | undefined> {
  const found = await readText(join(dataDir, LOCK_FILE))
  return found === undefined ? undefined : liveHolder(found)
}

/** Null when this process got the lock, else the pid of the live process that holds it. */
async function take(file: string, mine: string): Promise<number | null> {
  for (;;) {
    if (await createWhole(file, mine)) return null
    const found = await readText(file)
    if (found === undefined) continue
    const holder = await liveHolder(found)
    if (holder !== undefined) return holder
    await removeStale(file, found, mine)
  }
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

/** Creates the file atomically with its content, by a hard link: no process reads a half-written lock. */
async function createWhole(file: string, content: string): Promise<boolean> {
  const draft = `${file}.${randomUUID()}`
  await writeFile(draft, content)
  try {
    await link(draft, file)
    return true
  } catch (error) {
    if (hasCode(error, 'EEXIST')) return false
    throw error
  } finally {
    await rm(draft, { force: true })
  }
}

/** Path of the mutex for removing a stale lock with this content. */
export const guardFile = (file: string, stale: string): string =>
  `${file}.${createHash('sha256').update(stale).digest('hex').slice(0, 16)}`

/**
 * Removes a lock whose process is gone, and never its successor: the guard file, named by the stale content, is a mutex.
 */
async function removeStale(file: string, stale: string, mine: string): Promise<void> {
  const guard = guardFile(file, stale)
  while ((await take(guard, mine)) !== null) {
    if ((await readText(file)) !== stale) return
    await delay(GUARD_NAP_MS)
  }
  try {
    await removeIfStill(file, stale)
  } finally {
    await rm(guard, { force: true })
  }
}

async function removeIfStill(file: string, content: string): Promise<void> {
  if ((await readText(file)) === content) await rm(file, { force: true })
}

async function readText(file: string): Promise<string | undefined> {
  try {
    return await readFile(file, 'utf8')
  } catch (error) {
    if (hasCode(error, 'ENOENT')) return undefined
    throw error
  }
}
