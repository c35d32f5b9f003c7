import { ArtifactRefusedError, isStorageTrouble, StorageTroubleError } from '../shared/artifacts/artifact-store.ts'
import { planOutput } from '../shared/artifacts/output.ts'
import { OutputFetchError } from '../shared/artifacts/output-fetcher.ts'
import { attemptOf } from '../shared/jobs/job.ts'
import type { Lifecycle } from '../shared/jobs/lifecycle.ts'
import { dueEffect } from '../shared/jobs/due-member.ts'
import type { JobWaits } from '../shared/jobs/job-waits.ts'
import type { JobStore } from '../shared/jobs/ports.ts'
import { ageBased, type Timings } from '../shared/jobs/timings.ts'
import type { Logger } from '../shared/logger.ts'
import { OutputGoneError, type CopyOutputs, type StoreEffect } from './copy-outputs.ts'

export interface StoreDependencies {
  store: JobStore
  lifecycle: Lifecycle
  copy: CopyOutputs
  waits: Pick<JobWaits, 'note'>
  timings: Timings
  log: Logger
}

/**
 * Copies the outputs of one job before it is `succeeded`. Repeatable: keys are made of job, attempt and place, files
 * appear whole or not at all, and only one commit records the result.
 */
export function createStoreOutputs({ store, lifecycle, copy, waits, timings, log }: StoreDependencies) {
  /** Storage that has been failing for a while, or will not get well: no new predictions whose outputs could not be kept. */
  async function storageTrouble(account: string, isLasting: boolean): Promise<void> {
    const since = await store.storageFailed()
    if (since < timings.storageTrouble && !isLasting) return
    await store.pauseCreation(account, timings.troublePause.longest, 'storage')
  }

  return async (id: string, attempt: number, signal: AbortSignal): Promise<void> => {
    const { now, state } = await store.load(id)
    const effect = state?.effects.find((one): one is StoreEffect => one.kind === 'store' && one.attempt === attempt)
    if (!state || !effect || state.job.phase !== 'storing') return
    try {
      const result = await copy(state.job, effect, signal)
      await lifecycle.apply(id, { type: 'stored', attempt, ...result }, 'worker')
      await store.storageWorked()
    } catch (error) {
      if (signal.aborted) throw error
      const gone =
        error instanceof OutputGoneError ||
        (error instanceof OutputFetchError && error.gone) ||
        (error instanceof ArtifactRefusedError && error.lasting)
      const reason = error instanceof Error ? error.message : String(error)
      log.warn({ job: id, attempt, err: error, gone }, 'the output is not stored yet')
      if (isStorageTrouble(error))
        await storageTrouble(state.job.account, error instanceof StorageTroubleError && error.lasting)
      if (gone || now >= effect.give_up_at) {
        const where = planOutput(effect.output).files.filter((file) => file.startsWith('http'))
        const message = `The output could not be copied: ${reason}.${
          where.length > 0 ? ` At Replicate until ${new Date(effect.expires_at).toISOString()}: ${where.join(' ')}` : ''
        }`
        await lifecycle.apply(id, { type: 'not_stored', attempt, message }, 'worker')
        return
      }
      await waits.note(
        id,
        isStorageTrouble(error)
          ? { reason: 'storage', detail: 'The place for files fails. The copy is tried again.' }
          : { reason: 'copy', detail: `The last copy failed: ${reason}. It is tried again.` },
      )
      const since = attemptOf(state, attempt)?.closed_at ?? now
      const key = `store:${attempt}`
      const member = dueEffect(id, key)
      await store.rearm(member, ageBased(now - since, timings.retryEffect))
    }
  }
}
