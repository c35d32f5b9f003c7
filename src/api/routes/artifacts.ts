import { parseArtifactId, type ArtifactLinks } from '../../shared/artifacts/rules/artifact-links.ts'
import type { ArtifactStore } from '../../shared/artifacts/artifact-store.ts'
import { namedFiles, THUMBNAIL, type LastingLinks } from '../../shared/artifacts/rules/lasting-links.ts'
import { ServiceError } from '../../shared/errors/service-error.ts'
import type { JobReader } from '../../shared/jobs/ports.ts'
import type { Auth } from '../auth.ts'
import type { Cors } from '../cors.ts'
import type { ApiRequest, ApiResponse, Route } from '../http.ts'
import { noSuch, requireOwned } from '../owned.ts'
import { artifactQuerySchema, fieldsOf } from '../schemas.ts'
import { serveFile, type ServedFile } from '../serve-file.ts'

export interface ArtifactRoutesDependencies {
  store: JobReader
  artifacts: Pick<ArtifactStore, 'open' | 'link'>
  links: ArtifactLinks
  lasting: LastingLinks
  auth: Auth
  cors: Pick<Cors, 'require'>
  /** Rejects with `deployment_lost` when Redis has lost the data. */
  ensureDeployment: () => Promise<void>
}

/** Query parameters of links and of readers with a key or a job token. */
const QUERY = [...fieldsOf(artifactQuerySchema), 'token']

/** Serves stored outputs, complete or in ranges, by signed link, key, job token or session. */
export function artifactRoutes(dependencies: ArtifactRoutesDependencies): Route[] {
  const { store, artifacts, links, lasting, auth, cors, ensureDeployment } = dependencies

  /** Access: by a signed link, by the tenant that owns the job, or by a token for it. */
  async function find(request: ApiRequest): Promise<ReturnType<typeof namedFiles>> {
    const id = request.params.id ?? ''
    const signature = request.query.get('signature')
    const linked = signature !== null && links.valid(id, request.query.get('expires') ?? '', signature)
    if (!linked && signature !== null && !auth.hasCredentials(request))
      throw new ServiceError('link_expired', 'The link has expired. Read the job for a new one.')
    const principal = linked ? null : await auth.require(request, 'jobs:read', true)
    const place = parseArtifactId(id)
    const job = place && (await store.read(place.job))
    // A signed link is valid without a record; a missing record can mean lost data.
    if (!job) {
      await ensureDeployment()
      throw noSuch('artifact')
    }
    if (principal) requireOwned('artifact', principal, job)
    await cors.require(request, job.tenant)
    const artifact = job.artifacts.find((one) => one.id === id)
    if (!artifact) throw noSuch('artifact')
    return namedFiles(job, artifact)
  }

  async function serve(request: ApiRequest, served: ServedFile): Promise<ApiResponse> {
    const file = await serveFile(request, artifacts, served)
    if (!file) throw noSuch('artifact')
    return file
  }

  /** Serves a lasting link, without reading a record. null: it is not such a link. */
  async function serveLasting(request: ApiRequest, part: string): Promise<ApiResponse | null> {
    const file = request.query.get('file')
    if (file === null) return null
    const id = request.params.id ?? ''
    const linked = await lasting.read(id, part, file, request.query.get('signature') ?? '')
    if (linked === null)
      throw new ServiceError(
        'link_expired',
        'The link is not valid: it was modified, or all lasting links were revoked. Read the job for a new one.',
      )
    await cors.require(request, linked.tenant)
    const answer = await serveFile(request, artifacts, linked)
    // Only opening the file proves that it exists.
    const isOpen = answer !== null && 'stream' in answer
    if (answer === null || (!isOpen && !(await isStored(linked))))
      throw new ServiceError('not_found', 'The file of this link was removed.')
    return answer
  }

  async function isStored({ key, bytes }: { key: string; bytes: number }): Promise<boolean> {
    const stream = await artifacts.open(key, bytes > 0 ? { start: 0, end: 0 } : undefined)
    stream?.destroy()
    return stream !== null
  }

  const get = async (request: ApiRequest): Promise<ApiResponse> =>
    (await serveLasting(request, '')) ?? serve(request, (await find(request)).file)

  async function thumbnail(request: ApiRequest): Promise<ApiResponse> {
    const answer = await serveLasting(request, THUMBNAIL)
    if (answer !== null) return answer
    const { small } = await find(request)
    if (small === null) throw noSuch('artifact')
    return serve(request, small)
  }

  return [
    { method: 'GET', path: '/v1/artifacts/:id', query: QUERY, scope: null, handle: get },
    { method: 'GET', path: '/v1/artifacts/:id/thumbnail', query: QUERY, scope: null, handle: thumbnail },
  ]
}
