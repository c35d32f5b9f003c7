import { Readable } from 'node:stream'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileNotFound, otherStatus } from '../http/problem.ts'
import { cut, empty, type Reply } from '../http/reply.ts'
import type { Handler } from '../http/router.ts'
import type { OutputFile } from '../output-files.ts'
import { pause, statusReply } from './guards.ts'
import type { Services } from './services.ts'

/** The output host: no credentials, one hour, byte ranges. */
export function getFile(services: Services): Handler {
  const { faults, files } = services
  return async ({ params, headers, method }) => {
    const delay = faults.strike('files', 'delay')
    if (delay !== null) await pause(services, delay.seconds)
    const status = faults.strike('files', 'status')
    if (status !== null) return statusReply(status)
    const expired = faults.strike('files', 'expired')
    if (expired !== null) return expired.code === 404 ? fileNotFound() : otherStatus(expired.code)
    const redirect = faults.strike('files', 'redirect')
    if (redirect !== null) return empty(redirect.code, { location: redirect.to })
    const file = await files.find(params['token'] ?? '', params['name'] ?? '')
    if (file === null) return fileNotFound()
    const about = {
      'content-type': file.contentType,
      'cache-control': 'public,max-age=3600',
      'accept-ranges': 'bytes',
      etag: `"${file.etag}"`,
    }
    if (headers['if-none-match'] === `"${file.etag}"`) return empty(304, about)
    const faulty = method === 'HEAD' ? null : faultyFile(services, file, about)
    return faulty ?? ranged(file.bytes, headers.range, about)
  }
}

/** The fault of an existing file; null when none strikes. */
function faultyFile(
  { faults, stopping }: Services,
  { bytes }: OutputFile,
  about: Record<string, string>,
): Reply | null {
  if (faults.strike('files', 'cut') !== null) return cutInTheMiddle(bytes, about)
  const type = faults.strike('files', 'wrong_type')
  if (type?.page === true) return { kind: 'bytes', status: 200, body: PAGE, headers: about }
  if (type !== null) {
    return { kind: 'bytes', status: 200, body: bytes, headers: { ...about, 'content-type': type.content_type } }
  }
  const length = faults.strike('files', 'wrong_length')
  if (length !== null) return withWrongLength(bytes, length.by, about)
  const slow = faults.strike('files', 'slow')
  if (slow !== null) {
    const headers = { ...about, 'content-length': String(bytes.length) }
    return { kind: 'bytes', status: 200, body: Readable.from(slowly(bytes, slow.seconds, stopping)), headers }
  }
  if (faults.strike('files', 'endless') === null) return null
  return { kind: 'bytes', status: 200, body: Readable.from(withoutEnd(bytes)), headers: about }
}

const PAGE =
  '<!DOCTYPE html>\n<html><head><title>Sign in</title></head><body><h1>Sign in to continue</h1></body></html>\n'

function cutInTheMiddle(bytes: Buffer, headers: Record<string, string>): Reply {
  const part = bytes.subarray(0, Math.floor(bytes.length / 2))
  if (part.length === 0) return cut
  return { kind: 'cut', after: { status: 200, headers: { ...headers, 'content-length': String(bytes.length) }, part } }
}

/** A connection with a wrong length cannot be reused. */
function withWrongLength(bytes: Buffer, by: number, about: Record<string, string>): Reply {
  const length = String(Math.max(0, bytes.length + by))
  return {
    kind: 'bytes',
    status: 200,
    body: bytes,
    headers: { ...about, 'content-length': length, connection: 'close' },
  }
}

const SLOW_PARTS = 50

async function* slowly(bytes: Buffer, seconds: number, signal: AbortSignal): AsyncGenerator<Buffer> {
  const size = Math.ceil(bytes.length / SLOW_PARTS)
  for (let at = 0; at < bytes.length; at += size) {
    if (at > 0) await sleep((seconds * 1000) / SLOW_PARTS, undefined, { signal }).catch(() => undefined)
    yield bytes.subarray(at, at + size)
  }
}

async function* withoutEnd(bytes: Buffer): AsyncGenerator<Buffer> {
  yield bytes
  const more = Buffer.alloc(64 * 1024, 'more and ')
  for (;;) {
    yield more
    await sleep(1)
  }
}

/** Supports one range; several ranges or another unit get the whole file. */
function ranged(bytes: Buffer, range: string | undefined, headers: Record<string, string>): Reply {
  const [whole, from = '', to = ''] = /^bytes=(\d*)-(\d*)$/.exec(range ?? '') ?? []
  if (whole === undefined || (from === '' && to === '')) return { kind: 'bytes', status: 200, body: bytes, headers }
  const last = bytes.length - 1
  const start = from === '' ? Math.max(0, bytes.length - Number(to)) : Number(from)
  const end = from === '' || to === '' ? last : Math.min(Number(to), last)
  if (start > end) return empty(416, { ...headers, 'content-range': `bytes */${bytes.length}` })
  return {
    kind: 'bytes',
    status: 206,
    body: bytes.subarray(start, end + 1),
    headers: { ...headers, 'content-range': `bytes ${start}-${end}/${bytes.length}` },
  }
}
