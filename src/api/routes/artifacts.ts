import { parseArtifactId, type ArtifactLinks } from '../../shared/artifacts/artifact-links.ts'
import type { ArtifactStore } from '../../shared/artifacts/artifact-store.ts'
import { fileNameOf } from '../../shared/artifacts/file-names.ts'
import { ServiceError } from '../../shared/errors.ts'
import type { ArtifactRecord } from '../../shared/jobs/job.ts'
import type { JobStore } from '../../shared/jobs/ports.ts'
import { mayOpen, type Auth } from '../auth.ts'
import type { Cors } from '../cors.ts'
import type { ApiRequest, ApiResponse, Route } from '../http.ts'
import { serveFile, type ServedFile } from '../serve-file.ts'

export interface ArtifactRoutesDependencies {
  store: JobStore
  artifacts: ArtifactStore
  links: ArtifactLinks
  auth: Auth
  cors: Pick<Cors, 'require'>
}

/** Stored outputs, whole or in ranges, by signed path, key or session. */
export function artifactRoutes({ store, artifacts, links, auth, cors }: ArtifactRoutesDependencies): Route[] {
  const notFound = (): ServiceError => new ServiceError('not_found', 'There is no such artifact.')

  /** Who may see it: everyone with a signed link, else the tenant that owns the job, or who has a token for it. */
  async function find(request: ApiRequest): Promise<ArtifactRecord & { name: string }> {
    const id = request.params.id ?? ''
    const signature = request.query.get('signature')
    const linked = signature !== null && links.valid(id, request.query.get('expires') ?? '', signature)
    if (!linked && signature !== null && !auth.hasCredentials(request))
      throw new ServiceError('link_expired', 'The link has expired; the job shows a fresh one.')
    const principal = linked ? null : await auth.require(request, 'jobs:read', true)
    const place = parseArtifactId(id)
    const job = place && (await store.read(place.job))
    if (!job || (principal && !mayOpen(principal, job))) throw notFound()
    await cors.require(request, job.tenant)
    const artifact = job.artifacts.find((one) => one.id === id)
    if (!artifact) throw notFound()
    return { ...artifact, name: fileNameOf(job, artifact) }
  }

  async function serve(request: ApiRequest, served: ServedFile): Promise<ApiResponse> {
    const file = await serveFile(request, artifacts, served)
    if (!file) throw notFound()
    return file
  }

  const get = async (request: ApiRequest): Promise<ApiResponse> => serve(request, await find(request))

  async function thumbnail(request: ApiRequest): Promise<ApiResponse> {
    const { name, thumbnail: small, sha256 } = await find(request)
    if (small === null) throw notFound()
    return serve(request, {
      ...small,
      name: name.replace(/\.\w+$/, '-small.webp'),
      media_type: 'image/webp',
      sha256: `${sha256}-small`,
    })
  }

  return [
    { method: 'GET', path: '/v1/artifacts/:id', scope: null, handle: get },
    { method: 'GET', path: '/v1/artifacts/:id/thumbnail', scope: null, handle: thumbnail },
  ]
}
