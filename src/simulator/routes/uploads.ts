import { createHash, timingSafeEqual } from 'node:crypto'
import { z } from 'zod'
import { ownedBy, ownerOf } from '../accounts.ts'
import { newId, uploadSecret, uploadSignature } from '../identifiers.ts'
import { fileTooLarge, invalidInput, malformed, fileNotFound } from '../http/problem.ts'
import { empty, json, type Reply } from '../http/reply.ts'
import type { Handler, SimulatorRequest } from '../http/router.ts'
import { timestamp } from '../prediction-view.ts'
import { type Upload, UPLOAD_KEPT_MS } from '../upload.ts'
import { pageOf } from './pages.ts'
import type { Services } from './services.ts'

/** The files API: files for use as prediction input, kept for a day. */

/** Bytes allowed in a multipart body beside the file. */
const FORM_BYTES = 1_000_000
const NAME_BYTES = 255

export function createUpload(services: Services): Handler {
  const { book, blobs, clock, habits } = services
  return async (request) => {
    const limit = habits.current.max_file_bytes
    const form = await readForm(request, limit + FORM_BYTES)
    if (form === 'too large') return fileTooLarge(limit)
    if (form === null) return malformed('The request body is not valid multipart/form-data')
    const parsed = await readUpload(form, limit)
    if ('kind' in parsed) return parsed
    const { bytes, ...about } = parsed
    const hash = (algorithm: string) => createHash(algorithm).update(bytes).digest('hex')
    const upload: Upload = {
      id: newId(),
      ...about,
      size: bytes.length,
      sha256: hash('sha256'),
      md5: hash('md5'),
      createdAt: clock.now(),
      agedMs: 0,
      ...ownedBy(request.account),
    }
    blobs.put(upload.id, bytes)
    book.addUpload(upload)
    return json(201, showUpload(upload, request.origin))
  }
}

async function readForm(request: SimulatorRequest, limit: number): Promise<FormData | 'too large' | null> {
  const type = request.headers['content-type'] ?? ''
  const body = await request.readBody(limit)
  if (body === 'too large') return body
  try {
    return await new Response(new Uint8Array(body), { headers: { 'content-type': type } }).formData()
  } catch {
    return null
  }
}

const metadataSchema = z.record(z.string(), z.unknown())

type Parsed = Pick<Upload, 'name' | 'contentType' | 'metadata'> & { bytes: Buffer }

async function readUpload(form: FormData, limit: number): Promise<Parsed | Reply> {
  const [content, metadata] = [form.get('content'), form.get('metadata')]
  const text = (name: string) => textOf(form.get(name))
  if (!(content instanceof File)) return wrong('content', 'required', 'content is required')
  if (content.size > limit) return fileTooLarge(limit)
  const name = (await text('filename')) ?? content.name
  if (name === '' || Buffer.byteLength(name) > NAME_BYTES)
    return wrong('filename', 'string_lte', 'filename is too long')
  const values = metadataSchema.safeParse(parsedJson((await textOf(metadata)) ?? '{}'))
  if (!values.success) return wrong('metadata', 'invalid_type', 'metadata must be a JSON object')
  const given = (await text('type')) ?? content.type
  const contentType = given === '' ? 'application/octet-stream' : given
  return { name, contentType, metadata: values.data, bytes: Buffer.from(await content.arrayBuffer()) }
}

const wrong = (field: string, type: string, description: string) => invalidInput([{ type, field, description }])

const textOf = async (value: File | string | null) => (value instanceof File ? value.text() : value)

function parsedJson(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}

function showUpload(upload: Upload, origin: string) {
  const { id, name, contentType, size, sha256, md5, metadata, createdAt } = upload
  return {
    id,
    name,
    content_type: contentType,
    size,
    etag: md5,
    checksums: { sha256, md5 },
    metadata,
    created_at: timestamp(createdAt, 3),
    expires_at: timestamp(createdAt + UPLOAD_KEPT_MS, 3),
    urls: { get: `${origin}/v1/files/${id}` },
  }
}

/** Newest first. */
export function listUploads({ book }: Services): Handler {
  return (request) =>
    pageOf({
      request,
      rows: () => [...book.uploads()].filter((one) => ownerOf(one) === request.account).toReversed(),
      idOf: ({ id }) => id,
      show: (upload) => showUpload(upload, request.origin),
    })
}

export const getUpload = ({ book }: Services): Handler =>
  withOwnUpload(book, (upload, { origin }) => json(200, showUpload(upload, origin)))

export const deleteUpload = ({ book, blobs }: Services): Handler =>
  withOwnUpload(book, (upload) => {
    book.removeUpload(upload)
    blobs.remove(upload.id)
    return empty(204)
  })

/** Needs no token: the URL is signed. Any invalid part of it is a 404, as documented. */
export const downloadUpload = ({ book, blobs, clock }: Services): Handler =>
  withUpload(book, async (upload, { query }) => {
    const [owner, expiry] = [query.get('owner') ?? '', query.get('expiry') ?? '']
    const expected = uploadSignature(uploadSecret(book.identity.privateKey), owner, upload.id, expiry)
    const isRight = owner === ownerOf(upload) && areEqual(query.get('signature')?.replaceAll(' ', '+') ?? '', expected)
    const bytes = isRight && Number(expiry) * 1000 > clock.now() ? await blobs.get(upload.id) : null
    if (bytes === null) return fileNotFound()
    return { kind: 'bytes', status: 200, body: bytes, headers: { 'content-type': upload.contentType } }
  })

type UploadHandler = (upload: Upload, request: SimulatorRequest) => Reply | Promise<Reply>

/** Another account's file is none. */
const withOwnUpload = (book: Services['book'], handler: UploadHandler): Handler =>
  withUpload(book, (upload, request) =>
    ownerOf(upload) === request.account ? handler(upload, request) : fileNotFound(),
  )

function withUpload(book: Services['book'], handler: UploadHandler): Handler {
  return (request) => {
    const upload = book.findUpload(request.params['id'] ?? '')
    return upload === undefined ? fileNotFound() : handler(upload, request)
  }
}

const areEqual = (a: string, b: string) => a.length === b.length && timingSafeEqual(Buffer.from(a), Buffer.from(b))
