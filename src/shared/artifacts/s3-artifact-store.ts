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
import { messageOf } from '../values/error-text.ts'

export interface S3Options {
  bucket: string
  /** Prefix of every key; '' for none. */
  prefix: string
  /** null: AWS's endpoint for the region. */
  endpoint: string | null
  region: string
  /** null: AWS's default credential chain, such as the role of the machine. */
  credentials: { accessKeyId: string; secretAccessKey: string } | null
  /** `<endpoint>/<bucket>/<key>` instead of `<bucket>.<endpoint>/<key>`. */
  forcePathStyle: boolean
  /** Whether presigned links are handed out. */
  presigned: boolean
  /** Limits in ms: connecting, silence, a whole upload, a check. */
  timeouts?: { connect: number; idle: number; upload: number; check: number }
}

const TIMEOUTS = { connect: 5000, idle: 30_000, upload: 120_000, check: 2000 }

/** Limit of connections; each download holds one for as long as its reader takes. */
const MAX_SOCKETS = 200

const nothing = (): void => undefined
const SILENT = { debug: nothing, info: nothing, warn: nothing, error: nothing }

/** Refusals that last until an operator acts. */
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

/** Transfer errors of a healthy server. */
const PASSING = new Set(['BadDigest', 'IncompleteBody', 'RequestTimeout', 'XAmzContentSHA256Mismatch'])

/** Artifacts as objects of a bucket. Each is complete on the local disk before it is uploaded, in one request. */
export function createS3ArtifactStore(options: S3Options, spool: Spool): ArtifactStore & { close(): void } {
  const { bucket, presigned } = options
  const timeouts = options.timeouts ?? TIMEOUTS
  const prefix = options.prefix === '' ? '' : `${safeKey(options.prefix)}/`
  const client = new S3Client({
    region: options.region,
    forcePathStyle: options.forcePathStyle,
    ...(options.endpoint === null ? {} : { endpoint: options.endpoint }),
    ...(options.credentials === null ? {} : { credentials: options.credentials }),
    // The store job owns retries. The second attempt here covers a connection that was closed while idle.
    maxAttempts: 2,
    // The SDK's warnings repeat the errors that it throws.
    logger: SILENT,
    // Each object is sent with our digest, which servers without the SDK's checksums accept too.
    requestChecksumCalculation: 'WHEN_REQUIRED',
    responseChecksumValidation: 'WHEN_REQUIRED',
    requestHandler: {
      connectionTimeout: timeouts.connect,
      socketTimeout: timeouts.idle,
      httpAgent: { maxSockets: MAX_SOCKETS, keepAlive: true },
      httpsAgent: { maxSockets: MAX_SOCKETS, keepAlive: true },
    },
  })

  /** Bucket and key of an object. Stored keys name their bucket; others are below the configured prefix. */
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
    // The signature covers the digest of the content, so every server verifies the received bytes.
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

  /** Verifies the uploaded object with a HEAD: a server, or a proxy in front of it, can return 200 without storing it. */
  async function confirm(
    place: { Bucket: string; Key: string },
    { bytes, sha256 }: Pick<ReceivedFile, 'bytes' | 'sha256'>,
    signal: AbortSignal | undefined,
  ): Promise<void> {
    const head = await client
      .send(new HeadObjectCommand({ ...place, ChecksumMode: 'ENABLED' }), { abortSignal: timely(signal) })
      .catch((error: unknown) => {
        if (statusOf(error) !== 404) throw error
        throw new StorageTroubleError(`the bucket ${place.Bucket} accepted an object but does not have it`, {
          lasting: false,
          cause: error,
        })
      })
    const digest = Buffer.from(sha256, 'hex').toString('base64')
    const isOther = head.ChecksumSHA256 !== undefined && head.ChecksumSHA256 !== digest
    if (head.ContentLength === bytes && !isOther) return
    throw new StorageTroubleError(
      `the bucket ${place.Bucket} stored another object than was sent: ${head.ContentLength ?? 'unknown'} of ${bytes} bytes`,
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
      // Each file passes through the local disk.
      const spooling = await spool.check()
      if (!spooling.ok) return spooling
      try {
        await client.send(new HeadBucketCommand({ Bucket: bucket }), {
          abortSignal: AbortSignal.timeout(timeouts.check),
        })
        return { ok: true, detail: `the bucket ${bucket} responds` }
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
  const hasStatus = typeof $metadata === 'object' && $metadata !== null && 'httpStatusCode' in $metadata
  return hasStatus && typeof $metadata.httpStatusCode === 'number' ? $metadata.httpStatusCode : null
}

/** Classifies a failed request. A HEAD has no body, so only its status is known. */
function trouble(error: unknown, bucket: string): StorageTroubleError {
  if (error instanceof StorageTroubleError) return error
  const status = statusOf(error)
  const name = nameOf(error)
  if (name === 'NoSuchBucket' || (name === 'NotFound' && status === 404))
    return new StorageTroubleError(`there is no bucket ${bucket}`, { lasting: true, cause: error })
  const refused = status !== null && [301, 400, 401, 403].includes(status) && !PASSING.has(name)
  const lasting = refused || LASTING.has(name)
  const words = [name, status === null ? '' : `status ${status}`, messageOf(error)]
  const reason = words.filter((word) => word !== '' && word !== 'UnknownError' && word !== 'Error').join(', ')
  return new StorageTroubleError(`the bucket ${bucket} ${lasting ? 'refuses requests' : 'fails'}: ${reason}`, {
    lasting,
    cause: error,
  })
}
