import type { JobFiles } from '../../shared/artifacts/job-files.ts'
import { ServiceError } from '../../shared/errors.ts'
import type { Inputs } from '../../shared/inputs/inputs.ts'
import { newCommitId } from '../../shared/jobs/commit-id.ts'
import { isFinal } from '../../shared/jobs/job.ts'
import type { Lifecycle } from '../../shared/jobs/lifecycle.ts'
import type { JobStore } from '../../shared/jobs/ports.ts'
import type { Logger } from '../../shared/logger.ts'
import type { ApiResponse, OwnedRequest, Route } from '../http.ts'
import { mayOpen } from '../auth.ts'
import { JOB_ID } from '../schemas.ts'
import { createOwned } from '../owned-job.ts'

export interface DeletionDependencies {
  store: Pick<JobStore, 'load' | 'purge' | 'keptFiles' | 'forgetKeptFiles'>
  lifecycle: Pick<Lifecycle, 'apply'>
  files: JobFiles
  inputs: Pick<Inputs, 'removeInputs'>
  log: Logger
}

/** A final job changes for late news only. */
const MAX_RACES = 5

/** Removal of a job before its time, with everything that was kept for it; the ledger and its batch's counts stay. */
export function deletionRoutes({ store, lifecycle, files, inputs, log }: DeletionDependencies): Route[] {
  const owned = createOwned(
    async (id) => (await store.load(id)).state,
    ({ job }) => job,
  )

  /** Files that outlived the record of a job. */
  async function removedKept({ params: { id = '' }, principal }: OwnedRequest): Promise<boolean> {
    const kept = JOB_ID.test(id) ? await store.keptFiles(id) : null
    if (kept === null || !mayOpen(principal, { id, tenant: kept.tenant })) return false
    await files.remove(kept)
    await store.forgetKeptFiles(id)
    log.info({ job: id, tenant: kept.tenant }, 'files of a job without a record deleted')
    return true
  }

  async function remove(request: OwnedRequest): Promise<ApiResponse> {
    for (let race = 0; race < MAX_RACES; race++) {
      if (await removedKept(request)) return { status: 204 }
      const state = await owned(request)
      const { job, attempts, effects } = state
      // Nothing runs any more but our own copies.
      if (job.phase === 'storing') {
        await lifecycle.apply(job.id, { type: 'cancel', gives_up_output: true }, 'api')
        continue
      }
      if (!isFinal(job.phase))
        throw new ServiceError('not_deletable', 'The job is not over yet; cancel it first.', { retryAfter: 5 })
      // Whatever may still come of it is found by its record.
      if (effects.length > 0 || attempts.some((attempt) => attempt.state !== 'closed'))
        throw new ServiceError('not_deletable', 'Its prediction is still being stopped at Replicate.', {
          retryAfter: 30,
        })
      // Outputs first: what fails halfway is found again, and nothing is left that no record names. Of input files it
      // is known who uses them.
      await files.remove(files.of(job))
      if (await store.purge(state, { remove: 'record', early: true, kept: null }, newCommitId())) {
        await inputs.removeInputs(job)
        log.info({ job: job.id, tenant: job.tenant }, 'job deleted')
        return { status: 204 }
      }
    }
    throw new Error('the job changed whenever it was to be deleted')
  }

  return [{ method: 'DELETE', path: '/v1/jobs/:id', scope: 'jobs:write', handle: remove }]
}
