import { buffer } from 'node:stream/consumers'
import type { ArtifactStore } from '../shared/artifacts/artifact-store.ts'
import { createSemaphore } from '../shared/values/concurrency.ts'
import { dataUriLength, toDataUri } from '../shared/inputs/rules/data-uri.ts'
import type { UploadStore } from '../shared/inputs/ports.ts'
import { filesOf, mapInput, referenceOf } from '../shared/inputs/rules/reference.ts'
import type { RemoteFile, UploadRecord } from '../shared/inputs/rules/upload.ts'
import type { Health, PauseReason } from '../shared/jobs/rules/decision.ts'
import type { JobError, JobRecord } from '../shared/jobs/rules/job.ts'
import type { InputReader } from '../shared/jobs/ports.ts'
import type { JobWaits } from '../shared/jobs/job-waits.ts'
import type { JsonObject } from '../shared/values/json.ts'
import type { Logger } from '../shared/process/logger.ts'
import { createTroubleLog } from '../shared/process/trouble-log.ts'
import type { Accounts } from '../shared/replicate/accounts.ts'
import type { HandOverOutcome } from '../shared/replicate/prediction-port.ts'
import { rejection } from './rejection.ts'
import { messageOf } from '../shared/values/error-text.ts'

export interface PrepareDependencies {
  jobs: InputReader
  uploads: Pick<UploadStore, 'readMany' | 'remote' | 'rememberRemote'>
  artifacts: Pick<ArtifactStore, 'open'>
  accounts: Pick<Accounts, 'of'>
  waits: Pick<JobWaits, 'note'>
  log: Logger
}

/** An input in the form in which it is sent to Replicate. */
export interface PreparedInput {
  input: JsonObject
  /** ms since 1970: the links in the input may expire afterwards. */
  until: number
}

export type Preparation =
  | ({ kind: 'ready' } & PreparedInput)
  /** Not now. `health`: evidence about upstream; null: none. */
  | { kind: 'trouble'; health: Health | null; pause: { for: number; reason: PauseReason } | null }
  /** Never. */
  | { kind: 'impossible'; error: JobError }

/** `account`: where the prediction will be created, and so where the files have to be. */
export type PrepareInput = (job: JobRecord, account: string, signal: AbortSignal) => Promise<Preparation>

/** Length of one data URI, and of all in one input: Replicate's schema says 256 kB, and each webhook repeats the input. */
const INLINE_BYTES = 256_000
const ALL_INLINE_BYTES = 1_000_000
/** Lifetime of a file at Replicate when the response has no expiry: 24 hours, in ms */
const REMOTE_LIFE = 24 * 3_600_000
/** Time for which a prediction may wait before it fetches its files, in addition to its timeout, ms */
const REMOTE_MARGIN = 10 * 60_000
/** Concurrent uploads to Replicate in each process. */
const AT_ONCE = 4

/** Aborts a preparation, with its result. */
class NotReadyError extends Error {
  override name = 'NotReadyError'
  readonly result: Exclude<Preparation, { kind: 'ready' }>
  constructor(message: string, result: Exclude<Preparation, { kind: 'ready' }>) {
    super(message)
    this.result = result
  }
}

/**
 * Prepares an input before it is sent: small files are inlined as data URIs, larger ones are uploaded to Replicate first,
 * once for all jobs and attempts. All of this happens before the intent, so it cannot create a prediction.
 */
export function createPrepareInput(dependencies: PrepareDependencies): PrepareInput {
  const { jobs, uploads, artifacts, accounts, waits, log } = dependencies
  const trouble = createTroubleLog(log)
  const uploading = new Map<string, Promise<RemoteFile>>()
  const slots = createSemaphore(AT_ONCE)

  async function open(record: UploadRecord) {
    const file = await artifacts.open(record.key)
    if (file === null) throw lost(record)
    return file
  }

  /** The copy in the account, if it exists for at least `needed` ms more. */
  async function usable(id: string, account: string, needed: number): Promise<RemoteFile | null> {
    const known = await uploads.remote(id, account)
    return known && known.expires_at - needed > Date.now() ? known : null
  }

  /** Uploads a copy to Replicate; returns its URL and expiry. */
  async function handOver(record: UploadRecord, account: string, signal: AbortSignal): Promise<RemoteFile> {
    const { upstream, reads } = accounts.of(account)
    await reads.of('adopt').take(signal)
    const { id, media_type, bytes } = record
    const body = await open(record)
    let outcome: HandOverOutcome
    try {
      outcome = await upstream.uploadFile({ name: id, mediaType: media_type, bytes, body }, signal)
    } finally {
      // Needed when upstream responded before it had read the file, or when nothing was sent.
      body.destroy()
    }
    if (outcome.kind !== 'taken') throw refused(outcome)
    const expires = outcome.expiresAt ?? Date.now() + REMOTE_LIFE
    const remote = { url: outcome.url, expires_at: expires }
    await uploads.rememberRemote(id, account, remote, expires - Date.now())
    log.info({ upload: id, bytes }, 'an input file was uploaded to Replicate')
    return remote
  }

  /**
   * Single-flight: concurrent callers share one upload of a file. A caller that arrives after its completion found no copy
   * before, so the store is read again first.
   */
  function copyOf(record: UploadRecord, account: string, needed: number, signal: AbortSignal): Promise<RemoteFile> {
    const name = JSON.stringify([account, record.id])
    const open = uploading.get(name)
    if (open) return open
    const begun = slots
      .run(async () => (await usable(record.id, account, needed)) ?? (await handOver(record, account, signal)))
      .finally(() => uploading.delete(name))
    uploading.set(name, begun)
    return begun
  }

  async function addresses(job: JobRecord, account: string, signal: AbortSignal) {
    const wanted = [...filesOf(job.input).keys()]
    const records = await uploads.readMany(wanted)
    const found = new Map<string, string>()
    let inline = 0
    let until = Infinity
    const needed = job.timeout * 1000 + REMOTE_MARGIN
    for (const id of wanted) {
      const record = records.find((one) => one.id === id && one.state === 'ready')
      if (!record) throw lost({ id })
      const length = dataUriLength(record.media_type, record.bytes)
      if (length <= INLINE_BYTES && inline + length <= ALL_INLINE_BYTES) {
        inline += length
        found.set(id, toDataUri(record.media_type, await buffer(await open(record))))
        continue
      }
      let copy = await usable(id, account, needed)
      if (!copy) {
        await waits.note(job.id, { reason: 'files', detail: 'A file of the input is being uploaded to Replicate.' })
        copy = await copyOf(record, account, needed, signal)
      }
      found.set(id, copy.url)
      until = Math.min(until, copy.expires_at - needed)
    }
    return { found, until }
  }

  return async (record, account, signal) => {
    const job = await jobs.whole(record)
    if (job.input_bytes !== null) return { kind: 'impossible', error: INPUT_LOST }
    if (job.input === null || filesOf(job.input).size === 0)
      return { kind: 'ready', input: job.input ?? {}, until: Infinity }
    try {
      const { found, until } = await addresses(job, account, signal)
      trouble.ended(job.id, { job: job.id }, 'the files of an input are ready after failures')
      const input = mapInput(job.input, (text) => found.get(referenceOf(text) ?? '') ?? text)
      return { kind: 'ready', input, until }
    } catch (error) {
      signal.throwIfAborted()
      trouble.failed(
        job.id,
        { job: job.id, reason: messageOf(error) },
        'could not upload the files of an input; retrying later',
      )
      const why = error instanceof NotReadyError ? error.message : 'a stored file cannot be read'
      await waits.note(job.id, {
        reason: 'files',
        detail: `A file of the input could not be uploaded to Replicate: ${why}. The upload is retried.`,
      })
      // A failure of our own disk or bucket is no evidence about Replicate.
      return error instanceof NotReadyError ? error.result : { kind: 'trouble', health: null, pause: null }
    }
  }
}

/** A shortened input is never sent. */
const INPUT_LOST: JobError = {
  code: 'input_file_lost',
  message: 'The long input of the job no longer exists.',
  retryable: false,
  billed: 'no',
}

const lost = ({ id }: Pick<UploadRecord, 'id'>): NotReadyError =>
  new NotReadyError(`${id} is gone`, {
    kind: 'impossible',
    error: {
      code: 'input_file_lost',
      message: `The file ${id} of the input no longer exists.`,
      retryable: false,
      billed: 'no',
    },
  })

const ACCOUNT = new Set([401, 402, 403])

function refused(outcome: Exclude<HandOverOutcome, { kind: 'taken' }>): NotReadyError {
  if (outcome.kind === 'failed')
    return new NotReadyError(outcome.reason, { kind: 'trouble', health: 'fault', pause: null })
  if (outcome.kind === 'rate_limited') {
    const pause = { for: outcome.retryAfterMs, reason: 'rate_limited' } as const
    return new NotReadyError('Replicate limits the rate of requests', { kind: 'trouble', health: null, pause })
  }
  const { status, message } = outcome
  return new NotReadyError(
    message,
    ACCOUNT.has(status)
      ? { kind: 'trouble', health: 'refused', pause: null }
      : { kind: 'impossible', error: rejection(outcome) },
  )
}
