import type { JobRecord } from '../jobs/job.ts'
import type { ArtifactNames } from './artifact-names.ts'
import type { ArtifactStore } from './artifact-store.ts'

/** Removes every file that was stored for a job, also those that no record names: of copies that were never finished. */
export const createRemoveJobFiles =
  (artifacts: Pick<ArtifactStore, 'remove' | 'removeAll'>, names: ArtifactNames) =>
  async (job: JobRecord): Promise<void> => {
    await artifacts.remove(job.artifacts.flatMap(({ key, thumbnail }) => (thumbnail ? [key, thumbnail.key] : [key])))
    for (const folder of names.foldersOf(job)) await artifacts.removeAll(folder)
  }

export type RemoveJobFiles = ReturnType<typeof createRemoveJobFiles>
