import { S3_KEY, type ArtifactStore } from './artifact-store.ts'

/**
 * A folder and a bucket as one: new files go to one of them, and each file is found where it was put, also after the
 * configuration has changed.
 */
export function createStoredPlaces(
  { disk, bucket }: { disk: ArtifactStore; bucket: ArtifactStore },
  writeTo: 'disk' | 's3',
): ArtifactStore {
  const isInBucket = (key: string): boolean => S3_KEY.test(key)
  const writes = writeTo === 's3' ? bucket : disk
  return {
    put: (key, body, options) => writes.put(key, body, options),
    open: (key, range) => (isInBucket(key) ? bucket : disk).open(key, range),
    link: (key, options) => (isInBucket(key) ? bucket : disk).link(key, options),
    async remove(keys) {
      await disk.remove(keys.filter((key) => !isInBucket(key)))
      await bucket.remove(keys.filter(isInBucket))
    },
    async removeAll(prefix) {
      await disk.removeAll(prefix)
      await bucket.removeAll(prefix)
    },
    check: () => writes.check(),
  }
}
