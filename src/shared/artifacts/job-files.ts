import type { ArtifactRecord, JobRecord } from '../jobs/rules/job.ts'
import type { KeptFiles } from '../jobs/rules/purge.ts'
import type { ArtifactNames } from './rules/artifact-names.ts'
import type { ArtifactStore } from './artifact-store.ts'

/** Keys of stored files and their thumbnails. */
export const keysOfFiles = (artifacts: readonly ArtifactRecord[]): string[] =>
  artifacts.flatMap(({ key, thumbnail }) => (thumbnail ? [key, thumbnail.key] : [key]))

/** Removes everything that was stored for a job. */
export function createJobFiles(artifacts: Pick<ArtifactStore, 'remove' | 'removeAll'>, names: ArtifactNames) {
  const of = (job: JobRecord): KeptFiles => ({
    tenant: job.tenant,
    keys: keysOfFiles(job.artifacts),
    // Includes files of unfinished copies, which no record names.
    folders: names.foldersOf(job),
  })
  return {
    of,
    async remove({ keys, folders }: KeptFiles): Promise<void> {
      await artifacts.remove(keys)
      for (const folder of folders) await artifacts.removeAll(folder)
    },
  }
}

export type JobFiles = ReturnType<typeof createJobFiles>
