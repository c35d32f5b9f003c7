import type { RemoveJobFiles } from '../shared/artifacts/job-files.ts'
import type { Batches } from '../shared/batches/batches.ts'
import type { Inputs } from '../shared/inputs/inputs.ts'
import { newCommitId } from '../shared/jobs/commit-id.ts'
import { isFinal, type JobState } from '../shared/jobs/job.ts'
import type { JobStore, PurgeStage } from '../shared/jobs/ports.ts'
import { NewerRecordError } from '../shared/jobs/record-codec.ts'
import type { Timings } from '../shared/jobs/timings.ts'
import type { Logger } from '../shared/logger.ts'

export interface CleanUpDependencies {
  store: Pick<JobStore, 'claimRetention' | 'load' | 'purge' | 'deferRetention'>
  removeFiles: RemoveJobFiles
  inputs: Pick<Inputs, 'removeInputs' | 'sweep'>
  batches: Pick<Batches, 'forget'>
  timings: Timings
  log: Logger
}

const BATCH = 200

/** Removes what final jobs and batches need not keep any more, a part of them at each call. */
export function createCleanUp({ store, removeFiles, inputs, batches, timings, log }: CleanUpDependencies) {
  async function clean(id: string, now: number): Promise<void> {
    if (id.startsWith('bat_')) return batches.forget(id)
    const { state } = await store.load(id)
    if (!state || !isFinal(state.job.phase)) return
    const age = now - (state.job.completed_at ?? state.job.created_at)
    const stage: PurgeStage = age >= timings.keepJob ? 'all' : age >= timings.keepPayload ? 'payload' : 'index'
    // An attempt that outlived its job is still looked after, by its record and by the index of predictions.
    if (state.attempts.some((attempt) => attempt.state !== 'closed')) {
      if (stage === 'index' || state.job.input === null) return store.deferRetention(state)
      return purge(state, 'payload')
    }
    if (stage === 'all') await removeFiles(state.job)
    await purge(state, stage)
  }

  /** Files go after the record that names them: no job that can be seen lacks its files. */
  async function purge(state: JobState, stage: PurgeStage): Promise<void> {
    const isPurged = await store.purge(state, stage, newCommitId())
    if (isPurged && stage !== 'index') await inputs.removeInputs(state.job)
  }

  return async (): Promise<void> => {
    const { now, ids } = await store.claimRetention(BATCH)
    await inputs.sweep()
    for (const id of ids)
      await clean(id, now).catch((error: unknown) => {
        if (!(error instanceof NewerRecordError))
          log.error({ err: error, job: id }, 'an old job could not be cleaned up')
      })
  }
}
