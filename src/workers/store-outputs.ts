import { Readable } from 'node:stream'
import { artifactId } from '../shared/artifacts/artifact-links.ts'
import type { ArtifactNames } from '../shared/artifacts/artifact-names.ts'
import { StorageTroubleError, type ArtifactStore, type StoredFile } from '../shared/artifacts/artifact-store.ts'
import { MAX_INLINE_OUTPUT, planOutput } from '../shared/artifacts/output.ts'
import { OutputFetchError, type OutputFetcher } from '../shared/artifacts/output-fetcher.ts'
import { attemptOf, type ArtifactRecord, type Effect, type JobRecord, type Json } from '../shared/jobs/job.ts'
import type { Lifecycle } from '../shared/jobs/lifecycle.ts'
import type { DueMember, JobStore } from '../shared/jobs/ports.ts'
import { ageBased, type Timings } from '../shared/jobs/timings.ts'
import type { Budget } from '../shared/limits/budget.ts'
import type { Logger } from '../shared/logger.ts'
import type { PredictionPort } from '../shared/replicate/prediction-port.ts'

export interface StoreDependencies {
  store: JobStore
  lifecycle: Lifecycle
  artifacts: ArtifactStore
  names: ArtifactNames
  fetcher: OutputFetcher
  upstream: PredictionPort
  reads: Budget
  timings: Timings
  /** Bytes of one file; ms for copying it. */
  limits: { maxBytes: number; copyTimeout: number }
  log: Logger
}

type StoreEffect = Extract<Effect, { kind: 'store' }>

/** The output is lost for good: trying again cannot help. */
class OutputGoneError extends Error {
  override name = 'OutputGoneError'
}

/**
 * Copies the outputs of one job before it is `succeeded`. Repeatable: keys are made of job, attempt and place, files
 * appear whole or not at all, and only one commit records the result.
 */
export function createStoreOutputs(dependencies: StoreDependencies) {
  const { store, lifecycle, artifacts, names, fetcher, upstream, reads, timings, limits, log } = dependencies

  async function outputOf(job: JobRecord, effect: StoreEffect, signal: AbortSignal): Promise<Json> {
    if (!effect.output_pending) return effect.output
    if (job.prediction_id === null) throw new OutputGoneError('the prediction is not known')
    await reads.take(signal)
    const outcome = await upstream.get(job.prediction_id)
    if (outcome.kind === 'prediction' && outcome.prediction.output_too_deep)
      throw new OutputGoneError('the output is nested too deeply to be kept')
    if (outcome.kind === 'prediction' && !outcome.prediction.data_removed) return outcome.prediction.output
    if (outcome.kind === 'prediction' || outcome.kind === 'not_found')
      throw new OutputGoneError('Replicate has removed the output')
    throw new Error(`the output cannot be read: ${outcome.kind}`)
  }

  async function copyFile(source: string, key: (type: string) => string, signal: AbortSignal): Promise<StoredFile> {
    const deadline = AbortSignal.any([signal, AbortSignal.timeout(limits.copyTimeout)])
    if (source.startsWith('data:')) {
      const response = await fetch(source)
      const body = Readable.from([new Uint8Array(await response.arrayBuffer())])
      return artifacts.put(key, body, { maxBytes: limits.maxBytes, signal })
    }
    const file = await fetcher.open(source, deadline)
    return artifacts.put(key, file.body, { maxBytes: limits.maxBytes, expectedBytes: file.bytes, signal })
  }

  async function copyAll(job: JobRecord, effect: StoreEffect, signal: AbortSignal) {
    const output = await outputOf(job, effect, signal)
    const plan = planOutput(output)
    const idOf = (index: number): string => artifactId(job.id, effect.attempt, index)
    const keyOf = (index: number) => (type: string) => names.keyOf(job, effect.attempt, index, type)
    const copied: ArtifactRecord[] = []
    for (const [index, source] of plan.files.entries()) {
      copied.push({ id: idOf(index), ...(await copyFile(source, keyOf(index), signal)) })
    }
    const rendered = plan.render(idOf)
    const text = typeof rendered === 'string' ? rendered : JSON.stringify(rendered)
    if (Buffer.byteLength(text) <= MAX_INLINE_OUTPUT) return { output: rendered, artifacts: copied }
    const index = copied.length
    const mediaType = typeof rendered === 'string' ? 'text/plain; charset=utf-8' : 'application/json'
    const body = Readable.from([Buffer.from(text)])
    const name = keyOf(index)
    const stored = await artifacts.put(() => name(mediaType), body, { maxBytes: limits.maxBytes, signal })
    copied.push({ id: idOf(index), ...stored, media_type: mediaType })
    return { output: idOf(index), artifacts: copied }
  }

  /** Storage that has been failing for a while, or will not get well: no new predictions whose outputs could not be kept. */
  async function storageTrouble(account: string, isLasting: boolean): Promise<void> {
    const since = await store.storageFailed()
    if (since < timings.storageTrouble && !isLasting) return
    log.error({ for_ms: since }, 'outputs cannot be stored; creation is paused')
    await store.pauseCreation(account, timings.troublePause.longest, 'storage')
  }

  return async (id: string, attempt: number, signal: AbortSignal): Promise<void> => {
    const { now, state } = await store.load(id)
    const effect = state?.effects.find((one): one is StoreEffect => one.kind === 'store' && one.attempt === attempt)
    if (!state || !effect || state.job.phase !== 'storing') return
    try {
      const result = await copyAll(state.job, effect, signal)
      await lifecycle.apply(id, { type: 'stored', attempt, ...result }, 'worker')
      await store.storageWorked()
    } catch (error) {
      if (signal.aborted) throw error
      const gone = error instanceof OutputGoneError || (error instanceof OutputFetchError && error.gone)
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
      const since = attemptOf(state, attempt)?.closed_at ?? now
      const key = `store:${attempt}`
      const member: DueMember = { kind: 'effect', member: `effect:${id}:${key}`, job: id, effect: key }
      await store.rearm(member, ageBased(now - since, timings.retryEffect))
    }
  }
}

/** Of the file system: full, broken, read-only, or something is in the way. */
const DISK_TROUBLE = new Set(
  'ENOSPC EIO EROFS EDQUOT EACCES EPERM ENOTDIR EEXIST EISDIR ENOENT EMFILE ENFILE'.split(' '),
)

/** Our side of the copy failed: the bucket or the disk does not take it. */
const isStorageTrouble = (error: unknown): boolean =>
  error instanceof StorageTroubleError ||
  (error instanceof Error && 'code' in error && DISK_TROUBLE.has(String(error.code)))
