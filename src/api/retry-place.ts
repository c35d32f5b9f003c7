import type { ArtifactNames } from '../shared/artifacts/artifact-names.ts'
import type { JobRecord } from '../shared/jobs/job.ts'
import type { JobStore } from '../shared/jobs/ports.ts'

/** Files may stand under the names of its place, or still be written there. */
const mayHaveFiles = ({ status, artifacts, progress }: JobRecord): boolean =>
  status === 'succeeded' || artifacts.length > 0 || (status === 'canceled' && progress === 1)

/** The places that one request took over from ended jobs. */
export interface RetryPlaces {
  /** By which batch and place the files of a retry are named; null: by its own. */
  take(old: JobRecord): Promise<JobRecord['named_as']>
  /** Nothing was accepted. */
  giveBack(): Promise<void>
}

/**
 * A retry names its files as the job that it tries again would have: in the same folder, at the same place. Each ended job
 * passes its place on once, and only while it has no files, so two jobs never have the same names.
 */
export function createRetryPlaces(
  names: Pick<ArtifactNames, 'isNamedByPlace'>,
  store: Pick<JobStore, 'passPlace' | 'takePlaceBack'>,
): () => RetryPlaces {
  return () => {
    const taken: string[] = []
    return {
      async take(old) {
        if (!names.isNamedByPlace(old) || mayHaveFiles(old) || !(await store.passPlace(old.id))) return null
        taken.push(old.id)
        return old.named_as ?? { batch: old.batch ?? old.id, position: old.position ?? 0 }
      },
      async giveBack() {
        for (const id of taken) await store.takePlaceBack(id)
      },
    }
  }
}
