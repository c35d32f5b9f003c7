import type { JobFiles } from '../shared/artifacts/job-files.ts'
import { isStorageTrouble } from '../shared/artifacts/artifact-store.ts'
import type { Batches } from '../shared/batches/batches.ts'
import type { Inputs } from '../shared/inputs/inputs.ts'
import { newCommitId } from '../shared/jobs/record/commit-id.ts'
import { keptFilesOf } from '../shared/jobs/record/due-member.ts'
import { isFinal, type JobState } from '../shared/jobs/rules/job.ts'
import { endsOf, type DeploymentKeep, type Ends } from '../shared/jobs/rules/keep.ts'
import type { JobLoader, Retention } from '../shared/jobs/ports.ts'
import { duePurge, filesAfter, owesPayload, owesRecord, type PurgePart } from '../shared/jobs/rules/purge.ts'
import { NewerRecordError } from '../shared/jobs/record/record-codec.ts'
import type { Timings } from '../shared/jobs/rules/timings.ts'
import type { Logger } from '../shared/process/logger.ts'

export interface CleanUpDependencies {
  store: JobLoader & Retention
  files: JobFiles
  inputs: Pick<Inputs, 'removeInputs' | 'sweep'>
  batches: Pick<Batches, 'forget'>
  timings: Pick<Timings, 'keepPredictionIndex'>
  /** Retention of records that do not contain it. */
  keep: DeploymentKeep
  log: Logger
}

const BATCH = 200

/** Removes the expired parts and records of final jobs and batches, up to BATCH of them at each call. */
export function createCleanUp({ store, files, inputs, batches, timings, keep, log }: CleanUpDependencies) {
  async function clean(id: string, now: number): Promise<void> {
    if (id.startsWith('bat_')) return batches.forget(id, now)
    const filesOf = keptFilesOf(id)
    if (filesOf !== null) return removeKept(filesOf)
    const { state } = await store.load(id)
    const ends = state && isFinal(state.job.phase) ? endsOf(state.job, keep) : null
    if (!state || !ends) return
    const due = duePurge(state.job.completed_at ?? now, ends, now, timings.keepPredictionIndex)
    // An open attempt needs the record and the prediction index, even when its job is final.
    if (owesRecord(state)) return clearPayload(state, now >= ends.payload, now >= ends.entry)
    if ('parts' in due) return removeParts(state, due.parts, due.next)
    await removeRecord(state, ends, due.early)
  }

  async function clearPayload(state: JobState, payload: boolean, entry: boolean): Promise<void> {
    const { input, output } = state.job
    const isThere = input !== null || output !== null
    if (!payload || !isThere || owesPayload(state)) return store.deferRetention(state)
    // Due again immediately, and deferred then.
    await removeParts(state, entry ? ['payload', 'entry'] : ['payload'], 0)
  }

  async function removeParts(state: JobState, parts: PurgePart[], next: number): Promise<void> {
    const isPurged = await store.purge(state, { remove: 'parts', parts, next }, newCommitId())
    if (isPurged && parts.includes('payload')) await inputs.removeInputs(state.job)
  }

  /** Removes files before the record that names them, so that an interrupted removal is repeated. */
  async function removeRecord(state: JobState, ends: Ends, early: boolean): Promise<void> {
    const after = filesAfter(state.job, ends)
    const found = files.of(state.job)
    if (!after.stay) await files.remove(found)
    const kept = after.stay && after.until < Infinity ? { files: found, until: after.until } : null
    const isPurged = await store.purge(state, { remove: 'record', early, kept }, newCommitId())
    if (isPurged) await inputs.removeInputs(state.job)
  }

  async function removeKept(job: string): Promise<void> {
    const kept = await store.keptFiles(job)
    if (kept) await files.remove(kept)
    await store.forgetKeptFiles(job)
  }

  return async (): Promise<void> => {
    const { now, ids } = await store.claimRetention(BATCH)
    await inputs.sweep()
    const stuck: { id: string; error: unknown }[] = []
    for (const id of ids)
      await clean(id, now).catch((error: unknown) => {
        if (isStorageTrouble(error)) stuck.push({ id, error })
        else if (!(error instanceof NewerRecordError))
          log.error({ err: error, job: id }, 'could not clean up an expired job')
      })
    const [first] = stuck
    // Storage is failing, not one job: one log line for all of them.
    if (first)
      log.warn(
        { err: first.error, job: first.id, jobs: stuck.length },
        'could not remove files of expired jobs; retrying later',
      )
  }
}
