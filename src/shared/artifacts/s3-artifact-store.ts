import { createReadStream } from 'node:fs'
import { Readable } from 'node:stream'
import {
  DeleteObjectCommand,
  GetObjectCommand,
  HeadBucketCommand,
  HeadObjectCommand,
  ListObjectsV2Command,
  PutObjectCommand,
  S3Client,
} from '@aws-sdk/client-s3'
import { getSignedUrl } from '@aws-sdk/s3-request-presigner'
import {
  S3_KEY,
  safeKey,
  StorageTroubleError,
  type ArtifactStore,
  type ByteRange,
  type StorageCheck,
} from './artifact-store.ts'
import type { ReceivedFile } from './receive-file.ts'
import type { Spool } from './spool.ts'

export interface S3Options {
  bucket: string
  /** Before every key; '' for none. */
  prefix: string
  /** null: that of AWS for the region. */
  endpoint: string | null
  region: string
  /** null: by the usual ways of AWS, such as the role of the machine. */
  credentials: { accessKeyId: string; secretAccessKey: string } | null
  /** `<endpoint>/<bucket>/<key>` in place of `<bucket>.<endpoint>/<key>`. */
  forcePathStyle: boolean
  /** Whether links of the store's own are given out. */
  presigned: boolean
  /** ms for connecting; without any byte; for a whole upload; for a check. */
  timeouts?: { connect: number; idle: number; upload: number; check: number }
}

const TIMEOUTS = { connect: 5000, idle: 30_000, upload: 120_000, check: 2000 }

/** Downloads hold a connection each, as long as their reader takes. */
const MAX_SOCKETS = 200

const nothing = (): void => undefined
const SILENT = { debug: nothing, info: nothing, warn: nothing, error: nothing }

/** Refusals that last until somebody changes something here or there. */
const LASTING = new Set([
  'NoSuchBucket',
  'AccessDenied',
  'AllAccessDisabled',
  'AccountProblem',
  'InvalidAccessKeyId',
  'InvalidBucketName',
  'SignatureDoesNotMatch',
  'PermanentRedirect',
  'AuthorizationHeaderMalformed',
  'InvalidToken',
  'ExpiredToken',
  'CredentialsProviderError',
])

/** What is lost on the way to a server that is well. */
const PASSING = new Set(['BadDigest', 'IncompleteBody', 'RequestTimeout', 'XAmzContentSHA256Mismatch'])

/** Artifacts as objects of a bucket. Each is whole on the local disk before it is put, in one request. */
export function createS3ArtifactStore(options: S3Options, spool: Spool): ArtifactStore & { close(): void } {
  const { bucket, presigned } = options
  const timeouts = options.timeouts ?? TIMEOUTS
  const prefix = options.prefix === '' ? '' : `${safeKey(options.prefix)}/`
  const client = new S3Client({
    region: options.region,
    forcePathStyle: options.forcePathStyle,
    ...(options.endpoint === null ? {} : { endpoint: options.endpoint }),
    ...(options.credentials === null ? {} : { credentials: options.credentials }),
    // One owner of retries: the store job. A second try here covers a connection that was closed while idle.
    maxAttempts: 2,
    // What it would warn of is told by the errors that it throws.
    logger: SILENT,
    // Our digest is sent with each object; servers that know nothing of the SDK's own checksums take it too.
    requestChecksumCalculation: 'WHEN_REQUIRED',
    responseChecksumValidation: 'WHEN_REQUIRED',
    requestHandler: {
      connectionTimeout: timeouts.connect,
      socketTimeout: timeouts.idle,
      httpAgent: { maxSockets: MAX_SOCKETS, keepAlive: true },
      httpsAgent: { maxSockets: MAX_SOCKETS, keepAlive: true },
    },
  })

  /** Remembered keys say their bucket; others are below our prefix. */
  function placeOf(key: string): { Bucket: string; Key: string } {
    const [, Bucket, Key] = S3_KEY.exec(key) ?? []
    return Bucket !== undefined && Key !== undefined
      ? { Bucket, Key: safeKey(Key) }
      : { Bucket: bucket, Key: prefix + safeKey(key) }
  }

  const timely = (signal: AbortSignal | undefined): AbortSignal => {
    const deadline = AbortSignal.timeout(timeouts.upload)
    return signal ? AbortSignal.any([signal, deadline]) : deadline
  }

  async function send(
    key: string,
    { path, bytes, sha256, media_type }: ReceivedFile,
    signal: AbortSignal | undefined,
  ): Promise<string> {
    const place = placeOf(key)
    const body = createReadStream(path)
    const command = new PutObjectCommand({
      ...place,
      Body: body,
      ContentLength: bytes,
      ContentType: media_type,
      ChecksumSHA256: Buffer.from(sha256, 'hex').toString('base64'),
    })
    // Signed with the digest of the content: whatever else a server knows, it checks that what arrived is what was sent.
    command.middlewareStack.add(
      (next) => async (args) => {
        if (isHttpRequest(args.request)) args.request.headers['x-amz-content-sha256'] = sha256
        return next(args)
      },
      { step: 'build', name: 'contentDigest' },
    )
    try {
      await client.send(command, { abortSignal: timely(signal) })
      await confirm(place, { bytes, sha256 }, signal)
      return `s3://${place.Bucket}/${place.Key}`
    } catch (error) {
      signal?.throwIfAborted()
      throw trouble(error, bucket)
    } finally {
      body.destroy()
    }
  }

  /** Asks for the object that was just put: a server, or a proxy before it, may answer 200 without having stored it. */
  async function confirm(
    place: { Bucket: string; Key: string },
    { bytes, sha256 }: Pick<ReceivedFile, 'bytes' | 'sha256'>,
    signal: AbortSignal | undefined,
  ): Promise<void> {
    const head = await client
      .send(new HeadObjectCommand({ ...place, ChecksumMode: 'ENABLED' }), { abortSignal: timely(signal) })
      .catch((error: unknown) => {
        if (statusOf(error) !== 404) throw error
        throw new StorageTroubleError(`the bucket ${place.Bucket} accepted an object and does not have it`, {
          lasting: false,
          cause: error,
        })
      })
    const digest = Buffer.from(sha256, 'hex').toString('base64')
    const isOther = head.ChecksumSHA256 !== undefined && head.ChecksumSHA256 !== digest
    if (head.ContentLength === bytes && !isOther) return
    throw new StorageTroubleError(
      `the bucket ${place.Bucket} stored another object than it was sent: ${head.ContentLength ?? 'unknown'} of ${bytes} bytes`,
      { lasting: false },
    )
  }

  async function remove(place: { Bucket: string; Key: string }): Promise<void> {
    try {
      await client.send(new DeleteObjectCommand(place))
    } catch (error) {
      throw trouble(error, place.Bucket)
    }
  }

  return {
    put: (key, body, given) =>
      spool.pass(body, given, async (file) => {
        const { bytes, sha256, media_type } = file
        const named = typeof key === 'string' ? key : key(media_type)
        return { key: await send(named, file, given.signal), bytes, sha256, media_type }
      }),

    async open(key, range) {
      try {
        const { Body } = await client.send(new GetObjectCommand({ ...placeOf(key), ...rangeOf(range) }))
        return Body instanceof Readable ? Body : null
      } catch (error) {
        if (nameOf(error) === 'NoSuchKey') return null
        throw trouble(error, bucket)
      }
    },

    async link(key, { seconds, mediaType, disposition }) {
      if (!presigned) return null
      const command = new GetObjectCommand({
        ...placeOf(key),
        ResponseContentType: mediaType,
        ResponseContentDisposition: disposition,
      })
      return getSignedUrl(client, command, { expiresIn: seconds })
    },

    async remove(keys) {
      for (const key of keys) await remove(placeOf(key))
    },

    async removeAll(given) {
      const { Bucket, Key } = placeOf(given)
      let more: string | undefined
      do {
        const page = await client
          .send(new ListObjectsV2Command({ Bucket, Prefix: `${Key}/`, ContinuationToken: more }))
          .catch((error: unknown) => {
            throw trouble(error, Bucket)
          })
        for (const { Key: found } of page.Contents ?? []) if (found !== undefined) await remove({ Bucket, Key: found })
        more = page.NextContinuationToken
      } while (more !== undefined)
    },

    async check(): Promise<StorageCheck> {
      // Each file is whole on the local disk first.
      const spooling = await spool.check()
      if (!spooling.ok) return spooling
      try {
        await client.send(new HeadBucketCommand({ Bucket: bucket }), {
          abortSignal: AbortSignal.timeout(timeouts.check),
        })
        return { ok: true, detail: `the bucket ${bucket} answers` }
      } catch (error) {
        const { lasting, message } = trouble(error, bucket)
        return { ok: !lasting, detail: message }
      }
    },

    close: () => client.destroy(),
  }
}

const rangeOf = (range: ByteRange | undefined) => (range ? { Range: `bytes=${range.start}-${range.end}` } : {})

const nameOf = (error: unknown): string => (error instanceof Error ? error.name : '')

const isHttpRequest = (request: unknown): request is { headers: Record<string, string> } =>
  typeof request === 'object' && request !== null && 'headers' in request

const statusOf = (error: unknown): number | null => {
  if (!(error instanceof Error) || !('$metadata' in error)) return null
  const { $metadata } = error
  const isTold = typeof $metadata === 'object' && $metadata !== null && 'httpStatusCode' in $metadata
  return isTold && typeof $metadata.httpStatusCode === 'number' ? $metadata.httpStatusCode : null
}

/** What a failed request means. A HEAD has no body, so its status must do. */
function trouble(error: unknown, bucket: string): StorageTroubleError {
  if (error instanceof StorageTroubleError) return error
  const status = statusOf(error)
  const name = nameOf(error)
  if (name === 'NoSuchBucket' || (name === 'NotFound' && status === 404))
    return new StorageTroubleError(`there is no bucket ${bucket}`, { lasting: true, cause: error })
  const refused = status !== null && [301, 400, 401, 403].includes(status) && !PASSING.has(name)
  const lasting = refused || LASTING.has(name)
  const words = [
    name,
    status === null ? '' : `status ${status}`,
    error instanceof Error ? error.message : String(error),
  ]
  const told = words.filter((word) => word !== '' && word !== 'UnknownError' && word !== 'Error').join(', ')
  return new StorageTroubleError(`the bucket ${bucket} ${lasting ? 'refuses us' : 'fails'}: ${told}`, {
    lasting,
    cause: error,
  })
}
