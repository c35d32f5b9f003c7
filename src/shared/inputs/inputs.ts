import { decodeTime, monotonicFactory } from 'ulid'
import {
  isStorageTrouble,
  StorageTroubleError,
  type ArtifactStore,
  type ByteRange,
} from '../artifacts/artifact-store.ts'
import { append } from '../values/append.ts'
import { mapLimited } from '../values/concurrency.ts'
import type { FieldError } from '../errors/service-error.ts'
import type { JobRecord } from '../jobs/rules/job.ts'
import type { JobReader } from '../jobs/ports.ts'
import type { Timings } from '../jobs/rules/timings.ts'
import type { JsonObject } from '../values/json.ts'
import type { Logger } from '../process/logger.ts'
import { inChunks, peek } from './bytes.ts'
import { inlineName, isDataUri, readDataUri } from './rules/data-uri.ts'
import { HEAD_BYTES, isAllowedType, mediaTypeOf, refusedType } from './media-type.ts'
import type { UploadPage, UploadStore } from './ports.ts'
import { estimatePrice, measuredFields, type PriceRule } from '../credits/rules/price.ts'
import { createDurations } from './durations.ts'
import { filesOf, hasText, isReference, mapInput, referenceOf, uploadPath } from './rules/reference.ts'
import { uploadFolder, type UploadAbout, type UploadRecord } from './rules/upload.ts'

/** Limits of input files. */
export interface InputLimits {
  /** Bytes of a decoded data URI. */
  fileBytes: number
  /** Bytes of all files of a job. */
  jobBytes: number
  /** Bytes of one upload. */
  uploadBytes: number
  /** Allowed types, such as `image/*`. */
  types: readonly string[]
}

/** Files taken out of an input, by the text that replaces each of them. */
export interface TakenFile {
  media_type: string
  bytes: Buffer
}
export type TakenFiles = Map<string, TakenFile>

/** A job that is being accepted, or that was refused. */
export interface Applicant {
  id: string
  input: JsonObject
}

const isOwn = ({ state, expires_at }: UploadRecord): boolean => state === 'ready' && expires_at > Date.now()

const namesFile = (text: string): boolean => isDataUri(text) || isReference(text)

/** Files of an input cannot be used. `job`: index of the applicant; pointers are into its input. */
export class InputFilesError extends Error {
  override name = 'InputFilesError'
  readonly wrong: { job: number; field: FieldError }[]
  constructor(wrong: { job: number; field: FieldError }[]) {
    super(wrong[0]?.field.detail ?? 'The files of the input cannot be used.')
    this.wrong = wrong
  }
}

/** A file is refused for its own properties. */
export class UploadRefusedError extends Error {
  override name = 'UploadRefusedError'
  readonly reason: 'empty' | 'type'
  constructor(reason: 'empty' | 'type', message: string) {
    super(message)
    this.reason = reason
  }
}

export const MAX_FILES_PER_JOB = 32

const AT_ONCE = 8
/** Longest upload; after that it counts as abandoned, ms. */
const WRITING_LEASE = 3_600_000
/** Interval between checks of a file in use, in case its release was not recorded, ms. */
const LOOK_AGAIN = 3_600_000
const DUE_AT_ONCE = 100

export interface InputsDependencies {
  uploads: UploadStore
  artifacts: Pick<ArtifactStore, 'put' | 'open' | 'remove' | 'removeAll'>
  jobs: JobReader
  limits: InputLimits
  /** Throws `storage_full` when the disk has no room for more files of clients. */
  reserve: () => Promise<void>
  timings: Pick<Timings, 'keepUpload' | 'draftLife'>
  log: Logger
}

/** Input files: stores them, assigns them to jobs, and removes them when no job uses them. */
export function createInputs({ uploads, artifacts, jobs, limits, reserve, timings, log }: InputsDependencies) {
  const nextUlid = monotonicFactory()
  const durations = createDurations(artifacts, log)
  /** Time from a job's id to its record; without one by then, the job was not accepted, ms. */
  const hold = 2 * timings.draftLife

  /** Whether the id is so recent that its record may still be written. */
  const mayCome = (job: string): boolean => decodeTime(job.replace(/^job_/, '')) > Date.now() - hold

  async function keep(
    tenant: string,
    body: AsyncIterable<Uint8Array>,
    { keepMs, ...options }: { mediaType: string; maxBytes: number; expectedBytes?: number; keepMs: number },
  ): Promise<UploadRecord> {
    const id = `upl_${nextUlid()}`
    await reserve()
    await uploads.begin(id, tenant, WRITING_LEASE)
    try {
      const stored = await artifacts.put(`${uploadFolder(tenant, id)}/file`, body, options)
      const found = { key: stored.key, media_type: options.mediaType, bytes: stored.bytes, sha256: stored.sha256 }
      const record = await uploads.complete(id, tenant, found, keepMs)
      if (record === null) throw new StorageTroubleError('the upload took too long', { lasting: false })
      return record
    } catch (error) {
      await discard(id, tenant, '')
      throw isStorageTrouble(error) && !(error instanceof StorageTroubleError)
        ? new StorageTroubleError('an input file could not be written', { lasting: false, cause: error })
        : error
    }
  }

  /** Removes the bytes first: a record can briefly name missing bytes, but no bytes are left without a record. */
  async function discard(id: string, tenant: string, key: string): Promise<void> {
    try {
      if (key !== '') await artifacts.remove([key])
      await artifacts.removeAll(uploadFolder(tenant, id))
      await uploads.remove(id)
    } catch (error) {
      log.warn({ err: error, upload: id }, 'an input file could not be removed; the sweep will retry')
    }
  }

  async function dismiss(id: string, users: readonly string[], early = false): Promise<boolean> {
    if (!(await uploads.leave(id, users, early))) return false
    const record = await uploads.read(id)
    if (record) await discard(id, record.tenant, record.key)
    return true
  }

  /** Decodes a data URI that did not come with the request: from a preset's defaults, or from a job of an earlier release. */
  async function fileOf(text: string): Promise<TakenFile | null> {
    const read = readDataUri(text, limits.jobBytes)
    if (read.kind !== 'file' || read.bytes.length === 0) return null
    const { bytes, mediaType } = read
    return { media_type: await mediaTypeOf(bytes.subarray(0, HEAD_BYTES), mediaType), bytes }
  }

  /** Stores the files; returns their ids by the texts that replace them. */
  async function keepTaken(tenant: string, files: TakenFiles): Promise<Map<string, string>> {
    const stored = new Map<string, string>()
    const one = async ([text, file]: [string, TakenFile]): Promise<void> => {
      const { media_type: mediaType, bytes } = file
      const options = { mediaType, maxBytes: bytes.length, expectedBytes: bytes.length, keepMs: 0 }
      stored.set(text, (await keep(tenant, inChunks(bytes), options)).id)
    }
    try {
      await mapLimited([...files], AT_ONCE, one)
      return stored
    } catch (error) {
      for (const id of stored.values()) await dismiss(id, [])
      throw error
    }
  }

  /** Ids of jobs by the file that they name. */
  function usersOf(applicants: readonly Applicant[]): Map<string, string[]> {
    const users = new Map<string, string[]>()
    for (const { id, input } of applicants) for (const file of filesOf(input).keys()) append(users, file, id)
    return users
  }

  /** Durations of the files that fields of an input name, s; those that are not known are left out. */
  async function secondsOf(
    input: JsonObject,
    fields: readonly string[],
    files: TakenFiles,
  ): Promise<Map<string, number>> {
    const found = new Map<string, number>()
    for (const field of fields) {
      const text = input[field]
      const seconds = typeof text === 'string' ? await secondsOfFile(text, files) : null
      if (seconds !== null) found.set(field, seconds)
    }
    return found
  }

  async function secondsOfFile(text: string, files: TakenFiles): Promise<number | null> {
    const taken = files.get(text)
    if (taken) return durations.ofBytes(taken)
    const id = referenceOf(text)
    const record = id === null ? null : await uploads.read(id)
    return record?.state === 'ready' ? durations.of(record) : null
  }

  async function release(applicants: readonly Applicant[]): Promise<void> {
    for (const [file, ids] of usersOf(applicants))
      await dismiss(file, ids).catch((error: unknown) => {
        log.warn({ err: error, upload: file }, 'an input file could not be released; the sweep will retry')
      })
  }

  function problemsOf(applicants: readonly Applicant[], records: ReadonlyMap<string, Pick<UploadRecord, 'bytes'>>) {
    return applicants.flatMap(({ input }, job) => {
      const files = filesOf(input)
      const wrong = (pointer: string, code: string, detail: string) => ({ job, field: { pointer, code, detail } })
      const missing = [...files]
        .filter(([file]) => !records.has(file))
        .flatMap(([, pointers]) => pointers)
        .map((pointer) => wrong(pointer, 'unknown_upload', 'The upload does not exist or has expired.'))
      const bytes = [...files.keys()].reduce((sum, file) => sum + (records.get(file)?.bytes ?? 0), 0)
      if (files.size > MAX_FILES_PER_JOB)
        return [wrong('', 'too_many_files', `The input names too many files. The limit is ${MAX_FILES_PER_JOB}.`)]
      if (bytes > limits.jobBytes)
        return [wrong('', 'too_large', `The files of the input exceed the limit of ${limits.jobBytes} bytes in total.`)]
      return missing
    })
  }

  return {
    limits,

    /**
     * Stores an upload under a new id. Throws UploadRefusedError, ArtifactRefusedError when it is too large, and the errors
     * of the body and the store. A failed upload leaves nothing behind.
     */
    async upload(tenant: string, body: AsyncIterable<Uint8Array>, said: string | null): Promise<UploadRecord> {
      const { head, rest, end } = await peek(body)
      const mediaType = await mediaTypeOf(head, said)
      const isAllowed = isAllowedType(mediaType, limits.types)
      if (head.length > 0 && isAllowed)
        return keep(tenant, rest(), { mediaType, maxBytes: limits.uploadBytes, keepMs: timings.keepUpload })
      await end()
      throw head.length === 0
        ? new UploadRefusedError('empty', 'The file is empty.')
        : new UploadRefusedError('type', refusedType(mediaType, said, limits.types))
    },

    /** Texts by which the uploads of the tenant that a value names can be compared, by their paths. */
    async contentsOf(tenant: string, value: JsonObject): Promise<Map<string, string>> {
      const contents = new Map<string, string>()
      for (const { id, tenant: owner, media_type, sha256 } of await uploads.readMany([...filesOf(value).keys()]))
        if (owner === tenant) contents.set(uploadPath(id), inlineName(media_type, sha256))
      return contents
    },

    /**
     * Returns the inputs of jobs that are being accepted, with every file stored and held for them. Throws
     * InputFilesError; after any error nothing is held. The caller releases jobs that are refused. Empties `files`, so that
     * stored bytes do not stay in memory.
     */
    async attach(tenant: string, applicants: readonly Applicant[], files: TakenFiles): Promise<JsonObject[]> {
      if (files.size === 0 && !applicants.some(({ input }) => hasText(input, namesFile)))
        return applicants.map(({ input }) => input)
      const needed = new Map<string, TakenFile>()
      for (const { input } of applicants) {
        const texts: string[] = []
        mapInput(input, (text) => {
          if (isDataUri(text)) texts.push(text)
          return text
        })
        for (const text of texts) {
          const file = needed.get(text) ?? files.get(text) ?? (await fileOf(text))
          if (file !== null) needed.set(text, file)
        }
      }
      files.clear()
      const stored = await keepTaken(tenant, needed)
      needed.clear()
      const inputs = applicants.map(({ input }) =>
        mapInput(input, (text) => {
          const id = stored.get(text)
          return id === undefined ? text : uploadPath(id)
        }),
      )
      const named = applicants.map(({ id }, i) => ({ id, input: inputs[i] ?? {} }))
      try {
        const records = new Map<string, UploadRecord>()
        for (const [file, ids] of usersOf(named)) {
          const record = await uploads.use(file, tenant, ids, hold)
          if (record) records.set(file, record)
        }
        const wrong = problemsOf(named, records)
        if (wrong.length > 0) throw new InputFilesError(wrong)
        return inputs
      } catch (error) {
        await release(named)
        throw error
      }
    },

    /**
     * Throws InputFilesError when `attach` would refuse the inputs; keeps nothing. Files whose bytes came with the request count with
     * these, those from a preset's defaults do not.
     */
    async check(tenant: string, inputs: readonly JsonObject[], files: TakenFiles): Promise<void> {
      const sizes = new Map(
        [...files].map(([text, { bytes }]) => [text, { id: `upl_${nextUlid()}`, bytes: bytes.length }]),
      )
      const named = inputs.map((input) => ({
        id: '',
        input: mapInput(input, (text) => {
          const file = sizes.get(text)
          return file === undefined ? text : uploadPath(file.id)
        }),
      }))
      const own = new Map([...sizes.values()].map(({ id, bytes }) => [id, { bytes }]))
      const records = new Map<string, Pick<UploadRecord, 'bytes'>>(own)
      const others = [...usersOf(named).keys()].filter((file) => !own.has(file))
      await mapLimited(others, AT_ONCE, async (file) => {
        const record = await uploads.read(file)
        if (record?.tenant === tenant && record.state === 'ready') records.set(file, record)
      })
      const wrong = problemsOf(named, records)
      if (wrong.length > 0) throw new InputFilesError(wrong)
    },

    release,

    /**
     * Amount to hold for a job with this input, which was attached, or checked with these `files`; micro-credits. Files of ours are
     * measured where the price depends on their duration.
     */
    async estimate(price: PriceRule | null, input: JsonObject, files: TakenFiles = new Map()): Promise<number> {
      return price === null ? 0 : estimatePrice(price, input, await secondsOf(input, measuredFields(price), files))
    },

    /** Removes the files of a removed input, unless other jobs use them or their own retention lasts. */
    async removeInputs({ id, input }: Pick<JobRecord, 'id' | 'input'>): Promise<void> {
      if (input !== null) await release([{ id, input }])
    },

    /** Returns an upload of the tenant that is ready. */
    async find(tenant: string, id: string): Promise<UploadRecord | null> {
      const record = await uploads.read(id)
      return record?.tenant === tenant && record.state === 'ready' ? record : null
    },

    describe: (id: string, about: UploadAbout): Promise<UploadRecord | null> => uploads.describe(id, about),

    /** The uploads of clients of the tenant, newest first, whose own retention lasts. */
    async list(tenant: string, page: UploadPage): Promise<{ uploads: UploadRecord[]; more: boolean }> {
      const { uploads: found, more } = await uploads.list(tenant, page)
      return { uploads: found.filter(isOwn), more }
    },

    /** Like `find`, but only while the upload's own retention lasts: one that a job uses may be kept for longer. */
    async findOwn(tenant: string, id: string): Promise<UploadRecord | null> {
      const record = await uploads.read(id)
      return record?.tenant === tenant && isOwn(record) ? record : null
    },

    /** Removes an upload now, or with the last job that uses it. */
    async dropOwn({ id }: UploadRecord): Promise<void> {
      await uploads.expire(id)
      if (await unused(id)) await dismiss(id, [])
    },

    isUsedBy: (id: string, job: string): Promise<boolean> => uploads.isUsedBy(id, job),

    open: ({ key }: UploadRecord, range?: ByteRange) => artifacts.open(key, range),

    /** Removes an upload; false when a job uses it. */
    async remove({ id }: UploadRecord): Promise<boolean> {
      return (await unused(id)) && dismiss(id, [], true)
    },

    /** Removes a batch of expired files that no job uses. */
    async sweep(): Promise<void> {
      for (const id of await uploads.claimDue(DUE_AT_ONCE))
        await visit(id).catch((error: unknown) => {
          log.error({ err: error, upload: id }, 'an expired input file could not be checked')
        })
    },
  }

  async function visit(id: string): Promise<void> {
    const record = await uploads.read(id)
    if (record === null) return uploads.remove(id)
    const isGone = record.state === 'removing' || (await unused(id))
    if (!isGone || !(await dismiss(id, []))) await uploads.rearm(id, LOOK_AGAIN)
  }

  /** Whether no job uses it; drops jobs that are gone or were never accepted. */
  async function unused(id: string): Promise<boolean> {
    for (;;) {
      const users = await uploads.users(id)
      const gone: string[] = []
      for (const user of users) {
        if (mayCome(user) || (await jobs.read(user))?.input) break
        gone.push(user)
      }
      if (gone.length > 0) await uploads.leave(id, gone)
      if (gone.length < users.length) return false
      if (users.length === 0) return true
    }
  }
}

export type Inputs = ReturnType<typeof createInputs>
