import { createHash } from 'node:crypto'
import { isStorageTrouble, type ArtifactStore } from '../artifacts/artifact-store.ts'
import { messageOf } from '../values/error-text.ts'

/** The difference between a stored file and its record, or why the file cannot be read; null when they agree. */
export async function compareFile(
  artifacts: Pick<ArtifactStore, 'open'>,
  file: { key: string; bytes: number; sha256: string },
): Promise<string | null> {
  try {
    return await compare(artifacts, file)
  } catch (error) {
    if (!isStorageTrouble(error)) throw error
    return `cannot be read: ${messageOf(error)}`
  }
}

async function compare(
  artifacts: Pick<ArtifactStore, 'open'>,
  { key, bytes, sha256 }: { key: string; bytes: number; sha256: string },
): Promise<string | null> {
  const file = await artifacts.open(key)
  if (file === null) return 'the file is missing'
  const hash = createHash('sha256')
  let size = 0
  for await (const chunk of file as AsyncIterable<Uint8Array>) {
    hash.update(chunk)
    size += chunk.byteLength
  }
  if (size !== bytes) return `the file has ${size} bytes, its record says ${bytes}`
  return hash.digest('hex') === sha256 ? null : 'the SHA-256 of the file differs from its record'
}
