import { createHash } from 'node:crypto'
import type { ArtifactStore } from '../artifacts/artifact-store.ts'

/** What is wrong with a stored file, by what its record says; null when nothing is. */
export async function compareFile(
  store: Pick<ArtifactStore, 'open'>,
  { key, bytes, sha256 }: { key: string; bytes: number; sha256: string },
): Promise<string | null> {
  const file = await store.open(key)
  if (file === null) return 'the file is not there'
  const hash = createHash('sha256')
  let size = 0
  for await (const chunk of file as AsyncIterable<Uint8Array>) {
    hash.update(chunk)
    size += chunk.byteLength
  }
  if (size !== bytes) return `the file has ${size} bytes, recorded are ${bytes}`
  return hash.digest('hex') === sha256 ? null : 'the file has another SHA-256 than recorded'
}
