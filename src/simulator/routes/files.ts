import { notFound } from '../http/problem.ts'
import { cut, empty, type Reply } from '../http/reply.ts'
import type { Handler } from '../http/router.ts'
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
    const file = await files.find(params['token'] ?? '', params['name'] ?? '')
    if (file === null) return notFound('File')
    const about = {
      'content-type': file.contentType,
      'cache-control': 'public,max-age=3600',
      'accept-ranges': 'bytes',
      etag: `"${file.etag}"`,
    }
    if (headers['if-none-match'] === `"${file.etag}"`) return empty(304, about)
    if (method !== 'HEAD' && faults.strike('files', 'cut') !== null) return cutInTheMiddle(file.bytes, about)
    return ranged(file.bytes, headers.range, about)
  }
}

function cutInTheMiddle(bytes: Buffer, headers: Record<string, string>): Reply {
  const part = bytes.subarray(0, Math.floor(bytes.length / 2))
  if (part.length === 0) return cut
  return { kind: 'cut', after: { status: 200, headers: { ...headers, 'content-length': String(bytes.length) }, part } }
}

/** One range is understood; several, or something else, get the whole file. */
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
