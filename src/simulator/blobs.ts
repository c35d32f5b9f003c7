import { mkdirSync, readdirSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'

/**
 * Bytes of uploads and fetched inputs, stored beside the journal or in memory. A blob is written before the journal
 * refers to it; unreferenced blobs are removed at the next start. A blob's name is `<owner id>` or `<owner id>.<part>`.
 */
export interface Blobs {
  put(name: string, bytes: Buffer): void
  /** Null when the blob was removed. */
  get(name: string): Promise<Buffer | null>
  /** Removes all blobs of an owner. */
  remove(owner: string): void
  clear(): void
}

const ownerOf = (name: string): string => name.split('.')[0] ?? name

/** @param isOwner whether the books still contain this owner */
export function openBlobs(dataDir: string | null, isOwner: (id: string) => boolean): Blobs {
  return dataDir === null ? blobsInMemory() : blobsInFolder(join(dataDir, 'blobs'), isOwner)
}

function blobsInMemory(): Blobs {
  const kept = new Map<string, Buffer>()
  return {
    put: (name, bytes) => void kept.set(name, bytes),
    get: async (name) => kept.get(name) ?? null,
    remove(owner) {
      for (const name of kept.keys()) if (ownerOf(name) === owner) kept.delete(name)
    },
    clear: () => kept.clear(),
  }
}

function blobsInFolder(folder: string, isOwner: (id: string) => boolean): Blobs {
  mkdirSync(folder, { recursive: true })
  const names = new Set(readdirSync(folder))
  const pathOf = (name: string) => join(folder, name)
  const removeWhere = (doomed: (name: string) => boolean) => {
    for (const name of names) {
      if (!doomed(name)) continue
      rmSync(pathOf(name), { force: true })
      names.delete(name)
    }
  }
  removeWhere((name) => name.endsWith('.part') || !isOwner(ownerOf(name)))
  return {
    put(name, bytes) {
      const part = pathOf(`${name}.part`)
      writeFileSync(part, bytes)
      renameSync(part, pathOf(name))
      names.add(name)
    },
    get: (name) => (names.has(name) ? readFile(pathOf(name)).catch(() => null) : Promise.resolve(null)),
    remove: (owner) => removeWhere((name) => ownerOf(name) === owner),
    clear: () => removeWhere(() => true),
  }
}
