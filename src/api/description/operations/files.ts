import { z } from 'zod'
import { artifactQuerySchema, fileQuerySchema } from '../../schemas.ts'
import { artifactId, uploadId } from '../common.ts'
import { upload, uploadList } from '../files.ts'
import { created, OWNED, UPLOADED, type Operations } from './operation.ts'

const range = z.object({ Range: z.string().optional().describe('A single range, such as `bytes=0-1023`.') })

const ELSEWHERE = {
  description: 'The file is in a bucket; `Location` is its URL there, valid for five minutes.',
  schema: null,
}
const UNCHANGED = { description: '`If-None-Match` matches the file, so nothing is sent.', schema: null }
const WHOLE = { description: 'The whole file. `ETag` is its SHA-256.', schema: null, media: '*/*' }
const PART = { description: 'The requested range.', schema: null, media: '*/*' }
const SAME = { description: 'Same as for the artifact.', schema: null }

export const fileOperations = {
  getArtifact: {
    method: 'get',
    path: '/v1/artifacts/{id}',
    tag: 'Results',
    summary: 'Fetch an output file',
    description:
      'Returns the bytes of one stored output. An hourly link, as in a job, contains `expires` and `signature` and needs no credentials. A lasting link contains `file` and `signature` and does not need the record of the job; it ends with the file (404) or with `genqueue rotate-link-key` (403). Without a signature the request needs a key or a session. Byte ranges are supported.',
    access: 'link',
    params: z.object({ id: artifactId }),
    query: artifactQuerySchema,
    headers: range,
    answers: { 200: WHOLE, 206: PART, 302: ELSEWHERE, 304: UNCHANGED },
    errors: [...OWNED, 'link_expired', 'not_found', 'range_not_satisfiable', 'storage_unavailable'],
  },
  getThumbnail: {
    method: 'get',
    path: '/v1/artifacts/{id}/thumbnail',
    tag: 'Results',
    summary: 'Fetch the thumbnail of a picture',
    description:
      'Returns WebP, at most 512 pixels wide and high, or 404 if the artifact has no thumbnail. The signature of the artifact is valid here too.',
    access: 'link',
    params: z.object({ id: artifactId }),
    query: artifactQuerySchema,
    headers: range,
    answers: {
      200: { description: 'The thumbnail.', schema: null, media: 'image/webp' },
      206: { description: 'Same as for the artifact.', schema: null, media: 'image/webp' },
      302: SAME,
      304: SAME,
    },
    errors: [...OWNED, 'link_expired', 'not_found', 'range_not_satisfiable', 'storage_unavailable'],
  },
  upload: {
    method: 'post',
    path: '/v1/uploads',
    tag: 'Files',
    summary: 'Upload files for inputs',
    description:
      'Stores 1 to 20 files, all or none; other fields are refused. The media type is detected from the first bytes and must be an accepted one. An input refers to an upload by its `url`.',
    body: {
      required: true,
      media: 'multipart/form-data',
      schema: z.object({ file: z.string().optional().meta({ format: 'binary' }) }),
    },
    answers: {
      201: {
        description: 'The upload, or for several files the list of uploads in the same order.',
        schema: z.union([upload, uploadList]),
        headers: created.partial(),
      },
    },
    errors: [...UPLOADED, 'too_much_stored', 'storage_unavailable', 'storage_full'],
  },
  getUpload: {
    method: 'get',
    path: '/v1/uploads/{id}',
    tag: 'Files',
    summary: 'Fetch a file of an input',
    description:
      'Returns the bytes of an upload, or of a file that was a data URI. Byte ranges are supported. A job token opens the files of its job.',
    params: z.object({ id: uploadId }),
    query: fileQuerySchema,
    headers: range,
    answers: { 200: WHOLE, 206: PART, 302: ELSEWHERE, 304: UNCHANGED },
    errors: [...OWNED, 'not_found', 'range_not_satisfiable', 'storage_unavailable'],
  },
  deleteUpload: {
    method: 'delete',
    path: '/v1/uploads/{id}',
    tag: 'Files',
    summary: 'Delete an upload that no job uses',
    params: z.object({ id: uploadId }),
    answers: { 204: { description: 'The upload was deleted.', schema: null } },
    errors: [...OWNED, 'not_found', 'upload_in_use', 'storage_unavailable', 'capacity'],
  },
} satisfies Operations
