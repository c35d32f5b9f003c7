import { isStorageTrouble, StorageTroubleError, type ArtifactStore } from '../shared/artifacts/artifact-store.ts'
import { keysOfFiles } from '../shared/artifacts/job-files.ts'
import { attemptOf } from '../shared/jobs/rules/job.ts'
import type { StoredOutput } from '../shared/jobs/rules/decision.ts'
import type { ApplyResult, Lifecycle } from '../shared/jobs/lifecycle.ts'
import { dueEffect } from '../shared/jobs/record/due-member.ts'
import type { JobWaits } from '../shared/jobs/job-waits.ts'
import {
  AT_RISK_MS,
  type CreationBreaker,
  type DueTimes,
  type JobLoader,
  type StorageHealth,
} from '../shared/jobs/ports.ts'
import type { Warnings } from '../shared/notifications/warnings.ts'
import { ageBased, type Timings } from '../shared/jobs/rules/timings.ts'
import { OutputFetchError } from '../shared/artifacts/output-fetcher.ts'
import type { Logger } from '../shared/process/logger.ts'
import { createTroubleLog } from '../shared/process/trouble-log.ts'
import { isGone, type CopiedOutput, type CopyOutputs, type StoreEffect } from './copy-outputs.ts'
import { messageOf } from '../shared/values/error-text.ts'

export interface StoreDependencies {
  store: JobLoader &
    Pick<StorageHealth, 'storageFailed' | 'storageWorked'> &
    Pick<CreationBreaker, 'pauseCreation'> &
    DueTimes
  lifecycle: Lifecycle
  copy: CopyOutputs
  /** All accounts. */
  accountNames: readonly string[]
  waits: Pick<JobWaits, 'note'>
  warnings: Pick<Warnings, 'artifactAtRisk'>
  artifacts: Pick<ArtifactStore, 'remove'>
  /** Whether a link points to an output file of upstream. */
  delivers: (link: string) => boolean
  timings: Timings
  log: Logger
}

const NOTHING: StoredOutput = { output: null, output_artifact: null, artifacts: [] }
/** Limit of links in a message. */
const MAX_LINKS = 20

/**
 * Copies the outputs of one job before it is `succeeded`. Idempotent: keys are derived from job, attempt and position, files
 * appear atomically, and only one commit records the result.
 */
export function createStoreOutputs(dependencies: StoreDependencies) {
  const { store, lifecycle, copy, accountNames, waits, warnings, artifacts, delivers, timings, log } = dependencies
  const trouble = createTroubleLog(log)

  /** Pauses creation when storage has been failing for a while, or permanently: outputs of new predictions would be lost. */
  async function storageTrouble(isLasting: boolean): Promise<void> {
    const since = await store.storageFailed()
    if (since < timings.storageTrouble && !isLasting) return
    const { longest } = timings.troublePause
    await Promise.all(accountNames.map((account) => store.pauseCreation(account, longest, 'storage')))
  }

  /** Removes copied files that no record names, because the job ended or was deleted during the copy. */
  async function removeUnnamed(result: ApplyResult, { artifacts: copied }: StoredOutput): Promise<void> {
    if (result.kind === 'applied' || copied.length === 0) return
    const named = new Set(result.kind === 'ignored' ? keysOfFiles(result.state.job.artifacts) : [])
    // Another worker is still copying, under the same names.
    if (result.kind === 'ignored' && result.state.job.phase === 'storing') return
    await artifacts.remove(keysOfFiles(copied).filter((key) => !named.has(key)))
  }

  return async (id: string, attempt: number, signal: AbortSignal): Promise<void> => {
    const { now, state } = await store.load(id)
    const effect = state?.effects.find((one): one is StoreEffect => one.kind === 'store' && one.attempt === attempt)
    if (!state || !effect || state.job.phase !== 'storing') return
    const { kept, missing }: CopiedOutput = await copy(state.job, effect, signal).catch((error: unknown) => {
      signal.throwIfAborted()
      return { kept: NOTHING, missing: [{ link: null, error, gone: isGone(error) }] }
    })
    const [first] = missing
    if (first === undefined) {
      await removeUnnamed(await lifecycle.apply(id, { type: 'stored', attempt, ...kept }, 'worker'), kept)
      await store.storageWorked()
      trouble.ended(id, { job: id, attempt }, 'the output is stored; earlier copies had failed')
      return
    }
    const gone = missing.every((one) => one.gone)
    const isLost = gone || now >= effect.give_up_at
    const fields = { job: id, attempt, reason: messageOf(first.error), missing: missing.length, gone }
    if (!isLost) trouble.failed(id, fields, 'the output is not stored yet; retrying')
    const failure = missing.find(({ error }) => isStorageTrouble(error))?.error
    if (failure !== undefined) await storageTrouble(failure instanceof StorageTroubleError && failure.lasting)
    if (isLost) {
      trouble.forget(id)
      log.warn(fields, 'the output could not be stored')
      const message = lostWords(missing, kept.artifacts.length, { expiresAt: effect.expires_at, delivers })
      const result = await lifecycle.apply(
        id,
        { type: 'not_stored', attempt, message, ...(kept.artifacts.length === 0 ? {} : { kept }) },
        'worker',
      )
      await removeUnnamed(result, kept)
      return
    }
    if (effect.expires_at - now <= AT_RISK_MS) await warnings.artifactAtRisk(state.job)
    await waits.note(
      id,
      failure === undefined
        ? {
            reason: 'copy',
            detail: `The last copy failed: ${messageOf(first.error)}. The copy is retried.`,
            until: effect.give_up_at,
          }
        : { reason: 'storage', detail: 'Storage is failing. The copy is retried.' },
    )
    const since = attemptOf(state, attempt)?.closed_at ?? now
    const key = `store:${attempt}`
    await store.rearm(dueEffect(id, key), ageBased(now - since, timings.retryEffect))
  }
}

/** The error message: how many files are lost, why, where a person can still find them, and what a retry costs. */
function lostWords(
  missing: CopiedOutput['missing'],
  stored: number,
  { expiresAt, delivers }: { expiresAt: number; delivers: (link: string) => boolean },
): string {
  const reasons = new Set(missing.map(({ error }) => messageOf(error)))
  const [reason = ''] = reasons
  const more = reasons.size > 1 ? ` (and ${reasons.size - 1} other reasons)` : ''
  const part = stored === 0 ? 'The output' : `${missing.length} of ${missing.length + stored} files of the output`
  const links = missing.flatMap(({ link, error }) =>
    link !== null && /^https?:/i.test(link)
      ? [{ link, isThere: delivers(link) && !(error instanceof OutputFetchError && error.absent) }]
      : [],
  )
  const there = named(links.filter(({ isThere }) => isThere))
  const elsewhere = named(links.filter(({ isThere }) => !isThere))
  return [
    `${part} could not be copied: ${reason}${more}.`,
    ...(there === '' ? [] : [`At Replicate until ${new Date(expiresAt).toISOString()}: ${there}.`]),
    ...(elsewhere === '' ? [] : [`Not at Replicate: ${elsewhere}.`]),
    'A retry runs the model again and is billed again.',
  ].join(' ')
}

const named = (links: { link: string }[]): string =>
  links
    .slice(0, MAX_LINKS)
    .map(({ link }) => link)
    .join(' ') + (links.length > MAX_LINKS ? ' ...' : '')
