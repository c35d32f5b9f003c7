import type { IncomingHttpHeaders } from 'node:http'
import type { Readable } from 'node:stream'
import busboy from 'busboy'
import { ServiceError } from '../shared/errors/service-error.ts'
import type { BodyShare } from './body-budget.ts'
import { idled, watchIdle } from './read-body.ts'
import { invalidRequest } from './schemas.ts'

export interface PartFile {
  /** Name of the field and of the file, '' without one; untrusted. */
  field: string
  name: string
  /** As declared by the sender; untrusted. */
  mediaType: string | null
  body: AsyncIterable<Uint8Array>
}

export interface MultipartRequest {
  headers: IncomingHttpHeaders
  stream: Readable
  /** Budget for the bytes between the connection and the files. */
  share: BodyShare
  /** ms without a byte after which the body is given up. */
  idleMs: number
}

/** Fields that are no files. */
export interface MultipartFields {
  most: number
  take: (name: string, value: string) => void
}

const ONLY_FILES = 'Only files are accepted, no other fields.'
const TOO_MANY_FIELDS = 'The body has too many fields.'

const malformed = (detail: string): ServiceError => new ServiceError('invalid_multipart', detail)

/** Limits of part headers, and bytes of a field. */
const PART_LIMITS = { headerPairs: 20, fieldNameSize: 100, fieldSize: 64 * 1024 }
/** Limit of bytes outside of files; some are buffered between parser and file. */
const MAX_OUTSIDE_BYTES = 8 * 1024 * 1024

/**
 * Passes each file of a multipart body to `take` while it arrives; several can be in progress at once. Resolves when all
 * are taken. The first error stops everything: the rest of the body is not read, and every `take` sees its file fail.
 * Rejects when all of them have ended.
 */
export async function readMultipart(
  { headers, stream, share, idleMs }: MultipartRequest,
  maxFiles: number,
  take: (file: PartFile) => Promise<void>,
  fields?: MultipartFields,
): Promise<void> {
  const parser = open(headers, { files: maxFiles, fields: fields?.most ?? 0 })
  const work: Promise<void>[] = []
  // A slow store pauses the stream (backpressure), which does not count as a stalled sender.
  const idle = watchIdle(
    idleMs,
    () => parser.destroy(idled(idleMs)),
    () => !stream.isPaused(),
  )
  let outside = 0
  async function* counted(body: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
    for await (const chunk of body) {
      outside -= chunk.byteLength
      share.give(chunk.byteLength)
      yield chunk
    }
  }
  try {
    await new Promise<void>((resolve, reject) => {
      const fail = (error: unknown): void => {
        stream.unpipe(parser)
        reject(error instanceof Error ? error : new Error(String(error)))
        parser.destroy()
      }
      parser.on('field', (name, value) => fields?.take(name, value))
      parser.on('file', (field, body, { mimeType, filename = '' }) => {
        // An abandoned file can emit its own error.
        body.on('error', () => undefined)
        const mediaType = mimeType === '' ? null : mimeType
        const taken = take({ field, name: filename, mediaType, body: counted(body) })
        work.push(taken)
        taken.catch(fail)
      })
      parser.on('fieldsLimit', () => {
        fail(
          invalidRequest([
            { pointer: '', code: 'unknown_field', detail: fields === undefined ? ONLY_FILES : TOO_MANY_FIELDS },
          ]),
        )
      })
      parser.on('filesLimit', () => {
        fail(
          invalidRequest([
            {
              pointer: '',
              code: 'too_many_files',
              detail: `The request has too many files. The limit is ${maxFiles}.`,
            },
          ]),
        )
      })
      parser.on('error', (error) => {
        fail(error instanceof ServiceError ? error : malformed('The parts of the body could not be parsed.'))
      })
      parser.on('close', resolve)
      stream.on('data', (chunk: Buffer) => {
        idle.moved()
        outside += chunk.length
        try {
          share.take(chunk.length)
        } catch (error) {
          fail(error)
        }
        if (outside > MAX_OUTSIDE_BYTES)
          fail(malformed('The multipart body contains too much data outside file parts.'))
      })
      stream.on('error', () => fail(malformed('The body ended early.')))
      stream.on('close', () => {
        if (!stream.readableEnded) fail(malformed('The body ended early.'))
      })
      stream.pipe(parser)
    })
    await Promise.all(work)
  } finally {
    idle.end()
    await Promise.allSettled(work)
  }
}

function open(headers: IncomingHttpHeaders, most: { files: number; fields: number }): busboy.Busboy {
  if (!/^\s*multipart\/form-data\s*;/i.test(`${headers['content-type'] ?? ''};`))
    throw new ServiceError('unsupported_media_type', 'Send Content-Type: multipart/form-data.')
  try {
    return busboy({ headers, defParamCharset: 'utf8', limits: { ...PART_LIMITS, ...most } })
  } catch {
    throw malformed('The Content-Type has no boundary.')
  }
}
