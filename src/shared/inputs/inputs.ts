import { decodeTime, monotonicFactory } from 'ulid'
import {
  isStorageTrouble,
  StorageTroubleError,
  type ArtifactStore,
  type ByteRange,
} from '../artifacts/artifact-store.ts'
import { append } from '../append.ts'
import type { FieldError } from '../errors.ts'
import type { JobRecord, JsonObject } from '../jobs/job.ts'
import type { JobStore } from '../jobs/ports.ts'
import type { Timings } from '../jobs/timings.ts'
import type { Logger } from '../logger.ts'
import { inChunks, peek } from './bytes.ts'
import { isDataUri, readDataUri } from './data-uri.ts'
import { HEAD_BYTES, isAllowedType, mediaTypeOf } from './media-type.ts'
import type { UploadStore } from './ports.ts'
import { filesOf, hasText, isReference, mapInput, uploadPath } from './reference.ts'
import { uploadFolder, type UploadRecord } from './upload.ts'

/** What input files may be. */
export interface InputLimits {
  /** Of a data URI, decoded. */
  fileBytes: number
  /** Of all files of a job. */
  jobBytes: number
  /** Of one upload. */
  uploadBytes: number
  /** Types such as `image/*`. */
  types: readonly string[]
}

/** A file that stood in an input, by the text that stands there now. */
export interface TakenFile {
  media_type: string
  bytes: Buffer
}
export type TakenFiles = Map<string, TakenFile>

/** A job that is about to be accepted, or was not. */
export interface Applicant {
  id: string
  input: JsonObject
}

const namesFile = (text: string): boolean => isDataUri(text) || isReference(text)

/** Files that an input names cannot be had. `job`: which of the applicants; pointers begin in its input. */
export class InputFilesError extends Error {
  override name = 'InputFilesError'
  readonly wrong: { job: number; field: FieldError }[]
  constructor(wrong: { job: number; field: FieldError }[]) {
    super(wrong[0]?.field.detail ?? 'The files of the input cannot be used.')
    this.wrong = wrong
  }
}

/** What is wrong with a file by itself. */
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
/** Whoever takes longer to send a file has given up. ms */
const WRITING_LEASE = 3_600_000
/** A file that is used is looked at again so much later, in case that nobody said that it is not any more. ms */
const LOOK_AGAIN = 3_600_000
const DUE_AT_ONCE = 100

export interface InputsDependencies {
  uploads: UploadStore
  artifacts: Pick<ArtifactStore, 'put' | 'open' | 'remove' | 'removeAll'>
  jobs: Pick<JobStore, 'read'>
  limits: InputLimits
  timings: Pick<Timings, 'keepUpload' | 'draftLife'>
  log: Logger
}

/** The files of inputs: kept, given to jobs, and removed when nobody needs them. */
export function createInputs({ uploads, artifacts, jobs, limits, timings, log }: InputsDependencies) {
  const nextUlid = monotonicFactory()
  /** After a job was given an id its record comes, or never will. */
  const hold = 2 * timings.draftLife

  /** Its id is so young that its record may still be on its way. */
  const mayCome = (job: string): boolean => decodeTime(job.replace(/^job_/, '')) > Date.now() - hold

  async function keep(
    tenant: string,
    body: AsyncIterable<Uint8Array>,
    { keepMs, ...options }: { mediaType: string; maxBytes: number; expectedBytes?: number; keepMs: number },
  ): Promise<UploadRecord> {
    const id = `upl_${nextUlid()}`
    await uploads.begin(id, tenant, WRITING_LEASE)
    try {
      const stored = await artifacts.put(`${uploadFolder(tenant, id)}/file`, body, options)
      const found = { key: stored.key, media_type: options.mediaType, bytes: stored.bytes, sha256: stored.sha256 }
      const record = await uploads.complete(id, found, keepMs)
      if (record === null) throw new StorageTroubleError('the upload took too long', { lasting: false })
      return record
    } catch (error) {
      await discard(id, tenant, '')
      throw isStorageTrouble(error) && !(error instanceof StorageTroubleError)
        ? new StorageTroubleError('an input file cannot be written', { lasting: false, cause: error })
        : error
    }
  }

  /** Bytes first: what a record names may be missing for a moment, but nothing is left that no record names. */
  async function discard(id: string, tenant: string, key: string): Promise<void> {
    try {
      if (key !== '') await artifacts.remove([key])
      await artifacts.removeAll(uploadFolder(tenant, id))
      await uploads.remove(id)
    } catch (error) {
      log.warn({ err: error, upload: id }, 'an input file was not removed; the sweep will')
    }
  }

  async function dismiss(id: string, users: readonly string[], early = false): Promise<boolean> {
    if (!(await uploads.leave(id, users, early))) return false
    const record = await uploads.read(id)
    if (record) await discard(id, record.tenant, record.key)
    return true
  }

  /** A data URI that did not come with the request: of a preset's defaults, or of a job of an earlier release. */
  async function fileOf(text: string): Promise<TakenFile | null> {
    const read = readDataUri(text, limits.jobBytes)
    if (read.kind !== 'file' || read.bytes.length === 0) return null
    const { bytes, mediaType } = read
    return { media_type: await mediaTypeOf(bytes.subarray(0, HEAD_BYTES), mediaType), bytes }
  }

  /** Ids of stored files by the texts that stand for them. */
  async function keepTaken(tenant: string, files: TakenFiles): Promise<Map<string, string>> {
    const stored = new Map<string, string>()
    const one = async ([text, file]: [string, TakenFile]): Promise<void> => {
      const { media_type: mediaType, bytes } = file
      const options = { mediaType, maxBytes: bytes.length, expectedBytes: bytes.length, keepMs: 0 }
      stored.set(text, (await keep(tenant, inChunks(bytes), options)).id)
    }
    try {
      const all = [...files]
      for (let at = 0; at < all.length; at += AT_ONCE) await allOrThrow(all.slice(at, at + AT_ONCE).map(one))
      return stored
    } catch (error) {
      for (const id of stored.values()) await dismiss(id, [])
      throw error
    }
  }

  /** Which jobs name which files. */
  function usersOf(applicants: readonly Applicant[]): Map<string, string[]> {
    const users = new Map<string, string[]>()
    for (const { id, input } of applicants) for (const file of filesOf(input).keys()) append(users, file, id)
    return users
  }

  async function release(applicants: readonly Applicant[]): Promise<void> {
    for (const [file, ids] of usersOf(applicants))
      await dismiss(file, ids).catch((error: unknown) => {
        log.warn({ err: error, upload: file }, 'an input file was not given back; the sweep will')
      })
  }

  function problemsOf(applicants: readonly Applicant[], records: ReadonlyMap<string, UploadRecord>) {
    return applicants.flatMap(({ input }, job) => {
      const files = filesOf(input)
      const wrong = (pointer: string, code: string, detail: string) => ({ job, field: { pointer, code, detail } })
      const missing = [...files]
        .filter(([file]) => !records.has(file))
        .flatMap(([, pointers]) => pointers)
        .map((pointer) => wrong(pointer, 'unknown_upload', 'There is no such upload, or it is gone.'))
      const bytes = [...files.keys()].reduce((sum, file) => sum + (records.get(file)?.bytes ?? 0), 0)
      if (files.size > MAX_FILES_PER_JOB)
        return [wrong('', 'too_many_files', `An input may name ${MAX_FILES_PER_JOB} files.`)]
      if (bytes > limits.jobBytes)
        return [wrong('', 'too_large', `The files of an input may have ${limits.jobBytes} bytes together.`)]
      return missing
    })
  }

  return {
    limits,

    /**
     * Keeps an upload under its own id; throws UploadRefusedError, ArtifactRefusedError when it is too large, and
     * whatever the body or the store throws. Nothing is left of what fails.
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
        : new UploadRefusedError('type', `Files of the type ${mediaType} are not accepted.`)
    },

    /**
     * The inputs of jobs that are about to be accepted, with every file kept here and held for them. Throws
     * InputFilesError; whatever it throws, nothing is held. Who is not accepted is to be released. `files` is empty
     * afterwards: what is stored need not stay in memory.
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

    release,

    /** The input of a job is gone: its files go too, unless other jobs use them or they have time of their own. */
    async removeInputs({ id, input }: Pick<JobRecord, 'id' | 'input'>): Promise<void> {
      if (input !== null) await release([{ id, input }])
    },

    /** An upload of the tenant that can be read. */
    async find(tenant: string, id: string): Promise<UploadRecord | null> {
      const record = await uploads.read(id)
      return record?.tenant === tenant && record.state === 'ready' ? record : null
    },

    isUsedBy: (id: string, job: string): Promise<boolean> => uploads.isUsedBy(id, job),

    open: ({ key }: UploadRecord, range?: ByteRange) => artifacts.open(key, range),

    /** False: a job uses it. */
    async remove({ id }: UploadRecord): Promise<boolean> {
      return (await unused(id)) && dismiss(id, [], true)
    },

    /** Removes files whose time is over and that no job uses, a part of them at each call. */
    async sweep(): Promise<void> {
      for (const id of await uploads.claimDue(DUE_AT_ONCE))
        await visit(id).catch((error: unknown) => {
          log.error({ err: error, upload: id }, 'an input file could not be looked after')
        })
    },
  }

  async function visit(id: string): Promise<void> {
    const record = await uploads.read(id)
    if (record === null) return uploads.remove(id)
    const isGone = record.state === 'removing' || (await unused(id))
    if (!isGone || !(await dismiss(id, []))) await uploads.rearm(id, LOOK_AGAIN)
  }

  /** Whether no job needs it; those that are gone, or never came, are forgotten. */
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

/** Waits for all, also when one fails: nothing goes on behind the caller's back. */
async function allOrThrow(work: Promise<void>[]): Promise<void> {
  for (const result of await Promise.allSettled(work)) if (result.status === 'rejected') throw result.reason
}
