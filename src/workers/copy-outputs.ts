import { Readable } from 'node:stream'
import { artifactId } from '../shared/artifacts/artifact-links.ts'
import type { ArtifactNames } from '../shared/artifacts/artifact-names.ts'
import type { ArtifactStore } from '../shared/artifacts/artifact-store.ts'
import type { FileFacts, MeasureFile } from '../shared/artifacts/measure-file.ts'
import type { LongTexts, OpenLongTexts } from '../shared/artifacts/long-texts.ts'
import { MAX_INLINE_OUTPUT, planOutput } from '../shared/artifacts/output.ts'
import type { OutputFetcher } from '../shared/artifacts/output-fetcher.ts'
import type { ArtifactRecord, Effect, JobRecord, Json } from '../shared/jobs/job.ts'
import type { Timings } from '../shared/jobs/timings.ts'
import type { Budget } from '../shared/limits/budget.ts'
import type { Logger } from '../shared/logger.ts'
import type { PredictionPort } from '../shared/replicate/prediction-port.ts'

export interface CopyDependencies {
  artifacts: ArtifactStore
  names: ArtifactNames
  measure: MeasureFile
  fetcher: OutputFetcher
  upstream: Pick<PredictionPort, 'output'>
  longTexts: OpenLongTexts
  reads: Budget
  /** Bytes of one file. */
  maxBytes: number
  timings: Pick<Timings, 'copyTimeout'>
  log: Logger
}

export type StoreEffect = Extract<Effect, { kind: 'store' }>

/** The output is lost for good: trying again cannot help. */
export class OutputGoneError extends Error {
  override name = 'OutputGoneError'
}

const UNMEASURED: FileFacts = { width: null, height: null, duration: null, thumbnail: null }
const MAX_THUMBNAIL_BYTES = 1024 * 1024

/** Copies all files of an output, and makes an artifact of what is too long for the record. */
export function createCopyOutputs(dependencies: CopyDependencies) {
  const { artifacts, names, measure, fetcher, upstream, longTexts, reads, maxBytes, timings, log } = dependencies

  async function outputOf(job: JobRecord, effect: StoreEffect, long: LongTexts, signal: AbortSignal): Promise<Json> {
    if (!effect.output_pending) return effect.output
    if (job.prediction_id === null) throw new OutputGoneError('the prediction is not known')
    await reads.take(signal)
    const outcome = await upstream.output(job.prediction_id, long, signal)
    if (outcome.kind === 'too_large') throw new OutputGoneError(outcome.reason)
    if (outcome.kind === 'prediction' && outcome.prediction.output_too_deep)
      throw new OutputGoneError('the output is nested too deeply to be kept')
    if (outcome.kind === 'prediction' && !outcome.prediction.data_removed) return outcome.prediction.output
    if (outcome.kind === 'prediction' || outcome.kind === 'not_found')
      throw new OutputGoneError('Replicate has removed the output')
    throw new Error(`the output cannot be read: ${outcome.kind}`)
  }

  async function open(
    source: string,
    long: LongTexts,
    signal: AbortSignal,
  ): Promise<{ body: AsyncIterable<Uint8Array>; bytes: number | null }> {
    const aside = long.file(source)
    if (aside) return { body: aside, bytes: null }
    if (!source.startsWith('data:'))
      return fetcher.open(source, AbortSignal.any([signal, AbortSignal.timeout(timings.copyTimeout)]))
    const bytes = new Uint8Array(await (await fetch(source)).arrayBuffer())
    return { body: Readable.from([bytes]), bytes: bytes.length }
  }

  /** A small picture that cannot be kept is no reason to lose the large one. */
  async function keepThumbnail(
    key: string,
    picture: Buffer,
    signal: AbortSignal,
  ): Promise<ArtifactRecord['thumbnail']> {
    try {
      const options = { maxBytes: MAX_THUMBNAIL_BYTES, signal }
      const { key: kept, bytes } = await artifacts.put(key, Readable.from([picture]), options)
      return { key: kept, bytes }
    } catch (error) {
      signal.throwIfAborted()
      log.warn({ err: error }, 'a thumbnail was not stored')
      return null
    }
  }

  async function copy(
    job: JobRecord,
    effect: StoreEffect,
    long: LongTexts,
    signal: AbortSignal,
  ): Promise<{ output: Json; artifacts: ArtifactRecord[] }> {
    const { attempt } = effect
    const plan = planOutput(await outputOf(job, effect, long, signal))
    const idOf = (index: number): string => artifactId(job.id, attempt, index)
    const copied: ArtifactRecord[] = []

    async function copyFile(index: number, source: string): Promise<ArtifactRecord> {
      const { body, bytes } = await open(source, long, signal)
      let facts = UNMEASURED
      const stored = await artifacts.put((type) => names.keyOf(job, attempt, index, type), body, {
        maxBytes,
        expectedBytes: bytes,
        signal,
        examine: async (path, type) => {
          facts = await measure(path, type)
        },
      })
      const { thumbnail, ...size } = facts
      const small = thumbnail && (await keepThumbnail(names.thumbnailOf(job, attempt, index), thumbnail, signal))
      return { id: idOf(index), ...stored, ...size, thumbnail: small }
    }

    async function keepText(
      index: number,
      body: AsyncIterable<Uint8Array>,
      mediaType: string,
    ): Promise<ArtifactRecord> {
      const stored = await artifacts.put(() => names.keyOf(job, attempt, index, mediaType), body, { maxBytes, signal })
      return { id: idOf(index), ...stored, ...UNMEASURED, thumbnail: null, media_type: mediaType }
    }

    for (const [index, source] of plan.files.entries()) copied.push(await copyFile(index, source))
    const output = plan.render(idOf)
    const isText = typeof output === 'string'
    const text = isText ? output : JSON.stringify(output)
    if (Buffer.byteLength(text) <= MAX_INLINE_OUTPUT && !long.isIn(text)) return { output, artifacts: copied }
    const index = copied.length
    const body = long.fill(text, isText ? 'text' : 'json')
    copied.push(await keepText(index, body, isText ? 'text/plain; charset=utf-8' : 'application/json'))
    return { output: idOf(index), artifacts: copied }
  }

  return async (
    job: JobRecord,
    effect: StoreEffect,
    signal: AbortSignal,
  ): Promise<{ output: Json; artifacts: ArtifactRecord[] }> => {
    const long = longTexts()
    try {
      return await copy(job, effect, long, signal)
    } finally {
      await long.remove()
    }
  }
}

export type CopyOutputs = ReturnType<typeof createCopyOutputs>
