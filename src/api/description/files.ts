import { z } from 'zod'
import { sha256, time, uploadId } from './common.ts'

/** Files that clients upload for inputs. */

export const upload = z
  .object({
    id: uploadId,
    url: z.string().describe('Path of the file, for reading it and for referring to it in an input.'),
    media_type: z.string(),
    bytes: z.int().min(1),
    sha256,
    created_at: time,
    expires_at: time.describe('Time at which the upload is removed if no job uses it.'),
  })
  .meta({ id: 'Upload', description: 'A file for inputs.' })
export type Upload = z.output<typeof upload>

export const uploadList = z.object({ data: z.array(upload) }).meta({ id: 'UploadList' })
