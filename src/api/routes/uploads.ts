import type { Upload } from '../description/files.ts'
import { ArtifactRefusedError, type ArtifactStore } from '../../shared/artifacts/artifact-store.ts'
import { extensionOf } from '../../shared/artifacts/rules/media-types.ts'
import { ServiceError } from '../../shared/errors/service-error.ts'
import { UploadRefusedError, type Inputs } from '../../shared/inputs/inputs.ts'
import { uploadPath } from '../../shared/inputs/rules/reference.ts'
import type { UploadRecord } from '../../shared/inputs/rules/upload.ts'
import type { ApiResponse, OwnedRequest, Route, StreamedRequest } from '../http.ts'
import { createOwned, noSuch } from '../owned.ts'
import { readMultipart, type PartFile } from '../read-multipart.ts'
import { fieldsOf, fileQuerySchema, invalidRequest } from '../schemas.ts'
import { serveFile } from '../serve-file.ts'

export interface UploadRoutesDependencies {
  inputs: Inputs
  artifacts: Pick<ArtifactStore, 'open' | 'link'>
}

/** Limit of files in one request. */
const MAX_FILES = 20

const noFile = (): ServiceError =>
  invalidRequest([{ pointer: '', code: 'required', detail: 'The body contains no file.' }])

/** Input files: uploaded once, named by their `url` in any number of jobs. */
export function uploadRoutes({ inputs, artifacts }: UploadRoutesDependencies): Route[] {
  async function upload({ headers, stream, principal, share, idleMs }: StreamedRequest): Promise<ApiResponse> {
    const uploads: UploadRecord[] = []
    let place = 0
    const take = async ({ body, mediaType }: PartFile): Promise<void> => {
      const at = place++
      uploads[at] = await inputs.upload(principal.tenant, body, mediaType)
    }
    try {
      await readMultipart({ headers, stream, share, idleMs }, MAX_FILES, take)
    } catch (error) {
      // All or none, so that a repeated request leaves no unknown files.
      for (const record of uploads) if (record) await inputs.remove(record)
      throw refusal(error)
    }
    const [first] = uploads
    if (!first) throw noFile()
    return uploads.length === 1
      ? { status: 201, headers: { location: uploadPath(first.id) }, body: uploadView(first) }
      : { status: 201, body: { data: uploads.map(uploadView) } }
  }

  function refusal(error: unknown): unknown {
    if (error instanceof ArtifactRefusedError)
      return new ServiceError('body_too_large', `The file exceeds the limit of ${inputs.limits.uploadBytes} bytes.`)
    if (!(error instanceof UploadRefusedError)) return error
    return error.reason === 'type'
      ? new ServiceError('unsupported_media_type', error.message)
      : invalidRequest([{ pointer: '', code: 'empty_file', detail: error.message }])
  }

  const owned = createOwned<UploadRecord>({
    kind: 'upload',
    read: (id, { tenant }) => inputs.find(tenant, id),
    // A token opens the files that its job uses.
    subjectOf: async ({ id, tenant }, { only }) => ({
      id: only !== null && (await inputs.isUsedBy(id, only)) ? only : id,
      tenant,
    }),
  })

  async function get(request: OwnedRequest): Promise<ApiResponse> {
    const upload = await owned(request)
    const name = `${upload.id}.${extensionOf(upload.media_type)}`
    const file = await serveFile(request, artifacts, { ...upload, name })
    if (!file) throw noSuch('upload')
    return file
  }

  async function remove(request: OwnedRequest): Promise<ApiResponse> {
    if (!(await inputs.remove(await owned(request))))
      throw new ServiceError('upload_in_use', 'A job still has it in its input. It is removed with the last of them.')
    return { status: 204 }
  }

  return [
    { method: 'POST', path: '/v1/uploads', scope: 'jobs:write', streams: true, handle: upload },
    {
      method: 'GET',
      path: '/v1/uploads/:id',
      query: fieldsOf(fileQuerySchema),
      scope: 'jobs:read',
      tokenOpens: true,
      handle: get,
    },
    { method: 'DELETE', path: '/v1/uploads/:id', scope: 'jobs:write', handle: remove },
  ]
}

const uploadView = ({ id, media_type, bytes, sha256, created_at, expires_at }: UploadRecord): Upload => ({
  id,
  url: uploadPath(id),
  media_type,
  bytes,
  sha256,
  created_at: new Date(created_at).toISOString(),
  expires_at: new Date(expires_at).toISOString(),
})
