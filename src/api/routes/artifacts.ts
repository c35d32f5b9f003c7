import { parseArtifactId, type ArtifactLinks } from '../../shared/artifacts/artifact-links.ts'
import type { ArtifactStore } from '../../shared/artifacts/artifact-store.ts'
import { extensionOf } from '../../shared/artifacts/media-types.ts'
import { ServiceError } from '../../shared/errors.ts'
import type { ArtifactRecord } from '../../shared/jobs/job.ts'
import type { JobStore } from '../../shared/jobs/ports.ts'
import { mayOpen, type Auth } from '../auth.ts'
import type { ApiRequest, ApiResponse, Route } from '../http.ts'

export interface ArtifactRoutesDependencies {
  store: JobStore
  artifacts: ArtifactStore
  links: ArtifactLinks
  auth: Auth
}

/** Types that a browser shows without running anything. */
const SHOWN = /^(?:image\/(?:png|jpeg|webp|gif|avif)|video\/|audio\/)/

/** How long a link into the bucket holds. */
const LINK_SECONDS = 300

/** Stored outputs, whole or in ranges, by signed path, key or session. */
export function artifactRoutes({ store, artifacts, links, auth }: ArtifactRoutesDependencies): Route[] {
  const notFound = (): ServiceError => new ServiceError('not_found', 'There is no such artifact.')

  /** Who may see it: everyone with a signed link, else the tenant that owns the job, or who has a token for it. */
  async function find(request: ApiRequest): Promise<ArtifactRecord> {
    const id = request.params.id ?? ''
    const signature = request.query.get('signature')
    const linked = signature !== null && links.valid(id, request.query.get('expires') ?? '', signature)
    if (!linked && signature !== null && !auth.hasCredentials(request))
      throw new ServiceError('link_expired', 'The link has expired; the job shows a fresh one.')
    const principal = linked ? null : await auth.require(request, 'jobs:read', true)
    const place = parseArtifactId(id)
    const job = place && (await store.read(place.job))
    if (!job || (principal && !mayOpen(principal, job))) throw notFound()
    const artifact = job.artifacts.find((one) => one.id === id)
    if (!artifact) throw notFound()
    return artifact
  }

  async function get(request: ApiRequest): Promise<ApiResponse> {
    const artifact = await find(request)
    const range = parseRange(request.headers.range, artifact.bytes)
    if (range === 'unsatisfiable')
      throw new ServiceError('range_not_satisfiable', `The file has ${artifact.bytes} bytes.`)
    const shown = SHOWN.test(artifact.media_type)
    const disposition = `${shown ? 'inline' : 'attachment'}; filename="${artifact.id}.${extensionOf(artifact.media_type)}"`
    const link = await artifacts.link(artifact.key, {
      seconds: LINK_SECONDS,
      mediaType: artifact.media_type,
      disposition,
    })
    // Kept by a browser for less than it holds.
    const cache = `private, max-age=${LINK_SECONDS - 60}`
    if (link !== null) return { status: 302, headers: { location: link, 'cache-control': cache } }
    const stream = await artifacts.open(artifact.key, range ?? undefined)
    if (!stream) throw notFound()
    return {
      status: range ? 206 : 200,
      headers: {
        'content-type': artifact.media_type,
        'content-length': String(range ? range.end - range.start + 1 : artifact.bytes),
        'content-disposition': disposition,
        'accept-ranges': 'bytes',
        'cache-control': 'private, max-age=3600, immutable',
        etag: `"${artifact.sha256}"`,
        // Whatever a model made, it runs nothing here.
        'content-security-policy': "default-src 'none'; sandbox",
        'cross-origin-resource-policy': 'cross-origin',
        ...(range ? { 'content-range': `bytes ${range.start}-${range.end}/${artifact.bytes}` } : {}),
      },
      stream,
    }
  }

  return [{ method: 'GET', path: '/v1/artifacts/:id', scope: null, handle: get }]
}

/** One byte range, inclusive; null for none, or for what RFC 9110 lets a server ignore. */
function parseRange(
  header: string | undefined,
  bytes: number,
): { start: number; end: number } | 'unsatisfiable' | null {
  const match = /^bytes=(\d{0,15})-(\d{0,15})$/.exec(header ?? '')
  if (!match || (match[1] === '' && match[2] === '')) return null
  const [, from = '', to = ''] = match
  const start = from === '' ? Math.max(bytes - Number(to), 0) : Number(from)
  const end = from === '' || to === '' ? bytes - 1 : Math.min(Number(to), bytes - 1)
  return start > end || start >= bytes ? 'unsatisfiable' : { start, end }
}
