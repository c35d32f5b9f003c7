import { S3_KEY, StorageTroubleError, type ArtifactStore } from './artifact-store.ts'

/**
 * Combines a folder and a bucket: new files go to one of them, and each file is found where it was stored, also after a
 * change of the configuration. `bucket` null: none is configured. Reading or removing a file in a bucket then throws a
 * StorageTroubleError that names the bucket, so that no caller mistakes the file for a removed one.
 */
export function createStoredPlaces(
  { disk, bucket }: { disk: ArtifactStore; bucket: ArtifactStore | null },
  writeTo: 'disk' | 's3',
): ArtifactStore {
  const isInBucket = (key: string): boolean => S3_KEY.test(key)
  function placeOf(key: string): ArtifactStore {
    if (!isInBucket(key)) return disk
    if (bucket === null) throw outOfReach(key)
    return bucket
  }
  const writes = writeTo === 's3' && bucket !== null ? bucket : disk
  return {
    put: (key, body, options) => writes.put(key, body, options),
    open: async (key, range) => placeOf(key).open(key, range),
    link: async (key, options) => placeOf(key).link(key, options),
    async remove(keys) {
      const inBucket = keys.filter(isInBucket)
      const [first] = inBucket
      // Before anything is removed: what fails is repeated whole.
      if (bucket === null && first !== undefined) throw outOfReach(first)
      await disk.remove(keys.filter((key) => !isInBucket(key)))
      await bucket?.remove(inBucket)
    },
    async removeAll(prefix) {
      await disk.removeAll(prefix)
      await bucket?.removeAll(prefix)
    },
    check: () => writes.check(),
  }
}

const outOfReach = (key: string): StorageTroubleError =>
  new StorageTroubleError(`the file is in the bucket ${S3_KEY.exec(key)?.[1] ?? ''}, and S3_BUCKET is not set`, {
    lasting: true,
  })
