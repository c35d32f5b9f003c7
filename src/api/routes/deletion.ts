import type { JobFiles } from '../../shared/artifacts/job-files.ts'
import { ServiceError } from '../../shared/errors/service-error.ts'
import type { Inputs } from '../../shared/inputs/inputs.ts'
import { newCommitId } from '../../shared/jobs/record/commit-id.ts'
import { isFinal } from '../../shared/jobs/rules/job.ts'
import type { Lifecycle } from '../../shared/jobs/lifecycle.ts'
import type { JobLoader, Retention } from '../../shared/jobs/ports.ts'
import type { Logger } from '../../shared/process/logger.ts'
import type { ApiResponse, OwnedRequest, Route } from '../http.ts'
import { createFindOwned, createOwned } from '../owned.ts'

export interface DeletionDependencies {
  store: JobLoader & Pick<Retention, 'purge' | 'keptFiles' | 'forgetKeptFiles'>
  lifecycle: Pick<Lifecycle, 'apply'>
  files: JobFiles
  inputs: Pick<Inputs, 'removeInputs'>
  log: Logger
}

/** Attempts: a final job changes only by late observations. */
const MAX_RACES = 5

/** Early deletion of a job with all of its data; the ledger and its batch's counts are kept. */
export function deletionRoutes({ store, lifecycle, files, inputs, log }: DeletionDependencies): Route[] {
  const owned = createOwned({
    kind: 'job',
    read: async (id) => (await store.load(id)).state,
    subjectOf: ({ job }) => job,
  })
  const findKept = createFindOwned({
    kind: 'job',
    async read(id) {
      const kept = await store.keptFiles(id)
      return kept && { ...kept, id }
    },
    subjectOf: (kept) => kept,
  })

  /** Removes files whose job has no record any more. */
  async function removedKept(request: OwnedRequest): Promise<boolean> {
    const kept = await findKept(request)
    if (kept === null) return false
    await files.remove(kept)
    await store.forgetKeptFiles(kept.id)
    log.info({ job: kept.id, tenant: kept.tenant }, 'files of a job without a record deleted')
    return true
  }

  async function remove(request: OwnedRequest): Promise<ApiResponse> {
    for (let race = 0; race < MAX_RACES; race++) {
      if (await removedKept(request)) return { status: 204 }
      const state = await owned(request)
      const { job, attempts, effects } = state
      // Only our own copies can still be running.
      if (job.phase === 'storing') {
        await lifecycle.apply(job.id, { type: 'cancel', gives_up_output: true }, 'api')
        continue
      }
      if (!isFinal(job.phase))
        throw new ServiceError('not_deletable', 'The job is not over yet. Cancel it first.', { retryAfter: 5 })
      if (effects.some(({ kind }) => kind === 'notice'))
        throw new ServiceError('not_deletable', 'Its receivers are being notified.', { retryAfter: 1 })
      // Late results of the prediction need the record; what notifications carry goes with it.
      if (effects.some(({ kind }) => kind !== 'carry') || attempts.some((attempt) => attempt.state !== 'closed'))
        throw new ServiceError('not_deletable', 'Its prediction is still being stopped at Replicate.', {
          retryAfter: 30,
        })
      // Outputs first: after a failure halfway the record still names the rest. Input files have their own record of
      // users.
      await files.remove(files.of(job))
      if (await store.purge(state, { remove: 'record', early: true, kept: null }, newCommitId())) {
        await inputs.removeInputs(job)
        log.info({ job: job.id, tenant: job.tenant }, 'job deleted')
        return { status: 204 }
      }
    }
    throw new Error('the job changed during each attempt to delete it')
  }

  return [{ method: 'DELETE', path: '/v1/jobs/:id', scope: 'jobs:write', handle: remove }]
}
