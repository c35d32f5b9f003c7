import { Readable } from 'node:stream'
import { artifactId } from '../shared/artifacts/rules/artifact-links.ts'
import type { ArtifactNames } from '../shared/artifacts/rules/artifact-names.ts'
import { ArtifactRefusedError, isStorageTrouble, type ArtifactStore } from '../shared/artifacts/artifact-store.ts'
import type { FileFacts, MeasureFile } from '../shared/artifacts/measure-file.ts'
import type { LongTexts, OpenLongTexts } from '../shared/artifacts/long-texts.ts'
import { typeOfName } from '../shared/artifacts/rules/media-types.ts'
import { MAX_INLINE_OUTPUT, MAX_OUTPUT_FILES, planOutput } from '../shared/artifacts/rules/output.ts'
import { OutputFetchError, type OutputFetcher, type OutputFile } from '../shared/artifacts/output-fetcher.ts'
import { readDataUri } from '../shared/inputs/rules/data-uri.ts'
import type { StoredOutput } from '../shared/jobs/rules/decision.ts'
import type { ArtifactRecord, Effect, JobRecord } from '../shared/jobs/rules/job.ts'
import { tooManyFiles } from '../shared/jobs/rules/upstream.ts'
import type { Timings } from '../shared/jobs/rules/timings.ts'
import type { Json } from '../shared/values/json.ts'
import type { Logger } from '../shared/process/logger.ts'
import type { Accounts } from '../shared/replicate/accounts.ts'

export interface CopyDependencies {
  artifacts: ArtifactStore
  names: ArtifactNames
  measure: MeasureFile
  fetcher: OutputFetcher
  accounts: Pick<Accounts, 'of'>
  longTexts: OpenLongTexts
  /** Whether a link points to an output file of upstream. */
  delivers: (link: string) => boolean
  /** Limit of one file, bytes. */
  maxBytes: number
  timings: Pick<Timings, 'copyTimeout'>
  log: Logger
}

export type StoreEffect = Extract<Effect, { kind: 'store' }>

/** The output is permanently lost: a retry cannot help. */
export class OutputGoneError extends Error {
  override name = 'OutputGoneError'
}

/** Result of a copy. */
export interface CopiedOutput {
  /** The stored part of the output; lost files are null. */
  kept: StoredOutput
  /** Files that were not stored, with the reason. */
  missing: { link: string | null; error: unknown; gone: boolean }[]
}

/** Whether a retry cannot help. */
export const isGone = (error: unknown): boolean =>
  error instanceof OutputGoneError ||
  (error instanceof OutputFetchError && error.gone) ||
  (error instanceof ArtifactRefusedError && error.lasting)

const UNMEASURED: FileFacts = { width: null, height: null, duration: null, thumbnail: null }
const MAX_THUMBNAIL_BYTES = 1024 * 1024

/** Copies all files of an output, and stores an output that is too long for the record as an artifact. */
export function createCopyOutputs(dependencies: CopyDependencies) {
  const { artifacts, names, measure, fetcher, delivers, accounts, longTexts, maxBytes, timings, log } = dependencies

  async function outputOf(job: JobRecord, effect: StoreEffect, long: LongTexts, signal: AbortSignal): Promise<Json> {
    if (!effect.output_pending) return effect.output
    if (job.prediction_id === null) throw new OutputGoneError('the prediction is unknown')
    const { upstream, reads } = accounts.of(job.account)
    await reads.of('expiring').take(signal)
    const outcome = await upstream.output(job.prediction_id, long, signal)
    if (outcome.kind === 'too_large') throw new OutputGoneError(outcome.reason)
    if (outcome.kind === 'prediction' && outcome.prediction.output_too_deep)
      throw new OutputGoneError('the output is nested too deeply to be stored')
    if (outcome.kind === 'prediction' && !outcome.prediction.data_removed) return outcome.prediction.output
    if (outcome.kind === 'prediction' || outcome.kind === 'not_found')
      throw new OutputGoneError('Replicate has removed the output')
    throw new Error(`the output cannot be read: ${outcome.kind}`)
  }

  async function open(source: string, long: LongTexts, signal: AbortSignal): Promise<OutputFile> {
    const aside = long.file(source)
    if (aside) return { body: aside, bytes: null, mediaType: /^data:([^;,]+)/i.exec(source)?.[1] ?? null }
    if (!/^data:/i.test(source))
      return fetcher.open(source, AbortSignal.any([signal, AbortSignal.timeout(timings.copyTimeout)]))
    const file = readDataUri(source, maxBytes)
    if (file.kind === 'too_large') throw new OutputGoneError(`the file is larger than ${maxBytes} bytes`)
    if (file.kind === 'wrong') throw new OutputGoneError('a data URI cannot be decoded')
    return { body: Readable.from([file.bytes]), bytes: file.bytes.length, mediaType: file.mediaType }
  }

  /** Stores a thumbnail; a failure only loses the thumbnail. */
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
  ): Promise<CopiedOutput> {
    const { attempt } = effect
    const plan = planOutput(await outputOf(job, effect, long, signal), { shape: job.output_shape, delivers })
    if (plan.files.length > MAX_OUTPUT_FILES) throw new OutputGoneError(tooManyFiles(plan.files.length))
    const idOf = (index: number): string => artifactId(job.id, attempt, index)
    const copied: ArtifactRecord[] = []
    const missing: CopiedOutput['missing'] = []

    async function copyFile(index: number, source: string): Promise<ArtifactRecord> {
      const { body, bytes, mediaType } = await open(source, long, signal)
      const declared = mediaType ?? typeOfName(source)
      let facts = UNMEASURED
      const stored = await artifacts.put((type) => names.keyOf(job, attempt, index, type), body, {
        maxBytes,
        expectedBytes: bytes,
        ...(declared === null ? {} : { mediaType: declared }),
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

    for (const [index, source] of plan.files.entries()) {
      const link = /^data:/i.test(source) ? null : source
      const failedHere = missing.find(({ error }) => isStorageTrouble(error))
      try {
        if (failedHere) missing.push({ ...failedHere, link })
        else copied.push(await copyFile(index, source))
      } catch (error) {
        signal.throwIfAborted()
        missing.push({ link, error, gone: isGone(error) })
      }
    }
    const stored = new Set(copied.map(({ id }) => id))
    const output = plan.render((index) => (stored.has(idOf(index)) ? idOf(index) : null))
    const isText = typeof output === 'string'
    const text = isText ? output : JSON.stringify(output)
    if (Buffer.byteLength(text) <= MAX_INLINE_OUTPUT && !long.isIn(text))
      return { kept: { output, output_artifact: null, artifacts: copied }, missing }
    const index = plan.files.length
    try {
      const body = long.fill(text, isText ? 'text' : 'json')
      copied.push(await keepText(index, body, isText ? 'text/plain; charset=utf-8' : 'application/json'))
    } catch (error) {
      signal.throwIfAborted()
      missing.push({ link: null, error, gone: isGone(error) })
      return { kept: { output: null, output_artifact: null, artifacts: copied }, missing }
    }
    return { kept: { output: idOf(index), output_artifact: idOf(index), artifacts: copied }, missing }
  }

  /**
   * Throws when the output itself cannot be read. A file that cannot be copied is listed in `missing`; the other files are
   * still copied, unless our own storage fails.
   */
  return async (job: JobRecord, effect: StoreEffect, signal: AbortSignal): Promise<CopiedOutput> => {
    const long = longTexts()
    try {
      return await copy(job, effect, long, signal)
    } finally {
      await long.remove()
    }
  }
}

export type CopyOutputs = ReturnType<typeof createCopyOutputs>
