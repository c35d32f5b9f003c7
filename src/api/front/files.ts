import { createHash } from 'node:crypto'
import mime from 'mime'
import { z } from 'zod'
import { ArtifactRefusedError, type ArtifactStore } from '../../shared/artifacts/artifact-store.ts'
import { extensionOf, plainType } from '../../shared/artifacts/rules/media-types.ts'
import { REQUIRED } from '../../shared/errors/field-details.ts'
import { ServiceError } from '../../shared/errors/service-error.ts'
import { peek } from '../../shared/inputs/bytes.ts'
import { UploadRefusedError, type Inputs } from '../../shared/inputs/inputs.ts'
import type { UploadAbout, UploadRecord } from '../../shared/inputs/rules/upload.ts'
import type { JsonObject } from '../../shared/values/json.ts'
import type { ApiResponse, OwnedRequest, Route, StreamedRequest } from '../http.ts'
import { readMultipart, type PartFile } from '../read-multipart.ts'
import { invalidRequest, parseWith } from '../schemas.ts'
import { serveFile } from '../serve-file.ts'
import { linksOf, readCursor, type PageCursor } from './cursor.ts'
import { fileIdOf, uploadIdOf } from './ids.ts'
import { readJsonObject } from './json-object.ts'
import { originOf } from './origin.ts'
import { FRONT } from './path.ts'

export interface FileRoutesDependencies {
  inputs: Pick<Inputs, 'limits' | 'upload' | 'describe' | 'list' | 'findOwn' | 'remove' | 'dropOwn'>
  artifacts: Pick<ArtifactStore, 'open' | 'link'>
}

/** A file as Replicate's API shows it. */
interface FileView {
  id: string
  name: string
  content_type: string
  size: number
  etag: string
  /** `md5` is not known of uploads of our own API. */
  checksums: { sha256: string; md5?: string }
  metadata: JsonObject
  created_at: string
  expires_at: string
  urls: { get: string }
}

const PAGE = 100
/** `content`, `metadata`, `filename` and `type`. */
const PARTS = 4
const MAX_NAME_BYTES = 255
const MAX_TEXT_BYTES = 16 * 1024

const noFile = (): ServiceError => new ServiceError('not_found', 'File not found')
const wrong = (field: string, code: string, detail: string): ServiceError =>
  invalidRequest([{ pointer: `/${field}`, code, detail }])

const listQuery = z.object({ cursor: z.string().optional() })

/** Replicate's files: the uploads of a tenant. */
export function fileRoutes({ inputs, artifacts }: FileRoutesDependencies): Route[] {
  async function create(request: StreamedRequest): Promise<ApiResponse> {
    const { principal } = request
    const texts = new Map<string, string>()
    const md5 = createHash('md5')
    const taken: { content: { record: UploadRecord; name: string } | null } = { content: null }
    async function take({ field, name, mediaType, body }: PartFile): Promise<void> {
      if (field !== 'content') {
        texts.set(field, await textOf(field, body))
        return
      }
      const { head, rest } = await peek(body)
      const said = plainType(texts.get('type') ?? mediaType) ?? plainType(mime.getType(name)) ?? typeOfText(head)
      const record = await inputs.upload(principal.tenant, hashed(rest(), md5), said)
      const before = taken.content
      taken.content = { record, name }
      if (before === null) return
      await inputs.remove(before.record)
      throw wrong('content', 'too_many_files', 'Send one file.')
    }
    try {
      await readMultipart(request, PARTS, take, { most: PARTS, take: (name, value) => texts.set(name, value) })
      const { content } = taken
      if (content === null) throw wrong('content', 'required', REQUIRED)
      const about = aboutOf(texts, content.name, md5.digest('hex'))
      const record = await inputs.describe(content.record.id, about)
      if (record === null) throw noFile()
      return { status: 201, body: viewOf(record, originOf(request)) }
    } catch (error) {
      if (taken.content !== null) await inputs.remove(taken.content.record)
      throw refusal(error)
    }
  }

  function refusal(error: unknown): unknown {
    if (error instanceof ArtifactRefusedError) {
      const limit = Math.floor(inputs.limits.uploadBytes / 1_000_000)
      return new ServiceError('body_too_large', `Files must be less than ${limit}MB in size`)
    }
    if (!(error instanceof UploadRefusedError)) return error
    return error.reason === 'type'
      ? new ServiceError('unsupported_media_type', error.message)
      : wrong('content', 'empty_file', error.message)
  }

  async function owned({ params: { id = '' }, principal }: OwnedRequest): Promise<UploadRecord> {
    const upload = uploadIdOf(id)
    const record = upload === null ? null : await inputs.findOwn(principal.tenant, upload)
    if (record === null) throw noFile()
    return record
  }

  async function list(request: OwnedRequest): Promise<ApiResponse> {
    const { cursor } = parseWith(listQuery, Object.fromEntries(request.query))
    const asked: PageCursor = cursor === undefined ? {} : readCursor(cursor)
    const { uploads, more } = await inputs.list(request.principal.tenant, {
      older: asked.older,
      newer: asked.newer,
      limit: PAGE,
    })
    const edge = asked.newer === undefined ? uploads.at(-1) : uploads[0]
    const next = more ? (edge?.id ?? null) : null
    const origin = originOf(request)
    return {
      status: 200,
      body: {
        ...linksOf(`${origin}${FRONT}/files`, asked, uploads, next),
        results: uploads.map((record) => viewOf(record, origin)),
      },
    }
  }

  async function download(request: OwnedRequest): Promise<ApiResponse> {
    const record = await owned(request)
    const name = record.about?.name ?? `${record.id}.${extensionOf(record.media_type)}`
    // Replicate's parameters of a signed download say nothing here: the key does.
    const file = await serveFile({ ...request, query: new URLSearchParams() }, artifacts, { ...record, name })
    if (file === null) throw noFile()
    return file
  }

  return [
    { method: 'POST', path: `${FRONT}/files`, scope: 'jobs:write', streams: true, handle: create },
    { method: 'GET', path: `${FRONT}/files`, scope: 'jobs:read', handle: list },
    {
      method: 'GET',
      path: `${FRONT}/files/:id`,
      scope: 'jobs:read',
      handle: async (request) => ({ status: 200, body: viewOf(await owned(request), originOf(request)) }),
    },
    {
      method: 'DELETE',
      path: `${FRONT}/files/:id`,
      scope: 'jobs:write',
      async handle(request) {
        await inputs.dropOwn(await owned(request))
        return { status: 204 }
      },
    },
    { method: 'GET', path: `${FRONT}/files/:id/download`, scope: 'jobs:read', handle: download },
  ]
}

function viewOf(record: UploadRecord, origin: string): FileView {
  const { id, media_type, bytes, sha256, created_at, expires_at, about } = record
  return {
    id: fileIdOf(id),
    name: about?.name ?? `${fileIdOf(id)}.${extensionOf(media_type)}`,
    content_type: media_type,
    size: bytes,
    etag: about?.md5 ?? sha256,
    checksums: { sha256, ...(about === null ? {} : { md5: about.md5 }) },
    metadata: about?.metadata ?? {},
    created_at: new Date(created_at).toISOString(),
    expires_at: new Date(expires_at).toISOString(),
    urls: { get: `${origin}${FRONT}/files/${fileIdOf(id)}` },
  }
}

function aboutOf(texts: ReadonlyMap<string, string>, fileName: string, md5: string): UploadAbout {
  const name = texts.get('filename') ?? fileName
  if (name === '' || Buffer.byteLength(name) > MAX_NAME_BYTES)
    throw wrong('filename', 'invalid_value', `Expected 1 to ${MAX_NAME_BYTES} bytes.`)
  return { name, metadata: metadataOf(texts.get('metadata') ?? '{}'), md5 }
}

function metadataOf(text: string): JsonObject {
  const read = Buffer.byteLength(text) > MAX_TEXT_BYTES ? null : readJsonObject(text)
  if (read === null || 'problem' in read)
    throw wrong('metadata', 'invalid_type', `Expected a JSON object of up to ${MAX_TEXT_BYTES} bytes.`)
  return read.object
}

async function textOf(field: string, body: AsyncIterable<Uint8Array>): Promise<string> {
  const chunks: Uint8Array[] = []
  let bytes = 0
  for await (const chunk of body) {
    bytes += chunk.byteLength
    if (bytes > MAX_TEXT_BYTES)
      throw wrong(field, 'too_large', `The field exceeds the limit of ${MAX_TEXT_BYTES} bytes.`)
    chunks.push(Uint8Array.from(chunk))
  }
  return Buffer.concat(chunks).toString('utf8')
}

async function* hashed(
  body: AsyncIterable<Uint8Array>,
  hash: ReturnType<typeof createHash>,
): AsyncGenerator<Uint8Array> {
  for await (const chunk of body) {
    hash.update(chunk)
    yield chunk
  }
}

/** Control characters that no text has. */
// oxlint-disable-next-line no-control-regex
const NO_TEXT = /[\u0000-\u0008\u000E-\u001A\u001C-\u001F\u007F]/

/** The type of a text without a declared one: the official clients send a buffer as bytes. */
function typeOfText(head: Uint8Array): string | null {
  try {
    const text = new TextDecoder('utf-8', { fatal: true }).decode(head, { stream: true })
    return text === '' || NO_TEXT.test(text) ? null : 'text/plain'
  } catch {
    return null
  }
}
