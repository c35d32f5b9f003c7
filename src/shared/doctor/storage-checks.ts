import { hash, randomBytes } from 'node:crypto'
import type { ArtifactStore, StorageCheck } from '../artifacts/artifact-store.ts'
import { messageOf } from '../values/error-text.ts'
import { failed, ok, skipped, warning, type Finding } from './rules/check.ts'
import { sizeOf } from './rules/sizes.ts'
import type { CheckGroup } from './run-checks.ts'

export interface StorageParts {
  artifacts: Pick<ArtifactStore, 'put' | 'open' | 'remove'>
  check: () => Promise<StorageCheck>
  /** Free bytes on the disk of DATA_DIR; infinite: unknown. */
  reserve: { free(): Promise<number> }
  diskReserve: number
  dataDir: string
  bucket: string | null
}

/** Writes a file as a copy would, reads it back and removes it; and the free space. */
export function storageChecks(parts: StorageParts): CheckGroup {
  const { artifacts, check, reserve, diskReserve, dataDir, bucket } = parts

  async function storage(): Promise<Finding> {
    const details = { place: bucket === null ? dataDir : `s3://${bucket}` }
    const todo =
      bucket === null
        ? 'Let the user of the service write to DATA_DIR, and free space. Workers and apis need the same folder.'
        : 'Check S3_BUCKET, S3_ENDPOINT, S3_REGION and the credentials: the service needs PutObject, GetObject and DeleteObject.'
    const found = await check()
    if (!found.ok) return failed(`${found.detail}.`, todo, details)
    const content = randomBytes(512)
    try {
      const stored = await artifacts.put(`doctor/${randomBytes(8).toString('hex')}`, piece(content), { maxBytes: 1024 })
      try {
        const opened = await artifacts.open(stored.key)
        const read = opened === null ? null : Buffer.concat(await opened.toArray())
        if (read === null || hash('sha256', read) !== hash('sha256', content))
          return failed(
            read === null ? 'A file was written and is not there.' : 'A file came back with other contents.',
            todo,
            details,
          )
      } finally {
        await artifacts.remove([stored.key])
      }
    } catch (error) {
      return failed(`A file cannot be stored: ${messageOf(error)}.`, todo, details)
    }
    // The detail of a check that passed can name files in another bucket.
    const lost = /; (files .*)$/.exec(found.detail)?.[1]
    if (lost !== undefined)
      return warning(`${lost.charAt(0).toUpperCase()}${lost.slice(1)}.`, 'Set S3_BUCKET again.', details)
    return ok('A file was written, read back and removed.', details)
  }

  async function space(): Promise<Finding> {
    const free = await reserve.free()
    if (!Number.isFinite(free)) return skipped(`The disk of ${dataDir} cannot be measured.`)
    const details = { free_bytes: free, disk_reserve_bytes: diskReserve }
    const seen = `${sizeOf(free)} are free on the disk of DATA_DIR; DISK_RESERVE is ${sizeOf(diskReserve)}.`
    if (free < diskReserve)
      return failed(
        `${seen} Uploads are refused with 507; outputs are stored until the disk is full.`,
        'Free space, shorten KEEP_FILES, limit stored_bytes of tenants, or lower DISK_RESERVE on a small disk.',
        details,
      )
    return free < 2 * diskReserve
      ? warning(seen, 'Free space soon: below DISK_RESERVE uploads are refused.', details)
      : ok(seen, details)
  }

  return {
    names: ['storage', 'storage_space'],
    within: 30_000,
    run: async () => ({ storage: await storage(), storage_space: await space() }),
  }
}

async function* piece(bytes: Buffer): AsyncGenerator<Uint8Array> {
  yield bytes
}
