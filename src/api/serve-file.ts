import type { ArtifactStore } from '../shared/artifacts/artifact-store.ts'
import { ServiceError } from '../shared/errors/service-error.ts'
import type { ApiRequest, ApiResponse } from './http.ts'
import { invalidRequest } from './schemas.ts'

/** Stored file with its download name. */
export interface ServedFile {
  /** Download name. */
  name: string
  key: string
  media_type: string
  bytes: number
  sha256: string
}

/** Types that a browser shows without executing code. */
const SHOWN = /^(?:image\/(?:png|jpeg|webp|gif|avif)|video\/|audio\/)/

/** Types that a browser can execute: served as bytes, under a name with their extension. */
const ACTIVE = /^(?:text\/html|multipart\/.*|(?:text|application)\/xml|.*\+xml|.*(?:java|ecma)script)(?:;|$)/

const servedType = (mediaType: string): string => (ACTIVE.test(mediaType) ? 'application/octet-stream' : mediaType)

/** Validity of a link into the bucket, s. */
const LINK_SECONDS = 300

/**
 * Response with the file, a range of it, or a redirect into the bucket; 304 when the client has it; null when it does not
 * exist. `?download=1` forces a download.
 */
export async function serveFile(
  { headers, query }: Pick<ApiRequest, 'headers' | 'query'>,
  artifacts: Pick<ArtifactStore, 'open' | 'link'>,
  { name, key, media_type, bytes, sha256 }: ServedFile,
): Promise<ApiResponse | null> {
  const isDownload = asksForDownload(query)
  const etag = `"${sha256}"`
  // Caches store these headers with the file; a 304 renews them.
  const kept = {
    'cache-control': 'private, max-age=3600, immutable',
    etag,
    // Prevents any execution of the content.
    'content-security-policy': "default-src 'none'; sandbox",
    'cross-origin-resource-policy': 'cross-origin',
  }
  if (names(headers['if-none-match'], etag)) return { status: 304, headers: kept }
  const ifRange = headers['if-range']
  const range = ifRange === undefined || ifRange === etag ? parseRange(headers.range, bytes) : null
  if (range === 'unsatisfiable')
    throw new ServiceError('range_not_satisfiable', `The range is outside of the file of ${bytes} bytes.`, {
      fileBytes: bytes,
    })
  const disposition = dispositionOf(name, SHOWN.test(media_type) && !isDownload)
  const link = await artifacts.link(key, {
    seconds: LINK_SECONDS,
    mediaType: servedType(media_type),
    disposition,
  })
  // Browsers cache the redirect for less than its validity.
  const cache = `private, max-age=${LINK_SECONDS - 60}`
  if (link !== null) return { status: 302, headers: { location: link, 'cache-control': cache } }
  const stream = await artifacts.open(key, range ?? undefined)
  if (!stream) return null
  return {
    status: range ? 206 : 200,
    headers: {
      ...kept,
      'content-type': servedType(media_type),
      'content-length': String(range ? range.end - range.start + 1 : bytes),
      'content-disposition': disposition,
      'accept-ranges': 'bytes',
      ...(range ? { 'content-range': `bytes ${range.start}-${range.end}/${bytes}` } : {}),
    },
    stream,
  }
}

/** Content-Disposition (RFC 6266). Our names are plain ASCII (artifacts/file-names.ts), so none needs RFC 8187. */
const dispositionOf = (name: string, isShown: boolean): string =>
  `${isShown ? 'inline' : 'attachment'}; filename="${name.replaceAll(/[^A-Za-z0-9._-]/g, '_')}"`

function asksForDownload(query: URLSearchParams): boolean {
  const values = query.getAll('download')
  if (values.length === 0) return false
  if (values.length === 1 && values[0] === '1') return true
  throw invalidRequest([{ pointer: '/download', code: 'invalid_value', detail: 'Expected 1, or no parameter.' }])
}

/** Whether a list contains this tag, by weak comparison (RFC 9110, section 13.1.2). */
const names = (header: string | undefined, etag: string): boolean =>
  (header ?? '').split(',').some((tag) => ['*', etag, `W/${etag}`].includes(tag.trim()))

/** One byte range, inclusive; null for none, or for ranges that RFC 9110 lets a server ignore. */
function parseRange(
  header: string | undefined,
  bytes: number,
): { start: number; end: number } | 'unsatisfiable' | null {
  const match = /^bytes=(\d{0,15})-(\d{0,15})$/.exec(header ?? '')
  if (!match || (match[1] === '' && match[2] === '')) return null
  const [, from = '', to = ''] = match
  // An end before the start is invalid.
  if (from !== '' && to !== '' && Number(to) < Number(from)) return null
  const start = from === '' ? Math.max(bytes - Number(to), 0) : Number(from)
  const end = from === '' || to === '' ? bytes - 1 : Math.min(Number(to), bytes - 1)
  return start > end || start >= bytes ? 'unsatisfiable' : { start, end }
}
