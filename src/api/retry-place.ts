import type { ArtifactNames } from '../shared/artifacts/rules/artifact-names.ts'
import type { JobRecord } from '../shared/jobs/rules/job.ts'
import type { Places } from '../shared/jobs/ports.ts'

/** Whether files exist, or may still be written, under the names of the job's place. */
const mayHaveFiles = ({ status, artifacts, progress }: JobRecord): boolean =>
  status === 'succeeded' || artifacts.length > 0 || (status === 'canceled' && progress === 1)

/** Places that one request took over from ended jobs. */
export interface RetryPlaces {
  /** Batch and position that name the files of a retry; null: its own. */
  take(old: JobRecord): Promise<JobRecord['named_as']>
  /** Returns the places, because nothing was accepted. */
  giveBack(): Promise<void>
}

/**
 * A retry names its files like the job that it retries: in the same folder, at the same position. Each ended job passes its
 * place on once, and only while it has no files, so that two jobs never have the same names.
 */
export function createRetryPlaces(names: Pick<ArtifactNames, 'isNamedByPlace'>, store: Places): () => RetryPlaces {
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
